"""Photographs decoded by Pillow: one reader per format, and every pixel mode to upright RGB.

Raises whatever Pillow raises; `vision/images.py`, the only caller, turns that into `DecodeError`.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from faceprint import _optional
from faceprint.errors import DecodeError, MissingExtraError
from faceprint.types import Image
from faceprint.vision import headers

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

__all__ = ["open_photo", "orientation", "shrink", "upright_rgb"]

_BAND_PIXELS = 4_000_000


def open_photo(data: bytes, check_size: Callable[[tuple[int, int]], None]) -> PILImage:
    """Read the header of an encoded photograph; `load()` decodes its pixels.

    Args:
        data: the whole file.
        check_size: called with the (width, height) that Pillow found, before pixels are decoded.

    Raises:
        DecodeError: HEIC without its extra.
        Exception: whatever Pillow raises on damage.
    """
    opened = _open(data)
    check_size(opened.size)
    return opened


def shrink(image: PILImage, halvings: int) -> int:
    """Let Pillow decode a JPEG with its sides halved up to three times; call before `load()`.

    The decoder inverts fewer coefficients, so each pixel is the mean of those it replaces.

    Returns:
        How often the sides are halved; 0 for other formats.
    """
    from PIL.JpegImagePlugin import JpegImageFile

    if not halvings or not isinstance(image, JpegImageFile):
        return 0
    width, height = image.size
    image.draft(None, (width >> halvings, height >> halvings))
    return halvings if image.size != (width, height) else 0


def _open(data: bytes) -> PILImage:
    # Not Image.open, which tries every format that it knows and warns about sizes before the caller
    # has seen the header.
    stream = io.BytesIO(data)
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg_reader()(stream)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        from PIL.PngImagePlugin import PngImageFile

        return PngImageFile(stream)
    if data.startswith(b"RIFF"):
        from PIL.WebPImagePlugin import WebPImageFile

        return WebPImageFile(stream)
    if data.startswith(b"BM"):
        from PIL.BmpImagePlugin import BmpImageFile

        return BmpImageFile(stream)
    if data[4:8] == b"ftyp":
        return _open_heif(stream)
    return _tiff_reader()(stream)


@functools.cache
def _jpeg_reader() -> Callable[[io.BytesIO], PILImage]:
    from PIL.JpegImagePlugin import JpegImageFile

    class Reader(JpegImageFile):
        # Looking for the resolution in damaged EXIF warns, and the resolution is not needed.
        def _read_dpi_from_exif(self) -> None:
            pass

    # This class and not Pillow's factory: an MPO's first picture is a plain JPEG.
    return Reader


@functools.cache
def _tiff_reader() -> Callable[[io.BytesIO], PILImage]:
    from PIL.ImageFile import ImageFile
    from PIL.TiffImagePlugin import TiffImageFile

    class Reader(TiffImageFile):
        def load_prepare(self) -> None:
            # The size as stored, not as rotated.
            self._size = getattr(self, "_tile_size", self._size)
            ImageFile.load_prepare(self)

        def load_end(self) -> None:
            # Pillow would read all frames' directories and the metadata, and rotate the picture.
            pass

    return Reader


def _open_heif(stream: io.BytesIO) -> PILImage:
    try:
        heif = _optional.require("pillow_heif", extra="heif")
    except MissingExtraError as error:
        raise DecodeError(f"HEIC; {error}") from error
    opened: PILImage = heif.HeifImageFile(stream)
    return opened


def orientation(image: PILImage) -> int:
    """EXIF orientation 1..8 of an image; 1 when there is none or it is invalid."""
    raw = image.info.get("exif")
    if raw is None and isinstance(profile := image.info.get("Raw profile type exif"), str):
        try:  # ImageMagick's way of putting EXIF into PNG
            raw = bytes.fromhex("".join(profile.split("\n")[3:]))
        except ValueError:
            return 1
    return headers.orientation(raw) if isinstance(raw, bytes) else 1


def upright_rgb(image: PILImage, turn: int | None = None) -> Image:
    """A loaded or lazy PIL image as contiguous (H, W, 3) RGB uint8, rotated upright.

    Large images are converted in bands, to avoid a second full-size copy.

    Args:
        turn: its EXIF orientation; None to read it from the image.

    Raises:
        DecodeError: a mode without an agreed range.
        Exception: whatever Pillow raises on damage.
    """
    image.load()
    turn = orientation(image) if turn is None else turn
    width, height = image.size
    rows = max(1, _BAND_PIXELS // max(1, width))
    if rows >= height:
        pixels = np.array(_to_rgb(image))
    else:
        pixels = np.empty((height, width, 3), np.uint8)
        for top in range(0, height, rows):
            below = min(height, top + rows)
            pixels[top:below] = np.asarray(_to_rgb(image.crop((0, top, width, below))))
    if turn == 1:
        return pixels
    from faceprint.vision.jpeg_decoder import rotate_upright  # not needed for upright images

    return np.ascontiguousarray(rotate_upright(pixels, turn))


def _to_rgb(image: PILImage) -> PILImage:
    import PIL.Image

    if image.mode in ("I", "F"):
        kind = "32-bit integer" if image.mode == "I" else "32-bit float"
        raise DecodeError(f"{kind} pixels have no agreed range; scale them to 8 bits first")
    if image.mode.startswith("I;16"):
        deep = np.asarray(image).astype(np.uint32)
        image = PIL.Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    if image.mode in ("La", "RGBa"):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        paper = PIL.Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image.getchannel("A"))
        return paper
    return image if image.mode == "RGB" else image.convert("RGB")
