"""The image pyramid that MTCNN's first network searches, for many photographs at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from faceprint.types import Image
from faceprint.vision.detect.cascade_batching import CELL
from faceprint.vision.mipmaps import Mipmaps, Span, average_pairs, evened, halve, halved_span

__all__ = ["Level", "levels_of", "pyramid"]


class Level(NamedTuple):
    """One size of the pyramid, in pixels.

    Attributes:
        border: pixels added around it, so that windows reach over its edges.
        span: what it shows of the image.
    """

    width: int
    height: int
    border: int
    span: Span


def levels_of(mips: Mipmaps, scale: float, octave: int, border: int) -> list[Level]:
    """The levels, fine to coarse, for all images with the size and halvings of `mips`.

    Args:
        scale: scale of the finest level.
        octave: levels from one size to half of it. Levels after the first octave are halvings.
        border: pixels added around the coarse levels.
    """
    levels: list[Level] = []
    while True:
        if len(levels) < octave:
            shrunk = scale * 2.0 ** (-len(levels) / octave)
            w, h = (max(1, round(side * shrunk)) for side in (mips.width, mips.height))
            span = mips.source_of(w, h)[1]
        else:
            finer = levels[-octave]
            w, h = (-(-side // 2) for side in finer[:2])
            span = halved_span(finer.span, finer.width, finer.height)
        extra = border if min(w, h) < 4 * CELL else 0
        if min(w, h) + 2 * extra < CELL or min(w, h) < CELL - extra:
            return levels
        levels.append(Level(w, h, extra, span))


def pyramid(mipmaps: Sequence[Mipmaps], levels: Sequence[Level], octave: int) -> Iterator[Image]:
    """Yield the levels of n images of one size, (n, h, w, 3) each."""
    made: list[Image] = []
    for level in levels:
        if len(made) < octave:
            made.append(_stacked([mips.resized(*level[:2]) for mips in mipmaps]))
        else:
            made.append(_halved(made[-octave]))
        yield _padded(made[-1], level.border) if level.border else made[-1]


def _halved(images: Image) -> Image:
    count, height, width = images.shape[:3]
    if height % 2 or evened(width, height)[0] != width:
        return _stacked([halve(image) for image in images])
    # As one tall image; its heights are even, so no rows of two images are averaged.
    return average_pairs(images.reshape(-1, width, 3)).reshape(count, height // 2, -1, 3)


def _stacked(images: list[Image]) -> Image:
    """(n, h, w, 3); a single image is not copied, as large photographs often come singly."""
    return images[0][None] if len(images) == 1 else np.stack(images)


def _padded(images: Image, border: int) -> Image:
    """With the edges repeated outwards by `border` pixels."""
    count, height, width = images.shape[:3]
    rows, columns = slice(border, border + height), slice(border, border + width)
    out = np.empty((count, height + 2 * border, width + 2 * border, 3), np.uint8)
    out[:, rows, columns] = images
    out[:, rows, :border] = images[:, :, :1]
    out[:, rows, columns.stop :] = images[:, :, -1:]
    out[:, :border] = out[:, border : border + 1]
    out[:, rows.stop :] = out[:, rows.stop - 1 : rows.stop]
    return out
