"""Photographs without names: found in a folder at any depth, one face of each or all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from faceprint._text import counted, printable
from faceprint.errors import DatasetError
from faceprint.evaluation.datasets import LabeledSet, Picture
from faceprint.training.crop_build import PeopleCrops, face_key
from faceprint.training.crop_store import CropStore
from faceprint.training.people_data import open_people, picture_names
from faceprint.vision.sources import find_images

__all__ = ["faces_of", "open_photographs", "refuse_known"]


def open_photographs(
    path: Path, *, aligned: bool = False, exclude: Sequence[str] = ()
) -> LabeledSet:
    """Every photograph in a folder and below it, or those of a RecordIO pack, as of one person.

    Args:
        path, aligned, exclude: see `open_people`.

    Raises:
        DatasetError: no photograph, or `exclude` with a pack.
    """
    if path.suffix == ".rec" or any(path.glob("*.rec")):
        return open_people(path, exclude=exclude)
    found = [Path(name) for name in find_images(path, exclude=exclude)]
    if not found:
        raise DatasetError(f"{path}: holds no photograph")
    pictures = [Picture(printable(each.relative_to(path).as_posix()), each) for each in found]
    nobody = np.zeros(len(found), np.int64)
    return LabeledSet(printable(path.name), tuple(pictures), nobody, ("",), aligned)


def faces_of(data: LabeledSet, store: CropStore, hashes: Sequence[bytes]) -> PeopleCrops:
    """The crops of the photographs, each photograph once; every crop is a subject without a name.

    Raises:
        DatasetError: fewer than two crops.
    """
    rows: dict[bytes, tuple[int, str]] = {}
    unusable: list[tuple[str, str]] = []
    repeated: list[str] = []
    several = 0
    for name, sha256 in zip(picture_names(data), hashes, strict=True):
        if not sha256:
            unusable.append((name, "can't be read"))
        elif store.row(sha256) is None:
            unusable.append((name, store.reason(sha256)))
        elif sha256 in rows:
            repeated.append(name)
        else:
            several += store.faces(sha256) > 1
            for number in range(store.faces(sha256)):
                key = face_key(sha256, number)
                if key in store and (row := store.row(key)) is not None:
                    rows[key] = (row, name)
    if len(rows) < 2:
        faces = counted(len(rows), "face", "faces")
        raise DatasetError(f"{data.name}: {faces} to learn from; two at least are needed")
    return PeopleCrops(
        (),
        tuple(name for _, name in rows.values()),
        tuple(rows),
        np.asarray([row for row, _ in rows.values()], np.int64),
        np.arange(len(rows)),
        tuple(unusable),
        tuple(repeated),
        several=several,
        named=False,
    )


def refuse_known(data: LabeledSet, store: Path) -> None:
    """Refuse people to measure on whose photographs are in a crop store.

    Raises:
        DatasetError: names a photograph.
    """
    lines = store / "photos.jsonl"
    try:
        known = lines.read_text("utf-8")
    except OSError as error:
        raise DatasetError(f"{lines}: {error.strerror or error}") from error
    for picture in data.pictures:
        if hashlib.sha256(picture.read()).hexdigest() in known:
            raise DatasetError(
                f"{data.name}: {picture.name} was learned from; operating points are measured on "
                "other people"
            )
