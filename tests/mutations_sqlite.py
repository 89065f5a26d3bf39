"""Mutators that know the pages, cells and values of SQLite files."""

from __future__ import annotations

import contextlib
import sqlite3
import struct
from random import Random

from mutations import LIES, Mutator, put
from mutations_texts import NUMBERS, REALS, TEXTS

__all__ = ["SQLITE"]


def _page_size(data: bytes) -> int:
    size = int.from_bytes(data[16:18], "big")
    return 65536 if size == 1 else max(512, size)


def sqlite_header(data: bytes, rng: Random) -> bytes:
    """A number of the file's header: page size, pages, free list, encoding, version."""
    at, size = rng.choice(
        ((16, 2), (18, 1), (19, 1), (20, 1), (28, 4), (32, 4), (36, 4), (40, 4), (44, 4), (52, 4),
         (56, 4), (60, 4), (64, 4), (68, 4), (92, 4))
    )  # fmt: skip
    value = rng.choice((*LIES, 512, 1024, 8192)) & ((1 << 8 * size) - 1)
    return put(data, at, value.to_bytes(size, "big"))


def sqlite_page(data: bytes, rng: Random) -> bytes:
    """The head of a page: its kind, its free blocks, its cells' count, place and pointers."""
    size = _page_size(data)
    page = rng.randrange(max(1, len(data) // size))
    head = page * size + (100 if page == 0 else 0)
    at = rng.choice((0, 1, 3, 5, 7, 8, 10, rng.randrange(8, 60)))
    new = rng.choice(
        (bytes([rng.choice((2, 5, 10, 13, 0, 255))]), struct.pack(">H", rng.getrandbits(16)))
    )
    return put(data, head + at, new)


def sqlite_pages(data: bytes, rng: Random) -> bytes:
    """Two pages swapped, one copied over another, or one blank."""
    size = _page_size(data)
    count = len(data) // size
    if count < 3:
        return data
    a, b = rng.randrange(1, count), rng.randrange(1, count)
    first, second = data[a * size : (a + 1) * size], data[b * size : (b + 1) * size]
    what = rng.randrange(3)
    if what == 0:
        return put(put(data, a * size, second), b * size, first)
    return put(data, a * size, second if what == 1 else bytes(size))


def sqlite_cell(data: bytes, rng: Random) -> bytes:
    """A byte or two at the start of a cell: length, key, types of its columns."""
    size = _page_size(data)
    page = rng.randrange(max(1, len(data) // size))
    head = page * size + (100 if page == 0 else 0)
    cells = int.from_bytes(data[head + 3 : head + 5], "big")
    if not cells or head + 8 >= len(data):
        return data
    start = head + (12 if data[head] in (2, 5) else 8) + 2 * rng.randrange(min(cells, 200))
    cell = page * size + int.from_bytes(data[start : start + 2], "big")
    return put(
        data,
        cell + rng.randrange(14),
        bytes([rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))]),
    )


def sqlite_values(data: bytes, rng: Random) -> bytes:
    """What anybody could write into it with an SQLite tool: values that its program never does."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.deserialize(data)
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        found = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        triggers = [(str(name), str(sql)) for name, sql in found.fetchall()]
        for name, _ in triggers:
            connection.execute(f'DROP TRIGGER "{name}"')
        for _ in range(rng.choice((1, 1, 2, 3))):
            with contextlib.suppress(sqlite3.Error, OverflowError):
                _edit(connection, rng)
        for _, sql in triggers:
            connection.execute(sql)
        return bytes(connection.serialize())
    except (sqlite3.Error, OverflowError, UnicodeError):
        return data
    finally:
        connection.close()


def _edit(connection: sqlite3.Connection, rng: Random) -> None:
    rows = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    table = rng.choice(sorted(str(row[0]) for row in rows))
    columns = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
    keys = [row[0] for row in connection.execute(f'SELECT rowid FROM "{table}"')]
    if not keys:
        return
    _, column, kind, *_ = rng.choice(columns)
    key = rng.choice(keys)
    what = rng.random()
    if what < 0.1:
        connection.execute(f'DELETE FROM "{table}" WHERE rowid = ?', (key,))
    elif what < 0.2:
        other = rng.choice(keys)
        connection.execute(
            f'UPDATE "{table}" SET "{column}" = (SELECT "{column}" FROM "{table}" WHERE rowid = ?) '
            "WHERE rowid = ?",
            (other, key),
        )
    elif kind == "TEXT" and what < 0.4:  # bytes that are no UTF-8
        connection.execute(
            f'UPDATE "{table}" SET "{column}" = CAST(? AS TEXT) WHERE rowid = ?',
            (rng.choice((b"\xff\xfe", b"\xed\xa0\x80", b"a\0\xff", rng.randbytes(5))), key),
        )
    else:
        found = connection.execute(f'SELECT "{column}" FROM "{table}" WHERE rowid = ?', (key,))
        for (old,) in found.fetchall():  # none, where an index was damaged before
            connection.execute(
                f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (_odd(kind, old, rng), key)
            )


def _odd(kind: str, old: object, rng: Random) -> object:
    if rng.random() < 0.08:
        return None
    match kind:
        case "INTEGER":
            return rng.choice(NUMBERS)
        case "REAL":
            return rng.choice(REALS)
        case "TEXT":
            return rng.choice(TEXTS)
    length = len(old) if isinstance(old, bytes) else 16
    not_numbers = struct.pack("<f", rng.choice((float("nan"), float("inf"), 3e38, 0.0))) * (
        length // 4
    )
    return rng.choice(
        (b"", b"\0", rng.randbytes(length), bytes(length), not_numbers, bytes(2 * length))
    )


SQLITE: tuple[Mutator, ...] = (
    *(sqlite_values,) * 3,
    sqlite_header,
    sqlite_page,
    sqlite_pages,
    sqlite_cell,
)
