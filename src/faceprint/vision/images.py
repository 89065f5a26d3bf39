"""The decoder: path, bytes, PIL image or array in; upright RGB uint8 out.

Photographs come from strangers. So the header is checked before any pixel is decoded, only the
readers of supported formats see the bytes (`jpeg_decoder`, `pillow_decoder`), and every failure
becomes a `DecodeError` with the reason. Pillow's global settings are left alone.

Color profiles (ICC) are ignored: detectors and embedders were trained on pixels as stored.
"""

from __future__ import annotations

import io
import math
import os
import re
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np

from faceprint.errors import (
    DecodeError,
    FaceprintError,
    ImageTooLargeError,
    SourceNotFoundError,
    UsageError,
)
from faceprint.types import Image, check_image
from faceprint.vision import headers, pillow_decoder
from faceprint.vision.headers import Header
from faceprint.vision.limits import (
    DEFAULT_LIMITS,
    ImageLimits,
    check,
    check_bytes,
    check_claim,
    check_same,
    check_size,
    decoded_pixels,
    default_limits,
)

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from faceprint.vision.mipmaps import Mipmaps

__all__ = [
    "DEFAULT_LIMITS",
    "ImageLimits",
    "ImageSource",
    "decode",
    "decode_scaled",
    "describe",
]


ImageSource: TypeAlias = "str | os.PathLike[str] | bytes | PILImage | Image"
"""A path, an encoded photograph, a PIL image, or an RGB uint8 array of shape (H, W, 3)."""


def decode(source: ImageSource, *, limits: ImageLimits | None = None) -> Image:
    """Decode a photograph to contiguous (H, W, 3) RGB uint8, upright by its EXIF orientation.

    Formats: JPEG and MPO, PNG, WebP, BMP, TIFF, and HEIC with the extra `heif`. Of several frames
    the first is read, of a PIL image the current one. Gray becomes three equal channels,
    transparency is blended with white, CMYK is converted without its profile, and 16-bit gray is
    divided by 257. Pixels without an agreed range (32-bit integers, floats) are refused.

    Args:
        limits: None for the defaults, with FACEPRINT_MAX_PIXELS.

    Raises:
        SourceNotFoundError: no file of that name.
        ImageTooLargeError: over `limits` by its header; nothing was decoded.
        DecodeError: not a photograph, damaged, truncated, unreadable or not a regular file.
        InvalidImageArrayError: an array that is not RGB uint8.
        UsageError: a source of another type.
    """
    limits = limits or default_limits()
    name = describe(source)
    if isinstance(source, np.ndarray):
        height, width = check_image(source).shape[:2]
        check_size((width, height), name, limits)
        return np.ascontiguousarray(source)
    data = _encoded(source, name, limits)
    if not isinstance(data, bytes):
        return _decode_pil(data, name, limits)
    return _decode_bytes(data, name, limits)[0]


def decode_scaled(
    source: ImageSource,
    required_scale: Callable[[int, int], float],
    *,
    limits: ImageLimits | None = None,
) -> Mipmaps:
    """Decode a photograph at the scale that detection needs; the rest when a crop needs it.

    If `required_scale` of the width and height allows it, a JPEG is decoded at 1/2, 1/4 or 1/8 of
    its size, and its compressed bytes are kept. Other formats are decoded as by `decode`.

    Raises:
        See `decode`.
    """
    from faceprint.vision.mipmaps import Mipmaps  # `decode` does not need OpenCV

    limits = limits or default_limits()
    if isinstance(source, np.ndarray):
        return Mipmaps(decode(source, limits=limits))
    name = describe(source)
    data = _encoded(source, name, limits)
    if not isinstance(data, bytes):
        return Mipmaps(_decode_pil(data, name, limits))
    pixels, halvings, size = _decode_bytes(data, name, limits, required_scale)
    if not halvings:
        return Mipmaps(pixels)

    def load() -> Image:
        return _decode_bytes(data, name, limits, lambda width, height: 0)[0]

    return Mipmaps(pixels, halvings=halvings, size=size, load=load)


def describe(source: object) -> str:
    """Name for messages and the `source` key: the path, else `<bytes>`, `<array>`, `<image>`."""
    if isinstance(source, str | os.PathLike):
        return os.fsdecode(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return "<bytes>"
    if isinstance(source, np.ndarray):
        return "<array>"
    return str(getattr(source, "filename", "") or "<image>")


def _encoded(source: ImageSource, name: str, limits: ImageLimits) -> bytes | PILImage:
    """The bytes of a photograph; a PIL image as it is."""
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        check_bytes(len(data), name, limits)
    elif isinstance(source, str | os.PathLike):
        data = _read(name, limits)
    else:
        return cast("PILImage", source)
    if not data:
        raise DecodeError(f"{name}: empty, 0 bytes")
    return data


def _decode_bytes(
    data: bytes,
    name: str,
    limits: ImageLimits,
    required_scale: Callable[[int, int], float] = lambda width, height: 1.0,
) -> tuple[Image, int, tuple[int, int]]:
    """Upright pixels, how often their sides were halved, and the full (width, height).

    Args:
        required_scale: the share of each side that is needed; 0 for all that the limits allow.
    """
    with _reasons(name):
        header = headers.read(data)
        if header is not None and header.start:
            return _decode_jpeg(data, name, header, limits, required_scale)
        turn = None if header is None else header.orientation
        if header is not None:
            check(header, name, limits)
        opened = pillow_decoder.open_photo(data, lambda size: check_size(size, name, limits))
        return pillow_decoder.upright_rgb(opened, turn), 0, opened.size


def _decode_jpeg(
    data: bytes,
    name: str,
    header: Header,
    limits: ImageLimits,
    required_scale: Callable[[int, int], float],
) -> tuple[Image, int, tuple[int, int]]:
    from faceprint.vision import jpeg_decoder  # other formats do not need OpenCV

    size, turn = (header.width, header.height), header.orientation or 1
    check_claim(header, name, limits)
    share = required_scale(*size)
    halvings = _halvings(share) if share else 0
    while not share and halvings < 3 and decoded_pixels(header, halvings) > limits.max_pixels:
        halvings += 1
    while turn not in (1, 5) and any(side % 2**halvings for side in size):
        # Rotated, the fraction of a pixel at the end of a reduced side would come first.
        halvings -= 1
    check(header, name, limits, halvings)
    pixels = jpeg_decoder.decode(data, header, halvings)
    if pixels is None:
        opened = pillow_decoder.open_photo(
            jpeg_decoder.without_metadata(data, header), lambda found: check_same(found, size)
        )
        halvings = pillow_decoder.shrink(opened, halvings)
        check(header, name, limits, halvings)
        pixels = pillow_decoder.upright_rgb(opened, turn)
    else:
        pixels = jpeg_decoder.rotate_upright(pixels, turn)
    return pixels, halvings, size[::-1] if turn >= 5 else size


def _halvings(share: float) -> int:
    """How often the sides of a JPEG may be halved if that share of them is enough; 0 to 3."""
    return min(3, int(-math.log2(share))) if 0 < share <= 1 else 0


def _decode_pil(source: PILImage, name: str, limits: ImageLimits) -> Image:
    import PIL.Image

    if not isinstance(source, PIL.Image.Image):
        raise UsageError(
            "expected a path, bytes, a PIL image or an RGB uint8 array, "
            f"got {type(source).__name__}"
        )
    with _reasons(name):
        check_size(source.size, name, limits)
        return pillow_decoder.upright_rgb(source)


@contextmanager
def _reasons(name: str) -> Iterator[None]:
    """Turn every error of Pillow into a DecodeError.

    On a malformed file its readers raise whatever the failing line raises, so the list is long.
    Warning is in it for callers who turn warnings into errors.
    """
    from PIL.Image import DecompressionBombError

    pillow_errors = (
        OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError,
        AttributeError, AssertionError, RuntimeError, MemoryError, BufferError, Warning,
        struct.error, zlib.error, DecompressionBombError,
    )  # fmt: skip
    try:
        yield
    except DecodeError as error:
        if isinstance(error, ImageTooLargeError):
            raise
        raise DecodeError(f"{name}: {error}") from error.__cause__
    except FaceprintError:  # from `required_scale`, which may open a detector
        raise
    except MemoryError as error:
        raise DecodeError(f"{name}: not enough memory for the pixels it claims") from error
    except pillow_errors as error:
        reason = str(error) or type(error).__name__
        raise DecodeError(f"{name}: damaged or truncated: {reason}") from error


def _read(name: str, limits: ImageLimits) -> bytes:
    try:
        # Checked before opening: opening a FIFO blocks, and opening a device may act.
        status = os.stat(name)  # noqa: PTH116
        if stat.S_ISDIR(status.st_mode):
            raise DecodeError(f"{name}: a folder; name the photographs inside it")
        if not stat.S_ISREG(status.st_mode):
            raise DecodeError(f"{name}: not a regular file; read it and pass the bytes")
        check_bytes(status.st_size, name, limits)
        # Unbuffered: fewer system calls for small photographs.
        with open(name, "rb", buffering=0) as file:  # noqa: PTH123
            return _exactly(file, status.st_size)
    except (FileNotFoundError, NotADirectoryError) as error:
        if re.match(r"[a-z][a-z0-9+.-]+:/|data:", name, re.IGNORECASE):
            raise DecodeError(f"{name}: URLs are not fetched; download it first") from error
        raise SourceNotFoundError(f"{name}: no such file") from error
    except PermissionError as error:
        raise DecodeError(f"{name}: no permission to read it") from error
    except OSError as error:
        raise DecodeError(f"{name}: can't be read: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the name
        if isinstance(error, FaceprintError):
            raise
        raise SourceNotFoundError(f"{name!r}: not a file name: {error}") from error


def _exactly(file: io.FileIO, size: int) -> bytes:
    """`size` bytes, or all there are if the file is shorter."""
    data = file.read(size)
    while len(data) < size and (more := file.read(size - len(data))):
        data += more
    return data
