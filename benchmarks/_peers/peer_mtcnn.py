"""The TensorFlow distribution `mtcnn`: `detect_faces(path)`, or a list of them as one batch."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from mtcnn import MTCNN
from side import Side, batches, cores, loop, pool, versions


def open_side(options: dict[str, Any]) -> Side:
    """Options: `min_face` in pixels, the three `thresholds`, `factor` of the pyramid."""
    detector = MTCNN(device="CPU:0")
    pnet, rnet, onet = options["thresholds"]
    settings = {
        "min_face_size": options["min_face"],
        "scale_factor": options["factor"],
        "threshold_pnet": pnet,
        "threshold_rnet": rnet,
        "threshold_onet": onet,
    }

    def one(path: str) -> list[Any]:
        return list(detector.detect_faces(path, box_format="xyxy", **settings))

    def together(paths: Any) -> list[Any]:
        found = detector.detect_faces(list(paths), box_format="xyxy", **settings)
        # Without any face in the batch it answers with one empty list.
        return list(found) if len(found) == len(paths) else [[] for _ in paths]

    return Side(
        one=one,
        ways={
            "loop": loop(one),
            "pool": pool(one),
            **{f"batches of {size}": batches(together, size) for size in (4, 16, 32)},
        },
        plain=lambda faces: [
            {
                "box": [float(value) for value in face["box"]],
                "points": [
                    [float(value) for value in face["keypoints"][name]]
                    for name in ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
                ],
            }
            for face in faces
        ],
        facts={
            "api": "MTCNN(device='CPU:0').detect_faces(path or list of paths)",
            "settings": options,
            "input": "a pyramid of the photograph",
            "threads": f"TensorFlow's own choice; {cores()} cores",
            "versions": versions("mtcnn", "tensorflow-cpu", "keras", "numpy"),
        },
    )
