"""The loop that face_recognition's and deepface's examples have around a video.

    python video_loop.py SIDE VIDEO SECONDS [WEIGHTS]

Reads frame by frame with OpenCV, finds and embeds the faces of each, and stops after so many
seconds. Runs in the peer's own environment (envs.py) and prints JSON.

- `face_recognition`: its example facerec_from_webcam.py: every frame as it is.
- `face_recognition, faster`: facerec_from_webcam_faster.py: a quarter of the size, every other one.
- `deepface`: `represent` on every frame, with YuNet and the ArcFace file that is given to it.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import cv2

Step = Callable[[Any, int], int]


def face_recognition_step(scale: float, every: int) -> Step:
    """Number of faces found and embedded in a frame."""
    import face_recognition

    def step(frame: Any, number: int) -> int:
        if number % every:
            return 0
        if scale != 1:
            frame = cv2.resize(frame, (0, 0), fx=scale, fy=scale)
        image = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        boxes = face_recognition.face_locations(image)
        return len(face_recognition.face_encodings(image, boxes))

    return step


def deepface_step(weights: str) -> Step:
    """The same with `DeepFace.represent`."""
    os.environ["DEEPFACE_HOME"] = weights
    from deepface import DeepFace

    names = {"model_name": "Buffalo_L", "detector_backend": "yunet", "enforce_detection": False}

    def step(frame: Any, number: int) -> int:
        found = DeepFace.represent(frame, **names)
        return sum(bool(face["face_confidence"]) for face in found)

    return step


def main(side: str, video: str, seconds: float, weights: str) -> dict[str, Any]:
    """What the loop did in that time."""
    if side == "deepface":
        step = deepface_step(weights)
    else:
        step = face_recognition_step(0.25, 2) if "faster" in side else face_recognition_step(1, 1)
    capture = cv2.VideoCapture(video)
    _, first = capture.read()
    step(first, 0)  # models load on first use
    times, faces, frames = [], 0, 0
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        there, frame = capture.read()
        if not there:
            break
        before = time.perf_counter()
        faces += step(frame, frames)
        times.append(1000 * (time.perf_counter() - before))
        frames += 1
    wall = time.perf_counter() - start
    times.sort()
    return {
        "seconds": round(wall, 2),
        "frames": frames,
        "faces": faces,
        "ms": {"median": times[len(times) // 2], "p95": times[int(0.95 * (len(times) - 1))]},
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), (*sys.argv, "")[4])))
