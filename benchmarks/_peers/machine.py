"""How much of the machine others used meanwhile: what a reader must know of a shared one."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

__all__ = ["Watch"]

_PROC = Path("/proc")


class Watch:
    """Counts processor time from its making on.

    Args:
        pids: the processes whose time is our own, with all that they start; this one is too.
        waited: count the children that this process waited for as well; without, they are sides
            among `pids`, which are counted by themselves.
        proc: where Linux keeps its counters; the tests have a folder of their own.
    """

    def __init__(self, pids: Iterable[int], proc: Path = _PROC, *, waited: bool = False) -> None:
        self._pids, self._proc, self._waited = [os.getpid(), *pids], proc, waited
        self._start = time.perf_counter()
        self._before = self._counts()

    def others(self) -> float | None:
        """Share of all processors that other processes used since; None but on Linux."""
        after, cores = self._counts(), os.cpu_count() or 1
        if self._before is None or after is None:
            return None
        wall = time.perf_counter() - self._start
        busy, own = (b - a for a, b in zip(self._before, after, strict=True))
        # Counters move in hundredths of a second.
        return round(min(1.0, max(0.0, busy - own) / max(wall * cores, 0.01)), 3)

    def _counts(self) -> tuple[float, float] | None:
        """Seconds in which any processor was busy, and those that were ours."""
        try:
            names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
            fields = (self._proc / "stat").read_text().splitlines()[0].split()[1:]
            spent = dict(zip(names, map(int, fields), strict=False))
        except OSError:
            return None
        ticks = os.sysconf("SC_CLK_TCK")
        busy = sum(value for name, value in spent.items() if name not in ("idle", "iowait"))
        return busy / ticks, sum(self._ticks(pid) for pid in self._pids) / ticks

    def _ticks(self, pid: int) -> int:
        """Of a process, its living children and those it has waited for."""
        place = self._proc / str(pid)
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            started = [
                int(child)
                for path in sorted(place.glob("task/*/children"))
                for child in path.read_text().split()
            ]
        except OSError:
            return 0
        alone = pid == os.getpid() and not self._waited
        below = [] if alone else started
        times = fields[11:13] if alone else fields[11:15]
        return sum(map(int, times)) + sum(map(self._ticks, below))
