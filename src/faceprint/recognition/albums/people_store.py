"""People in an album file: their names, and ids that stay the same from run to run."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

import numpy as np

from faceprint.recognition.albums.people import MissingPhotograph
from faceprint.recognition.albums.store import AlbumFile, Stored
from faceprint.recognition.clustering.int8_neighbors import Ints

__all__ = [
    "DELETE_EMPTY_PEOPLE",
    "match_ids",
    "missing_photographs",
    "named_people",
    "record_merged",
    "store_people",
]

DELETE_EMPTY_PEOPLE = (
    "DELETE FROM people WHERE id NOT IN (SELECT person FROM faces WHERE person NOT NULL)"
)


def named_people(album: AlbumFile) -> dict[int, str]:
    """The names of people by id."""
    rows = album.rows("SELECT id, name FROM people WHERE name <> '' ORDER BY id")
    return {int(str(person)): str(name) for person, name in rows}


def missing_photographs(album: AlbumFile) -> tuple[MissingPhotograph, ...]:
    """Photographs that were not found, with the names of the people on them."""
    names: dict[int, set[str]] = {}
    for photo, name in album.rows(
        "SELECT photo, people.name FROM faces JOIN people ON people.id = person "
        "JOIN photos ON photos.key = photo WHERE missing IS NOT NULL AND people.name <> ''"
    ):
        names.setdefault(int(str(photo)), set()).add(str(name))
    gone = sorted((p.source, p.key) for p in album.photographs() if p.missing)
    return tuple(MissingPhotograph(s, tuple(sorted(names.get(key, ())))) for s, key in gone)


def match_ids(labels: Ints, people: Ints, named: Collection[int], next_id: int) -> tuple[Ints, int]:
    """Give clusters the ids that their faces had in the last run.

    Each id goes to the cluster with most of its faces, named people first; a cluster takes the id
    that most of its faces had. The others get new ids; no id is ever given twice.

    Args:
        labels: (n,) clusters, -1 for none. people: (n,) ids of the last run, -1 for none.
        named: the ids of people with a name.
        next_id: the first id that was never used.

    Returns:
        (n,) ids, -1 for none; the first id that was never used.
    """
    both = (labels >= 0) & (people >= 0)
    pairs, shared = np.unique(np.stack([people[both], labels[both]]), axis=1, return_counts=True)
    order = sorted(
        range(len(shared)),
        key=lambda i: (int(pairs[0, i]) not in named, -int(shared[i]), *pairs[:, i].tolist()),
    )
    id_of: dict[int, int] = {}
    taken: set[int] = set()
    for i in order:
        person, label = pairs[:, i].tolist()
        if label not in id_of and person not in taken:
            id_of[label] = person
            taken.add(person)
    unique, counts = np.unique(labels[labels >= 0], return_counts=True)
    for label in unique[np.lexsort((unique, -counts))].tolist():
        if label not in id_of:
            id_of[label] = next_id
            next_id += 1
    ids = np.full(int(labels.max(initial=-1)) + 2, -1)
    for label, person in id_of.items():
        ids[label] = person
    return ids[labels], next_id


def store_people(album: AlbumFile, stored: Stored, labels: Ints) -> Ints:
    """Store (n,) labels as people; returns their (n,) ids, -1 for unassigned faces."""
    ((next_id,),) = album.rows("SELECT next_person FROM album")
    ids, next_id = match_ids(labels, stored.people, named_people(album), int(str(next_id)))
    with album.write() as connection:
        connection.execute("UPDATE album SET next_person = ?", (next_id,))
        connection.executemany(
            "INSERT OR IGNORE INTO people (id, name) VALUES (?, '')",
            [(i,) for i in np.unique(ids[ids >= 0]).tolist()],
        )
        changed = np.flatnonzero(ids != stored.people)
        connection.executemany(
            "UPDATE faces SET person = ? WHERE key = ?",
            [(None if ids[i] < 0 else int(ids[i]), int(stored.keys[i])) for i in changed.tolist()],
        )
        _record_merged(connection, stored.people, ids)
        connection.execute(DELETE_EMPTY_PEOPLE)
    return ids


def _record_merged(connection: sqlite3.Connection, before: Ints, after: Ints) -> None:
    """Record which person an id that disappeared was merged into."""
    for gone in np.setdiff1d(before[before >= 0], after).tolist():
        successors = after[(before == gone) & (after >= 0)]
        if len(successors):
            person = int(np.bincount(successors).argmax())
            record_merged(connection, gone, person)


def record_merged(connection: sqlite3.Connection, gone: int, person: int) -> None:
    """Record, in the caller's transaction, that `gone` was merged into `person`."""
    connection.execute("UPDATE joined SET person = ? WHERE person = ?", (person, gone))
    connection.execute("INSERT OR REPLACE INTO joined VALUES (?, ?)", (gone, person))
