"""The named people of an album with their best faces, to enroll them in a gallery."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from faceprint.errors import SourceNotFoundError
from faceprint.recognition.albums.people import mean_similarity
from faceprint.recognition.albums.people_store import named_people
from faceprint.recognition.albums.store import AlbumFile

__all__ = ["NamedFace", "embedder_of", "named_faces"]

NamedFace = tuple[str, str, tuple[float, float, float, float]]
"""A person's name, a photograph, and the box of the person's face in it."""


def open_existing(path: Path) -> AlbumFile:
    """The album file at `path`, or `album.db` in that folder.

    Raises:
        SourceNotFoundError: there is none.
    """
    file = path / "album.db" if path.is_dir() else path
    if not file.exists():
        raise SourceNotFoundError(f"{path}: no album there; faceprint cluster --out makes one")
    return AlbumFile(file)


def embedder_of(path: Path) -> str:
    """The id of the embedder whose faces an album holds; empty if it holds none."""
    with open_existing(path) as album:
        rows = album.rows("SELECT embedder FROM album")
    return str(rows[0][0]) if rows else ""


def named_faces(path: Path, most: int) -> Iterator[NamedFace]:
    """Up to `most` faces of each named person, the most typical first, one per photograph.

    Photographs that were not found are left out.

    Raises:
        SourceNotFoundError: there is no album.
        GalleryCorruptError: it is none, or damaged.
    """
    with open_existing(path) as album:
        names, stored = named_people(album), album.stored()
    means, _ = mean_similarity(stored.table.vectors, stored.people)
    order = np.argsort(-np.nan_to_num(means, nan=2.0), kind="stable")
    for person, name in names.items():
        seen: set[str] = set()
        for row in order[(stored.people[order] == person) & ~stored.missing[order]].tolist():
            source = stored.table.sources[row]
            if source in seen:
                continue
            if len(seen) == most:
                break
            seen.add(source)
            x1, y1, x2, y2 = (float(value) for value in stored.table.boxes[row])
            yield name, source, (x1, y1, x2, y2)
