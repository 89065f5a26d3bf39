"""`faceprint cluster --from TABLE.parquet --scratch DIR`: time, and memory while it runs.

    python benchmarks/cluster_table.py TABLE.npz --faces 100000 400000 [--engines local ray]

TABLE is multiplied as in `clustering_scale.py` and written as Parquet, as `embed` writes it. Memory
is sampled from outside: `anonymous` is what the process cannot do without; `resident` also counts
pages of mapped files, which the system takes back when it needs the room.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _common import RESULTS, provenance, write
from clustering import central_faces
from clustering_scale import multiplied

from faceprint.embedding_table.reader import read_table
from faceprint.embedding_table.schema import COLUMNS, Columns
from faceprint.embedding_table.writer import TableSize, write_table
from faceprint.evaluation.cluster_scores import cluster_scores


def table_of(path: Path, rows: Any, embedder: str) -> None:
    """One face a photograph, whose name is the row's number."""
    n, d = rows.shape

    def groups(wanted: tuple[str, ...]) -> Iterator[Columns]:
        for start in range(0, n, 4096):
            size = min(4096, n - start)
            blank = np.full(size + 1, None, object)[:-1]
            names = [f"{i:09d}.jpg" for i in range(start, start + size)]
            columns: Columns = {
                "source": np.asarray([*names, None], object)[:-1],
                "face": np.zeros(size, np.int32),
                "box": np.tile(np.float32([70, 70, 180, 180]), (size, 1)),
                "score": np.ones(size, np.float32),
                "landmarks": np.tile(np.float32([125, 125]), (size, 5, 1)),
                "quality": np.tile(np.float32([110, 200, 0, 1]), (size, 1)),
                "embedding": rows[start : start + size],
                "embedder": np.full(size, embedder, object),
                "error": blank,
                "duplicate_of": blank,
            }  # fmt: skip
            yield {name: columns[name] for name in wanted if name in COLUMNS}

    write_table(path, TableSize(n, d, 13, 0), {"embedder": embedder}, groups)


def watched(words: list[str]) -> dict[str, float]:
    """Run it, and sample its memory."""
    start = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    peaks = {"RssAnon": 0.0, "VmRSS": 0.0}
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        for line in status.splitlines():
            name = line.partition(":")[0]
            if name in peaks:
                peaks[name] = max(peaks[name], int(line.split()[1]) / 1024)
        time.sleep(0.02)
    if process.wait() not in (0, 1):
        raise RuntimeError(f"exit code {process.returncode}")
    return {
        "seconds": round(time.perf_counter() - start, 2),
        "anonymous_mb": round(peaks["RssAnon"]),
        "resident_mb": round(peaks["VmRSS"]),
    }


def score(path: Path, y: Any) -> float:
    """BCubed F of a table of people."""
    with np.load(path) as people:
        rows = [int(name.partition(".")[0]) for name in people["source"].tolist()]
        labels = np.empty(len(y), np.int64)
        labels[rows] = people["person"]
    return round(cluster_scores(y, labels).bcubed.f, 4)


def measure(x: Any, y: Any, embedder: str, engines: list[str], n: int) -> dict[str, Any]:
    """A row an engine, and one without --scratch."""
    rows, people = multiplied(x, y, n)
    runs: dict[str, Callable[[Path], list[str]]] = {
        "in memory": lambda _: [],
        "local": lambda folder: ["--scratch", str(folder)],
        "ray": lambda folder: ["--scratch", str(folder), "--engine", "ray", "--workers", "2"],
    }
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table, out = folder / "table.parquet", folder / "people.npz"
        table_of(table, rows, embedder)
        del rows
        result["table_mb"] = round(table.stat().st_size / 1e6)
        for engine in engines:
            words = [sys.executable, "-m", "faceprint", "cluster", "--from", str(table)]
            words += ["--out", str(out), *runs[engine](folder)]
            result[engine] = watched(words) | {"bcubed_f": score(out, people)}
            print(n, engine, result[engine], file=sys.stderr, flush=True)
    return result


def main() -> None:
    """Read the command line; rows of earlier runs stay."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--faces", type=int, nargs="+", default=[100_000])
    parser.add_argument("--engines", nargs="+", default=["in memory", "local", "ray"])
    parser.add_argument("--name", default="cluster_table")
    given = parser.parse_args()
    faces = read_table(given.table)
    x, y = central_faces(given.table)
    path = RESULTS / f"{given.name}.json"
    result = json.loads(path.read_text("utf-8")) if path.is_file() else {"rows": {}}
    for n in given.faces:
        load = round(os.getloadavg()[0], 1)
        row = measure(x, y, faces.embedder, given.engines, n)
        known = result["rows"].get(str(n), {})
        result["rows"][str(n)] = known | row | {"load_before": load}
    result |= {"embedder": faces.embedder, "dimensions": x.shape[1]}
    write(given.name, result | provenance("pyarrow", "ray"))


if __name__ == "__main__":
    main()
