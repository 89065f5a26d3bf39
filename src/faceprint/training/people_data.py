"""Data to train on: a folder per person, a table or a pack; and the hashes of their pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from faceprint._files import atomic_write
from faceprint.errors import DatasetError
from faceprint.evaluation.datasets import LabeledSet, Picture
from faceprint.evaluation.embedding_cache import FileHashes
from faceprint.evaluation.folders import open_folder
from faceprint.evaluation.recordio import RecordPictures, open_record_pack
from faceprint.training.people_table import SUFFIXES, TablePictures, open_people_table
from faceprint.vision.search_report import SearchReport

__all__ = ["has_names", "open_people", "picture_hashes", "picture_names"]

_SHA256 = 32


def open_people(
    path: Path,
    *,
    aligned: bool = False,
    exclude: Sequence[str] = (),
    report: SearchReport | None = None,
) -> LabeledSet:
    """Open a folder per person, a Parquet table, or a RecordIO pack, which holds aligned crops.

    Args:
        path: the folder, a .parquet file (see `open_people_table`), a .rec file, or a folder with
            one.
        aligned: the pictures of a folder or a table are aligned crops.
        exclude, report: see `find_people`; for folders.

    Raises:
        DatasetError: none of them, or `exclude` without a folder.
    """
    is_file = path.is_file()
    table = is_file and path.suffix.lower() in SUFFIXES
    if table or (is_file and path.suffix == ".rec") or (not is_file and any(path.glob("*.rec"))):
        if exclude:
            raise DatasetError(f"{path}: patterns exclude from folders, not from a pack or a table")
        return open_people_table(path, aligned=aligned) if table else open_record_pack(path)
    return open_folder(path, aligned=aligned, exclude=exclude, report=report)


def has_names(data: LabeledSet) -> bool:
    """Whether people have names; those of a pack have numbers, which mean nothing elsewhere."""
    return not isinstance(data.pictures, RecordPictures)


def picture_names(data: LabeledSet) -> Iterator[str]:
    """The names of the pictures, in order, without reading any."""
    if isinstance(data.pictures, RecordPictures | TablePictures):
        yield from map(data.pictures.name, range(len(data)))
    else:
        for picture in data.pictures:
            yield picture.name


def picture_hashes(data: LabeledSet, folder: Path) -> list[bytes]:
    """The SHA-256 of each picture's bytes; empty where it can't be read. They are cached.

    Args:
        folder: of the cache.

    Raises:
        DatasetError: a picture is gone, or the cache can't be used.
    """
    if isinstance(data.pictures, RecordPictures):
        return _pack_hashes(data.pictures, data.pictures.file.path, folder / "pack-hashes.npz")
    if isinstance(data.pictures, TablePictures):
        return _pack_hashes(data.pictures, data.pictures.path, folder / "pack-hashes.npz")
    paths = [picture.source for picture in data.pictures if isinstance(picture.source, Path)]
    if len(paths) < len(data.pictures):
        raise DatasetError(f"{data.name}: expected pictures that are files")
    with closing(FileHashes(folder / "hashes.sqlite")) as files:
        return files.of(paths)


def _pack_hashes(pictures: Sequence[Picture], pack: Path, cache: Path) -> list[bytes]:
    """The hashes of a pack or table, computed again if its file has changed."""
    stat = pack.stat()
    mark = np.asarray([stat.st_size, stat.st_mtime_ns, len(pictures)], np.int64)
    if cache.is_file():
        try:
            with np.load(cache) as stored:
                if np.array_equal(stored["mark"], mark):
                    return [bytes(row) for row in stored["sha256"]]
        except (ValueError, KeyError, OSError):
            pass  # damaged: computed again
    rows = np.empty((len(pictures), _SHA256), np.uint8)
    for number, picture in enumerate(pictures):
        rows[number] = np.frombuffer(hashlib.sha256(picture.read()).digest(), np.uint8)
    atomic_write(cache, lambda file: np.savez(file, mark=mark, sha256=rows), private=True)
    return [bytes(row) for row in rows]
