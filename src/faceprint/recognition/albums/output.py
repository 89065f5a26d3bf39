"""A folder a person, with links to the photographs or copies of them."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Literal

from faceprint._files import atomic_write, file_of
from faceprint.errors import InputError, UsageError
from faceprint.recognition.albums.people import Album, Person

__all__ = ["How", "write_folders"]

How = Literal["link", "copy"]

_MANIFEST = ".faceprint-album.json"
_UNSAFE = re.compile(r'[\x00-\x1f<>:"/\\|?*]+')


def write_folders(album: Album, folder: Path, how: How = "link") -> int:
    """Write `folder/0001 Ada/photo.jpg` for every person and photograph.

    What an earlier call wrote is taken away first; whatever else lies there stays. Photographs that
    are not on this machine are passed over.

    Returns:
        how many links or copies were made.

    Raises:
        UsageError: `how` is neither.
        InputError: the folder can't be written.
    """
    if how not in ("link", "copy"):
        raise UsageError(f"how is {how!r}; it is link or copy")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _clear(folder)
        written: list[str] = []
        for person in album.people:
            home = folder / folder_name(person)
            for source in dict.fromkeys(face.source for face in person.faces):
                target = _place(file_of(source), home, how)
                if target is not None:
                    written.append(str(target.relative_to(folder)))
        # In ASCII, so that it holds names that are not UTF-8 too.
        atomic_write(folder / _MANIFEST, json.dumps(written, indent=0), private=True)
    except OSError as error:
        raise InputError(f"{folder} can't be written: {error}") from error
    return len(written)


def folder_name(person: Person) -> str:
    """`0001`, or `0001 Ada` with a name, without what file systems refuse."""
    name = _UNSAFE.sub(" ", person.name).strip(" .")[:80]
    return f"{person.id:04d} {name}".strip()


def _place(source: Path, home: Path, how: How) -> Path | None:
    if not os.path.isfile(source):  # noqa: PTH113 - False, and no error, below a closed folder
        return None
    home.mkdir(exist_ok=True)
    target, counter = home / source.name, 1
    while os.path.lexists(target):
        counter += 1
        target = home / f"{source.stem}-{counter}{source.suffix}"
    if how == "copy":
        shutil.copy2(source, target)
    else:
        target.symlink_to(os.path.relpath(source.absolute(), home.resolve()))
    return target


def _clear(folder: Path) -> None:
    manifest = folder / _MANIFEST
    try:
        names = json.loads(manifest.read_text("utf-8"))
    except FileNotFoundError:
        return
    except ValueError as error:
        raise InputError(f"{manifest}: damaged; remove the folder and run again") from error
    for name in names:
        path = folder / str(name)
        # Two parts, never upwards: a manifest from elsewhere cannot reach outside.
        if len(Path(str(name)).parts) != 2 or ".." in Path(str(name)).parts:
            continue
        if path.parent.is_symlink():
            continue
        path.unlink(missing_ok=True)
        if path.parent.is_dir() and not any(path.parent.iterdir()):
            path.parent.rmdir()
