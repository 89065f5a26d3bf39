"""Bringing an album file up to what lies on the disk: new, changed and missing photographs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from faceprint._files import is_gone
from faceprint._text import printable
from faceprint.embedding_table.schema import EmbeddingTable
from faceprint.errors import ModelMismatchError, SourceNotFoundError, UsageError
from faceprint.recognition.albums.faces import collect, with_thumbnails
from faceprint.recognition.albums.photographs import (
    Found,
    Register,
    is_missing,
    resolved,
    stamp_of,
)
from faceprint.recognition.albums.store import AlbumFile
from faceprint.types import AnalyzedImage
from faceprint.vision.search_report import SearchReport
from faceprint.vision.sources import find_images

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["SyncResult", "find_photographs", "grow", "sync_photographs", "sync_results"]

_AT_ONCE = 32
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What a run found: photographs taken in, known before, edited, missing, and unusable ones."""

    added: int
    known: int
    changed: int = 0
    missing: int = 0
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
            # As a Path writes them: "a.jpg", and not "./a.jpg", of the folder ".".
            images = find_images(path, exclude=exclude, report=report)
            found |= dict.fromkeys(str(Path(image)) for image in images)
        elif is_gone(path):
            raise SourceNotFoundError(f"{path}: no such file or folder")
        else:
            found[str(path)] = None
    return list(found)


def grow(
    album: AlbumFile,
    paths: Sequence[Path],
    analyzer: FaceAnalyzer,
    *,
    exclude: Sequence[str] = (),
    report: SearchReport | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SyncResult:
    """Take in what is new or changed, and mark what is missing.

    Nothing is removed: what is gone from the disk waits with its names and corrections until it is
    there again, wherever that is, or until `forget`. Photographs are stored as they are done, so a
    run that was broken off goes on where it stopped.
    """
    model = album.rows("SELECT embedder FROM album")[0][0]
    if model and model != analyzer.embedder_card.id:
        raise ModelMismatchError(
            f"{album.path} holds faces of {model}, not of {analyzer.embedder_card.id}; "
            "start a new album"
        )
    # Names that are not UTF-8 are escaped in the album; a photograph is opened by its own name.
    files = {printable(f): f for f in find_photographs(paths, exclude=exclude, report=report)}
    register = Register(album.photographs())
    places = register.place(list(files))
    before = {found.name: photograph for found, photograph in places.edited}
    wanted = {found.name: found for found in (*places.new, *(f for f, _ in places.edited))}
    elsewhere, gone = _unplaced(register)
    album.update_photos(places.known | elsewhere, gone)
    failed: list[tuple[str, str]] = []
    done = 0
    fresh = [files[name] for name in wanted]
    for chunk in _chunks(analyzer.analyze_many(fresh, batch_size=_AT_ONCE, keep_crops=True)):
        good = [result for result in chunk if result.error is None]
        failed += [(printable(r.source), str(r.error)) for r in chunk if r.error is not None]
        named = [(printable(r.source), r) for r in good]
        album.put_photos([(wanted[name], collect([r]), before.get(name)) for name, r in named])
        done += len(chunk)
        if progress is not None:
            progress(done, len(wanted))
    ((missing,),) = album.rows("SELECT count(*) FROM photos WHERE missing IS NOT NULL")
    changed = len(before) - sum(source in before for source, _ in failed)
    added = len(wanted) - len(failed) - changed
    return SyncResult(added, len(places.known), changed, int(str(missing)), tuple(failed))


def sync_results(album: AlbumFile, results: Iterable[AnalyzedImage]) -> SyncResult:
    """Take in analyzed photographs that are not there yet; the stream is read once."""
    register = Register(album.photographs())
    known, added = 0, 0
    failed: list[tuple[str, str]] = []
    for result in results:
        source = printable(result.source)
        if result.error is not None:
            failed.append((source, str(result.error)))
            continue
        places = register.place([source])
        known += len(places.known)
        if places.known:
            album.update_photos(places.known, ())
        fresh = [*((found, None) for found in places.new), *places.edited]
        album.put_photos([(found, collect([result]), before) for found, before in fresh])
        added += len(fresh)
    return SyncResult(added, known, failed=tuple(failed))


def sync_photographs(album: AlbumFile, table: EmbeddingTable) -> SyncResult:
    """Take in the photographs of an embedding table that are not there yet."""
    if len(table) and not table.embedder:
        raise UsageError("the table does not say which embedder made it; an album must know")
    rows: dict[str, list[int]] = {}
    for row, source in enumerate(table.sources):
        rows.setdefault(source, []).append(row)
    register = Register(album.photographs())
    # What a known place holds now is not what the table was made from, perhaps: it stays.
    fresh = [source for source in rows if not register.holds(resolved(source))]
    places = register.place(fresh)
    album.update_photos(places.known, ())
    for chunk in _chunks(iter(places.new)):
        picked = [table.pick(np.asarray(rows[found.name], np.int64)) for found in chunk]
        album.put_photos(
            [
                (f, with_thumbnails(faces, f.name), None)
                for f, faces in zip(chunk, picked, strict=True)
            ]
        )
    return SyncResult(len(places.new), len(rows) - len(places.new), failed=table.failed)


def _unplaced(register: Register) -> tuple[dict[int, Found], list[int]]:
    """Of the photographs that were not named: those that are there again, and those that are gone.

    What never was a file can't be missing.
    """
    back: dict[int, Found] = {}
    gone = []
    for one in register.unplaced():
        if one.content.size is None:
            continue
        if is_missing(one.source):
            gone.append(one.key)
        elif one.missing and one.content.same_stamp(stamp_of(one.source)):
            back[one.key] = Found(one.source, one.name, one.content)
    return back, gone


def _chunks(items: Iterator[_Item]) -> Iterator[list[_Item]]:
    while chunk := list(islice(items, _AT_ONCE)):
        yield chunk
