"""Removing photographs from an album file, with everything known about their faces."""

from __future__ import annotations

from collections.abc import Collection

from faceprint._text import printable
from faceprint.recognition.albums.corrections_store import bridge
from faceprint.recognition.albums.people_store import DELETE_EMPTY_PEOPLE, named_people
from faceprint.recognition.albums.photographs import real_path
from faceprint.recognition.albums.store import AlbumFile

__all__ = ["forget", "forget_missing"]


def forget(album: AlbumFile, sources: Collection[str]) -> int:
    """Remove photographs by name or path; returns how many were found.

    Corrections between other faces stay: two faces that were both linked to a removed one are
    linked to each other now.
    """
    names = {*map(printable, sources), *(real_path(source) for source in sources)}
    return _remove(album, [p.key for p in album.photographs() if {p.source, p.name} & names])


def forget_missing(album: AlbumFile) -> tuple[int, tuple[str, ...]]:
    """Remove missing photographs; returns their number, and names of people left without one."""
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
        connection.execute(DELETE_EMPTY_PEOPLE)
    if photos:
        album.scrub()
    return len(photos)
