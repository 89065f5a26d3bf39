"""How much a table may unpack to, given the size of its file.

Anybody may have made the file, and a few kilobytes can hold one value a hundred thousand times.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["LONGEST_TEXT", "max_bytes", "max_characters"]

LONGEST_TEXT = 1 << 16

_RATIO = 64
"""Embeddings don't shrink. Texts padded to the longest one do, but by less than this."""


def max_bytes(path: Path) -> int:
    """Bytes that a table may take in memory.

    Raises:
        OSError: not readable.
    """
    return max(512 << 20, _RATIO * path.stat().st_size)


def max_characters(path: Path) -> int:
    """Characters that the texts of a table may add up to, repeated ones counted each time.

    Raises:
        OSError: not readable.
    """
    return max(64 << 20, _RATIO * path.stat().st_size)
