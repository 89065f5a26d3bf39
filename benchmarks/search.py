"""Searching a gallery exactly, against FAISS and usearch used directly.

    python benchmarks/search.py                            1 M faces: 5 GB of memory
    python benchmarks/search.py --faces 100000             a quick one

Every side answers the same probes, in turn; times are medians. FAISS and usearch come from the
index (faiss-cpu, usearch). The vectors: _vectors.py. Approximate search: search_approximate.py.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _common import median, provenance, rotate, write
from _vectors import DIM, data

from faceprint.recognition.index.exact import ExactIndex
from faceprint.types import Array

K, BATCH = 10, 64


def exact(faces: int, rounds: int) -> dict[str, Any]:
    """One probe and a batch."""
    import faiss
    from usearch.index import MetricKind, search

    vectors, probes = data(faces, BATCH)
    keys = np.arange(1, faces + 1, dtype=np.int64)
    flat = faiss.IndexFlatIP(DIM)
    flat.add(vectors)
    ours = ExactIndex(DIM)
    start = time.perf_counter()
    ours.reserve(faces)
    ours.add(keys, vectors)
    built = time.perf_counter() - start
    sides: dict[str, Callable[[Array], Any]] = {
        "faceprint exact": lambda q: ours.search(q, K).keys - 1,
        "faiss flat": lambda q: flat.search(q, K)[1],
        "usearch exact": lambda q: search(vectors, q, K, MetricKind.IP, exact=True).keys,
    }
    result: dict[str, Any] = {"faces": faces, "k": K, "build_s": round(built, 2)}
    result["bytes_a_face"] = {"float32": ours.nbytes / faces}
    truth = flat.search(probes, 1)[1][:, 0]
    result["recall@1"] = {
        name: float((np.asarray(run(probes)).reshape(BATCH, K)[:, 0] == truth).mean())
        for name, run in sides.items()
    }
    for label, batch in (("one probe", probes[:1]), (f"{BATCH} probes", probes)):
        times = rotate({name: _bound(run, batch) for name, run in sides.items()}, rounds)
        ms = {name: 1000 * median(values) for name, values in times.items()}
        peers = min(value for name, value in ms.items() if not name.startswith("faceprint"))
        result[label] = {
            "ms": {name: round(value, 2) for name, value in ms.items()},
            "ratio_to_fastest_peer": round(ms["faceprint exact"] / peers, 3),
        }
    return result


def _bound(run: Callable[[Array], Any], batch: Array) -> Callable[[], object]:
    return lambda: run(batch)


def main() -> int:
    """Measure and write benchmarks/results/search.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    figures = exact(chosen.faces, chosen.rounds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    about = provenance("faiss-cpu", "usearch")
    write("search", {**about, "load_before": load, **figures, "peak_gb": round(peak, 2)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
