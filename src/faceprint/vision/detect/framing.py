"""Add a frame to a photograph that a face fills: the networks expect background around faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from faceprint.types import Array, Detections
from faceprint.vision.mipmaps import Mipmaps

__all__ = ["FRAMES", "Frame", "Framed"]


class Frame(NamedTuple):
    """What fills the frame (mid-gray, or the photograph's outermost pixels repeated), and whether
    the photograph in it is mirrored.
    """

    filling: Literal["gray", "edge"]
    mirrored: bool


FRAMES = (Frame("gray", False), Frame("edge", False), Frame("gray", True), Frame("edge", True))
"""In the order in which they are tried; each finds faces that the others miss."""

_MIRRORED_LANDMARKS = [1, 0, 2, 4, 3]
"""Right eye, left eye, nose, right and left corner of the mouth in a mirrored photograph."""

_SIDE, _LONGEST = 256, 1024
"""Largest shorter and longer side of the copy, in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Framed:
    """A small copy of a photograph with a frame; x * step - shift are pixels of the photograph.

    In a mirrored copy the step of x is negative.
    """

    mips: Mipmaps
    step: Array
    shift: Array

    @classmethod
    def of(cls, mips: Mipmaps, frame: Frame, share: float) -> Framed:
        sides = mips.width, mips.height
        shrunk = min(1.0, _SIDE / min(sides), _LONGEST / max(sides))
        width, height = (max(1, round(side * shrunk)) for side in sides)
        small, wide = mips.resized(width, height), round(share * max(width, height))
        around = ((wide, wide), (wide, wide), (0, 0))
        if frame.mirrored:
            small = np.ascontiguousarray(small[:, ::-1])
        if frame.filling == "edge":
            framed = np.pad(small, around, "edge")
        else:
            framed = np.pad(small, around, constant_values=127)
        step = np.asarray((mips.width / width, mips.height / height), np.float32)
        shift = wide * step
        if frame.mirrored:
            step[0] *= -1
            shift[0] = (wide + width) * step[0]
        return cls(Mipmaps(framed), step, shift)

    def undo(self, faces: Detections) -> Detections:
        """Faces of the copy in pixels of the photograph."""
        boxes = faces.boxes * np.tile(self.step, 2) - np.tile(self.shift, 2)
        points = faces.landmarks
        if points is not None:
            points = points * self.step - self.shift
        if self.step[0] < 0:
            boxes = boxes[:, [2, 1, 0, 3]]
            points = None if points is None else points[:, _MIRRORED_LANDMARKS]
        return Detections(boxes, faces.scores, points)
