"""Headers of photographs, read before any decoder sees the file.

A forged header costs its author nothing, but some decoders collect metadata in quadratic time, and
some allocate an image of the claimed size. The size and cost read here are checked first.
"""

from faceprint.vision.headers.exif import orientation
from faceprint.vision.headers.header import Header
from faceprint.vision.headers.read import read

__all__ = ["Header", "orientation", "read"]
