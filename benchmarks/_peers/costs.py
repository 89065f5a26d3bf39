"""What a side costs beside its speed: seconds to import and to answer first, memory."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from _peers.child import Child, SideFailedError, reason

__all__ = ["first_answer", "import_seconds", "peak_memory"]

_TIMED = "import time\nstart = time.perf_counter()\n{}\nprint(time.perf_counter() - start)"


def import_seconds(
    python: Path, statement: str, environment: Mapping[str, str], times: int
) -> float:
    """Median over so many fresh processes of the time one import takes.

    Raises:
        SideFailedError: it can't be imported.
    """
    seconds = []
    for _ in range(times):
        done = subprocess.run(
            [str(python), "-c", _TIMED.format(statement)],
            env=dict(environment),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SideFailedError(reason(done.stderr, done.returncode))
        seconds.append(float(done.stdout.split()[-1]))
    return statistics.median(seconds)


def first_answer(start: Callable[[], Child], photograph: Path, times: int) -> float:
    """Median seconds from starting a process to having the faces of one photograph."""
    seconds = []
    for _ in range(times):
        begin = time.perf_counter()
        with start() as child:
            child.ask("one", [photograph])
            seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def peak_memory(start: Callable[[], Child], paths: Sequence[Path], way: str) -> int:
    """Peak bytes of a fresh process that did these photographs in bulk and nothing else."""
    with start() as child:
        child.ask("bulk", paths, way=way)
        return int(child.ask("memory")["peak_bytes"])
