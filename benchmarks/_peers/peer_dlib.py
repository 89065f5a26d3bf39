"""dlib, driven as `face_recognition` drives it: HOG, five points, ResNet.

`face_recognition` takes one photograph at a time; for many, its command line starts a process a
core (`--cpus`), and so does this. Its `batch_face_locations` is for the network detector on a GPU.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import PIL.Image
from _dlib import DlibPipeline
from side import Side, cores, loop, versions

_pipeline = DlibPipeline()


def one(path: str) -> list[tuple[Any, Any]]:
    """(rectangle, descriptor) of each face."""
    return _pipeline.faces(np.array(PIL.Image.open(path).convert("RGB")))


def processes(paths: Sequence[str]) -> list[Any]:
    """A process a core, started when first asked for."""
    global _workers
    if _workers is None:
        _workers = multiprocessing.get_context("fork").Pool(cores())
    return _workers.map(one, paths)


_workers: Any = None


def open_side(options: dict[str, Any]) -> Side:
    """No options."""
    return Side(
        one=one,
        # No threads: two at once in one detector end the process.
        ways={"loop": loop(one), "processes": processes},
        plain=lambda faces: [
            {
                "box": [box.left(), box.top(), box.right(), box.bottom()],
                "points": None,
                "vector": vector.tolist(),
            }
            for box, vector in faces
        ],
        facts={
            "api": "face_recognition's way: get_frontal_face_detector, one upsampling; "
            "shape_predictor with five points; face_recognition_model_v1",
            "input": "the photograph, enlarged twice",
            "threads": 1,
            "versions": versions("dlib-bin", "numpy", "pillow"),
        },
    )
