"""Correcting an album at once: what is corrected shows without another clustering.

Corrections are stored in the album file as those of the contact sheet are, so that the next
`faceprint cluster` keeps them. Besides, faces move to the people they were given to.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise, product

from faceprint._text import check_text, counted
from faceprint.errors import UsageError
from faceprint.recognition.albums.corrections_store import put_corrections
from faceprint.recognition.albums.people_store import DELETE_EMPTY_PEOPLE, record_merged
from faceprint.recognition.albums.store import AlbumFile
from faceprint.recognition.albums.undo import Changes, difference, put_back, state

__all__ = ["NAME_LENGTH", "AlbumEditor", "NothingToUndoError"]

NAME_LENGTH = 200
"""Longest name in characters, as in a corrections file."""

_KEPT = 100
"""Corrections that can be undone."""


class NothingToUndoError(UsageError):
    """No correction was made, or the album was changed by another program since."""


class AlbumEditor:
    """Corrects an album file; what it corrected can be undone, the last first.

    Each correction returns what it changed, in words, and None where everything was so already.

    Args:
        album: open, and used by one thread at a time.
    """

    def __init__(self, album: AlbumFile) -> None:
        self.album = album
        self._steps: deque[tuple[str, Changes]] = deque(maxlen=_KEPT)

    @property
    def last(self) -> str | None:
        """What `undo` would undo, in words; None where there is nothing."""
        return self._steps[-1][0] if self._steps else None

    def name(self, person: int, name: str) -> str | None:
        """Name a person. Whoever has that name already becomes one with this person.

        Args:
            name: empty takes the name away.

        Raises:
            UsageError: no such person, or not a name.
        """
        name = _checked(name)

        def change(connection: sqlite3.Connection) -> None:
            if not name:
                connection.execute("UPDATE people SET name = '' WHERE id = ?", (person,))
                return
            put_corrections(connection, names=[(_faces_of(connection, person)[0], name)])
            sql = "SELECT id FROM people WHERE name = ? AND id <> ?"
            for (other,) in connection.execute(sql, (name, person)).fetchall():
                _move(connection, other, person)

        was = _shown(self.album, person)
        return self._do(f"name {was} {name}" if name else f"take the name of {was} away", change)

    def merge(self, people: Sequence[int]) -> str | None:
        """Make several people one: the first, with the first name that there is.

        Raises:
            UsageError: fewer than two people, or no such person.
        """
        people = list(dict.fromkeys(people))
        if len(people) < 2:
            raise UsageError("merging needs two people or more")
        words = " with ".join(_shown(self.album, person) for person in people)

        def change(connection: sqlite3.Connection) -> None:
            first, *others = (_faces_of(connection, person)[0] for person in people)
            put_corrections(connection, must=[(first, other) for other in others])
            for other in people[1:]:
                _move(connection, other, people[0])

        return self._do(f"merge {words}", change)

    def take_out(self, faces: Sequence[int]) -> str | None:
        """Faces that are not the person they were taken for; they are unassigned then.

        Raises:
            UsageError: no such face, none of them is anybody's, or nobody would be left.
        """

        def change(connection: sqlite3.Connection) -> None:
            owners = _owners(connection, faces)
            if not any(owners.values()):
                raise UsageError("these faces are unassigned already")
            if _part(connection, owners):
                raise UsageError("one face of a person must stay; give the faces to somebody else")

        return self._do(f"take out {_count(faces)}", change)

    def give(
        self, faces: Sequence[int], *, person: int | None = None, name: str = ""
    ) -> str | None:
        """Give faces, unassigned or another's, to somebody: a person, or whoever has this name.

        Args:
            name: without `person`; somebody new where nobody has it.

        Raises:
            UsageError: no such face or person, or neither person nor name.
        """
        name = _checked(name)
        if (person is None) == (not name):
            raise UsageError("give either a person or a name")
        words = name if person is None else _shown(self.album, person)

        def change(connection: sqlite3.Connection) -> None:
            target = _target(connection, person, name)
            owners = {f: p for f, p in _owners(connection, faces).items() if p != target}
            if not owners:
                raise UsageError(f"these faces are {words}'s already")
            emptied = _part(connection, owners)
            theirs = _faces_of(connection, target, missing_ok=True)
            own = theirs[:1] + list(owners)
            put_corrections(connection, must=list(pairwise(own)))
            sql = "UPDATE faces SET person = ? WHERE key = ?"
            connection.executemany(sql, [(target, face) for face in owners])
            for gone in emptied:
                record_merged(connection, gone, target)

        return self._do(f"give {_count(faces)} to {words}", change)

    def undo(self) -> str:
        """Undo the last correction; what it was, in words.

        Raises:
            NothingToUndoError: there is none, or another program changed what it had changed.
        """
        if not self._steps:
            raise NothingToUndoError("there is no correction to undo")
        words, changes = self._steps[-1]
        with self.album.write() as connection:
            undone = put_back(connection, changes)
        if not undone:
            self._steps.clear()
            raise NothingToUndoError("the album was changed since; it stays as it is")
        self._steps.pop()
        return words

    def _do(self, words: str, change: Callable[[sqlite3.Connection], None]) -> str | None:
        with self.album.write() as connection:
            before = state(connection)
            change(connection)
            connection.execute(DELETE_EMPTY_PEOPLE)
            changes = difference(before, state(connection))
        if not changes:
            return None
        self._steps.append((words, changes))
        return words


def _checked(name: str) -> str:
    name = check_text(name, "the name").strip()
    if len(name) > NAME_LENGTH:
        raise UsageError(f"a name has at most {NAME_LENGTH} characters")
    return name


def _count(faces: Sequence[int]) -> str:
    return counted(len(faces), "face", "faces")


def _shown(album: AlbumFile, person: int) -> str:
    """The name of a person, or their number; raises UsageError for nobody."""
    rows = album.rows("SELECT name FROM people WHERE id = ?", (person,))
    if not rows:
        raise UsageError(f"there is no person {person} in this album")
    return str(rows[0][0]) or f"person {person}"


def _faces_of(
    connection: sqlite3.Connection, person: int, *, missing_ok: bool = False
) -> list[int]:
    sql = "SELECT key FROM faces WHERE person = ? ORDER BY key"
    faces = [key for (key,) in connection.execute(sql, (person,))]
    if not faces and not missing_ok:
        raise UsageError(f"there is no person {person} in this album")
    return faces


def _owners(connection: sqlite3.Connection, faces: Sequence[int]) -> dict[int, int | None]:
    """Whose each face is; None for an unassigned one."""
    owners: dict[int, int | None] = {}
    for face in faces:
        row = connection.execute("SELECT person FROM faces WHERE key = ?", (face,)).fetchone()
        if row is None:
            raise UsageError(f"there is no face {face} in this album")
        owners[face] = row[0]
    if not owners:
        raise UsageError("no face was named")
    return owners


def _part(connection: sqlite3.Connection, owners: dict[int, int | None]) -> list[int]:
    """Part faces from the others of their people; gives the people of whom nothing is left."""
    emptied = []
    for person in sorted({person for person in owners.values() if person is not None}):
        out = [face for face, owner in owners.items() if owner == person]
        rest = [face for face in _faces_of(connection, person) if face not in owners]
        put_corrections(connection, cannot=list(product(out, rest)))
        if not rest:
            emptied.append(person)
    # Unassigned before they are given to somebody: the links of two people would not do.
    sql = "UPDATE faces SET person = NULL WHERE key = ?"
    connection.executemany(sql, [(face,) for face in owners])
    return emptied


def _target(connection: sqlite3.Connection, person: int | None, name: str) -> int:
    """The person, whoever has the name, or somebody new with it."""
    if person is not None:
        return person
    sql = "SELECT id FROM people WHERE name = ? ORDER BY id"
    found = connection.execute(sql, (name,)).fetchone()
    if found is not None:
        return int(found[0])
    (new,) = connection.execute("SELECT next_person FROM album").fetchone()
    connection.execute("UPDATE album SET next_person = next_person + 1")
    connection.execute("INSERT INTO people VALUES (?, ?)", (new, name))
    return int(new)


def _move(connection: sqlite3.Connection, gone: int, person: int) -> None:
    """Give all faces of `gone` to `person`, and the name if there was none."""
    connection.execute("UPDATE faces SET person = ? WHERE person = ?", (person, gone))
    connection.execute(
        "UPDATE people SET name = (SELECT name FROM people WHERE id = ?) "
        "WHERE id = ? AND name = ''",
        (gone, person),
    )
    record_merged(connection, gone, person)
