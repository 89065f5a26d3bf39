"""The bulk engine against the bare ONNX Runtime calls that it cannot avoid.

The tensors that `analyze_many` feeds its networks are recorded once and replayed by as many threads
as the engine has workers, on the same sessions: no decoding, no resizing, no crops, no suppression.
The ratio is the share of the engine's time that networks alone would take. Beside the starter pack
stand the settings that `peers.py` compares with other libraries: what the ratios there could be at
most, if nothing but the networks took time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from _common import SHARED, median, provenance, rotate, use_shared_models, write
from _peers.plan import DLIB, MTCNN
from _photographs import above_a_megapixel

import faceprint
from faceprint.runtime.session import Session
from faceprint.types import Array
from faceprint.vision.analyzer import FaceAnalyzer
from faceprint.vision.load import LoadOptions
from faceprint.zoo.catalog import get_card

Call = tuple[Session, Array]

_PAIR = "scrfd-500m + w600k-mbf"
_SETS = {"lfw": "LFW", "large": "above a megapixel"}


class Recorder:
    """A session that notes what goes through it."""

    def __init__(self, session: Session, calls: list[Call]) -> None:
        self._session, self._calls = session, calls
        self.info = session.info

    def run(self, blob: Array) -> tuple[Array, ...]:
        """Note and pass on."""
        self._calls.append((self._session, blob.copy()))
        return self._session.run(blob)


def recorded(fp: FaceAnalyzer, paths: list[Path], embed: bool) -> list[Call]:
    """Every network call that a stream over `paths` makes."""
    engine: Any = fp._stream_executor(1)._analyzer
    calls: list[Call] = []
    holders = [(engine.embedder, "_session")] if embed else []
    holders += [
        (engine.detector, name)
        for name in ("_pnet", "_rnet", "_onet", "_session")
        if hasattr(engine.detector, name)
    ]
    originals = [(owner, name, getattr(owner, name)) for owner, name in holders]
    for owner, name, session in originals:
        setattr(owner, name, Recorder(session, calls))
    list(fp.analyze_many(paths, embed=embed, quality=embed))
    for owner, name, session in originals:
        setattr(owner, name, session)
    return calls


def replay(calls: list[Call], workers: int) -> None:
    """Run the calls side by side, in their order, and nothing else."""
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(lambda call: call[0].run(call[1]), calls):
            pass


def measure(
    name: str, fp: FaceAnalyzer, paths: list[Path], rounds: int, *, embed: bool = True
) -> dict[str, Any]:
    """Both sides in turn."""
    workers = fp._batch.options.session.thread_count()
    calls = recorded(fp, paths, embed)
    sides: dict[str, Callable[[], object]] = {
        "engine": lambda: list(fp.analyze_many(paths, embed=embed, quality=embed)),
        "bare": lambda: replay(calls, workers),
    }
    each = {
        side: 1000 * median(times) / len(paths) for side, times in rotate(sides, rounds).items()
    }
    return {
        "models": name,
        "photographs": len(paths),
        "workers": workers,
        "network_calls": len(calls),
        "ms_a_photograph": {side: round(value, 3) for side, value in each.items()},
        "share_of_the_bare_rate": round(each["bare"] / each["engine"], 3),
    }


def opened(detector: str, embedder: str, settings: dict[str, Any]) -> FaceAnalyzer:
    """A detector with settings of its own, and an embedder."""
    card = get_card(detector)
    card = replace(card, options={**card.options, **settings})
    return FaceAnalyzer("engine", card, get_card(embedder), LoadOptions(accept_license=True))


def of_peers(paths: list[Path], rounds: int) -> list[dict[str, Any]]:
    """The settings that are compared with other libraries."""
    same = {"score_threshold": 0.5, "nms_threshold": 0.4}
    cascade = dict(MTCNN.entries[0].options["settings"])
    large = above_a_megapixel()
    rows = []
    for ours, on, settings, photographs in (
        ("faceprint", "lfw", same, paths),
        ("faceprint at 640", "lfw", {**same, "min_side": 640}, paths[::2]),
        ("faceprint", "large", same, large * 4),
    ):
        fp = opened("scrfd-500m", "w600k-mbf-dequant", settings)
        row = measure(f"{_PAIR}, {_SETS[on]}", fp, photographs, rounds)
        rows.append({**row, "side_of_peers": ours, "on": on, "settings": settings})
    ours = MTCNN.entries[0].name
    for on, photographs in (("lfw", paths), ("large", large * 2)):
        fp = opened("mtcnn", "dlib-resnet", cascade)
        row = measure(f"mtcnn alone, {_SETS[on]}", fp, photographs, rounds, embed=False)
        rows.append({**row, "side_of_peers": ours, "on": on, "settings": cascade})
    return rows


def main() -> None:
    """Measure and write benchmarks/results/engine.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    paths = sorted((SHARED / "faces" / "lfw").rglob("*.jpg"))
    paths = paths[:: max(1, len(paths) // chosen.photographs)][: chosen.photographs]
    rows = []
    for on, photographs in (("lfw", paths), ("large", above_a_megapixel() * 4)):
        fp = faceprint.load("starter")
        row = measure(f"starter pack, {_SETS[on]}", fp, photographs, chosen.rounds)
        rows.append({**row, "side_of_peers": DLIB.entries[0].name, "on": on})
    with tempfile.TemporaryDirectory() as home:
        use_shared_models(Path(home))
        rows += of_peers(paths[:512], chosen.rounds)
    result = {
        "what": "analyze_many against a replay of its network calls",
        "rounds": chosen.rounds,
        "rows": rows,
        **provenance("pillow"),
    }
    write("engine", result)


if __name__ == "__main__":
    main()
