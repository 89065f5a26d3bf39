"""Limits on photographs, checked before any pixel is decoded."""

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
    "decoded_pixels",
    "default_limits",
]

_BYTES_PER_PIXEL = 10
_ALWAYS_ALLOWED = 100_000_000
"""Bytes of memory that every format may use."""

_REDUCED = 8
"""A JPEG decoded at a smaller scale may have this many times the pixel limit: each pixel costs its
decoder about a nanosecond at any scale."""

_MAX_SIDE = 100_000
"""Pixels: rows and columns have a cost of their own."""

_THIN, _THIN_PIXELS = 25, 16_000_000
"""Largest ratio of the sides, for pictures above so many pixels: the smallest face searched for
shrinks with the shorter side, so a thin picture takes as long as a much larger one."""


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Largest photograph that is decoded.

    Attributes:
        max_pixels: pixels to decode, at up to ten bytes of memory each. A JPEG decoded at a
            reduced scale counts at that scale; formats that need more memory may have fewer.
        max_bytes: size of the file.
    """

    max_pixels: int = settings.MAX_PIXELS
    max_bytes: int = 256 * 1024 * 1024


DEFAULT_LIMITS = ImageLimits()


def default_limits() -> ImageLimits:
    """The default limits, with FACEPRINT_MAX_PIXELS.

    Raises:
        UsageError: FACEPRINT_MAX_PIXELS is not a positive whole number.
    """
    return ImageLimits(max_pixels=settings.max_pixels())


def check_bytes(size: int, name: str, limits: ImageLimits) -> None:
    """Refuse a file with too many bytes."""
    if size > limits.max_bytes:
        raise ImageTooLargeError(f"{name}: {size:,} bytes; the limit is {limits.max_bytes:,}")


def check(header: Header, name: str, limits: ImageLimits, halvings: int = 0) -> None:
    """Refuse a photograph whose decoding would take too many pixels or too much memory."""
    _check_sides(header.width, header.height, name)
    pixels = decoded_pixels(header, halvings)
    cost = header.fixed_bytes + pixels * header.bytes_per_pixel
    if pixels > limits.max_pixels or cost > max(
        _ALWAYS_ALLOWED, limits.max_pixels * _BYTES_PER_PIXEL
    ):
        memory = (
            "" if pixels > limits.max_pixels else f", which take {cost / 1e6:,.0f} MB to decode"
        )
        at = f" at 1/{2**halvings}" if halvings else ""
        raise ImageTooLargeError(
            f"{name}: {header.width} x {header.height} pixels{at}{memory}; {_limit(limits)}"
        )


def check_claim(header: Header, name: str, limits: ImageLimits) -> None:
    """Refuse a JPEG that is too large even at a reduced scale."""
    _check_sides(header.width, header.height, name)
    if header.width * header.height > _REDUCED * limits.max_pixels:
        raise ImageTooLargeError(
            f"{name}: {header.width} x {header.height} pixels; {_limit(limits)}, and for JPEGs "
            f"that are decoded at a smaller scale {_REDUCED} times as many"
        )


def check_same(found: tuple[int, int], size: tuple[int, int]) -> None:
    """Refuse a file for which two readers find different sizes."""
    if found != size:
        raise DecodeError(f"damaged: two sizes, {size} and {found}")


def check_size(size: tuple[int, int], name: str, limits: ImageLimits) -> None:
    """Refuse an array or PIL image that is too large."""
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
            f"{name}: {width} x {height} pixels; above {_THIN_PIXELS:,} pixels a picture may be "
            f"at most {_THIN} times as long as wide"
        )


def decoded_pixels(header: Header, halvings: int) -> int:
    """Pixels of a photograph with its sides halved that often."""
    return -(-header.width >> halvings) * -(-header.height >> halvings)


def _limit(limits: ImageLimits) -> str:
    return f"the limit is {limits.max_pixels:,} in all (FACEPRINT_MAX_PIXELS raises it)"
