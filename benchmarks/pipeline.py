"""Photograph to embeddings: faceprint's starter pack against dlib, driven as face_recognition does.

Both sides start from the file's bytes on disk and end with one embedding a face found. dlib takes
photographs one at a time; faceprint is measured one at a time (`analyze`) and as a stream
(`analyze_many`). Sides take turns chunk by chunk, so that a slow minute hits all of them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import PIL.Image
from _common import median, provenance, rotate, write
from _dlib import DlibPipeline
from _photographs import above_a_megapixel, lfw

import faceprint


def sides(dlib: DlibPipeline, fp: faceprint.FaceAnalyzer) -> dict[str, Callable[[Path], int]]:
    """Name -> photograph in, number of faces out."""

    def by_dlib(path: Path) -> int:
        return len(dlib.embed_image(np.array(PIL.Image.open(path).convert("RGB"))))

    return {"dlib": by_dlib, "faceprint, one at a time": lambda path: len(fp.analyze(path))}


def over(
    paths: list[Path], dlib: DlibPipeline, fp: faceprint.FaceAnalyzer
) -> dict[str, Callable[[], object]]:
    """Each side as a call that does these photographs once."""

    def one_by_one(run: Callable[[Path], int]) -> Callable[[], object]:
        return lambda: [run(path) for path in paths]

    runs = {name: one_by_one(run) for name, run in sides(dlib, fp).items()}
    return runs | {"faceprint, stream": lambda: list(fp.analyze_many(paths))}


def measure(
    paths: Sequence[Path], dlib: DlibPipeline, fp: faceprint.FaceAnalyzer, rounds: int, chunk: int
) -> dict[str, Any]:
    """Median milliseconds a photograph of each side over `rounds` passes, and the ratios."""
    totals: dict[str, list[float]] = {}
    faces: dict[str, int] = {}
    for name, run in sides(dlib, fp).items():
        faces[name] = sum(run(path) for path in paths)
    for start in range(0, len(paths), chunk):
        runs = over(list(paths[start : start + chunk]), dlib, fp)
        for name, times in rotate(runs, rounds, warm=False).items():
            so_far = totals.setdefault(name, [0.0] * rounds)
            totals[name] = [a + b for a, b in zip(so_far, times, strict=True)]
    each = {name: 1000 * median(times) / len(paths) for name, times in totals.items()}
    return {
        "photographs": len(paths),
        "faces_found": faces,
        "ms_a_photograph": {name: round(value, 2) for name, value in each.items()},
        "times_faster_than_dlib": {
            name: round(each["dlib"] / value, 2) for name, value in each.items() if name != "dlib"
        },
    }


def main() -> None:
    """Run both sets of photographs and write benchmarks/results/pipeline.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=int, default=200, help="of LFW")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    small, large = lfw(chosen.photographs), above_a_megapixel()
    dlib, fp = DlibPipeline(), faceprint.load("starter")
    result = {
        "what": "photograph on disk to embeddings, starter pack against dlib's own pipeline",
        "rounds": chosen.rounds,
        "lfw_250_pixels": measure(small, dlib, fp, chosen.rounds, 50),
        "above_a_megapixel": measure(large, dlib, fp, chosen.rounds, 4)
        | {"names": [path.name for path in large]},
        **provenance("dlib-bin", "pillow"),
    }
    write("pipeline", result)


if __name__ == "__main__":
    main()
