"""Which face of a photograph is enrolled, and whether two boxes are of one face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from faceprint.errors import UsageError
from faceprint.geometry import iou_matrix
from faceprint.types import Face

__all__ = ["Box", "FaceAt", "FaceChoice", "check_choice", "choose_face", "face_at", "same_box"]

FaceChoice = Literal["largest", "one"] | int
"""The largest face; the only one; or a number, counted from 1, the largest face first."""

Box = tuple[float, float, float, float]
"""x1 y1 x2 y2 in pixels of the upright photograph."""

_SAME_FACE = 0.5
"""Boxes of one face by two detectors overlap at least so much."""


@dataclass(frozen=True, slots=True)
class FaceAt:
    """A photograph, and the box of the face in it that is meant."""

    photograph: Any
    box: Box


def check_choice(choice: FaceChoice) -> None:
    """Raise UsageError for a choice that is none."""
    number = isinstance(choice, int) and not isinstance(choice, bool) and choice >= 1
    if not number and choice not in ("largest", "one"):
        raise UsageError(f"faces is {choice!r}; enrollment takes largest, one, or a number from 1")


def choose_face(faces: Sequence[Face], choice: FaceChoice, box: Box | None = None) -> Face | str:
    """The face that is meant, or why there is none.

    Args:
        faces: of a photograph, the largest first.
        box: where the face is; replaces `choice`.
    """
    if not faces:
        return "no face found"
    if box is not None:
        return face_at(box, faces) or "no face found at the place given"
    if choice == "one" and len(faces) > 1:
        return f"{len(faces)} faces; exactly one was requested"
    number = choice if isinstance(choice, int) else 1
    if number > len(faces):
        return f"there is no face {number}; {len(faces)} found, and the largest is number 1"
    return faces[number - 1]


def face_at(box: Box, faces: Sequence[Face]) -> Face | None:
    """The face whose box overlaps most with this one, if it can be the same face."""
    boxes = np.stack([face.box for face in faces])
    overlap = iou_matrix(np.asarray([box], np.float32), boxes)[0]
    best = int(overlap.argmax())
    return faces[best] if overlap[best] >= _SAME_FACE else None


def same_box(box: Box | None, face: Face) -> bool:
    """Whether a stored box is that of a face; one that was not stored may be."""
    return box is None or face_at(box, [face]) is not None
