"""The contact sheet: one HTML file for viewing and correcting an album."""

from __future__ import annotations

import base64
from importlib import resources
from pathlib import Path
from typing import Any

from faceprint._files import atomic_write
from faceprint._text import json_text
from faceprint.errors import InputError
from faceprint.recognition.albums.corrections_file import FORMAT
from faceprint.recognition.albums.people import Album, AlbumFace

__all__ = ["contact_sheet", "write_sheet"]


def write_sheet(album: Album, path: Path, title: str = "People in this album") -> None:
    """Write the contact sheet; only its owner may read it, since it holds faces.

    Raises:
        InputError: the file can't be written.
    """
    try:
        atomic_write(path, contact_sheet(album, title), private=True)
    except OSError as error:
        raise InputError(f"{path} can't be written: {error}") from error


def contact_sheet(album: Album, title: str) -> str:
    """The page as text. It fetches nothing and runs only its own script."""
    page = resources.files("faceprint.recognition.albums") / "templates" / "sheet.html"
    data = {
        "title": title,
        "format": FORMAT,
        "people": [
            {"id": p.id, "name": p.name, "faces": [_face(face) for face in p.faces]}
            for p in album.people
        ],
        "unassigned": [_face(face) for face in album.unassigned],
    }
    # Only "<" could end the script element that holds the data.
    text = json_text(data, separators=(",", ":"))
    return page.read_text("utf-8").replace("__ALBUM__", text.replace("<", "\\u003c"))


def _face(face: AlbumFace) -> dict[str, Any]:
    entry: dict[str, Any] = {"s": face.source, "b": list(face.box)}
    if face.similarity is not None:
        entry["m"] = round(face.similarity, 3)
    if face.doubtful:
        entry["d"] = 1
    if face.reason:
        entry["r"] = face.reason
    if face.thumbnail is not None:
        entry["t"] = base64.b64encode(face.thumbnail).decode("ascii")
    return entry
