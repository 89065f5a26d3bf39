"""Corrections in an album file: newer ones replace older ones that say the opposite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np

from faceprint.errors import GalleryCorruptError
from faceprint.recognition.albums.corrections import (
    Corrections,
    connected_faces,
    locate_corrections,
)
from faceprint.recognition.albums.people_store import named_people
from faceprint.recognition.albums.store import AlbumFile, Stored
from faceprint.recognition.clustering.constraints import FaceConstraints, merged_sets

__all__ = ["bridge", "load_constraints", "put_corrections", "store_corrections"]

_INSERT = "INSERT OR IGNORE INTO links (kind, a, b) VALUES (?, ?, ?)"
_Pairs = list[tuple[int, int]]


def store_corrections(album: AlbumFile, corrections: Corrections) -> tuple[str, ...]:
    """Store corrections; they replace older ones that say the opposite.

    Returns:
        notes on what could not be stored.

    Raises:
        UsageError: they contradict each other.
    """
    if not corrections:
        return ()
    stored = album.stored()
    table, keys = stored.table, stored.keys.tolist()
    located, names, missing = locate_corrections(corrections, table.sources, table.boxes)
    with album.write() as connection:
        put_corrections(
            connection,
            must=[(keys[a], keys[b]) for a, b in located.must_link],
            cannot=[(keys[a], keys[b]) for a, b in located.cannot_link],
            names=[(keys[row], name) for row, name in names],
        )
    if not missing:
        return ()
    sources = sorted({key.source for key in missing})
    some = ", ".join(sources[:3]) + (" ..." if len(sources) > 3 else "")
    return (f"corrections name faces that are not in the album: {some}",)


def put_corrections(
    connection: sqlite3.Connection,
    *,
    must: Sequence[tuple[int, int]] = (),
    cannot: Sequence[tuple[int, int]] = (),
    names: Sequence[tuple[int, str]] = (),
) -> None:
    """Store corrections of faces by their keys, in the caller's transaction.

    Which faces are whose changes with the next clustering; `AlbumEditor` changes it at once.
    """
    _put_must(connection, must)
    _put_cannot(connection, cannot)
    for face, name in names:
        _put_name(connection, face, name)


def load_constraints(album: AlbumFile, stored: Stored) -> FaceConstraints:
    """The corrections by row, and the faces of people with a name, which stay together."""
    row = {int(key): i for i, key in enumerate(stored.keys)}
    pairs: dict[str, _Pairs] = {"must": [], "cannot": []}
    for kind, a, b in album.rows("SELECT kind, a, b FROM links ORDER BY key"):
        if a not in row or b not in row:
            raise GalleryCorruptError(f"{album.path}: a correction of a face that does not exist")
        pairs[str(kind)].append((row[a], row[b]))
    must, cannot = pairs["must"], pairs["cannot"]
    removed = {a for a, _ in cannot}
    together: _Pairs = []
    first_faces: list[int] = []
    for person in named_people(album):
        faces = [i for i in np.flatnonzero(stored.people == person).tolist() if i not in removed]
        # A single face, too: with a name, it is somebody's whatever its quality.
        together += pairwise(faces) if len(faces) > 1 else [(face, face) for face in faces]
        first_faces += faces[:1]
    groups = merged_sets(len(stored.keys), [*must, *together])
    broken = {a for a, b in cannot if groups[a] == groups[b]}
    # Must-links may connect two named people: then they are one.
    apart = (pair for pair in combinations(first_faces, 2) if groups[pair[0]] != groups[pair[1]])
    must = [pair for pair in must if not broken & set(pair)]
    return FaceConstraints(tuple(must), tuple(cannot), tuple(together), tuple(apart))


def _put_must(connection: sqlite3.Connection, pairs: Sequence[tuple[int, int]]) -> None:
    connection.executemany(_INSERT, [("must", a, b) for a, b in pairs])
    groups = connected_faces(_links(connection, "must"))
    new = {groups[a] for a, _ in pairs}
    person = dict(connection.execute("SELECT key, person FROM faces WHERE person NOT NULL"))
    # A face linked to one face of a person is no longer kept apart from that person's others.
    people_of: dict[int, set[int]] = {}
    for face, group in groups.items():
        if group in new and face in person:
            people_of.setdefault(group, set()).add(person[face])
    for a, b in _links(connection, "cannot"):
        one, other = groups.get(a), groups.get(b)
        same = one is not None and one == other
        met = person.get(b) in people_of.get(-1 if one is None else one, ())
        met |= person.get(a) in people_of.get(-1 if other is None else other, ())
        if (same and one in new) or met:
            connection.execute(
                "DELETE FROM links WHERE kind = 'cannot' AND a = ? AND b = ?", (a, b)
            )


def _put_cannot(connection: sqlite3.Connection, pairs: Sequence[tuple[int, int]]) -> None:
    groups = connected_faces(_links(connection, "must"))
    for a in dict.fromkeys(a for a, b in pairs if a in groups and groups[a] == groups.get(b)):
        # Linked by an older correction: the face that does not belong leaves the others.
        bridge(connection, a, keep_apart=False)
        connection.execute("DELETE FROM links WHERE kind = 'must' AND (a = ? OR b = ?)", (a, a))
    connection.executemany(_INSERT, [("cannot", a, b) for a, b in pairs])


def _put_name(connection: sqlite3.Connection, face: int, name: str) -> None:
    (person,) = connection.execute("SELECT person FROM faces WHERE key = ?", (face,)).fetchone()
    if person is None:
        (person,) = connection.execute("SELECT next_person FROM album").fetchone()
        connection.execute("UPDATE album SET next_person = next_person + 1")
        connection.execute("INSERT INTO people VALUES (?, '')", (person,))
        connection.execute("UPDATE faces SET person = ? WHERE key = ?", (person, face))
    others = connection.execute(
        "SELECT min(faces.key) FROM faces JOIN people ON people.id = person "
        "WHERE name = ? AND people.id <> ? GROUP BY people.id",
        (name, person),
    ).fetchall()
    # Giving two people the same name makes them one person.
    _put_must(connection, [(face, other) for (other,) in others])
    connection.execute("UPDATE people SET name = ? WHERE id = ?", (name, person))


def bridge(connection: sqlite3.Connection, face: int, *, keep_apart: bool = True) -> None:
    """Before a face is removed, link the faces that were linked through it directly."""
    partners = [
        b if a == face else a
        for a, b in connection.execute(
            "SELECT a, b FROM links WHERE kind = 'must' AND (a = ? OR b = ?)", (face, face)
        )
    ]
    for a, b in pairwise(partners):
        connection.execute(_INSERT, ("must", a, b))
    if not partners or not keep_apart:
        return
    apart = connection.execute(
        "SELECT a, b FROM links WHERE kind = 'cannot' AND (a = ? OR b = ?)", (face, face)
    ).fetchall()
    for a, b in apart:
        pair = (partners[0], b) if a == face else (a, partners[0])
        if pair[0] != pair[1]:
            connection.execute(_INSERT, ("cannot", *pair))


def _links(connection: sqlite3.Connection, kind: str) -> _Pairs:
    sql = "SELECT a, b FROM links WHERE kind = ? ORDER BY key"
    return [(a, b) for a, b in connection.execute(sql, (kind,))]
