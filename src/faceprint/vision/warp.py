"""Cutting many crops out of one image in a few calls, without aliasing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from faceprint.types import Array, Image, check_image

__all__ = ["Mipmaps", "Span", "averaged", "box_crops", "evened", "halved", "span_halved"]

# cv2.remap refuses a side of 32,768 or more.
_MAX_SIDE = 32_000

_CROPS_A_CALL = 64
"""Crops of 48 pixels whose maps stay in a core's cache, nearly."""

_TOGETHER = 1_000_000
"""Pixels of small images that are put together, so that one call cuts crops out of all."""

_SMALL = 64_000
"""Pixels up to which an odd side is halved as it is: OpenCV takes fifteen times as long for any
ratio but two, and a small image has few pixels to take it for and would feel an edge repeated."""

Span = tuple[float, float]
"""Width and height in an image's pixels of what one of its smaller versions shows: a little more
than the image has where an odd side was made even before it was halved."""


class Mipmaps:
    """An image and its halvings, each made when it is first asked for.

    Shrinking by more than two with bilinear interpolation skips pixels; reading from the halving
    nearest to the crop's own scale does not (Williams, "Pyramidal parametrics", 1983).

    Attributes:
        width, height: of the image itself, pixels.
        halvings: how often the finest level that is here has been halved.
    """

    def __init__(
        self,
        image: Image,
        *,
        halvings: int = 0,
        size: tuple[int, int] | None = None,
        load: Callable[[], Image] | None = None,
    ) -> None:
        """From the image, or from one of its halvings and what gives the image itself.

        Args:
            image: (h, w, 3) RGB uint8.
            halvings: how often `image` has been halved already.
            size: (width, height) of the image itself, in whose pixels all coordinates are.
            load: gives it, or a halving, when a crop is worth it; it may raise DecodeError.
        """
        self.halvings, self._load = halvings, load
        self.width: int = size[0] if size else image.shape[1]
        self.height: int = size[1] if size else image.shape[0]
        # A decoder that reduces repeats the edges of odd sides: its pixels all stand for as many.
        self._levels = [image]
        self._spans: list[Span] = [(image.shape[1] * 2.0**halvings, image.shape[0] * 2.0**halvings)]

    @classmethod
    def of(cls, image: Image | Mipmaps) -> Mipmaps:
        """The same, or those of an image.

        Raises:
            InvalidImageArrayError: not RGB uint8 of shape (h, w, 3).
        """
        return image if isinstance(image, Mipmaps) else cls(check_image(image))

    @property
    def pixels(self) -> int:
        """How many are in memory at the least."""
        return self._levels[0].size // 3

    def level(self, index: int) -> Image:
        """The image at 1 / 2**index of its size, or the smallest one there is.

        Raises:
            DecodeError: the photograph had to be decoded anew, and can't be.
        """
        return self.view(index)[0]

    def view(self, index: int) -> tuple[Image, Span]:
        """`level`, with its errors, and what it shows of the image."""
        if index < self.halvings and self._load is not None:
            image = self._load()
            self.halvings, self._load = round(np.log2(self.width / image.shape[1])), None
            scale = 2.0**self.halvings
            self._levels, self._spans = [image], [(image.shape[1] * scale, image.shape[0] * scale)]
        index = max(0, index - self.halvings)
        while len(self._levels) <= index and min(self._levels[-1].shape[:2]) >= 2:
            finest = self._levels[-1]
            self._levels.append(halved(finest))
            self._spans.append(span_halved(self._spans[-1], finest.shape[1], finest.shape[0]))
        index = min(index, len(self._levels) - 1)
        return self._levels[index], self._spans[index]

    def resized(self, width: int, height: int) -> Image:
        """The whole image at another size, from the halving that `source_of` gives."""
        source = self.source_of(width, height)[0]
        if source.shape[:2] == (height, width):
            return source
        # By less than two: averaging by area costs four times as much and finds the same faces.
        return np.asarray(cv2.resize(source, (width, height)), np.uint8)

    def source_of(self, width: int, height: int) -> tuple[Image, Span]:
        """The smallest halving that is not smaller than that, and what it shows."""
        ratio = min(self.width / width, self.height / height)
        return self.view(int(np.log2(max(ratio, 1.0))))

    def crops(self, transforms: Array, size: int) -> Image:
        """Cut n square crops; what lies outside the image is black.

        Args:
            transforms: (n, 2, 3) similarity transforms from image pixels to crop pixels (pixel
                centers are whole numbers in both).
            size: side of the crops in pixels.

        Returns:
            (n, size, size, 3) uint8 RGB.
        """
        inverse = _invert(np.asarray(transforms, np.float64))
        # Image pixels per crop pixel, by area: 2**level of them are averaged beforehand.
        spread = np.sqrt(np.abs(np.linalg.det(inverse[:, :, :2])))

        def grid(chosen: NDArray[np.intp], scale: NDArray[np.float64]) -> tuple[Array, Array]:
            return _grid(inverse[chosen], scale, size)

        return self._cut(spread, size, grid)

    def _cut(self, spread: NDArray[np.float64], size: int, grid: _Grid) -> Image:
        """Read crops of `spread` image pixels a crop pixel from the halvings nearest to that."""
        out = np.empty((len(spread), size, size, 3), np.uint8)
        levels = _level_of(spread)
        per_call = max(1, _MAX_SIDE // size)
        for level in np.unique(levels):
            source, span = self.view(int(level))
            scale = np.asarray((source.shape[1] / span[0], source.shape[0] / span[1]), np.float64)
            chosen = np.flatnonzero(levels == level)
            for start in range(0, len(chosen), per_call):
                part = chosen[start : start + per_call]
                # In 32nds of a pixel: a fifth faster, and the same in every version of OpenCV.
                maps = cv2.convertMaps(*grid(part, scale), cv2.CV_16SC2)
                cut = cv2.remap(source, *maps, cv2.INTER_LINEAR)
                out[part] = cut.reshape(len(part), size, size, 3)
        return out


def box_crops(
    mipmaps: Sequence[Mipmaps], boxes: Array, owner: NDArray[np.intp], size: int
) -> Image:
    """Cut (n, 4) xyxy boxes out of their images; each becomes a square of `size`.

    Where a box leaves its image, the image's edge is repeated. Nothing is decoded anew for it.

    Args:
        owner: (n,) index of the image that each box belongs to.

    Returns:
        (n, size, size, 3) uint8 RGB.
    """
    out = np.empty((len(boxes), size, size, 3), np.uint8)
    corners = np.asarray(boxes, np.float64)
    steps = np.maximum(corners[:, 2:] - corners[:, :2], 1e-3) / size
    finest = np.asarray([2.0**mips.halvings for mips in mipmaps])
    levels = _level_of(np.maximum(np.sqrt(steps.prod(axis=1)), finest[owner]))
    # Box edges lie between pixels, remap's coordinates count pixel centers.
    points = corners[:, :2, None] + steps[:, :, None] * (np.arange(size) + 0.5)
    for span, images, which in _alike(mipmaps, owner, levels):
        source, (height, width) = _below_one_another(images), images[0].shape[:2]
        scale = np.asarray((width / span[0], height / span[1]), np.float64)
        chosen = np.concatenate(which)
        places = np.asarray(points[chosen] * scale[:, None] - 0.5, np.float32)
        # In 32nds of a pixel, which is all that remap interpolates.
        last = np.asarray(((width - 1,), (height - 1,)), np.float32)
        thirty_seconds = np.rint(np.clip(places, 0, last) * 32).astype(np.int32)
        whole, rest = thirty_seconds >> 5, (thirty_seconds & 31).astype(np.uint16)
        above = np.repeat(np.arange(len(which)) * height, [len(indices) for indices in which])
        whole[:, 1] += above[:, None].astype(np.int32)
        # Columns and rows that a crop's own pixels are read from: all there is to its map.
        left, top, across, down = whole[:, 0], whole[:, 1] << 16, rest[:, 0], rest[:, 1] << 5
        for start in range(0, len(chosen), _CROPS_A_CALL):
            part = slice(start, start + _CROPS_A_CALL)
            # Pairs of 16-bit numbers, x first (little-endian); the 1024 weights by their number.
            pairs = left[part, None, :] | top[part, :, None]
            weights = across[part, None, :] | down[part, :, None]
            cut = cv2.remap(
                source,
                pairs.view(np.int16).reshape(-1, size, 2),
                weights.reshape(-1, size),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            out[chosen[part]] = cut.reshape(-1, size, size, 3)
    return out


def _alike(
    mipmaps: Sequence[Mipmaps], owner: NDArray[np.intp], levels: NDArray[np.int_]
) -> Iterator[tuple[Span, list[Image], list[NDArray[np.intp]]]]:
    """Images of one size with the crops that are read from them: small ones many at a time.

    Yields:
        What the images show of theirs; the images; for each its crops' indices.
    """
    groups: dict[tuple[Span, int, int], tuple[list[Image], list[NDArray[np.intp]]]] = {}
    if not len(owner):
        return
    order = np.lexsort((levels, owner))
    keys = np.stack([owner[order], levels[order]])
    starts = np.flatnonzero(np.any(np.diff(keys, axis=1, prepend=-1), axis=0))
    for which in np.split(order, starts[1:]):
        image, span = mipmaps[owner[which[0]]].view(int(levels[which[0]]))
        height, width = image.shape[:2]
        key = span, width, height
        images, indices = groups.setdefault(key, ([], []))
        images.append(image)
        indices.append(which)
        together = _TOGETHER // (width * height)
        if len(images) >= min(together, _MAX_SIDE // height):
            yield span, *groups.pop(key)
    for (span, *_), group in groups.items():
        yield span, *group


def _below_one_another(images: list[Image]) -> Image:
    return images[0] if len(images) == 1 else np.concatenate(images)


def _level_of(spread: NDArray[np.float64]) -> NDArray[np.int_]:
    """The halving whose pixels are nearest in size to `spread` image pixels a crop pixel."""
    return np.maximum(np.round(np.log2(np.maximum(spread, 1e-6))), 0).astype(int)


_Grid = Callable[[NDArray[np.intp], NDArray[np.float64]], tuple[Array, Array]]
"""Chosen crops and a level's scale to source coordinates of every pixel, crops below one another:
two (n * size, size)."""


def halved(image: Image) -> Image:
    """Half as wide and high, rounded up; a large image's odd sides are made even first."""
    height, width = image.shape[:2]
    right, bottom = evened(width, height)
    if (right, bottom) != (width, height):
        image = cv2.copyMakeBorder(
            image, 0, bottom - height, 0, right - width, cv2.BORDER_REPLICATE
        )
    return averaged(image)


def averaged(image: Image) -> Image:
    """Half as wide and high, rounded up; every pixel is the mean of what it covers."""
    size = (-(-image.shape[1] // 2), -(-image.shape[0] // 2))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def evened(width: int, height: int) -> tuple[int, int]:
    """The size that an image is brought to before it is halved, by repeating its edges."""
    if width * height <= _SMALL:
        return width, height
    return width + width % 2, height + height % 2


def span_halved(span: Span, width: int, height: int) -> Span:
    """What the half of a version of that size shows, which shows `span` itself."""
    right, bottom = evened(width, height)
    return span[0] * right / width, span[1] * bottom / height


def _invert(transforms: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = np.linalg.inv(transforms[:, :, :2])
    shift = -np.einsum("nij,nj->ni", linear, transforms[:, :, 2])
    return np.concatenate([linear, shift[:, :, None]], axis=2)


def _grid(
    inverse: NDArray[np.float64], scale: NDArray[np.float64], size: int
) -> tuple[Array, Array]:
    """See `_Grid`."""
    steps = np.arange(size, dtype=np.float64)
    scaled = inverse * scale[None, :, None]
    # A pixel center x sits at (x + 0.5) * scale - 0.5 in a scaled image.
    scaled[:, :, 2] += 0.5 * scale - 0.5
    axes = []
    for axis in (0, 1):
        # float32 from here: remap counts in 1/32 of a pixel.
        row = (scaled[:, axis, 0, None] * steps).astype(np.float32)
        column = scaled[:, axis, 1, None] * steps + scaled[:, axis, 2, None]
        points = column.astype(np.float32)[:, :, None] + row[:, None, :]
        axes.append(points.reshape(-1, size))
    return axes[0], axes[1]
