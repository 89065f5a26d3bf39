"""Which files of a folder are photographs: the one list and the one walk of every command.

- Photographs are told by their suffix (`IMAGE_SUFFIXES`), in any case. HEIC needs the extra `heif`.
- Pictures of other formats (`OTHER_SUFFIXES`) are skipped, counted and named.
- Hidden files and folders (a name that begins with a dot) and the folders that storage systems keep
  for themselves (`SYSTEM_FOLDERS`) are skipped.
- Linked folders are searched last. Every folder is searched once, whatever leads to it.
- A folder that can't be read is reported; the search goes on.

These rules are for what is found. A file or folder that is named itself is taken as it is.
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
    "find_images",
    "find_people",
    "walk",
]

_HEIF = frozenset({".heic", ".heif"})
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".tif", ".tiff"} | _HEIF
)
"""What counts as a photograph inside a folder."""

OTHER_SUFFIXES = frozenset(
    {".gif", ".avif", ".jxl", ".jp2", ".psd", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf"}
    | {".orf", ".rw2"}
)
"""Pictures in formats that faceprint does not read."""

SYSTEM_FOLDERS = frozenset(
    {"@eadir", "@recycle", "#recycle", "#snapshot", "$recycle.bin", "__macosx"}
    | {"system volume information"}
)
"""Thumbnails, recycle bins and snapshots of storage systems, in lower case."""


def find_images(
    folder: str | os.PathLike[str],
    *,
    exclude: Sequence[str] = (),
    report: SearchReport | None = None,
) -> Iterator[str]:
    """The photographs in a folder and below, names in order; lazily, a folder's list at a time.

    Args:
        exclude: patterns as in a shell. One without a slash is compared with names, one with a
            slash with paths below `folder`; what matches is skipped, with all that is below it.
        report: takes down what was skipped.
    """
    told = SearchReport() if report is None else report
    for path in walk(folder, exclude=exclude, report=told):
        if _is_photograph(path, told):
            yield path


def find_people(
    folder: str | os.PathLike[str],
    *,
    exclude: Sequence[str] = (),
    report: SearchReport | None = None,
) -> Iterator[tuple[str, str]]:
    """(person, photograph) of a folder that holds one folder per person, in order.

    A person's photographs lie in that person's folder or below it. No photograph is taken for two
    people because of a link that leads out of a person's folder.
    """
    told = SearchReport() if report is None else report
    root = os.fspath(folder)
    people: list[tuple[str, str]] = []
    seen: set[tuple[int, int]] = set()
    if (place := _identity(root, told)) is None:
        return
    seen.add(place)
    for entry in _listing(root, told):
        if _is_left_out(entry, root, exclude, told):
            continue
        if _kind(entry) in ("folder", "link"):
            people.append((printable(entry.name), entry.path))
            place = _identity(entry.path, told)
            seen |= set() if place is None else {place}
        elif _is_photograph(entry.path, SearchReport()):
            told.skip("loose", entry.path)
    for person, path in people:
        for found in _files(path, root, exclude, told, seen):
            if _is_photograph(found, told):
                yield person, found


def walk(
    folder: str | os.PathLike[str], *, exclude: Sequence[str] = (), report: SearchReport
) -> Iterator[str]:
    """Every regular file in a folder and below, in the order and by the rules of `find_images`."""
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
    """Files below `start`, which is in `seen` already; linked folders come last."""
    linked: deque[str] = deque()
    # A stack and no recursion: folders may be nested deeper than Python's calls.
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
        status = os.stat(folder)  # noqa: PTH116 - a Path of every folder costs more than its stat
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
    except OSError:  # a link that leads in circles, or through a folder that can't be entered
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
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a Path of every file is slow
