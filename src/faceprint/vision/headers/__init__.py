"""Headers of photographs, read here before any library sees the file.

A header costs its reader nothing to write and the decoders much to believe: some collect metadata
in quadratic time, some make a canvas of the size it claims. What is judged here is refused unread.
"""

from faceprint.vision.headers.exif import orientation
from faceprint.vision.headers.header import Header
from faceprint.vision.headers.read import read

__all__ = ["Header", "orientation", "read"]
