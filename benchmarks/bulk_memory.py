"""Memory of a bulk run, thousand by thousand, and the table of a run that was killed three times.

Photographs are LFW's, encoded anew at another quality for each copy, so that all bytes differ. The
undisturbed run records the process's memory after each thousand; then another run of the same
photographs is killed (SIGKILL) at a quarter, a half and three quarters and resumed each time, and
the two tables are compared row for row.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import PIL.Image
from _common import SHARED, median, provenance, write

import faceprint
from faceprint._memory import one_arena
from faceprint.bulk.inputs import expand
from faceprint.bulk.local import LocalEngine
from faceprint.bulk.run import embed_table
from faceprint.embedding_table.reader import read_groups
from faceprint.embedding_table.schema import COLUMNS


def album(folder: Path, number: int) -> Path:
    """That many photographs of distinct bytes; those of an earlier call are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    originals = sorted((SHARED / "faces" / "lfw").rglob("*.jpg"))
    for index in range(number):
        path = folder / f"{index:06d}.jpg"
        if not path.exists():
            copy, which = divmod(index, len(originals))
            with PIL.Image.open(originals[which]) as opened:
                opened.save(path, quality=92 - copy)
    return folder


def resident() -> float:
    """Megabytes that this process holds now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise OSError("no VmRSS in /proc/self/status")


class Watch:
    """Samples memory every sixteenth photograph."""

    def __init__(self) -> None:
        self.thousands: list[list[float]] = []
        self._done = 0

    def begin(self, total: int) -> None:
        """Nothing to do."""

    def advance(self, number: int) -> None:
        """That many more are done."""
        self._done += number
        if self._done % 16 == 0:
            while len(self.thousands) * 1000 < self._done:
                self.thousands.append([])
            self.thousands[-1].append(resident())

    def stopped(self) -> bool:
        """Never."""
        return False


def killed(folder: Path, out: Path, number: int) -> list[int]:
    """Kill a run three times, then let it end; the parts that were there at each kill."""
    words = [sys.executable, "-m", "faceprint", "embed", str(folder), "--out", str(out), "--resume"]
    parts, at = Path(f"{out}.parts"), []
    for quarter in (1, 2, 3):
        process = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while len(list(parts.glob("part-*.npz"))) < quarter * number / 4 / 512:
            if process.poll() is not None:
                raise RuntimeError("the run ended before it was killed")
            time.sleep(0.05)
        process.kill()
        process.wait()
        at.append(len(list(parts.glob("part-*.npz"))))
    subprocess.run(words, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return at


def same(one: Path, other: Path) -> bool:
    """Row for row, bit for bit."""
    pairs = zip(read_groups(one), read_groups(other), strict=True)
    return all(
        a[name].tolist() == b[name].tolist()
        if a[name].dtype == object
        else np.array_equal(a[name], b[name], equal_nan=True)
        for a, b in pairs
        for name in COLUMNS
    )


def main() -> None:
    """Run both and write benchmarks/results/bulk_memory.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, required=True, help="for photographs and tables")
    parser.add_argument("--no-kill", action="store_true", help="the undisturbed run alone")
    chosen = parser.parse_args()
    photographs = album(chosen.folder / f"album-{chosen.photographs}", chosen.photographs)
    out = chosen.folder / "whole.parquet"
    one_arena()  # as `faceprint embed` does
    fp, watch = faceprint.load("starter"), Watch()
    names = [str(photographs)]
    summary = embed_table(
        lambda: expand(names), out, fp, LocalEngine(fp, 32), watch, overwrite=True
    )
    peaks = [round(max(samples), 1) for samples in watch.thousands]
    middles = [round(median(samples), 1) for samples in watch.thousands]
    result: dict[str, Any] = {
        "what": "MB of a bulk run, thousand by thousand, and equality after three kills",
        "photographs": summary.images,
        "faces": summary.faces,
        "failed": summary.failed,
        "seconds": round(summary.seconds, 1),
        "photographs_a_second": round(summary.images / summary.seconds, 1),
        "mb_by_thousand": peaks,
        "median_mb_by_thousand": middles,
        "last_over_second": round(peaks[-1] / peaks[1], 3) if len(peaks) > 1 else None,
        "last_over_second_median": round(middles[-1] / middles[1], 3) if len(peaks) > 1 else None,
        "table_mb": round(out.stat().st_size / 1e6, 1),
    }
    if not chosen.no_kill:
        again = chosen.folder / "killed.parquet"
        again.unlink(missing_ok=True)
        result["parts_at_each_kill"] = killed(photographs, again, chosen.photographs)
        result["same_table"] = same(out, again)
    write("bulk_memory", result | provenance("pyarrow"))


if __name__ == "__main__":
    main()
