"""One frame of a video: its time, and its pixels as they are shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from faceprint.types import Array, Image

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

__all__ = ["Frame", "oriented"]

_THUMBNAIL = (32, 18)
_WIDEST_PIXEL = 4.0
"""A pixel that is said to be wider or narrower than this is taken for square."""


@dataclass(slots=True, eq=False)
class Frame:
    """A decoded frame, whose pixels are converted when they are asked for.

    Attributes:
        time: seconds from the start of the video.
        raw: the decoder's frame.
        pixel_aspect: width of a pixel divided by its height.
        resumed: whether a live stream was interrupted before this frame.
    """

    time: float
    raw: VideoFrame
    pixel_aspect: float = 1.0
    resumed: bool = False
    _copy: VideoFrame | None = field(default=None, init=False, repr=False)

    def image(self) -> Image:
        """(H, W, 3) RGB uint8, upright and with square pixels."""
        width = self.raw.width
        if 1 / _WIDEST_PIXEL <= self.pixel_aspect <= _WIDEST_PIXEL:
            width = max(1, round(width * self.pixel_aspect))
        pixels = self.raw.reformat(width=width, format="rgb24").to_ndarray()
        turned = oriented(pixels.astype(np.uint8, copy=False), self._display_matrix())
        return np.ascontiguousarray(turned)

    def thumbnail(self) -> Array:
        """(18, 32) uint8: the luminance in small, as stored, for the detection of cuts."""
        return np.asarray(self._small().to_ndarray())

    def _small(self) -> VideoFrame:
        if self._copy is None:
            width, height = _THUMBNAIL
            self._copy = self.raw.reformat(width, height, "gray", interpolation="FAST_BILINEAR")
        return self._copy

    def _display_matrix(self) -> Array | None:
        """(2, 2) the linear part of the frame's display matrix; None if it has none.

        The small copy is asked, which has it too: PyAV's frame and its `side_data` hold each other,
        so a frame that was asked keeps its pixels until Python's garbage collector comes by, which
        may be hundreds of frames later.
        """
        from av.sidedata.sidedata import Type

        extras: Any = self._small().side_data
        data = extras.get(Type.DISPLAYMATRIX) if len(extras) else None
        nine = np.frombuffer(bytes(data), np.int32) if data is not None else np.zeros(0)
        return nine.reshape(3, 3)[:2, :2].astype(np.float32) if nine.size == 9 else None


def oriented(pixels: Image, matrix: Array | None) -> Image:
    """Turn and mirror pixels as a display matrix asks, to the nearest quarter turn.

    Args:
        pixels: (H, W, 3).
        matrix: (2, 2); a stored point (x, y) is shown at (x, y) @ matrix, y pointing down
            (ISO/IEC 14496-12, 8.5.2). None for pixels that are shown as they are stored.
    """
    if matrix is None:
        return pixels
    (a, b), (c, d) = matrix
    if abs(a) + abs(d) >= abs(b) + abs(c):
        rows, columns, turned = d < 0, a < 0, pixels
    else:
        rows, columns, turned = b < 0, c < 0, pixels.transpose(1, 0, 2)
    if rows:
        turned = turned[::-1]
    return turned[:, ::-1] if columns else turned
