"""The process of one side: loads its models once, then answers JSON lines on stdin.

    python serve.py PEER OPTIONS        PEER names a module peer_*.py, OPTIONS is a JSON object

    {"do": "one", "paths": [...]}                  -> seconds of each photograph, faces of each
    {"do": "bulk", "paths": [...], "way": "..."}   -> seconds of all, faces of each
    {"do": "show", "paths": [...]}                 -> the faces, and what the networks were fed
    {"do": "memory"}                               -> the process's peak, bytes

A peer that can't be loaded ends the process; its last line on stderr is the reason.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from side import Side


def answer(side: Side, asked: dict[str, Any]) -> dict[str, Any]:
    """Do what one line asks."""
    paths = asked.get("paths", [])
    if asked["do"] == "one":
        seconds, results = [], []
        for path in paths:
            start = time.perf_counter()
            results.append(side.one(path))
            seconds.append(time.perf_counter() - start)
        return {"seconds": seconds, "faces": [len(side.plain(result)) for result in results]}
    if asked["do"] == "bulk":
        start = time.perf_counter()
        results = side.ways[asked["way"]](paths)
        took = time.perf_counter() - start
        return {"seconds": took, "faces": [len(side.plain(result)) for result in results]}
    if asked["do"] == "show":
        start, before = time.perf_counter(), side.stood_in() if side.stood_in else 0.0
        with recorded_inputs() as inputs:
            shown = [side.plain(side.one(path)) for path in paths]
        found: dict[str, Any] = {"photographs": shown, "inputs": dict(inputs)}
        if side.stood_in:
            share = (side.stood_in() - before) / (time.perf_counter() - start)
            found["stood_in_share"] = round(share, 3)
        return found
    if asked["do"] == "memory":
        return {"peak_bytes": peak_bytes()}
    raise SystemExit(f"no request named {asked['do']!r}")


@contextmanager
def recorded_inputs() -> Iterator[Counter[str]]:
    """Counts the input shapes of ONNX Runtime's sessions; empty with another runtime."""
    seen: Counter[str] = Counter()
    if "onnxruntime" not in sys.modules:
        yield seen
        return
    kind = sys.modules["onnxruntime"].InferenceSession
    plain = kind.run

    def run(self: Any, names: Any, feed: dict[str, Any], *rest: Any, **named: Any) -> Any:
        seen.update("x".join(map(str, value.shape)) for value in feed.values())
        return plain(self, names, feed, *rest, **named)

    kind.run = run
    try:
        yield seen
    finally:
        kind.run = plain


def peak_bytes() -> int:
    """Peak resident memory of this process and of those it started, which still live."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    pids = children.read_text().split() if children.exists() else []
    return own + sum(_high_water(Path(f"/proc/{pid}/status")) for pid in pids)


def _high_water(status: Path) -> int:
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    """Load, say so, answer until stdin ends."""
    # Libraries print to stdout; answers have a descriptor of their own.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(message: dict[str, Any]) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    module = importlib.import_module(f"peer_{sys.argv[1]}")
    side: Side = module.open_side(json.loads(sys.argv[2]))
    say({"ready": True, "ways": list(side.ways), "facts": side.facts})
    for line in sys.stdin:
        say(answer(side, json.loads(line)))


if __name__ == "__main__":
    main()
