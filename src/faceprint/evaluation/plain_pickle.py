"""Read pickles of bytes, text, lists, tuples, booleans and integers, and refuse all others.

The opcodes are checked before the standard library's `Unpickler` runs. A restricted `find_class`
would not be enough: a memo index near 2**32 makes CPython's unpickler fill gigabytes, from a file
of ten bytes. One call is allowed, `_codecs.encode(text, "latin1")`, because Python 3 writes bytes
this way for protocols 0 to 2. Text strings of Python 2 are read as bytes.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any

from faceprint.errors import DatasetError

__all__ = ["read_plain_pickle"]

_PLAIN = {
    "PROTO", "FRAME", "STOP", "MARK", "GLOBAL", "REDUCE", "EMPTY_LIST", "EMPTY_TUPLE", "LIST",
    "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "APPEND", "APPENDS", "NEWTRUE", "NEWFALSE", "INT",
    "LONG", "LONG1", "BININT", "BININT1", "BININT2", "STRING", "BINSTRING", "SHORT_BINSTRING",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET",
}  # fmt: skip
_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_CALLS = ("STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD", "EXT1", "EXT2", "EXT4")
_NOTHING_ELSE = "refused: a pack holds only bytes, lists and booleans"


def read_plain_pickle(data: bytes, name: str) -> object:
    """Return the value that is pickled in `data`.

    Args:
        name: of the file, for messages.

    Raises:
        DatasetError: `data` holds anything but plain values, is cut off or malformed.
    """
    try:
        _check_opcodes(data, name)
        return _PlainUnpickler(data, name).load()
    except DatasetError:
        raise
    except (
        pickle.UnpicklingError, EOFError, LookupError, ValueError, TypeError, AttributeError,
        OverflowError,
    ) as error:  # fmt: skip
        raise DatasetError(f"{name}: not a pickle, or one that is cut off ({error})") from error


class _PlainUnpickler(pickle.Unpickler):
    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(io.BytesIO(data), encoding="bytes")
        self._file_name = name

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) != ("_codecs", "encode"):
            raise DatasetError(f"{self._file_name}: carries a call to {module}.{name}")
        return self._encode

    def _encode(self, text: object, encoding: object) -> bytes:
        if not isinstance(text, str) or encoding != "latin1":
            raise DatasetError(f"{self._file_name}: carries a call; {_NOTHING_ELSE}")
        return text.encode("latin-1")


def _check_opcodes(data: bytes, name: str) -> None:
    """Refuse every opcode that plain values don't need, before any of them runs."""
    stream = io.BytesIO(data)
    texts: list[object] = []
    while True:
        at = stream.tell()
        code = stream.read(1).decode("latin-1")
        opcode = _OPCODES.get(code)
        if not code or opcode is None:
            raise ValueError(f"byte {at}")
        if opcode.name == "STOP":
            return
        if opcode.name == "STRING":  # pickletools only reads ASCII
            stream.readline()
            continue
        argument: Any = opcode.arg.reader(stream) if opcode.arg else None
        if opcode.name in _PUTS and argument > at:
            raise DatasetError(f"{name}: byte {at}: memo index {argument}; refused")
        if opcode.name == "GLOBAL" and argument != "_codecs encode":
            called = argument.replace(" ", ".")
            raise DatasetError(f"{name}: carries a call to {called[:80]}; {_NOTHING_ELSE}")
        if opcode.name in _CALLS:
            called = f" to {'.'.join(map(str, texts))[:80]}" if len(texts) == 2 else ""
            raise DatasetError(f"{name}: carries a call{called} (byte {at}); {_NOTHING_ELSE}")
        if opcode.name not in _PLAIN:
            raise DatasetError(f"{name}: byte {at}: opcode {opcode.name}; {_NOTHING_ELSE}")
        if isinstance(argument, str):
            texts = [*texts[-1:], argument]
