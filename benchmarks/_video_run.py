"""One run of `analyze_video` in a process of its own: speed, latency, dropped frames, memory.

    python _video_run.py DETECTOR EMBEDDER VIDEO

Prints JSON; `marks` are the times of the analyzed frames in the video, and of the clock when their
tracks were known.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from faceprint.types import Face, Image
from faceprint.video.analyze import analyze_video
from faceprint.video.options import VideoProgress
from faceprint.vision.analyzer import FaceAnalyzer, load


class Timed:
    """An analyzer that times its calls."""

    def __init__(self, fp: FaceAnalyzer) -> None:
        self._fp = fp
        self.ms: list[float] = []
        self.faces = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fp, name)

    def analyze(self, image: Image) -> list[Face]:
        """The analyzer's."""
        before = time.perf_counter()
        faces = self._fp.analyze(image)
        self.ms.append(1000 * (time.perf_counter() - before))
        self.faces += len(faces)
        return faces


def resident_mb() -> float:
    """What this process holds now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def main(detector: str, embedder: str, video: str) -> dict[str, Any]:
    """One run; times do not count the opening of the models."""
    fp = load(detector=detector, embedder=embedder)
    fp.open()
    fp.analyze(np.zeros((64, 64, 3), np.uint8))
    timed, memory, marks = Timed(fp), dict[int, float](), list[tuple[float, float]]()

    def watch(now: VideoProgress) -> None:
        memory.setdefault(int(now.position // 60), 0.0)
        memory[int(now.position // 60)] = max(memory[int(now.position // 60)], resident_mb())
        marks.append((now.position, time.time()))

    progress = VideoProgress(watch)
    start = time.perf_counter()
    tracks = sum(1 for _ in analyze_video(video, timed, progress=progress))  # type: ignore[arg-type]
    wall = time.perf_counter() - start
    return {
        "seconds": round(wall, 2),
        "video_seconds": round(progress.position, 2),
        "frames": progress.frames,
        "analyzed": progress.analyzed,
        "dropped": progress.dropped,
        "faces": timed.faces,
        "tracks": tracks,
        "ms": spread(timed.ms),
        "marks": marks,
        "mb_by_minute": [round(value, 1) for value in memory.values()],
    }


def spread(values: list[float]) -> dict[str, float]:
    """Median and 95 % quantile."""
    return {
        "median": round(float(np.median(values)), 1),
        "p95": round(float(np.percentile(values, 95)), 1),
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:4])))
