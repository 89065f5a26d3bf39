"""Mutators that know protobufs: the fields of a message and of the messages in it."""

from __future__ import annotations

import contextlib
from random import Random
from typing import Any

from mutations import LIES, Mutator

__all__ = ["PROTOBUF"]

_Field = list[Any]
"""Number, wire type, and its value: a number, bytes, or fields."""


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError


def _fields(data: bytes, depth: int = 0) -> list[_Field]:
    fields: list[_Field] = []
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if not 0 < number < 200:
            raise ValueError
        value: Any
        if wire == 0:
            value, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value, at = data[at : at + size], at + size
        elif wire == 2:
            size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
            if len(value) != size:
                raise ValueError
            if 2 < size < 200_000 and depth < 8:
                with contextlib.suppress(ValueError, IndexError):
                    value = _fields(value, depth + 1)
        else:
            raise ValueError
        if at > len(data):
            raise ValueError
        fields.append([number, wire, value])
    return fields


def _number(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _written(fields: list[_Field]) -> bytes:
    out = []
    for number, wire, value in fields:
        body = _written(value) if isinstance(value, list) else value
        if wire == 2 and isinstance(body, bytes):
            body = _number(len(body)) + body
        out.append(_number(number << 3 | wire) + (_number(body) if isinstance(body, int) else body))
    return b"".join(out)


def _all_lists(fields: list[_Field]) -> list[list[_Field]]:
    return [fields, *(deep for f in fields if isinstance(f[2], list) for deep in _all_lists(f[2]))]


def proto_field(data: bytes, rng: Random) -> bytes:
    """A field left out, doubled, moved, renumbered, or of another value; lengths stay right."""
    try:
        fields = _fields(data)
    except (ValueError, IndexError):
        return data
    lists = [found for found in _all_lists(fields) if found]
    if not lists:
        return data
    for _ in range(rng.choice((1, 1, 2, 3))):
        some = rng.choice(lists)
        if not some:
            continue
        field = rng.choice(some)
        what = rng.randrange(6)
        if what == 0:
            some.remove(field)
        elif what == 1:
            some.extend([field] * rng.choice((1, 2, 300)))
        elif what == 2:
            rng.choice(lists).append(
                [*field[:2], _written(field[2]) if isinstance(field[2], list) else field[2]]
            )
        elif what == 3:
            field[0] = rng.randrange(1, 30)
        else:
            _other_value(field, rng)
    return _written(fields)


def _other_value(field: _Field, rng: Random) -> None:
    if isinstance(field[2], int):
        field[2] = rng.choice((*LIES, -1, 4, 5, 6, 9, 16, field[2] + 1, field[2] * 1000))
    elif isinstance(field[2], bytes):
        old = field[2]
        choices = (b"", old[:-1], old + b"\0", rng.randbytes(len(old)), b"\xff" * len(old), old * 3)
        names = (
            b"Conv",
            b"If",
            b"Loop",
            b"Relu",
            b"Reshape",
            b"Gemm",
            b"input",
            b"x",
            b"/etc/passwd",
        )
        field[2] = rng.choice(choices if field[1] != 2 else (*choices, *names))
        if field[1] in (1, 5):
            field[2] = field[2].ljust(8)[: 8 if field[1] == 1 else 4]


def proto_nested(data: bytes, rng: Random) -> bytes:
    """A field of the outermost message wrapped in itself many times."""
    body, number = data[: rng.choice((0, 40, 4000))], rng.choice((1, 5, 6, 7, 11))
    for _ in range(rng.choice((10, 40, 150, 2000))):
        body = _number(number << 3 | 2) + _number(len(body)) + body
        if len(body) > 1 << 20:
            break
    return data + _number(7 << 3 | 2) + _number(len(body)) + body


PROTOBUF: tuple[Mutator, ...] = (proto_field, proto_field, proto_field, proto_nested)
