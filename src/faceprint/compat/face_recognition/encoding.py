"""dlib's 128 numbers of a face: the network's output as it is, not scaled to unit length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from faceprint.compat.face_recognition.detection import FoundFace, alignment, analyzer
from faceprint.errors import NotFiniteError, UsageError
from faceprint.types import Detections, Image
from faceprint.vision.align import transforms_of
from faceprint.vision.mipmaps import Mipmaps

__all__ = ["encode"]

_MOST_JITTERS = 10_000
_ROTATION, _ZOOM, _SHIFT = np.radians(3), 0.03, 0.02
"""How far a resampled face is turned (radians), enlarged, and moved (in sides of the crop)."""


def encode(image: Image, faces: Sequence[FoundFace], num_jitters: int) -> list[NDArray[np.float64]]:
    """(128,) float64 for each face.

    Args:
        num_jitters: 1 for the face as it is. More average that many resampled faces: turned,
            enlarged and moved a little, half of them mirrored, the same ones in each call.

    Raises:
        UsageError: `num_jitters` is out of range.
        NotFiniteError: the network gave NaN or infinity.
    """
    if not 1 <= num_jitters <= _MOST_JITTERS:
        raise UsageError(f"num_jitters is {num_jitters}, not from 1 to {_MOST_JITTERS}")
    if not faces:
        return []
    template, mipmaps = alignment(), Mipmaps.of(image)
    found = Detections(
        np.stack([face.box for face in faces]),
        np.asarray([face.score for face in faces], np.float32),
        np.stack([face.landmarks for face in faces]),
    )
    transforms = np.asarray(transforms_of([found], template)[0], np.float64)
    if num_jitters == 1:
        crops = mipmaps.crops(transforms.astype(np.float32), template.size)
        raw = analyzer().embedder.raw(crops).astype(np.float64)
    else:
        moves = _moves(num_jitters, template.size)
        raw = np.empty((len(faces), analyzer().embedder_card.dim or 0))
        for index, transform in enumerate(transforms):
            square = np.concatenate([transform, [[0.0, 0.0, 1.0]]])
            moved = np.asarray(moves @ square, np.float32)
            crops = mipmaps.crops(moved, template.size)
            crops[1::2] = crops[1::2, :, ::-1].copy()
            raw[index] = analyzer().embedder.raw(crops).mean(axis=0, dtype=np.float64)
    if not np.isfinite(raw).all():
        raise NotFiniteError("dlib-resnet gave NaN or infinity for a face")
    return list(raw)


def _moves(count: int, size: int) -> NDArray[np.float64]:
    """(count, 2, 3) small random transforms of a crop around its middle."""
    random = np.random.default_rng(0)
    angle = random.uniform(-_ROTATION, _ROTATION, count)
    zoom = 1 + random.uniform(0, _ZOOM, count)
    shift = random.uniform(-_SHIFT, _SHIFT, (count, 2)) * size
    moves = np.empty((count, 2, 3))
    moves[:, 0, 0] = moves[:, 1, 1] = zoom * np.cos(angle)
    moves[:, 1, 0] = zoom * np.sin(angle)
    moves[:, 0, 1] = -moves[:, 1, 0]
    middle = np.full(2, (size - 1) / 2)
    moves[:, :, 2] = middle + shift - moves[:, :, :2] @ middle
    return moves
