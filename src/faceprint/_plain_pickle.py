"""Read pickles of plain values without the standard library's unpickler, and refuse all others.

An interpreter of the opcodes that plain values need; `pickletools` reads their arguments. No opcode
of it imports, calls or sets anything but what `Dialect.calls` holds. What the values may take in
memory is bounded by the size of the file. Text strings of Python 2 are read as bytes.
"""

from __future__ import annotations

import codecs
import io
import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from faceprint.errors import DatasetError

__all__ = ["Dialect", "encode_latin1", "read_plain_pickle"]

_ATOMS = {
    "NEWTRUE", "NEWFALSE", "INT", "LONG", "LONG1", "BININT", "BININT1", "BININT2", "STRING",
    "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "UNICODE",
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
}  # fmt: skip
_RECORD_ATOMS = {"NONE", "FLOAT", "BYTEARRAY8"}
_FLOAT = struct.Struct(">d")
_RECORD_OPCODES = {"EMPTY_DICT", "DICT", "SETITEM", "SETITEMS"}
_CONSTANTS = {"NEWTRUE": True, "NEWFALSE": False, "NONE": None}
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_CALLS = {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "STACK_GLOBAL", "BUILD"}
_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_BYTES_PER_BYTE = 8
"""Memory that the values may take, per byte of the file; floats take 40 bytes for 9."""
_SPARE = 1 << 20
_SLOT, _OBJECT, _MEMO = 8, 32, 100


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a kind of file holds.

    Attributes:
        holds: in words, for messages.
        records: whether there are dictionaries with text for keys, floats and None.
        calls: what stands for the functions that a pickle names, by `module name`. An object that
            one of them returns may have a method `build`, which takes a state.
    """

    holds: str
    records: bool = False
    calls: Mapping[str, Callable[..., Any]] = field(default_factory=dict)


def encode_latin1(text: object, encoding: object) -> bytes:
    """`_codecs.encode`, by which Python 3 writes bytes in protocols 0 to 2."""
    if not isinstance(text, str) or encoding != "latin1":
        raise DatasetError(f"a call to _codecs.encode with {encoding!r}; refused")
    return text.encode("latin-1")


def read_plain_pickle(data: bytes, name: str, dialect: Dialect) -> object:
    """Return the value that is pickled in `data`.

    Args:
        name: of the file, for messages.

    Raises:
        DatasetError: `data` holds other values than the dialect, is cut off or malformed.
    """
    try:
        return _Machine(data, name, dialect).run()
    except DatasetError as error:
        if str(error).startswith(name):
            raise
        raise DatasetError(f"{name}: {error}") from error
    except (
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        OverflowError,
        struct.error,
    ) as error:
        raise DatasetError(f"{name}: not a pickle, or one that is cut off ({error})") from error


@dataclass(frozen=True, slots=True)
class _Call:
    run: Callable[..., Any]


class _Machine:
    def __init__(self, data: bytes, name: str, dialect: Dialect) -> None:
        self._stream = io.BytesIO(data)
        self._name = name
        self._dialect = dialect
        self._left = len(data) * _BYTES_PER_BYTE + _SPARE
        self._stack: list[Any] = []
        self._outer: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._atoms = _ATOMS | (_RECORD_ATOMS if dialect.records else set())

    def run(self) -> object:
        read, floats = self._stream.read, self._dialect.records
        while True:
            code = read(1)
            if code == b"G" and floats:  # BINFLOAT: nearly all that tables of embeddings hold
                self._push(_FLOAT.unpack(read(8))[0], _OBJECT)
                continue
            at = self._stream.tell() - len(code)
            opcode = _OPCODES.get(code.decode("latin-1"))
            if opcode is None:
                raise ValueError(f"byte {at}")
            name = opcode.name
            if name == "STOP":
                return self._stack.pop()
            if name == "STRING":  # pickletools only reads ASCII
                argument: Any = _quoted(self._stream.readline())
            else:
                argument = opcode.arg.reader(self._stream) if opcode.arg else None
            if name in self._atoms:
                self._push_atom(name, argument)
            elif name in _PUTS or name in _GETS or name == "MEMOIZE":
                self._recall(name, argument, at)
            elif name in ("PROTO", "FRAME"):
                continue
            elif name in ("GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD") and self._dialect.calls:
                self._call(name, argument, at)
            elif name in _CALLS or name == "GLOBAL":
                self._refuse_call(name, argument, at)
            elif not self._collect(name):
                self._refuse(f"byte {at}: opcode {name}")

    def _refuse(self, what: str) -> NoReturn:
        raise DatasetError(f"{self._name}: {what}; refused: {self._dialect.holds}")

    def _refuse_call(self, opcode: str, argument: object, at: int) -> NoReturn:
        texts = self._stack[-2:] if opcode == "STACK_GLOBAL" else str(argument or "").split(" ")
        called = f" to {'.'.join(map(str, texts))[:80]}" if len(texts) == 2 else ""
        self._refuse(f"carries a call{called} (byte {at})")

    def _pay(self, price: int) -> None:
        self._left -= price
        if self._left < 0:
            self._refuse("more values than a file of its size has")

    def _push(self, value: Any, price: int) -> None:
        self._pay(price + _SLOT)
        self._stack.append(value)

    def _push_atom(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self._push(_CONSTANTS[name], 0)
        elif name in ("BINSTRING", "SHORT_BINSTRING"):
            self._push(argument.encode("latin-1"), _OBJECT + len(argument))
        elif isinstance(argument, str | bytes | bytearray):
            self._push(argument, _OBJECT + len(argument))
        else:
            self._push(argument, 0 if isinstance(argument, bool) else _OBJECT)

    def _recall(self, name: str, argument: Any, at: int) -> None:
        if name in _GETS:
            self._push(self._memo[argument], 0)
            return
        if name != "MEMOIZE" and argument > at:
            self._refuse(f"byte {at}: memo index {argument}; refused")
        self._pay(_MEMO)
        self._memo[len(self._memo) if name == "MEMOIZE" else argument] = self._stack[-1]

    def _to_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._outer.pop()
        return items

    def _collect(self, name: str) -> bool:
        """Make or fill a collection; False for an opcode that does neither."""
        if name in _RECORD_OPCODES and not self._dialect.records:
            return False
        if name == "MARK":
            self._pay(3 * _OBJECT)
            self._outer.append(self._stack)
            self._stack = []
        elif name in ("EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE"):
            empty: Any = {"EMPTY_LIST": [], "EMPTY_DICT": {}, "EMPTY_TUPLE": ()}[name]
            self._push(empty, 3 * _OBJECT)
        elif name == "LIST":
            self._push(self._to_mark(), 3 * _OBJECT)
        elif name == "TUPLE":
            self._push(tuple(self._to_mark()), 3 * _OBJECT)
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            if len(self._stack) < count:
                raise ValueError("an empty stack")
            items = tuple(self._stack[-count:])
            del self._stack[-count:]
            self._push(items, 3 * _OBJECT)
        elif name == "DICT":
            self._push(self._filled({}, self._to_mark()), 3 * _OBJECT)
        elif name in ("APPEND", "APPENDS"):
            added = [self._stack.pop()] if name == "APPEND" else self._to_mark()
            _expect(self._stack[-1], list).extend(added)
        elif name in ("SETITEM", "SETITEMS"):
            if name == "SETITEM":
                value, key = self._stack.pop(), self._stack.pop()
                pairs = [key, value]
            else:
                pairs = self._to_mark()
            self._filled(_expect(self._stack[-1], dict), pairs)
        else:
            return False
        return True

    def _filled(self, into: dict[str, Any], pairs: list[Any]) -> dict[str, Any]:
        if len(pairs) % 2:
            raise ValueError("a key without a value")
        self._pay(_MEMO * len(pairs) // 2)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            # No other key: the hash of tuples in tuples recurses without a limit.
            into[_expect(key, str)] = value
        return into

    def _call(self, name: str, argument: Any, at: int) -> None:
        if name == "REDUCE":
            arguments = _expect(self._stack.pop(), tuple)
            known = self._stack.pop()
            if not isinstance(known, _Call):
                self._refuse(f"byte {at}: a call of something else than a function")
            self._push(known.run(*arguments), 3 * _OBJECT)
        elif name == "BUILD":
            state = self._stack.pop()
            self._stack[-1].build(state)
        else:
            if name == "STACK_GLOBAL":
                if len(self._stack) < 2:
                    raise ValueError("an empty stack")
                argument = " ".join(_expect(text, str) for text in self._stack[-2:])
            if argument not in self._dialect.calls:
                self._refuse_call(name, argument, at)
            if name == "STACK_GLOBAL":
                del self._stack[-2:]
            self._push(_Call(self._dialect.calls[argument]), _OBJECT)


def _expect(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{type(value).__name__} where {kind.__name__} belongs")
    return value


def _quoted(line: bytes) -> bytes:
    text = line.strip()
    if len(text) < 2 or text[0] != text[-1] or text[:1] not in (b"'", b'"'):
        raise ValueError("a string without quotes")
    return codecs.escape_decode(text[1:-1])[0]
