"""Mutators that know TOML and JSON lines, and the values that no program expects."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from mutations import Mutator

__all__ = ["JSON_LINES", "NUMBERS", "REALS", "TEXTS", "TOML"]

NUMBERS = (0, -1, 1, 2, 2**31, 2**53 + 1, 2**63 - 1, -(2**63))
REALS = (0.0, -0.0, -1.0, 1e308, 1e-320, float("inf"), float("-inf"), float("nan"))
TEXTS = ("", " ", "null", "{}", "[]", '{"a": 1}', "0", "-1", "1e999", "\0", "a\0b", "x" * 70_000)
TEXTS += (
    "[" * 3000,
    '{"a":' * 3000,
    "[1, 2]",
    "[1e400, 0, 0, 0]",
    "2025-01-31",
    "9999-12-31T23:59Z",
)
TEXTS += (
    "0001-01-01T00:00+23:59",
    "\x1b[31m",
    "\u202e",
    "../../x",
    "\ufffe",
    "p1",
    '"text"',
    "NaN",
)

_VALUES = (
    '"text"',
    '""',
    "0",
    "-1",
    "1",
    "3.5",
    "true",
    "nan",
    "inf",
    "-inf",
    "[]",
    "{}",
    "[1, 2]",
)
_VALUES += ("99999999999999999999999", "1e999", "2025-01-31", "07:32:00", '[["a"]]', '"\\u0000"')
_VALUES += (
    '"../x"',
    '"/etc/passwd"',
    '"http://x"',
    '"a/b"',
    "[[1.0, 2.0]]",
    '"\\u001b[31m"',
    "100000",
)
_VALUES += (
    "[" * 2000 + "]" * 2000,
    "{a=" * 500 + "1" + "}" * 500,
    '"' + "x" * 50_000 + '"',
    "1_000_000",
)


def toml_value(data: bytes, rng: Random) -> bytes:
    """Another value behind a key."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    places = [i for i, line in enumerate(lines) if "=" in line and not line.startswith("#")]
    if places:
        at = rng.choice(places)
        lines[at] = lines[at].split("=")[0] + "= " + rng.choice(_VALUES)
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def toml_lines(data: bytes, rng: Random) -> bytes:
    """Lines left out, doubled, or in another place: keys in another table."""
    lines = data.split(b"\n")
    at, to = rng.randrange(len(lines)), rng.randrange(len(lines))
    what = rng.randrange(4)
    if what == 0:
        del lines[at]
    elif what == 1:
        lines.insert(to, lines[at])
    elif what == 2:
        lines.insert(to, lines.pop(at))
    else:
        lines.insert(
            to,
            rng.choice((b"[a]", b"[[files]]", b"[license]", b"[input.x]", b"a.b.c = 1", b"\xff")),
        )
    return b"\n".join(lines)


def toml_number(data: bytes, rng: Random) -> bytes:
    """A digit more, less, or other."""
    digits = [i for i, byte in enumerate(data) if 48 <= byte <= 57]
    if not digits:
        return data
    at = rng.choice(digits)
    new = rng.choice((b"", b"00000", b"-", b"9", b"0", b".5", b"e30", b"e-30"))
    return data[:at] + new + data[at + rng.randrange(2) :]


def json_value(data: bytes, rng: Random) -> bytes:
    """Another value, or none, somewhere in the JSON of one line."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    line = lines[at].removesuffix(b",")
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return data
    inner = [found for found in _containers(record) if found]
    if not inner:
        return data
    some = rng.choice(inner)
    key = rng.choice(sorted(some)) if isinstance(some, dict) else rng.randrange(len(some))
    odd: list[Any] = [*NUMBERS, *REALS, *TEXTS, None, True, [], {}, [None] * 4, [1.5] * 4]
    odd += ["AAAA", "\ud800", "a\ud800b", 10**400, [[0]], {"a": {"b": []}}, "ff" * 32]
    value = rng.choice(odd)
    if rng.random() < 0.3:  # JSON inside a text, where the format has that
        value = json.dumps(value if rng.random() < 0.5 else {"basis": value, "given": value})
    if rng.random() < 0.1:
        del some[key]
    else:
        some[key] = value
    lines[at] = json.dumps(record).encode() + lines[at][len(line) :]
    return b"\n".join(lines)


def _containers(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [value, *(deep for item in value.values() for deep in _containers(item))]
    if isinstance(value, list):
        return [value, *(deep for item in value for deep in _containers(item))]
    return []


def json_lines(data: bytes, rng: Random) -> bytes:
    """Lines left out, doubled, swapped, or what is no object."""
    lines = data.split(b"\n")
    at, to = rng.randrange(len(lines)), rng.randrange(len(lines))
    what = rng.randrange(4)
    if what == 0:
        del lines[at]
    elif what == 1:
        lines.insert(to, lines[at])
    elif what == 2:
        lines[at], lines[to] = lines[to], lines[at]
    else:
        lines.insert(
            to, rng.choice((b"[]", b"null", b"1", b'"x"', b"{}", b"[" * 100_000, b"\xff\xfe", b" "))
        )
    return b"\n".join(lines)


TOML: tuple[Mutator, ...] = (toml_value, toml_value, toml_lines, toml_number)
JSON_LINES: tuple[Mutator, ...] = (json_value, json_value, json_value, json_lines)
