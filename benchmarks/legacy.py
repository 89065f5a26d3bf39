"""The article's network, as the zoo wrote it in 2018, against its modern twin.

LResNet100E-IR at full size with random weights, in the zoo's shape (opset 8, IR 3, weights listed
as inputs, `spatial = 0`, slopes (C,), Dropout, batch fixed at 1), prepared by `zoo/legacy.py`; and
the same weights written as of today. Both embed the same batch of 8, in turn.

    python benchmarks/legacy.py [--rounds 7]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _common import median, provenance, rotate, write
from onnx_graphs import MODERN, ZOO, parameters, r100, save

from faceprint.runtime.session import RuntimeOptions, open_session
from faceprint.zoo import legacy

BATCH, BAR = 8, 0.95


def main() -> int:
    """Exit code 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        graph = r100(ZOO)
        size = parameters(graph)
        old = save(graph, folder / "old.onnx")
        twin = save(r100(MODERN), folder / "twin.onnx")
        start = time.perf_counter()
        prepared = legacy.prepare(old, folder / "prepared")
        first = time.perf_counter() - start
        legacy.prepare(old, folder / "prepared")
        again = time.perf_counter() - start - first
        sessions = {
            name: open_session(path, runtime="onnxruntime", options=RuntimeOptions())
            for name, path in (("legacy", prepared), ("modern", twin))
        }
        blob = np.random.default_rng(0).uniform(0, 255, (BATCH, 3, 112, 112)).astype(np.float32)
        outputs = {name: session.run(blob)[0] for name, session in sessions.items()}
        sides = {
            name: (lambda session=session: session.run(blob)) for name, session in sessions.items()
        }
        times = rotate(sides, rounds)
    seconds = {name: median(values) for name, values in times.items()}
    ratio = seconds["modern"] / seconds["legacy"]
    result = {
        "claim": f"the legacy graph embeds a batch of 8 at no less than {BAR} of its twin's rate",
        **provenance("onnx"),
        "parameters": size,
        "batch": BATCH,
        "rounds": rounds,
        "median_seconds": seconds,
        "best_seconds": {name: min(values) for name, values in times.items()},
        "faces_per_second": {name: BATCH / value for name, value in seconds.items()},
        "ratio": ratio,
        "best_ratio": min(times["modern"]) / min(times["legacy"]),
        "largest_difference": float(np.abs(outputs["legacy"] - outputs["modern"]).max()),
        "largest_value": float(np.abs(outputs["modern"]).max()),
        "rewrite_seconds": first,
        "find_again_seconds": again,
        "passed": ratio >= BAR,
    }
    write("legacy", result)
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
