"""The bulk engine against the bare ONNX Runtime calls that it cannot avoid.

The tensors that `analyze_many` feeds its networks are recorded once and replayed by as many threads
as the engine has workers, on the same sessions: no decoding, no resizing, no crops, no suppression.
The ratio is the share of the engine's time that networks alone would take.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from _common import SHARED, median, provenance, rotate, write

import faceprint
from faceprint.runtime.session import Session
from faceprint.types import Array

Call = tuple[Session, Array]


class Recorder:
    """A session that notes what goes through it."""

    def __init__(self, session: Session, calls: list[Call]) -> None:
        self._session, self._calls = session, calls
        self.info = session.info

    def run(self, blob: Array) -> tuple[Array, ...]:
        """Note and pass on."""
        self._calls.append((self._session, blob.copy()))
        return self._session.run(blob)


def recorded(fp: faceprint.FacePrint, paths: list[Path]) -> list[Call]:
    """Every network call that a stream over `paths` makes."""
    engine: Any = fp._one_thread_each() or fp
    engine.open()
    calls: list[Call] = []
    holders = [(engine.embedder, "_session")]
    holders += [
        (engine.detector, name)
        for name in ("_pnet", "_rnet", "_onet", "_session")
        if hasattr(engine.detector, name)
    ]
    originals = [(owner, name, getattr(owner, name)) for owner, name in holders]
    for owner, name, session in originals:
        setattr(owner, name, Recorder(session, calls))
    list(fp.analyze_many(paths))
    for owner, name, session in originals:
        setattr(owner, name, session)
    return calls


def replay(calls: list[Call], workers: int) -> None:
    """Run the calls side by side, in their order, and nothing else."""
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(lambda call: call[0].run(call[1]), calls):
            pass


def measure(name: str, fp: faceprint.FacePrint, paths: list[Path], rounds: int) -> dict[str, Any]:
    """Both sides in turn."""
    workers = fp._options.session.thread_count()
    calls = recorded(fp, paths)
    sides: dict[str, Callable[[], object]] = {
        "engine": lambda: list(fp.analyze_many(paths)),
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


def main() -> None:
    """Measure and write benchmarks/results/engine.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    paths = sorted((SHARED / "faces" / "lfw").rglob("*.jpg"))
    paths = paths[:: max(1, len(paths) // chosen.photographs)][: chosen.photographs]
    result = {
        "what": "analyze_many against a replay of its network calls, LFW photographs",
        "rounds": chosen.rounds,
        "rows": [measure("mtcnn + dlib-resnet", faceprint.load("starter"), paths, chosen.rounds)],
        **provenance("pillow"),
    }
    write("engine", result)


if __name__ == "__main__":
    main()
