"""How many crops or pixels one call of a small network should take, on one thread.

The networks are narrow, so activations that leave the core's cache cost more than the arithmetic.
MTCNN's three alone on a core; embedders, as the engine prepares them, on all cores at once.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from _common import median, provenance, rotate, use_shared_models, write

from faceprint import settings
from faceprint.runtime.session import RuntimeOptions, Session, open_session
from faceprint.vision.detect.cascade_batching import proposal_grid
from faceprint.vision.load import LoadOptions, load_embedder
from faceprint.zoo import catalog, store

EMBEDDERS = ("dlib-resnet", "mobileface", "w600k-mbf-dequant")

CROPS = 96

SHAPES = {
    "rnet": [(rows, 3, 24, 24) for rows in (4, 16, 64, 256)],
    "onet": [(rows, 3, 48, 48) for rows in (1, 4, 16, 64)],
    "pnet": [(rows, 3, 150, 150) for rows in (1, 4, 16)]
    + [(1, 3, side, side) for side in (210, 290)]
    + [(1, 3, 600, 900)],
}


def call(session: Session, blob: np.ndarray) -> Callable[[], object]:
    """One run."""
    return lambda: session.run(blob)


def embedders() -> list[dict[str, object]]:
    """Milliseconds a crop by crops in a call, every core with calls of its own."""
    cores, rows = settings.available_cores(), []
    rng = np.random.default_rng(0)
    for name in EMBEDDERS:
        card = catalog.get_card(name)
        loaded = load_embedder(card, LoadOptions(threads=1, accept_license=True))
        shape = (3, card.input.height, card.input.width)
        sides = {}
        for count in (1, 2, 4, 8, 16):
            blob = rng.uniform(-1, 1, (count, *shape)).astype(np.float32)
            run, calls = call(loaded._session, blob), max(cores, CROPS // count)
            sides[str(count)] = lambda run=run, calls=calls: side_by_side(run, calls, cores)
        for count, seconds in rotate(sides, 7).items():
            crops = int(count) * max(cores, CROPS // int(count))
            each = round(1000 * median(seconds) / crops, 2)
            rows.append({"model": name, "rows": int(count), "ms_a_crop": each})
    return rows


def side_by_side(run: Callable[[], object], calls: int, cores: int) -> None:
    """So many calls on as many threads as there are cores."""
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(lambda _: run(), range(calls)))


def _cells(shape: tuple[int, ...]) -> int:
    """Cells of P-Net's output; 0 for a network of another kind."""
    rows, columns = proposal_grid(*shape[2:])
    return shape[0] * rows * columns if shape in SHAPES["pnet"] else 0


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
                    # What a tile is for; neighbors see 10 pixels of one another.
                    "ns_a_cell": round(1e9 * each / cells, 1) if (cells := _cells(shape)) else None,
                }
            )
    with tempfile.TemporaryDirectory() as home:
        use_shared_models(Path(home))
        side = embedders()
    what = "calls of small networks by size, one thread each"
    write("blocks", {"what": what, "rows": rows, "embedders": side, **provenance()})


if __name__ == "__main__":
    main()
