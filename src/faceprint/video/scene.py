"""Cuts: frames after which nothing is where it was."""

from __future__ import annotations

import numpy as np

from faceprint.types import Array

__all__ = ["CutDetector"]

_LEAST = 20.0
"""Mean difference of luminance, 0..255, below which there is no cut."""

_TIMES_USUAL = 4.0
"""How much larger than usual the difference is at a cut: a fast pan is fast in every frame."""

_MEMORY = 0.9


class CutDetector:
    """Compares each frame with the one before. Hard cuts are found; a fade is none.

    A flash is taken for two cuts, which ends tracks early and mixes nobody up.
    """

    def __init__(self) -> None:
        self._last: Array | None = None
        self._usual = 0.0

    def is_cut(self, thumbnail: Array) -> bool:
        """Whether a cut lies before this frame.

        Args:
            thumbnail: (h, w) uint8 luminance, of every frame in turn.
        """
        now = thumbnail.astype(np.float32)
        last, self._last = self._last, now
        if last is None or last.shape != now.shape:
            return False
        difference = float(np.abs(now - last).mean())
        if difference > max(_LEAST, _TIMES_USUAL * self._usual):
            return True  # it says nothing about what is usual
        self._usual = _MEMORY * self._usual + (1 - _MEMORY) * difference
        return False
