"""From pixels to faces: decode, detect, align, embed."""

__all__ = ["EMBEDDING_VERSION"]

EMBEDDING_VERSION = 4
"""Raised when faceprint itself changes what it makes of a picture (decoding, warp, decoders)."""
