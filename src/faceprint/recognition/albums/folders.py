"""One folder per person, with links to the photographs or copies of them."""

from __future__ import annotations

import filecmp
import json
import os
import re
import shutil
from pathlib import Path
from typing import Literal

from faceprint._files import atomic_write, file_of
from faceprint.errors import InputError, UsageError
from faceprint.recognition.albums.people import Album, Person

__all__ = ["How", "place_photograph", "write_folders"]

How = Literal["link", "copy"]

_MANIFEST = ".faceprint-album.json"
_FORMAT = "faceprint-links/1"
_UNSAFE = re.compile(r'[\x00-\x1f<>:"/\\|?*]+')


def write_folders(album: Album, folder: Path, how: How = "link") -> int:
    """Write `folder/0001 Ada/photo.jpg` for every person and photograph.

    Links made by an earlier call are removed first, if they are unchanged. Everything else stays:
    files, copies, and links that somebody changed. Photographs that are not on this machine are
    skipped.

    Returns:
        the number of links or copies.

    Raises:
        UsageError: `how` is neither link nor copy.
        InputError: the folder can't be written.
    """
    if how not in ("link", "copy"):
        raise UsageError(f"how is {how!r}; it is link or copy")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _clear(folder)
        links: dict[str, str] = {}
        count = 0
        for person in album.people:
            home = folder / folder_name(person)
            for source in dict.fromkeys(face.source for face in person.faces):
                target = place_photograph(file_of(source), home, how)
                count += target is not None
                if target is not None and target.is_symlink():
                    links[str(target.relative_to(folder))] = str(target.readlink())
        document = {"format": _FORMAT, "folder": folder.stat().st_ino, "links": links}
        manifest = folder / _MANIFEST
        if manifest.is_symlink():
            manifest.unlink()  # its target is not ours to write
        # ASCII also holds names that are not UTF-8.
        atomic_write(manifest, json.dumps(document, indent=0), private=True)
    except OSError as error:
        raise InputError(f"{folder} can't be written: {error}") from error
    return count


def folder_name(person: Person) -> str:
    """`0001`, or `0001 Ada` with a name, without characters that file systems refuse."""
    name = _UNSAFE.sub(" ", person.name).strip(" .")[:80]
    return f"{person.id:04d} {name}".strip()


def place_photograph(source: Path, home: Path, how: How) -> Path | None:
    """Link or copy a photograph into a folder; give the link or copy, which may be an older one.

    None if there is no such file. Another file of that name stays, and this one gets a number.
    """
    if not os.path.isfile(source):  # noqa: PTH113 - False, and no error, below a closed folder
        return None
    home.mkdir(exist_ok=True)
    points_to = os.path.relpath(source.absolute(), home.resolve())
    target, counter = home / source.name, 1
    while os.path.lexists(target):
        if _is_link_to(target, points_to) if how == "link" else _is_copy(target, source):
            return target
        counter += 1
        target = home / f"{source.stem}-{counter}{source.suffix}"
    if how == "copy":
        shutil.copy2(source, target)
    else:
        target.symlink_to(points_to)
    return target


def _clear(folder: Path) -> None:
    """Remove unchanged links that an earlier call made here."""
    for name, points_to in _made_here(folder).items():
        path = folder / name
        # Two parts and no "..": nothing outside the folder is reached.
        if len(Path(name).parts) != 2 or ".." in Path(name).parts or path.parent.is_symlink():
            continue
        if not _is_link_to(path, points_to):
            continue
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()


def _made_here(folder: Path) -> dict[str, str]:
    """The links of an earlier call: name -> target.

    A list that was copied here along with another folder has that folder's inode and is ignored.
    """
    if not (folder / _MANIFEST).is_file():
        return {}
    try:
        document = json.loads((folder / _MANIFEST).read_text("utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        return {}
    links = document.get("links")
    if document.get("folder") != folder.stat().st_ino or not isinstance(links, dict):
        return {}
    return {name: target for name, target in links.items() if isinstance(target, str)}


def _is_link_to(path: Path, points_to: str) -> bool:
    return path.is_symlink() and str(path.readlink()) == points_to


def _is_copy(path: Path, source: Path) -> bool:
    return path.is_file() and not path.is_symlink() and filecmp.cmp(path, source, shallow=False)
