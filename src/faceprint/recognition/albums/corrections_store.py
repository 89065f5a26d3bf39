"""Keeping what the owner of an album said, the newest word first."""

from __future__ import annotations

import sqlite3
from itertools import pairwise

from faceprint.errors import UsageError
from faceprint.recognition.albums.corrections import Corrections, FaceKey, find_faces
from faceprint.recognition.albums.store import AlbumFile
from faceprint.recognition.clustering.constraints import merged_sets

__all__ = ["bridge", "check_consistent", "correct"]

_INSERT = "INSERT OR IGNORE INTO links (kind, a, b) VALUES (?, ?, ?)"
_Pairs = list[tuple[int, int]]


def correct(album: AlbumFile, corrections: Corrections) -> tuple[str, ...]:
    """Keep corrections; they go before older ones that say the opposite.

    Returns:
        what could not be kept, in words.

    Raises:
        UsageError: they contradict each other.
    """
    if not corrections:
        return ()
    stored = album.stored()
    pairs = (*corrections.must_link, *corrections.cannot_link)
    wanted = [key for pair in pairs for key in pair] + [key for key, _ in corrections.names]
    rows = find_faces(wanted, stored.table.sources, stored.table.boxes)
    missing = sorted({key.source for key, row in rows.items() if row is None})
    face = {key: int(stored.keys[row]) for key, row in rows.items() if row is not None}

    def known(pairs: tuple[tuple[FaceKey, FaceKey], ...]) -> _Pairs:
        found = [(face[a], face[b]) for a, b in pairs if a in face and b in face]
        return [(a, b) for a, b in found if a != b]

    must, cannot = known(corrections.must_link), known(corrections.cannot_link)
    check_consistent(must, cannot)
    with album.write() as connection:
        _put_must(connection, must)
        _put_cannot(connection, cannot)
        for key, name in corrections.names:
            if key in face:
                _put_name(connection, face[key], name)
    if not missing:
        return ()
    some = ", ".join(missing[:3]) + (" ..." if len(missing) > 3 else "")
    return (f"corrections name faces that are not in the album: {some}",)


def check_consistent(must: _Pairs, cannot: _Pairs) -> None:
    """Make sure that nobody must and must not be one person.

    Raises:
        UsageError: somebody must.
    """
    groups = _groups(must)
    for a, b in cannot:
        if a in groups and groups[a] == groups.get(b):
            raise UsageError("the corrections contradict each other: two faces must and must not "
                             "be one person")  # fmt: skip


def _put_must(connection: sqlite3.Connection, pairs: _Pairs) -> None:
    connection.executemany(_INSERT, [("must", a, b) for a, b in pairs])
    groups = _groups(_links(connection, "must"))
    new = {groups[a] for a, _ in pairs}
    person = dict(connection.execute("SELECT key, person FROM faces WHERE person NOT NULL"))
    # Whoever is tied to one face of a person is no longer kept apart from that person's others.
    homes: dict[int, set[int]] = {}
    for face, group in groups.items():
        if group in new and face in person:
            homes.setdefault(group, set()).add(person[face])
    for a, b in _links(connection, "cannot"):
        one, other = groups.get(a), groups.get(b)
        same = one is not None and one == other
        met = person.get(b) in homes.get(-1 if one is None else one, ())
        met |= person.get(a) in homes.get(-1 if other is None else other, ())
        if (same and one in new) or met:
            connection.execute(
                "DELETE FROM links WHERE kind = 'cannot' AND a = ? AND b = ?", (a, b)
            )


def _put_cannot(connection: sqlite3.Connection, pairs: _Pairs) -> None:
    groups = _groups(_links(connection, "must"))
    for a in dict.fromkeys(a for a, b in pairs if a in groups and groups[a] == groups.get(b)):
        # Said to be one person before: the face that does not belong leaves the others.
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
    # Two people of one name are one: that is what naming the second one alike says.
    _put_must(connection, [(face, other) for (other,) in others])
    connection.execute("UPDATE people SET name = ? WHERE id = ?", (name, person))


def bridge(connection: sqlite3.Connection, face: int, *, keep_apart: bool = True) -> None:
    """Tie those who were tied to each other through a face that goes."""
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


def _groups(pairs: _Pairs) -> dict[int, int]:
    """The number of the set that each face of `pairs` is in."""
    faces = sorted({face for pair in pairs for face in pair})
    place = {face: i for i, face in enumerate(faces)}
    groups = merged_sets(len(faces), [(place[a], place[b]) for a, b in pairs])
    return {face: int(groups[i]) for face, i in place.items()}
