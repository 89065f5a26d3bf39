"""Synchronizing an album file with photographs: new, changed and missing ones."""

from __future__ import annotations

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
from faceprint.vision.sources import expand_folders

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["SyncResult", "find_photographs", "sync_files", "sync_results", "sync_table"]

_AT_ONCE = 32
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class SyncResult:
    """The number of photographs added, known, changed and missing; and those that failed."""

    added: int
    known: int
    changed: int = 0
    missing: int = 0
    failed: tuple[tuple[str, str], ...] = ()


def find_photographs(
    paths: Sequence[Path], *, exclude: Sequence[str] = (), report: SearchReport | None = None
) -> list[str]:
    """The photographs in files and folders, without duplicates, in the order of `find_images`.

    Raises:
        SourceNotFoundError: one of the paths does not exist.
    """
    for path in paths:
        if is_gone(path):
            raise SourceNotFoundError(f"{path}: no such file or folder")
    # As a Path writes it: "a.jpg", not "./a.jpg".
    found = expand_folders(paths, exclude=exclude, report=report)
    return list(dict.fromkeys(str(Path(name)) for name in found))


def sync_files(
    album: AlbumFile,
    photographs: Sequence[str],
    analyzer: FaceAnalyzer,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> SyncResult:
    """Add new and changed photographs, and mark missing ones.

    Nothing is removed: a missing photograph keeps its names and corrections until its content is
    found again anywhere, or until `forget`. Photographs are stored as soon as they are analyzed, so
    an interrupted run continues where it stopped.

    Args:
        photographs: all that there are now (`find_photographs`).
        progress: called with the number of photographs analyzed, and of all to analyze.

    Raises:
        ModelMismatchError: the album holds faces of another embedder.
    """
    model = album.rows("SELECT embedder FROM album")[0][0]
    if model and model != analyzer.embedder_card.id:
        raise ModelMismatchError(
            f"{album.path} holds faces of {model}, not of {analyzer.embedder_card.id}; "
            "start a new album"
        )
    # The album escapes names that are not UTF-8; files are opened by their real names.
    files = {printable(file): file for file in photographs}
    register = Register(album.photographs())
    places = register.place(list(files))
    before = {found.name: photograph for found, photograph in places.edited}
    to_analyze = {found.name: found for found in (*places.new, *(f for f, _ in places.edited))}
    back, gone = _check_unplaced(register)
    album.update_photos(places.known | back, gone)
    failed: list[tuple[str, str]] = []
    done = 0
    sources = [files[name] for name in to_analyze]
    for chunk in _chunks(analyzer.analyze_many(sources, batch_size=_AT_ONCE, keep_crops=True)):
        good = [result for result in chunk if result.error is None]
        failed += [(printable(r.source), str(r.error)) for r in chunk if r.error is not None]
        named = [(printable(r.source), r) for r in good]
        album.put_photos([(to_analyze[name], collect([r]), before.get(name)) for name, r in named])
        done += len(chunk)
        if progress is not None:
            progress(done, len(to_analyze))
    ((missing,),) = album.rows("SELECT count(*) FROM photos WHERE missing IS NOT NULL")
    changed = len(before) - sum(source in before for source, _ in failed)
    added = len(to_analyze) - len(failed) - changed
    return SyncResult(added, len(places.known), changed, int(str(missing)), tuple(failed))


def sync_results(album: AlbumFile, results: Iterable[AnalyzedImage]) -> SyncResult:
    """Add analyzed photographs that the album does not hold; the stream is read once."""
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
        new = [*((found, None) for found in places.new), *places.edited]
        album.put_photos([(found, collect([result]), before) for found, before in new])
        added += len(new)
    return SyncResult(added, known, failed=tuple(failed))


def sync_table(album: AlbumFile, table: EmbeddingTable) -> SyncResult:
    """Add the photographs of an embedding table that the album does not hold.

    Raises:
        UsageError: the table does not name its embedder.
        ModelMismatchError: the album holds faces of another embedder.
    """
    if len(table) and not table.embedder:
        raise UsageError("the table does not say which embedder made it; an album must know")
    rows: dict[str, list[int]] = {}
    for row, source in enumerate(table.sources):
        rows.setdefault(source, []).append(row)
    register = Register(album.photographs())
    # A file at a known path may have changed since the table was made: the album's faces stay.
    places = register.place([source for source in rows if not register.holds(resolved(source))])
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


def _check_unplaced(register: Register) -> tuple[dict[int, Found], list[int]]:
    """Of the photographs that were not named: those that were found again, and those now missing.

    A photograph that never was a file on this machine can't be missing.
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
