"""The photographs that the benchmarks use: LFW's, and those above a megapixel."""

from __future__ import annotations

from pathlib import Path

import PIL.Image
from _common import SHARED

MEGAPIXEL = 1_000_000


def lfw(count: int) -> list[Path]:
    """So many of Labeled Faces in the Wild, evenly spaced; 250 x 250 pixels, few of them gray."""
    found = sorted((SHARED / "faces" / "lfw").rglob("*.jpg"))
    count = min(count, len(found))
    return [found[index * len(found) // count] for index in range(count)]


def above_a_megapixel() -> list[Path]:
    """The large ones among the sample photographs of two other projects."""
    folders = [SHARED / "faces" / name for name in ("face_recognition", "insightface")]
    found = [path for folder in folders for path in sorted(folder.rglob("*.*"))]
    return [p for p in found if p.suffix in (".jpg", ".png") and size_of(p) >= MEGAPIXEL]


def size_of(path: Path) -> int:
    """Pixels, by the header."""
    with PIL.Image.open(path) as opened:
        return opened.width * opened.height
