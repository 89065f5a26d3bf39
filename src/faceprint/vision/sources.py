"""Find the photographs in a folder; every command uses this list of suffixes and this walk.

- Photographs are recognized by their suffix (`IMAGE_SUFFIXES`), upper or lower case. HEIC needs
  the extra `heif`.
- Pictures of other formats (`OTHER_SUFFIXES`) are skipped, counted and named.
- Hidden files and folders (names that begin with a dot) and folders of storage systems
  (`SYSTEM_FOLDERS`) are skipped.
- Linked folders are searched last. Every folder is searched once, however many links lead to it.
- A folder that can't be read is reported; the search goes on.

These rules apply to what is found. A file or folder that the user names is taken as it is.
"""

from __future__ import annotations

import fnmatch
import functools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec

from faceprint._text import printable
from faceprint.vision.search_report import SearchReport

__all__ = [
    "IMAGE_SUFFIXES",
    "OTHER_SUFFIXES",
    "SYSTEM_FOLDERS",
    "expand_folders",
    "find_images",
    "find_people",
    "walk",
]

_HEIF = frozenset({".heic", ".heif"})
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".tif", ".tiff"} | _HEIF
)
"""Suffixes of photographs."""

OTHER_SUFFIXES = frozenset(
    {".gif", ".avif", ".jxl", ".jp2", ".psd", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf"}
    | {".orf", ".rw2"}
)
"""Suffixes of picture formats that faceprint does not read."""

SYSTEM_FOLDERS = frozenset(
    {"@eadir", "@recycle", "#recycle", "#snapshot", "$recycle.bin", "__macosx"}
    | {"system volume information"}
)
"""Thumbnails, recycle bins and snapshots of storage systems, in lower case."""


def expand_folders(
    paths: Iterable[str | os.PathLike[str]],
    *,
    exclude: Sequence[str] = (),
    report: SearchReport | None = None,
) -> Iterator[str]:
    """Yield files as they are named, whatever they are, and the photographs of folders.

    Args:
        exclude, report: see `find_images`.
    """
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - False, and no error, below a closed folder
            yield from find_images(path, exclude=exclude, report=report)
        else:
            yield os.fspath(path)


def find_images(
    folder: str | os.PathLike[str],
    *,
    exclude: Sequence[str] = (),
    report: SearchReport | None = None,
) -> Iterator[str]:
    """Yield the photographs in a folder and below it, sorted by name within each folder.

    Args:
        exclude: shell patterns. A pattern without a slash is compared with names, one with a slash
            with paths below `folder`. What matches is skipped with everything below it.
        report: records what was skipped.
    """
    report = SearchReport() if report is None else report
    for path in walk(folder, exclude=exclude, report=report):
        if _is_photograph(path, report):
            yield path


def find_people(
    folder: str | os.PathLike[str],
    *,
    exclude: Sequence[str] = (),
    report: SearchReport | None = None,
) -> Iterator[tuple[str, str]]:
    """Yield (person, photograph) of a folder that holds one folder per person, in order.

    A person's photographs lie in that person's folder or below it. A link that leads out of a
    person's folder never assigns a photograph to two people.
    """
    report = SearchReport() if report is None else report
    root = os.fspath(folder)
    people: list[tuple[str, str]] = []
    seen: set[tuple[int, int]] = set()
    if (place := _identity(root, report)) is None:
        return
    seen.add(place)
    for entry in _listing(root, report):
        if _is_left_out(entry, root, exclude, report):
            continue
        if _kind(entry) in ("folder", "link"):
            people.append((printable(entry.name), entry.path))
            place = _identity(entry.path, report)
            seen |= set() if place is None else {place}
        elif _is_photograph(entry.path, SearchReport()):
            report.skip("loose", entry.path)
    for person, path in people:
        for found in _files(path, root, exclude, report, seen):
            if _is_photograph(found, report):
                yield person, found


def walk(
    folder: str | os.PathLike[str], *, exclude: Sequence[str] = (), report: SearchReport
) -> Iterator[str]:
    """Yield every regular file in a folder and below it, in the order of `find_images`."""
    root = os.fspath(folder)
    place = _identity(root, report)
    if place is not None:
        yield from _files(root, root, exclude, report, {place})


def _files(
    start: str,
    root: str,
    exclude: Sequence[str],
    report: SearchReport,
    seen: set[tuple[int, int]],
) -> Iterator[str]:
    """Yield files below `start`, which is in `seen` already; linked folders come last."""
    linked: deque[str] = deque()
    # No recursion: folders may be nested deeper than Python's stack.
    stack: list[Iterator[os.DirEntry[str]]] = [iter(_listing(start, report))]
    while stack or linked:
        if not stack:
            path = linked.popleft()
            place = _identity(path, report)
            if place is not None and place not in seen:
                seen.add(place)
                stack.append(iter(_listing(path, report)))
            continue
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            continue
        if _is_left_out(entry, root, exclude, report):
            continue
        kind = _kind(entry)
        if kind == "link":
            linked.append(entry.path)
        elif kind == "folder":
            place = _identity(entry.path, report)
            if place is not None and place not in seen:
                seen.add(place)
                stack.append(iter(_listing(entry.path, report)))
        elif kind == "file":
            yield entry.path
        elif _suffix(entry.name) in IMAGE_SUFFIXES:
            report.skip("no-file", entry.path)


def _listing(folder: str, report: SearchReport) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        report.fail(folder, error)
        return []


def _identity(folder: str, report: SearchReport) -> tuple[int, int] | None:
    try:
        status = os.stat(folder)  # noqa: PTH116 - a Path costs more than the stat
    except OSError as error:
        report.fail(folder, error)
        return None
    return status.st_dev, status.st_ino


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_dir(follow_symlinks=False):
            return "folder"
        if entry.is_file():
            return "file"
        return "link" if entry.is_dir() else "other"
    except OSError:  # a circular link, or one through a folder that can't be entered
        return "other"


def _is_left_out(
    entry: os.DirEntry[str], root: str, exclude: Sequence[str], report: SearchReport
) -> bool:
    name = entry.name
    if exclude and _matches(entry, root, exclude):
        report.skip("excluded", entry.path)
        return True
    hidden = name.startswith(".")
    if not hidden and name.lower() not in SYSTEM_FOLDERS:
        return False
    if _kind(entry) in ("folder", "link"):
        report.skip("folder", entry.path)
        return True
    if hidden and _suffix(name) in IMAGE_SUFFIXES | OTHER_SUFFIXES:
        report.skip("hidden", entry.path)
    return hidden


def _matches(entry: os.DirEntry[str], root: str, patterns: Iterable[str]) -> bool:
    below = entry.path[len(root) :].lstrip("/" + os.sep)
    for pattern in patterns:
        plain = pattern.rstrip("/")
        if fnmatch.fnmatch(below if "/" in plain else entry.name, plain.removeprefix("./")):
            return True
    return False


def _is_photograph(path: str, report: SearchReport) -> bool:
    suffix = _suffix(path)
    if suffix in OTHER_SUFFIXES:
        report.skip("format", path)
        return False
    if suffix in _HEIF and not _reads_heif():
        report.skip("heif", path)
        return False
    return suffix in IMAGE_SUFFIXES


@functools.cache
def _reads_heif() -> bool:
    return find_spec("pillow_heif") is not None


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a Path per file is slow
