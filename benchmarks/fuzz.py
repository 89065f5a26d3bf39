"""Damaged photographs, galleries, cards, graphs, imports and tables: every use must end well.

    python benchmarks/fuzz.py                              an hour, all kinds
    python benchmarks/fuzz.py --only cards --cases 200     some cases of one kind
    python benchmarks/fuzz.py --only cards --index 17      one case again

Ending well: a result or an error of faceprint's own (exit codes 0 to 4), within 5 seconds of
processor time and 1 GB of memory. Kind, seed and index decide what a case is. Damaged files that
were used and did not end well are kept below --keep.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

from _common import provenance, write
from fuzz_run import KINDS, Case, in_memory, run

SHARES = {"photographs": 0.17, "galleries": 0.22, "cards": 0.03, "graphs": 0.05, "imports": 0.27}
"""Of the time; the rest is for tables. An hour is enough for 20,000 photographs and 2,000 of every
other kind on a machine with a core to itself."""


def measure(kind: str, chosen: argparse.Namespace, seconds: float, folder: Path) -> dict[str, Any]:
    """Run one kind and add up what came of it."""
    end = time.monotonic() + seconds
    indices = count(chosen.first) if chosen.index is None else [chosen.index]
    cases = 0
    ended: Counter[str] = Counter()
    findings: list[dict[str, Any]] = []
    most: dict[str, float] = {"seconds": 0.0, "megabytes": 0.0}
    for case in run(kind, chosen.seed, indices, folder):
        cases += 1
        ended += Counter(case.ended)
        findings += _rows(case)
        for name in most:
            most[name] = max(most[name], getattr(case, name))
        if time.monotonic() > end or cases == chosen.cases:
            break
    return {
        "cases": cases,
        "first": chosen.first,
        "steps": dict(ended.most_common()),
        "most": {name: round(value, 2) for name, value in most.items()},
        "findings": findings,
    }


def _rows(case: Case) -> list[dict[str, Any]]:
    own = {"index": case.index, "original": case.original, "mutations": list(case.mutations)}
    for found in case.findings:
        text = f"{case.kind} {case.seed} {case.index} {case.original} {'+'.join(case.mutations)}"
        print(
            text,
            found["step"],
            found["what"][-400:],
            found["trail"][-3:],
            file=sys.stderr,
            flush=True,
        )
    return [own | found for found in case.findings]


def main() -> None:
    """Print JSON, and keep it if all kinds ran; leave with 1 when something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0, help="for all kinds together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=KINDS, action="append", help="these kinds alone")
    parser.add_argument("--cases", type=int, help="of each kind at the most")
    parser.add_argument("--first", type=int, default=0, help="index of the first case")
    parser.add_argument("--index", type=int, help="this case alone")
    parser.add_argument("--keep", type=Path, help="a folder for the files of findings")
    chosen = parser.parse_args()
    kinds = chosen.only or KINDS
    rest = 1 - sum(SHARES.values())
    whole = sum(SHARES.get(kind, rest) for kind in kinds)
    with tempfile.TemporaryDirectory(dir=in_memory()) as scratch:
        folder = chosen.keep or Path(scratch)
        result: dict[str, Any] = {"seed": chosen.seed, **provenance("pillow", "pyarrow", "onnx")}
        for kind in kinds:
            seconds = chosen.seconds * SHARES.get(kind, rest) / whole
            result[kind] = measure(kind, chosen, seconds, folder)
    if chosen.only or chosen.cases or chosen.index is not None:
        print(json.dumps(result, indent=2))
    else:
        write("fuzz", result)
    sys.exit(1 if any(result[kind]["findings"] for kind in kinds) else 0)


if __name__ == "__main__":
    main()
