"""The process that measures one runtime; parity.py starts it and reads its answer."""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from faceprint.errors import FaceprintError, MissingExtraError, RuntimeUnavailableError
from faceprint.runtime.mxnet.worker import peak_memory
from faceprint.runtime.session import RuntimeOptions, Session, open_session
from faceprint.types import Array

_FEWEST, _MOST = 3, 50


def main() -> None:
    """Read a request from stdin, measure, write `answer.json` and the outputs."""
    request = json.load(sys.stdin)
    target = Path(request["target"])
    try:
        answer = _measure(request, target)
    except (MissingExtraError, RuntimeUnavailableError) as error:
        answer = {"error": str(error), "missing": True}
    except FaceprintError as error:
        answer = {"error": str(error), "missing": False}
    (target / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


def _measure(request: dict[str, Any], target: Path) -> dict[str, Any]:
    options = RuntimeOptions(
        threads=request["threads"],
        device=request["device"],
        spinning=request["spinning"],
        extra=request["extra"],
    )
    blob = np.load(request["blob"])
    start = time.perf_counter()
    session = open_session(Path(request["model"]), runtime=request["runtime"], options=options)
    load = time.perf_counter() - start
    outputs = session.run(blob)
    for i, part in enumerate(outputs):
        np.save(target / f"{i}.npy", part)
    return {
        "version": session.info.version,
        "nodes": session.info.nodes,
        "outputs": len(outputs),
        "ms_batch1": _milliseconds(session, blob[:1], request["seconds"]),
        "ms_batch16": _milliseconds(session, blob, request["seconds"]),
        "peak": getattr(session, "peak_memory", 0) or peak_memory() or _peak_of_system(),
        "load_s": load,
    }


def _milliseconds(session: Session, blob: Array, seconds: float) -> float:
    """Return the median time of as many calls as `seconds` allows, after a first untimed one."""
    session.run(blob)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _FEWEST or (time.perf_counter() < end and len(times) < _MOST):
        start = time.perf_counter()
        session.run(blob)
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def _peak_of_system() -> int:
    """Return the peak memory of this process in bytes, where there is no /proc; 0 on Windows."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    # Bytes on macOS, where there is no /proc; KiB elsewhere.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
