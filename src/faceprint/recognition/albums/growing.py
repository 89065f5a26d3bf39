"""Bringing an album file up to what lies on the disk: new, changed and removed photographs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from faceprint._files import file_of, is_gone
from faceprint._text import printable
from faceprint.errors import ModelMismatchError, SourceNotFoundError, UsageError
from faceprint.recognition.albums.faces import FaceTable, collect, with_thumbnails
from faceprint.recognition.albums.incremental import forget
from faceprint.recognition.albums.store import AlbumFile, stamp
from faceprint.types import AnalyzedImage
from faceprint.vision.search_report import SearchReport
from faceprint.vision.sources import find_images

if TYPE_CHECKING:
    from faceprint.vision.pipeline import FacePrint

__all__ = ["Grown", "find_photographs", "grow", "take_in"]

_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Grown:
    """What a run changed: photographs taken in, known before, removed, and unusable ones."""

    added: int
    known: int
    removed: int
    failed: tuple[tuple[str, str], ...] = ()


def find_photographs(
    paths: Sequence[Path], *, exclude: Sequence[str] = (), report: SearchReport | None = None
) -> list[str]:
    """The photographs of files and folders, each once, in order; folders as `find_images` does it.

    Raises:
        SourceNotFoundError: one of the paths does not exist.
    """
    found: dict[str, None] = {}
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - False, and no error, below a closed folder
            found |= dict.fromkeys(find_images(path, exclude=exclude, report=report))
        elif is_gone(path):
            raise SourceNotFoundError(f"{path}: no such file or folder")
        else:
            found[str(path)] = None
    return list(found)


def grow(
    album: AlbumFile,
    paths: Sequence[Path],
    analyzer: FacePrint,
    *,
    exclude: Sequence[str] = (),
    report: SearchReport | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Grown:
    """Take in what is new or changed, and let go what is gone from the given folders.

    Photographs are stored as they are done, so a run that was broken off goes on where it stopped.
    One is gone when its folder was given and still holds photographs, so that a disk that is not
    plugged in empties no album.
    """
    model = album.rows("SELECT embedder FROM album")[0][0]
    if model and model != analyzer.embedder_card.id:
        raise ModelMismatchError(
            f"{album.path} holds faces of {model}, not of {analyzer.embedder_card.id}; "
            "start a new album"
        )
    files = find_photographs(paths, exclude=exclude, report=report)
    # Names that are not UTF-8 are escaped in the album; a photograph is opened by its own name.
    wanted = {printable(file): file for file in files}
    known = album.photos()
    changed = [source for source in wanted if source in known and known[source] != stamp(source)]
    gone = _gone(paths, list(wanted), known)
    removed = forget(album, [*gone, *changed])
    new = [source for source in wanted if source not in known or source in set(changed)]
    failed: list[tuple[str, str]] = []
    done = 0
    fresh = [wanted[source] for source in new]
    for chunk in _chunks(analyzer.analyze_many(fresh, batch_size=_AT_ONCE, keep_crops=True)):
        good = [result for result in chunk if result.error is None]
        failed += [(printable(r.source), str(r.error)) for r in chunk if r.error is not None]
        album.put_photos({printable(result.source): collect([result]) for result in good})
        done += len(chunk)
        if progress is not None:
            progress(done, len(new))
    added = len(new) - len(failed)
    return Grown(added, len(wanted) - len(new), removed - len(changed), tuple(failed))


def take_in(album: AlbumFile, table: FaceTable) -> Grown:
    """Take in the photographs of an embedding table that are not there yet."""
    known = album.photos()
    rows: dict[str, list[int]] = {}
    for row, source in enumerate(table.sources):
        rows.setdefault(source, []).append(row)
    new = {source: own for source, own in rows.items() if source not in known}
    if len(table) and not table.embedder:
        raise UsageError("the table does not say which embedder made it; an album must know")
    sources = iter(new.items())
    while chunk := list(islice(sources, _AT_ONCE * 8)):
        picked = {source: table.pick(np.asarray(own, np.int64)) for source, own in chunk}
        album.put_photos({s: with_thumbnails(faces, s) for s, faces in picked.items()})
    return Grown(len(new), len(rows) - len(new), 0, table.failed)


def _gone(paths: Sequence[Path], wanted: Sequence[str], known: Iterable[str]) -> list[str]:
    here = set(wanted)
    folders = [
        Path(printable(str(path)))
        for path in paths
        if os.path.isdir(path)  # noqa: PTH112 - False, and no error, below a closed folder
    ]
    folders = [path for path in folders if any(Path(w).is_relative_to(path) for w in wanted)]
    return [
        source
        for source in known
        if source not in here
        and any(Path(source).is_relative_to(folder) for folder in folders)
        and is_gone(file_of(source))
    ]


def _chunks(results: Iterator[AnalyzedImage]) -> Iterator[list[AnalyzedImage]]:
    while chunk := list(islice(results, _AT_ONCE)):
        yield chunk
