"""deepface: `represent` with YuNet and, in the place of Buffalo_L's file, any ArcFace file.

Its ArcFace is a graph of its own that nobody but its publisher serves. Its Buffalo_L opens whatever
lies under that name with insightface, so the embedder of the other sides can be given to it. Many
photographs go in as a list. No pool of threads: they would share one YuNet, which is told the size
of a photograph before it is shown it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from side import Side, batches, cores, loop, versions

_NAMED = {"model_name": "Buffalo_L", "detector_backend": "yunet", "enforce_detection": False}


def open_side(options: dict[str, Any]) -> Side:
    """Options: `home` holds `.deepface/weights`, `threshold` is YuNet's."""
    os.environ["DEEPFACE_HOME"] = options["home"]
    os.environ["yunet_score_threshold"] = str(options["threshold"])  # noqa: SIM112
    from deepface import DeepFace

    for task, name in (("facial_recognition", "Buffalo_L"), ("face_detector", "yunet")):
        DeepFace.build_model(task=task, model_name=name)

    def one(path: str) -> list[dict[str, Any]]:
        return list(DeepFace.represent(path, **_NAMED))

    def together(paths: Sequence[str]) -> list[Any]:
        found = DeepFace.represent(list(paths), **_NAMED)
        return list(found) if len(paths) > 1 else [found]

    return Side(
        one=one,
        ways={"loop": loop(one), "lists of 16": batches(together, 16)},
        plain=_plain,
        facts={
            "api": "DeepFace.represent(path or list, 'Buffalo_L', detector_backend='yunet')",
            "input": "the photograph, at most 640 pixels",
            "alignment": "by the eyes",
            "threads": f"OpenCV's and ONNX Runtime's own choice; {cores()} cores",
            "versions": versions(
                "deepface", "insightface", "onnxruntime", "opencv-contrib-python-headless"
            ),
        },
    )


def _plain(faces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    plain = []
    for face in faces:
        area = face["facial_area"]
        # Where nothing was found it embeds the whole photograph, with a confidence of 0.
        if face["face_confidence"]:
            box = [area["x"], area["y"], area["x"] + area["w"], area["y"] + area["h"]]
            plain.append({"box": box, "points": None, "vector": list(face["embedding"])})
    return plain
