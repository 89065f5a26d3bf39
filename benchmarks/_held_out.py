"""Aligned crops of LFW and FaceScrub: people to train on, and the people of LFW's fold 5 to judge.

The face of a photograph is the one nearest its middle, found by YuNet; a photograph without is left
out. The crops are kept in build/held-out, so that they are cut once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from _common import ROOT, SHARED
from numpy.typing import NDArray

from faceprint.types import Array, Detections, Image
from faceprint.vision import images
from faceprint.vision.align import align
from faceprint.vision.load import Detector, LoadOptions, load_detector
from faceprint.zoo.card import Alignment
from faceprint.zoo.card_io import TEMPLATES
from faceprint.zoo.catalog import get_card

FOLDER = ROOT / "build" / "held-out"
DETECTOR = "yunet-2023mar"
HELD_OUT = 5
_BATCH = 32
_ALIGNMENT = Alignment("arcface-112", *TEMPLATES["arcface-112"])


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Labeled pairs of pictures, by index.

    Attributes:
        left, right: (n,) indices.
        mated: (n,) whether both show one person.
        folds: (n,) 1..5.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    mated: NDArray[np.bool_]
    folds: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Crops:
    """Aligned crops with their names.

    Attributes:
        names: (n,) such as `Name/Name_0001.png`.
        crops: (n, 112, 112, 3) RGB.
        people: (n,) numbers of the people.
    """

    names: tuple[str, ...]
    crops: Image
    people: NDArray[np.int64]


def folders() -> tuple[Path, Path]:
    """The folders with the crops to train on, and with those of the people of fold 5."""
    train, judged = FOLDER / "train", FOLDER / "fold-5"
    if not (FOLDER / "complete").exists():
        lfw, scrub = SHARED / "faces" / "lfw", SHARED / "faces" / "facescrub"
        apart = {name for fold, *names in _rows() if fold == HELD_OUT for name, _ in names}
        model = load_detector(get_card(DETECTOR), LoadOptions(threads=1))
        for root, mark in ((lfw, ""), (scrub, "facescrub-")):
            for path in sorted(p for p in root.iterdir() if p.is_dir()):
                if path.name not in apart:
                    _cut(model, path, train / path.name, mark)
                elif root == lfw:
                    _cut(model, path, judged / path.name, mark)
        (FOLDER / "complete").touch()
    return train, judged


def _cut(model: Detector, people: Path, out: Path, mark: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    paths = sorted(people.iterdir())
    for start in range(0, len(paths), _BATCH):
        part = paths[start : start + _BATCH]
        pictures = [images.decode(path) for path in part]
        for path, picture, found in zip(part, pictures, model.detect(pictures), strict=True):
            if len(found) and found.landmarks is not None:
                best = found[[_central(picture, found)]]
                crop = align(picture, best.landmarks, best.boxes, _ALIGNMENT)[0]
                cv2.imwrite(str(out / f"{mark}{path.stem}.png"), crop[:, :, ::-1])


def _central(picture: Image, found: Detections) -> int:
    middle = np.asarray((picture.shape[1], picture.shape[0])) / 2
    centers = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    return int(np.abs(centers - middle).sum(axis=1).argmin())


def _rows() -> Iterator[tuple[int, tuple[str, int], tuple[str, int]]]:
    """Yield fold and both pictures of each pair of LFW."""
    lines = (SHARED / "faces" / "lfw_pairs.txt").read_text("utf-8").splitlines()
    _, half = map(int, lines[0].split())
    for number, line in enumerate(filter(None, lines[1:])):
        words = line.split("\t")
        first, second = (words[0], int(words[1])), (words[-2 if len(words) == 4 else 0], words[-1])
        yield number // (2 * half) + 1, first, (second[0], int(second[1]))


def read(folder: Path) -> Crops:
    """All crops of a folder."""
    paths = sorted(folder.glob("*/*.png"))
    crops = np.stack([images.decode(path) for path in paths])
    _, people = np.unique([path.parent.name for path in paths], return_inverse=True)
    names = tuple(f"{path.parent.name}/{path.name}" for path in paths)
    return Crops(names, crops, people.astype(np.int64))


def pairs(crops: Crops) -> Pairs:
    """LFW's pairs of which both crops are there."""
    places = {name: index for index, name in enumerate(crops.names)}
    found = []
    for fold, *names in _rows():
        a, b = (places.get(f"{who}/{who}_{number:04}.png", -1) for who, number in names)
        if min(a, b) >= 0:
            found.append((a, b, names[0][0] == names[1][0], fold))
    left, right, mated, folds = map(np.asarray, zip(*found, strict=True))
    return Pairs(left, right, mated, folds)


def scores(vectors: Array, chosen: Pairs) -> NDArray[np.float64]:
    """(n,) cosines of the pairs."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.einsum("nd,nd->n", unit[chosen.left], unit[chosen.right]).astype(np.float64)
