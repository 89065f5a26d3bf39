"""Many cores: one process of many threads against several processes of a few.

    FACEPRINT_SHARED=DIR python benchmarks/cores.py [--photographs N] [--rounds N]

The starter pack on all cores that this process may use, and on fewer; how processes and threads
share them; `embed` from the files to the table as it is by default. Sides take turns. Writes
benchmarks/results/cores.json on a machine of eight cores or more, and prints it on any.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from _common import median, provenance, write
from _photographs import above_a_megapixel, lfw

import faceprint
from faceprint import settings
from faceprint._memory import give_back_memory
from faceprint.bulk.local import LocalEngine
from faceprint.bulk.run import embed_table
from faceprint.vision.streaming import process_pool

_ENOUGH = 8
"""Cores from which on the result says something."""


class Side:
    """One way to share the cores, warm."""

    def __init__(self, processes: int, threads: int) -> None:
        self.processes, self.threads = processes, threads
        self.fp = faceprint.load(threads=processes * threads, processes=processes)

    def warm_up(self, paths: list[Path]) -> None:
        """Open every session, wait for all workers, and have them all work once."""
        before, process_pool._MIN_PHOTOGRAPHS = process_pool._MIN_PHOTOGRAPHS, 1
        list(self.fp.analyze_many(paths))
        process_pool._MIN_PHOTOGRAPHS = before
        pool = self.fp._stream_executor(1)._pool
        while pool is not None and pool._idle.qsize() < self.processes * self.threads:
            time.sleep(0.05)
        list(self.fp.analyze_many(paths))

    def run(self, paths: list[Path]) -> tuple[float, int]:
        """Seconds and faces."""
        start = time.perf_counter()
        faces = sum(len(result.faces) for result in self.fp.analyze_many(paths))
        return time.perf_counter() - start, faces

    def megabytes(self) -> int:
        """Proportional set size of this process and its workers."""
        pool = self.fp._stream_executor(1)._pool
        pids = ["self"] + [str(worker.pid) for worker in (pool._running if pool else ())]
        return round(sum(map(_pss, pids)) / 1024)

    def close(self) -> None:
        """End its workers."""
        pool = self.fp._stream_executor(1)._pool
        if pool is not None:
            pool.close()


def main() -> int:
    """Measure, print, and keep it where the machine is large enough."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photographs", type=int, default=2000, help="of LFW, on all cores")
    parser.add_argument("--large", type=int, default=160, help="above a megapixel, repeated")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    cores = settings.available_cores()
    large = above_a_megapixel()
    sets = {
        "lfw": lfw(chosen.photographs),
        "large": (large * (chosen.large // len(large) + 1))[: chosen.large],
    }
    result: dict[str, Any] = {
        "what": "photographs a second by how processes and threads share the cores",
        "pack": "starter",
        "sets": {
            name: _measure(paths, cores, chosen.rounds, few=name == "large")
            for name, paths in sets.items()
        },
        "embed": _embed(sets["lfw"]),
        **provenance("pillow"),
    }
    if cores < _ENOUGH:
        print(json.dumps(result, indent=2))
        return 0
    write("cores", result)
    return 0


def _measure(paths: list[Path], cores: int, rounds: int, *, few: bool) -> dict[str, Any]:
    """Rates of all ways to share; fewer cores get fewer photographs, so as not to wait for them."""
    # One process has eight threads at most (vision/load.py).
    ways = [(1, threads) for threads in ([1, 4, 8] if few else [1, 2, 4, 8]) if threads <= cores]
    ways += [(cores // each, each) for each in (4, 2, 1) if cores // each > 1]
    rates: dict[tuple[int, int], list[float]] = {way: [] for way in ways}
    faces, megabytes = {}, {}
    for _ in range(rounds):
        for way in ways:
            side = Side(*way)
            used = paths[: max(16, len(paths) * min(cores, 2 * way[0] * way[1]) // cores)]
            side.warm_up(used[: 4 * way[0] * way[1]])
            seconds, found = side.run(used)
            rates[way].append(len(used) / seconds)
            faces[way], megabytes[way] = found / len(used), side.megabytes()
            side.close()
            del side
            gc.collect()
            give_back_memory()
    rows = [
        {
            "processes": way[0],
            "threads_each": way[1],
            "photographs_a_second": round(median(rates[way]), 1),
            "lowest": round(min(rates[way]), 1),
            "highest": round(max(rates[way]), 1),
            "faces_a_photograph": round(faces[way], 3),
            "megabytes": megabytes[way],
        }
        for way in ways
    ]
    return {"photographs": len(paths), "distinct": len(set(paths)), "rows": rows}


def _embed(paths: list[Path]) -> dict[str, Any]:
    """The bulk command's own function with its defaults, start of workers and table included."""
    fp = faceprint.load(processes=None)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        summary = embed_table(
            lambda: map(str, paths),
            Path(folder) / "table.parquet",
            fp,
            LocalEngine(fp, 32),
            _Silent(),
        )
        seconds = time.perf_counter() - start
    return {
        "photographs": len(paths),
        "of_them_twins": summary.duplicates,
        "processes": len(fp._batch.options.threads_by_process()),
        "seconds": round(seconds, 2),
    }


class _Silent:
    def begin(self, total: int) -> None:
        """Nobody watches."""

    def seen(self, number: int) -> None:
        """Nobody watches."""

    def stopped(self) -> bool:
        """Never."""
        return False


def _pss(pid: str) -> int:
    """Kilobytes of memory, what is shared counted once."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(text.partition("\nPss:")[2].split()[0])


if __name__ == "__main__":
    sys.exit(main())
