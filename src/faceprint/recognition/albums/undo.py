"""What a correction changed in an album file, so that it can be undone."""

from __future__ import annotations

import sqlite3
from typing import TypeAlias

__all__ = ["Changes", "State", "difference", "put_back", "state"]

_TABLES = {  # parents before children, as rows are put back
    "people": ("id", "name"),
    "faces": ("key", "person"),
    "joined": ("id", "person"),
    "links": ("key", "kind", "a", "b"),
}
"""What a correction may change: the key of each table first, then columns."""

_Row: TypeAlias = "tuple[object, ...]"
State: TypeAlias = "dict[tuple[str, object], _Row]"
"""Rows by table and key."""
Changes: TypeAlias = "dict[tuple[str, object], tuple[_Row | None, _Row | None]]"
"""Rows by table and key, as they were and as they became; None for none."""


def state(connection: sqlite3.Connection) -> State:
    """All that a correction may change."""
    return {
        (table, row[0]): tuple(row)
        for table, columns in _TABLES.items()
        for row in connection.execute(f"SELECT {', '.join(columns)} FROM {table}")
    }


def difference(before: State, after: State) -> Changes:
    """The rows that differ."""
    return {
        place: (before.get(place), after.get(place))
        for place in before | after
        if before.get(place) != after.get(place)
    }


def put_back(connection: sqlite3.Connection, changes: Changes) -> bool:
    """Undo changes, in the caller's transaction; False, and nothing, where they were overtaken."""
    now = state(connection)
    if any(now.get(place) != after for place, (_, after) in changes.items()):
        return False
    order = list(_TABLES)
    places = sorted(changes, key=lambda place: order.index(place[0]))
    for table, key in places:
        before, after = changes[table, key]
        columns = _TABLES[table]
        if before is not None and after is None:
            marks = ", ".join("?" * len(columns))
            connection.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", before
            )
        elif before is not None:
            sets = ", ".join(f"{column} = ?" for column in columns[1:])
            connection.execute(
                f"UPDATE {table} SET {sets} WHERE {columns[0]} = ?", (*before[1:], key)
            )
    for table, key in reversed(places):
        if changes[table, key][0] is None:
            connection.execute(f"DELETE FROM {table} WHERE {_TABLES[table][0]} = ?", (key,))
    return True
