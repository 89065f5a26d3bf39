"""What is asked of Pillow: one reader a format, and every pixel mode to upright RGB.

Raises what Pillow raises; `vision/images.py` is its one caller and gives those errors a type.
"""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from faceprint import _optional
from faceprint.errors import DecodeError, MissingExtraError
from faceprint.types import Image

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

__all__ = ["open_photo", "orientation", "shrink", "upright_rgb"]

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_HEIF = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
_HEIF |= {b"mif1", b"mif2", b"msf1"}
"""Brands of ISO 23008-12, annex B, and of the image file format it builds on."""
_KNOWN_OTHERS = {
    b"GIF8": "GIF",
    b"\x1aE\xdf\xa3": "a video (Matroska)",
    b"%PDF": "PDF",
    b"\0\0\x01\0": "ICO",
    b"8BPS": "Photoshop",
}


def open_photo(data: bytes, check_size: Callable[[tuple[int, int]], None]) -> PILImage:
    """Read the header of an encoded photograph; pixels come with `load()`.

    Args:
        data: the whole file.
        check_size: called with (width, height) before anything of that size is allocated.

    Raises:
        DecodeError: another format; and whatever Pillow raises on damage.
    """
    opened = _open(data, check_size)
    check_size(opened.size)
    return opened


def shrink(image: PILImage, halvings: int) -> int:
    """Have a JPEG decoded with its sides halved up to three times, before its pixels are made.

    The decoder then makes that many pixels alone, each the mean of what it stands for (the inverse
    transform of fewer coefficients).

    Returns:
        How often they are halved; 0 for other formats.
    """
    from PIL.JpegImagePlugin import JpegImageFile

    if not halvings or not isinstance(image, JpegImageFile):
        return 0
    width, height = image.size
    image.draft(None, (width >> halvings, height >> halvings))
    return halvings if image.size != (width, height) else 0


def _open(data: bytes, check_size: Callable[[tuple[int, int]], None]) -> PILImage:
    # The readers themselves and not Image.open: it tries every format it knows, and warns about
    # sizes, before the caller can look at the header.
    stream = io.BytesIO(data)
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg_reader()(stream)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        from PIL.PngImagePlugin import PngImageFile

        return PngImageFile(stream)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        from PIL.WebPImagePlugin import WebPImageFile

        # Its reader allocates the canvas on opening.
        check_size(_webp_size(data))
        return WebPImageFile(stream)
    if data.startswith(_TIFF):
        from PIL.TiffImagePlugin import TiffImageFile

        return TiffImageFile(stream)
    if data.startswith(b"BM"):
        from PIL.BmpImagePlugin import BmpImageFile

        return BmpImageFile(stream)
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF:
        return _open_heif(stream)
    found = _KNOWN_OTHERS.get(data[:4], "")
    if data[4:8] == b"ftyp":
        found = "AVIF" if data[8:12] in (b"avif", b"avis") else "a video (MP4 or QuickTime)"
    what = found or f"not an image (it begins with {data[:8]!r})"
    raise DecodeError(f"{what}; JPEG, PNG, WebP, BMP and TIFF are read")


@functools.cache
def _jpeg_reader() -> Callable[[io.BytesIO], PILImage]:
    from PIL.JpegImagePlugin import JpegImageFile

    class Reader(JpegImageFile):
        # Looking for a resolution in damaged EXIF warns; nobody here wants the resolution.
        def _read_dpi_from_exif(self) -> None:
            pass

    # This class and not Pillow's factory: an MPO's first picture is a plain JPEG.
    return Reader


def _open_heif(stream: io.BytesIO) -> PILImage:
    try:
        heif = _optional.require("pillow_heif", extra="heif")
    except MissingExtraError as error:
        raise DecodeError(f"HEIC; {error}") from error
    opened: PILImage = heif.HeifImageFile(stream)
    return opened


def _webp_size(data: bytes) -> tuple[int, int]:
    """Canvas of a WebP file, RFC 9649 sections 2.5 to 2.7."""
    kind = data[12:16]
    if kind == b"VP8X":
        sides = [int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27)]
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        sides = [(bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1]
    else:
        sides = [int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28)]
    return sides[0], sides[1]


def orientation(image: PILImage) -> int:
    """EXIF orientation 1..8 of an image; 1 when there is none or it makes no sense.

    Read by hand because Pillow's parser warns about damage elsewhere in the block, and falls back
    on XMP, which viewers do not. TIFF needs nothing: Pillow turns it on loading.
    """
    raw = image.info.get("exif")
    if raw is None and isinstance(profile := image.info.get("Raw profile type exif"), str):
        try:  # ImageMagick's way of putting EXIF into PNG
            raw = bytes.fromhex("".join(profile.split("\n")[3:]))
        except ValueError:
            return 1
    if not isinstance(raw, bytes):
        return 1
    tiff = raw.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", tiff, entry)
            if tag == 0x0112:
                code = {1: "B", 3: "H", 4: "I"}.get(kind, "H")
                (value,) = struct.unpack_from(order + code, tiff, entry + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def upright_rgb(image: PILImage) -> Image:
    """A loaded or lazy PIL image to contiguous (H, W, 3) RGB uint8, turned upright.

    Raises:
        DecodeError: a mode without an agreed range; and whatever Pillow raises on damage.
    """
    from PIL.Image import Transpose

    image.load()
    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    turn = turns.get(orientation(image))
    rgb = _to_rgb(image)
    return np.array(rgb if turn is None else rgb.transpose(turn))


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
