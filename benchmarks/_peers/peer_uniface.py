"""uniface: `FaceAnalyzer` with SCRFD and ArcFace from local files.

Its store looks for `scrfd_500m.onnx` in its cache folder and checks the sha256 it knows, which the
file has. The embedder's file is another one than the store's, so it is opened by its path, with the
preprocessing of `ArcFace`. One photograph at a time; its sessions take ONNX Runtime's own number of
threads, and no option changes that.
"""

from __future__ import annotations

from typing import Any

import cv2
import uniface
from side import Side, cores, loop, pool, versions
from uniface.constants import SCRFDWeights
from uniface.recognition.base import BaseRecognizer, PreprocessConfig


class LocalArcFace(BaseRecognizer):
    """`uniface.ArcFace` with a path where that has a name."""

    def __init__(self, path: str) -> None:
        super().__init__(model_path=path, preprocessing=PreprocessConfig(127.5, 127.5, (112, 112)))


def open_side(options: dict[str, Any]) -> Side:
    """Options: `cache` holds scrfd_500m.onnx, `embedder` is a file, `side` the input in pixels."""
    uniface.set_cache_dir(options["cache"])
    detector = uniface.SCRFD(
        model_name=SCRFDWeights.SCRFD_500M_KPS, input_size=(options["side"], options["side"])
    )
    analyzer = uniface.FaceAnalyzer(detector=detector, recognizer=LocalArcFace(options["embedder"]))

    def one(path: str) -> list[Any]:
        return list(analyzer.analyze(cv2.imread(path)))

    return Side(
        one=one,
        ways={"loop": loop(one), "pool": pool(one)},
        plain=lambda faces: [
            {
                "box": face.bbox.tolist(),
                "points": face.landmarks.tolist(),
                "vector": face.embedding.ravel().tolist(),
            }
            for face in faces
        ],
        facts={
            "api": "FaceAnalyzer(SCRFD, ArcFace).analyze(cv2.imread(path)), threshold 0.5",
            "input": f"{options['side']} x {options['side']}, padded",
            "threads": cores(),
            "versions": versions("uniface", "onnxruntime", "opencv-python", "numpy"),
        },
    )
