"""An album that grows: ids stay, what its owner said stays, what was removed is gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from itertools import pairwise

import numpy as np

from faceprint._text import printable
from faceprint.errors import GalleryCorruptError
from faceprint.recognition.albums.corrections_store import bridge
from faceprint.recognition.albums.people import MissingPhotograph
from faceprint.recognition.albums.photographs import real_path
from faceprint.recognition.albums.sorting import Links
from faceprint.recognition.albums.store import AlbumFile, Stored
from faceprint.recognition.clustering.constraints import merged_sets
from faceprint.recognition.clustering.knn_graph import Ints

__all__ = [
    "forget",
    "forget_missing",
    "keep_people",
    "links_of",
    "match_ids",
    "missing_photographs",
    "named_people",
]

_NOBODY = "DELETE FROM people WHERE id NOT IN (SELECT person FROM faces WHERE person NOT NULL)"


def forget(album: AlbumFile, sources: Collection[str]) -> int:
    """Remove photographs, by name or path, with all that was known of their faces.

    Returns how many there were. What the owner said of other faces by way of a removed one stays
    said: if a and b were both tied to it, they are tied to each other now.
    """
    names = {*map(printable, sources), *(real_path(source) for source in sources)}
    return _remove(album, [p.key for p in album.photographs() if {p.source, p.name} & names])


def forget_missing(album: AlbumFile) -> tuple[int, tuple[str, ...]]:
    """Remove the photographs that are missing; how many, and the names of whom nothing is left."""
    before = named_people(album)
    count = _remove(album, [p.key for p in album.photographs() if p.missing])
    after = named_people(album)
    return count, tuple(name for person, name in before.items() if person not in after)


def _remove(album: AlbumFile, photos: Collection[int]) -> int:
    with album.write() as connection:
        for photo in photos:
            faces = connection.execute("SELECT key FROM faces WHERE photo = ?", (photo,)).fetchall()
            for (face,) in faces:
                bridge(connection, face)
            connection.execute("DELETE FROM photos WHERE key = ?", (photo,))
        connection.execute(_NOBODY)
    if photos:
        album.scrub()
    return len(photos)


def links_of(album: AlbumFile, stored: Stored) -> Links:
    """The corrections as rows, and the people with a name as pins."""
    row = {int(key): i for i, key in enumerate(stored.keys)}
    pairs: dict[str, list[tuple[int, int]]] = {"must": [], "cannot": []}
    for kind, a, b in album.rows("SELECT kind, a, b FROM links ORDER BY key"):
        if a not in row or b not in row:
            raise GalleryCorruptError(f"{album.path}: a correction of a face that is not there")
        pairs[str(kind)].append((row[a], row[b]))
    must, cannot = pairs["must"], pairs["cannot"]
    outcasts = {a for a, _ in cannot}
    pins: list[tuple[int, int]] = []
    heads = []
    for person in named_people(album):
        faces = [int(i) for i in np.flatnonzero(stored.people == person) if int(i) not in outcasts]
        pins += pairwise(faces)
        heads += faces[:1]
    groups = merged_sets(len(stored.keys), [*must, *pins])
    broken = {a for a, b in cannot if groups[a] == groups[b]}
    must = [pair for pair in must if not broken & set(pair)]
    # The owner's own links may tie two named people together: then they are one.
    separate = [
        (a, b) for i, a in enumerate(heads) for b in heads[i + 1 :] if groups[a] != groups[b]
    ]
    return Links(tuple(must), tuple(cannot), tuple(pins), tuple(separate))


def named_people(album: AlbumFile) -> dict[int, str]:
    """Names by id."""
    rows = album.rows("SELECT id, name FROM people WHERE name <> '' ORDER BY id")
    return {int(str(person)): str(name) for person, name in rows}


def missing_photographs(album: AlbumFile) -> tuple[MissingPhotograph, ...]:
    """Photographs that were not found, with the names of people on them."""
    names: dict[int, set[str]] = {}
    for photo, name in album.rows(
        "SELECT photo, people.name FROM faces JOIN people ON people.id = person "
        "JOIN photos ON photos.key = photo WHERE missing IS NOT NULL AND people.name <> ''"
    ):
        names.setdefault(int(str(photo)), set()).add(str(name))
    gone = sorted((p.source, p.key) for p in album.photographs() if p.missing)
    return tuple(MissingPhotograph(s, tuple(sorted(names.get(key, ())))) for s, key in gone)


def match_ids(
    labels: Ints, people: Ints, named: Collection[int], following: int
) -> tuple[Ints, int]:
    """Give new groups the ids of the people they were.

    Each id goes to the group that has most of its faces, named people first; a group takes the id
    that most of its faces had. Groups without get new ids, and no id is ever given twice.

    Args:
        labels: (n,) new groups, -1 for none. people: (n,) ids of the last run, -1 for none.
        following: the next id that was never used.

    Returns:
        (n,) ids, -1 for none; the next id that was never used.
    """
    both = (labels >= 0) & (people >= 0)
    pairs, shared = np.unique(np.stack([people[both], labels[both]]), axis=1, return_counts=True)
    order = sorted(
        range(len(shared)),
        key=lambda i: (int(pairs[0, i]) not in named, -int(shared[i]), *pairs[:, i].tolist()),
    )
    given: dict[int, int] = {}
    taken: set[int] = set()
    for i in order:
        person, label = pairs[:, i].tolist()
        if label not in given and person not in taken:
            given[label] = person
            taken.add(person)
    unique, counts = np.unique(labels[labels >= 0], return_counts=True)
    for label in unique[np.lexsort((unique, -counts))].tolist():
        if label not in given:
            given[label] = following
            following += 1
    table = np.full(int(labels.max(initial=-1)) + 2, -1)
    for label, person in given.items():
        table[label] = person
    return table[labels], following


def keep_people(album: AlbumFile, stored: Stored, labels: Ints) -> Ints:
    """Store a run's outcome; (n,) ids, -1 for faces that wait."""
    named = named_people(album)
    ((following,),) = album.rows("SELECT next_person FROM album")
    ids, following = match_ids(labels, stored.people, named, int(str(following)))
    with album.write() as connection:
        connection.execute("UPDATE album SET next_person = ?", (following,))
        connection.executemany(
            "INSERT OR IGNORE INTO people (id, name) VALUES (?, '')",
            [(i,) for i in np.unique(ids[ids >= 0]).tolist()],
        )
        changed = np.flatnonzero(ids != stored.people)
        connection.executemany(
            "UPDATE faces SET person = ? WHERE key = ?",
            [(None if ids[i] < 0 else int(ids[i]), int(stored.keys[i])) for i in changed.tolist()],
        )
        _remember_joined(connection, stored.people, ids)
        connection.execute(_NOBODY)
    return ids


def _remember_joined(connection: sqlite3.Connection, before: Ints, after: Ints) -> None:
    """An id that went into another person leads there from now on."""
    for gone in np.setdiff1d(before[before >= 0], after).tolist():
        heirs = after[(before == gone) & (after >= 0)]
        if len(heirs):
            heir = int(np.bincount(heirs).argmax())
            connection.execute("UPDATE joined SET person = ? WHERE person = ?", (heir, gone))
            connection.execute("INSERT OR REPLACE INTO joined VALUES (?, ?)", (gone, heir))
