"""insightface: `FaceAnalysis` on a local pack that holds a detector and an embedder alone.

Its API takes one photograph at a time. Beside the loop there is a pool of threads around it, with
its sessions on all cores and with sessions of one thread each (`sess_options` is passed on to ONNX
Runtime), and the same with the crops of many photographs in one call of `get_feat`, which takes a
list.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import cv2
import onnxruntime
from insightface.app import FaceAnalysis
from insightface.utils import face_align
from side import Many, Side, cores, loop, pool, versions

_CROPS = 16


def open_side(options: dict[str, Any]) -> Side:
    """Options: `pack` is the folder, `side` the detector's input in pixels."""
    app, narrow = open_app(options, cores()), open_app(options, 1)

    def one(path: str) -> list[Any]:
        return list(app.get(cv2.imread(path)))

    def on_one_thread(path: str) -> list[Any]:
        return list(narrow.get(cv2.imread(path)))

    return Side(
        one=one,
        ways={
            "loop": loop(one),
            "pool": pool(one),
            "pool, sessions of one thread": pool(on_one_thread),
            "pool, crops together": _crops_together(narrow),
        },
        plain=lambda faces: [
            {
                "box": face["bbox"].tolist(),
                "points": face["kps"].tolist(),
                "vector": face["embedding"].tolist(),
            }
            for face in faces
        ],
        facts={
            "api": "FaceAnalysis(pack folder).get(cv2.imread(path)), det_thresh 0.5",
            "input": f"{options['side']} x {options['side']}, padded",
            "threads": cores(),
            "versions": versions("insightface", "onnxruntime", "opencv-python", "numpy"),
        },
    )


def open_app(options: dict[str, Any], threads: int) -> FaceAnalysis:
    session = onnxruntime.SessionOptions()
    session.intra_op_num_threads = threads
    session.log_severity_level = 3
    app = FaceAnalysis(
        name=options["pack"], providers=["CPUExecutionProvider"], sess_options=session
    )
    app.prepare(ctx_id=0, det_thresh=0.5, det_size=(options["side"], options["side"]))
    return app


def _crops_together(app: FaceAnalysis) -> Many:
    """Detection and cropping on the pool, then the embedder on lists of crops, on the pool too."""
    recognition = app.models["recognition"]
    size = recognition.input_size[0]

    def found(path: str) -> tuple[list[dict[str, Any]], list[Any]]:
        image = cv2.imread(path)
        boxes, points = app.det_model.detect(image)
        faces = [{"bbox": box[:4], "kps": five} for box, five in zip(boxes, points, strict=True)]
        return faces, [face_align.norm_crop(image, face["kps"], size) for face in faces]

    detect, embed = pool(found), pool(recognition.get_feat)

    def many(paths: Sequence[str]) -> list[Any]:
        results = detect(paths)
        faces = [face for mine, _ in results for face in mine]
        crops = [crop for _, mine in results for crop in mine]
        parts = embed([crops[at : at + _CROPS] for at in range(0, len(crops), _CROPS)])
        for face, vector in zip(faces, (row for part in parts for row in part), strict=True):
            face["embedding"] = vector
        return [mine for mine, _ in results]

    return many
