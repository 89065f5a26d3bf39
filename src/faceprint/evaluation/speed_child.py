"""The process that measures one pack; speed.py starts it and reads its lines."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from faceprint.errors import FaceprintError, NoFaceError
from faceprint.evaluation.speed import (
    PackSpeed,
    SpeedRequest,
    embedding_rate,
    median_ms,
    samples,
    search_times,
    stream_rate,
)
from faceprint.vision.analyzer import load


def main() -> None:
    """Read a request from stdin, measure, write lines of JSON: stages, then the result."""
    request = SpeedRequest(**json.load(sys.stdin))
    # Libraries may print; the lines have a stream of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def tell(kind: str, content: object) -> None:
        answers.write(json.dumps([kind, content]) + "\n")
        answers.flush()

    try:
        tell("result", asdict(_measure(request, lambda what: tell("stage", what))))
    except FaceprintError as error:
        tell(type(error).__name__, str(error))


def _measure(request: SpeedRequest, stage: Callable[[str], None]) -> PackSpeed:
    stage("opening the models")
    start = time.perf_counter()
    fp = load(
        request.pack,
        detector=request.detector,
        embedder=request.embedder,
        runtime=request.runtime,
        device=request.device,
        threads=request.threads,
        processes=request.processes,
        accept_license=request.accept_license,
    )
    fp.open()
    opened = time.perf_counter() - start
    paths = samples()
    crops = [face.crop for path in paths for face in fp.analyze(path, keep_crops=True)]
    kept = np.stack([crop for crop in crops if crop is not None]) if crops else None
    if kept is None:
        raise NoFaceError("the sample photographs show no face to this detector")
    stage("one photograph")
    photograph = median_ms(lambda: [fp.analyze(path) for path in paths], request.seconds / 4)
    stage("a stream of photographs")
    stream = stream_rate(fp, paths, request.seconds)
    stage("faces")
    faces = embedding_rate(fp, kept, request.seconds / 4)
    memory = _peak_memory()  # before the gallery, which is not the pack's
    dim = fp.embedder_card.dim or kept.shape[1]
    stage(f"search among {request.templates:,} templates")
    one, many = search_times(request.templates, dim, request.seconds / 6)
    return PackSpeed(
        pack=fp.name,
        detector=fp.detector_card.id,
        embedder=fp.embedder_card.id,
        runtime=fp.runtime,
        processes=fp.processes,
        photographs_a_second=stream,
        photograph_ms=photograph / len(paths),
        faces_a_second=faces,
        search_ms=one,
        probes_a_second=many,
        templates=request.templates,
        dim=dim,
        memory_mb=memory,
        open_s=opened,
    )


def _peak_memory() -> float | None:
    """Peak of this process and its children in 10^6 bytes; None without /proc."""
    try:
        tasks = Path("/proc/self/task").glob("*/children")
        children = [pid for task in tasks for pid in task.read_text().split()]
        return sum(_peak_of(pid) for pid in ("self", *children)) * 1024 / 1e6
    except OSError:
        return None


def _peak_of(pid: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    main()
