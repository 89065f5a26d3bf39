"""How many crops or pixels one call of MTCNN's networks should take, on one thread.

The networks are narrow, so activations that leave the core's cache cost more than the arithmetic.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from _common import median, provenance, rotate, write

from faceprint.runtime.session import RuntimeOptions, Session, open_session
from faceprint.zoo import catalog, store

SHAPES = {
    "rnet": [(rows, 3, 24, 24) for rows in (4, 16, 64, 256)],
    "onet": [(rows, 3, 48, 48) for rows in (1, 4, 16, 64)],
    "pnet": [(rows, 3, 150, 150) for rows in (1, 4, 16)] + [(1, 3, 600, 900)],
}


def call(session: Session, blob: np.ndarray) -> Callable[[], object]:
    """One run."""
    return lambda: session.run(blob)


def main() -> None:
    """Measure and write benchmarks/results/blocks.json."""
    files = store.ensure(catalog.get_card("mtcnn"))
    rng = np.random.default_rng(0)
    rows = []
    for role, shapes in SHAPES.items():
        session = open_session(
            files[role], runtime="onnxruntime", options=RuntimeOptions(threads=1)
        )
        blobs = {shape: rng.normal(size=shape).astype(np.float32) for shape in shapes}
        times = rotate({str(s): call(session, blob) for s, blob in blobs.items()}, 15)
        for shape in shapes:
            pixels = shape[0] * shape[2] * shape[3]
            each = median(times[str(shape)])
            rows.append(
                {
                    "network": role,
                    "rows": shape[0],
                    "side": shape[2:],
                    "ms_a_call": round(1000 * each, 3),
                    "ns_a_pixel": round(1e9 * each / pixels, 1),
                }
            )
    write("blocks", {"what": "MTCNN calls by size, one thread", "rows": rows, **provenance()})


if __name__ == "__main__":
    main()
