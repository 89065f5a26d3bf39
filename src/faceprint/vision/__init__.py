"""From pixels to faces: decode, detect, align, embed."""

__all__ = ["EMBEDDING_VERSION"]

EMBEDDING_VERSION = 4
"""Raised when a change of faceprint (decoding, detection, alignment) changes embeddings."""
