"""Add a frame to a photograph that a face fills: the networks expect background around faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from faceprint.types import Array, Detections
from faceprint.vision.mipmaps import Mipmaps

__all__ = ["FRAMES", "Frame", "Framed"]

Frame = Literal["gray", "edge"]
"""What fills the frame: mid-gray, or the photograph's outermost pixels repeated."""

FRAMES: tuple[Frame, ...] = ("gray", "edge")
"""In the order in which they are tried; each finds faces that the other misses."""

_SIDE, _LONGEST = 256, 1024
"""Largest shorter and longer side of the copy, in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Framed:
    """A small copy of a photograph with a frame; x * step - shift are pixels of the photograph."""

    mips: Mipmaps
    step: Array
    shift: Array

    @classmethod
    def of(cls, mips: Mipmaps, kind: Frame, share: float) -> Framed:
        sides = mips.width, mips.height
        shrunk = min(1.0, _SIDE / min(sides), _LONGEST / max(sides))
        width, height = (max(1, round(side * shrunk)) for side in sides)
        small, wide = mips.resized(width, height), round(share * max(width, height))
        around = ((wide, wide), (wide, wide), (0, 0))
        if kind == "edge":
            framed = np.pad(small, around, "edge")
        else:
            framed = np.pad(small, around, constant_values=127)
        step = np.asarray((mips.width / width, mips.height / height), np.float32)
        return cls(Mipmaps(framed), step, wide * step)

    def undo(self, faces: Detections) -> Detections:
        """Faces of the copy in pixels of the photograph."""
        step, shift = np.tile(self.step, 2), np.tile(self.shift, 2)
        points = faces.landmarks
        return Detections(
            faces.boxes * step - shift,
            faces.scores,
            None if points is None else points * self.step - self.shift,
        )
