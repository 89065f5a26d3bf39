"""Headers of photographs, read before any decoder sees the file.

A forged header costs its author nothing, but some decoders collect metadata in quadratic time, and
some allocate an image of the claimed size. The size and cost read here are checked first.
"""

from __future__ import annotations

from faceprint.errors import DecodeError
from faceprint.vision.headers import jpeg, others, png, tiff
from faceprint.vision.headers.header import Header, orientation

__all__ = ["Header", "orientation", "read"]

_HEIF = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
_HEIF |= {b"mif1", b"mif2", b"msf1"}
"""Brands of ISO 23008-12, annex B, and of the image file format it builds on."""

_OTHER_FORMATS = {
    b"GIF8": "GIF",
    b"\x1aE\xdf\xa3": "a video (Matroska)",
    b"%PDF": "PDF",
    b"\0\0\x01\0": "ICO",
    b"8BPS": "Photoshop",
}
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def read(data: bytes) -> Header | None:
    """The header of a photograph; None for HEIC, which pillow_heif reads itself.

    Raises:
        DecodeError: another format, or a header that no photograph has.
        ImageTooLargeError: a tile is larger than any photograph.
    """
    if data.startswith(jpeg.SIGNATURE):
        return jpeg.read_jpeg(data)
    if data.startswith(png.SIGNATURE):
        return png.read_png(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return others.read_webp(data)
    if data.startswith(tiff.SIGNATURES):
        return tiff.read_tiff(data)
    if data.startswith(b"BM"):
        return others.read_bmp(data)
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF:
        return None
    if data.startswith(_LFS_POINTER):
        raise DecodeError("a Git LFS pointer, not the photograph; `git lfs pull` fetches it")
    found = _OTHER_FORMATS.get(data[:4], "")
    if data[4:8] == b"ftyp":
        found = "AVIF" if data[8:12] in (b"avif", b"avis") else "a video (MP4 or QuickTime)"
    what = found or f"not an image (it begins with {data[:8]!r})"
    raise DecodeError(f"{what}; JPEG, PNG, WebP, BMP and TIFF are read")
