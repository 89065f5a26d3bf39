"""Reads pickles that hold bytes, text, lists, tuples, booleans and whole numbers; nothing else.

A small machine of its own, without the `pickle` module: it has no instruction that imports, calls
or builds anything, so a file has nothing to abuse. The one call that is understood, and done here,
is the `_codecs.encode(text, 'latin1')` by which Python 3 writes bytes for protocols 0 to 2. Text
strings of Python 2 come out as bytes. Format: PEP 307, PEP 3154, PEP 574 and `pickletools`.
"""

from __future__ import annotations

import ast
import struct
from dataclasses import dataclass, field

from faceprint.errors import DatasetError

__all__ = ["read_plain_pickle"]


class _Mark:
    pass


class _Latin1Encode:
    pass


_MARK, _ENCODE = _Mark(), _Latin1Encode()
_NAMES = {b"_codecs encode": _ENCODE}
# Opcodes that carry bytes or text: the struct of the length before it.
_COUNTED = {
    b"U": ("<B", bytes), b"T": ("<i", bytes), b"C": ("<B", bytes), b"B": ("<I", bytes),
    b"\x8e": ("<Q", bytes), b"\x8c": ("<B", str), b"X": ("<I", str), b"\x8d": ("<Q", str),
}  # fmt: skip
_NUMBERS = {b"J": "<i", b"K": "<B", b"M": "<H"}
_CONSTANTS: dict[bytes, object] = {b"\x88": True, b"\x89": False}
_TUPLES = {b"\x85": 1, b"\x86": 2, b"\x87": 3}
_PUTS = {b"q": "<B", b"r": "<I"}
_GETS = {b"h": "<B", b"j": "<I"}
_CALLS = (b"c", b"\x93", b"R", b"i", b"o", b"\x81", b"\x92", b"b", b"\x82", b"\x83", b"\x84")


def read_plain_pickle(data: bytes, name: str) -> object:
    """The value in `data`.

    Args:
        name: of the file, for messages.

    Raises:
        DatasetError: anything but plain values, or a file that is cut off or malformed.
    """
    machine = _Machine(data, name)
    try:
        return machine.run()
    except (IndexError, KeyError, struct.error, ValueError, SyntaxError, TypeError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(
            f"{name}: not a pickle, or one that is cut off (byte {machine.at})"
        ) from error


@dataclass(slots=True)
class _Machine:
    data: bytes
    name: str
    at: int = 0
    stack: list[object] = field(default_factory=list)
    memo: dict[int, object] = field(default_factory=dict)

    def run(self) -> object:
        while True:
            opcode = self._take(1)
            if opcode == b".":
                return self.stack.pop()
            self._step(opcode)

    def _step(self, opcode: bytes) -> None:
        push = self.stack.append
        if opcode in _COUNTED:
            layout, kind = _COUNTED[opcode]
            raw = self._take(self._number(layout))
            push(raw if kind is bytes else raw.decode("utf-8", "surrogatepass"))
        elif opcode in _CONSTANTS:
            push(_CONSTANTS[opcode])
        elif opcode in _NUMBERS:
            push(self._number(_NUMBERS[opcode]))
        elif opcode in _PUTS or opcode in (b"p", b"\x94"):
            self._remember(opcode)
        elif opcode in _GETS or opcode == b"g":
            key = int(self._line()) if opcode == b"g" else self._number(_GETS[opcode])
            push(self.memo[key])
        elif opcode in (b"]", b")", b"("):
            push([] if opcode == b"]" else () if opcode == b")" else _MARK)
        elif opcode in _TUPLES:
            items = self.stack[-_TUPLES[opcode] :]
            del self.stack[-_TUPLES[opcode] :]
            _refuse_marks(items)
            push(tuple(items))
        elif opcode in (b"l", b"t", b"e", b"a"):
            self._gather(opcode)
        elif opcode in (b"I", b"L", b"\x8a", b"S", b"V"):
            push(self._literal(opcode))
        elif opcode in (b"\x80", b"\x95"):
            self._take(1 if opcode == b"\x80" else 8)
        elif opcode in _CALLS:
            self._call(opcode)
        else:
            raise DatasetError(
                f"{self.name}: byte {self.at - 1}: a pickle of something else than bytes, lists "
                f"and booleans (opcode {opcode!r}); refused"
            )

    def _call(self, opcode: bytes) -> None:
        if opcode == b"c":
            wanted = self._line() + b" " + self._line()
            if wanted not in _NAMES:
                shown = wanted.decode("ascii", "replace").replace(" ", ".")
                raise DatasetError(
                    f"{self.name}: carries a call to {shown[:80]}; refused: a pack holds bytes, "
                    "lists and booleans alone"
                )
            self.stack.append(_NAMES[wanted])
            return
        if opcode == b"R" and len(self.stack) >= 2 and self.stack[-2] is _ENCODE:
            arguments = self.stack.pop()
            self.stack.pop()
            if isinstance(arguments, tuple) and len(arguments) == 2 and arguments[1] == "latin1":
                text = arguments[0]
                if isinstance(text, str):
                    self.stack.append(text.encode("latin-1"))
                    return
        named = [item for item in self.stack[-2:] if isinstance(item, str)]
        told = f" to {'.'.join(named)[:80]}" if opcode == b"\x93" and len(named) == 2 else ""
        raise DatasetError(
            f"{self.name}: carries a call{told} (byte {self.at - 1}); refused: a pack holds bytes, "
            "lists and booleans alone"
        )

    def _gather(self, opcode: bytes) -> None:
        if opcode == b"a":
            items = [self.stack.pop()]
        else:
            start = len(self.stack) - 1
            while self.stack[start] is not _MARK:
                start -= 1
                if start < 0:
                    raise IndexError("no mark")
            items = self.stack[start + 1 :]
            del self.stack[start:]
        _refuse_marks(items)
        if opcode in (b"l", b"t"):
            self.stack.append(items if opcode == b"l" else tuple(items))
            return
        target = self.stack[-1]
        if not isinstance(target, list):
            raise TypeError("items were appended to something that is no list")
        target.extend(items)

    def _literal(self, opcode: bytes) -> object:
        if opcode == b"\x8a":
            return int.from_bytes(self._take(self._number("<B")), "little", signed=True)
        line = self._line()
        if opcode == b"I":
            return {b"00": False, b"01": True}[line] if line in (b"00", b"01") else int(line)
        if opcode == b"L":
            return int(line.rstrip(b"L"))
        if opcode == b"V":
            return line.decode("raw-unicode-escape")
        # A Python 2 string literal: the same escapes as a bytes literal of Python 3.
        value = ast.literal_eval("b" + line.strip().decode("ascii"))
        if not isinstance(value, bytes):
            raise TypeError("not a string literal")
        return value

    def _remember(self, opcode: bytes) -> None:
        if opcode == b"\x94":
            key = len(self.memo)
        else:
            key = int(self._line()) if opcode == b"p" else self._number(_PUTS[opcode])
        self.memo[key] = self.stack[-1]

    def _number(self, layout: str) -> int:
        (value,) = struct.unpack(layout, self._take(struct.calcsize(layout)))
        return int(value)

    def _take(self, count: int) -> bytes:
        part = self.data[self.at : self.at + count]
        if count < 0 or len(part) != count:
            raise IndexError("cut off")
        self.at += count
        return part

    def _line(self) -> bytes:
        end = self.data.index(b"\n", self.at)
        line = self.data[self.at : end]
        self.at = end + 1
        return line


def _refuse_marks(items: list[object]) -> None:
    if any(item is _MARK for item in items):
        raise TypeError("a mark among values")
