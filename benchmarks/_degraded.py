"""Crops of labeled photographs: as they are, under a drawn mask, and of small faces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from faceprint.training.crop_build import ALIGNMENT
from faceprint.types import Array, Face, Image
from faceprint.vision import images
from faceprint.vision.align import align
from faceprint.vision.load import LoadOptions, load_detector
from faceprint.vision.occlude import occlude
from faceprint.zoo.catalog import get_card

CONDITIONS = ("plain", "covered", "small")


def test_crops(
    cache: Path, name: str, root: Path, wanted: Callable[[str], bool]
) -> tuple[dict[str, Image], list[str]]:
    """Crops by condition and the pictures' names; photographs without a face are left out.

    Args:
        cache: folder that keeps them, as `name`.
        root: one folder per person.
        wanted: whether a person is.
    """
    paths = [path for path in sorted(root.glob("*/*")) if wanted(path.parent.name)]
    kept = cache / f"test-{name}.npz"
    if not kept.exists():
        detector = load_detector(get_card("yunet-2023mar"), LoadOptions(threads=1))
        random = np.random.default_rng(0)
        crops: dict[str, list[Image]] = {condition: [] for condition in CONDITIONS}
        used = []
        for path in paths:
            picture = images.decode(path)
            width = float(random.uniform(16, 24))
            (found,) = detector.detect([picture])
            if not len(found) or found.landmarks is None:
                continue
            centers = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
            middle = np.asarray(picture.shape[1::-1]) / 2
            i = int(np.abs(centers - middle).sum(axis=1).argmin())
            box, points = found.boxes[i], found.landmarks[i]
            covered = occlude(picture, Face(box, 1.0, points))
            for condition, image in (("plain", picture), ("covered", covered)):
                crops[condition].append(align(image, points[None], box[None], ALIGNMENT)[0])
            crops["small"].append(_small(picture, points, box, width))
            used.append(f"{path.parent.name}/{path.name}")
        arrays: dict[str, Any] = {key: np.stack(each) for key, each in crops.items()}
        np.savez(kept, names=np.asarray(used), **arrays)
    with np.load(kept) as stored:
        return {key: stored[key] for key in CONDITIONS}, stored["names"].tolist()


def _small(picture: Image, points: Array, box: Array, width: float) -> Image:
    """The crop of a face from the photograph in which it is that wide."""
    scale = min(1.0, width / float(box[2] - box[0]))
    small = np.asarray(
        cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
    )
    ratios = np.asarray((small.shape[1] / picture.shape[1], small.shape[0] / picture.shape[0]))
    factors = ratios.astype(np.float32)
    return align(small, (points * factors)[None], (box * np.tile(factors, 2))[None], ALIGNMENT)[0]
