"""What is refused for its size, before its pixels are made."""

from __future__ import annotations

from dataclasses import dataclass

from faceprint import settings
from faceprint.errors import DecodeError, ImageTooLargeError
from faceprint.vision.headers import Header

__all__ = [
    "DEFAULT_LIMITS",
    "ImageLimits",
    "check",
    "check_bytes",
    "check_claim",
    "check_same",
    "check_size",
    "default_limits",
    "made",
]

_BYTES_A_PIXEL = 10
_LITTLE = 100_000_000
"""Bytes of memory that no format is refused for."""

_REDUCED = 8
"""Times as many pixels as are made at the most may a JPEG claim that is decoded at a smaller scale:
each costs its decoder about a nanosecond whatever the scale."""

_MAX_SIDE = 100_000
"""Pixels: rows and columns have a price of their own."""

_THIN, _THIN_PIXELS = 25, 16_000_000
"""Times as long as wide, from so many pixels on: the smallest face that is looked for shrinks with
the shorter side, so the search takes as long as for a picture many times as large."""


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What is refused unopened.

    Attributes:
        max_pixels: that are made of it, each at up to ten bytes of memory: a JPEG of which an
            eighth of the sides is enough counts as that. Formats that cost more have fewer.
        max_bytes: size of the file.
    """

    max_pixels: int = settings.MAX_PIXELS
    max_bytes: int = 256 * 1024 * 1024


DEFAULT_LIMITS = ImageLimits()


def default_limits() -> ImageLimits:
    """Those of a caller who names none, with FACEPRINT_MAX_PIXELS.

    Raises:
        UsageError: it is not a positive whole number.
    """
    return ImageLimits(max_pixels=settings.max_pixels())


def check_bytes(size: int, name: str, limits: ImageLimits) -> None:
    """Refuse a file that is too long."""
    if size > limits.max_bytes:
        raise ImageTooLargeError(f"{name}: {size:,} bytes; the limit is {limits.max_bytes:,}")


def check(header: Header, name: str, limits: ImageLimits, halvings: int = 0) -> None:
    """Refuse a photograph of which too many pixels would be made, or at too high a price."""
    _check_sides(header.width, header.height, name)
    pixels = made(header, halvings)
    cost = header.fixed_bytes + pixels * header.bytes_a_pixel
    if pixels > limits.max_pixels or cost > max(_LITTLE, limits.max_pixels * _BYTES_A_PIXEL):
        dear = "" if pixels > limits.max_pixels else f", which take {cost / 1e6:,.0f} MB to decode"
        at = f" at 1/{2**halvings}" if halvings else ""
        raise ImageTooLargeError(
            f"{name}: {header.width} x {header.height} pixels{at}{dear}; {_limit(limits)}"
        )


def check_claim(header: Header, name: str, limits: ImageLimits) -> None:
    """Refuse a JPEG whose reduced pixels, too, would cost more than is worth a try."""
    _check_sides(header.width, header.height, name)
    if header.width * header.height > _REDUCED * limits.max_pixels:
        raise ImageTooLargeError(
            f"{name}: {header.width} x {header.height} pixels; {_limit(limits)}, and for JPEGs "
            f"that are decoded at a smaller scale {_REDUCED} times as many"
        )


def check_same(found: tuple[int, int], size: tuple[int, int]) -> None:
    """Refuse a file of which two readers find different sizes."""
    if found != size:
        raise DecodeError(f"damaged: two sizes, {size} and {found}")


def check_size(size: tuple[int, int], name: str, limits: ImageLimits) -> None:
    """Refuse pixels that are there, or about to be: of an array, of a PIL image."""
    check(Header(*size), name, limits)


def _check_sides(width: int, height: int, name: str) -> None:
    if width < 1 or height < 1:
        raise DecodeError(f"{name}: {width} x {height}, no pixels")
    if max(width, height) > _MAX_SIDE:
        raise ImageTooLargeError(
            f"{name}: {width} x {height} pixels; a side may have {_MAX_SIDE:,}"
        )
    if max(width, height) > _THIN * min(width, height) and width * height > _THIN_PIXELS:
        raise ImageTooLargeError(
            f"{name}: {width} x {height} pixels; so large a picture may be {_THIN} times as long "
            "as wide"
        )


def made(header: Header, halvings: int) -> int:
    """Pixels of the scale that it is decoded at."""
    return -(-header.width >> halvings) * -(-header.height >> halvings)


def _limit(limits: ImageLimits) -> str:
    return f"the limit is {limits.max_pixels:,} in all (FACEPRINT_MAX_PIXELS raises it)"
