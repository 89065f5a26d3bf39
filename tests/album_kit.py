"""An album of the package's sample photographs, as `faceprint cluster --out` makes it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

import faceprint

__all__ = ["cluster_photographs", "make_photographs"]

SAMPLES = Path(faceprint.__file__).parent / "samples"


def make_photographs(folder: Path) -> Path:
    """Four photographs of three people, and a fifth whose face is too small to be sorted."""
    folder.mkdir()
    for name in ("biden.jpg", "collins.jpg", "obama.jpg", "obama2.jpg"):
        shutil.copy(SAMPLES / name, folder)
    with Image.open(SAMPLES / "collins.jpg") as large:
        small = large.resize((large.width // 4, large.height // 4))
    small.save(folder / "far away.jpg", quality=95)
    return folder


def cluster_photographs(photographs: Path, out: Path) -> None:
    """Run `faceprint cluster`, so strictly that the two of one person are two people."""
    command = [sys.executable, "-m", "faceprint", "cluster", str(photographs), "--out", str(out)]
    subprocess.run([*command, "--threshold", "0.98"], check=True, capture_output=True)
