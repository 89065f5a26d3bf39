"""Searching a large gallery approximately, against FAISS and usearch used directly.

    python benchmarks/search_approximate.py                1 M faces: 6 GB of disk, half an hour
    python benchmarks/search_approximate.py --faces 200000 --shape embedding-like

The templates lie in a gallery's SQLite file, and faceprint answers as a gallery does, comparing the
best exactly with the stored vectors. usearch has the same vectors as int8, in faceprint's own codes
(its own use a sixth of their range), and its best 16 are compared exactly with vectors in memory,
as int8 alone confuses neighbors; FAISS has them as float32. Each graph is searched with the least
expansion that reaches recall@1 0.99, or with the largest there is. Sides take turns; times are
medians. With --keep, graphs that were built for the same vectors are read from that folder, which
also tells how long that took. How low a mate's similarity may be is measured by probes made for it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _common import RESULTS, median, provenance, rotate, write
from _vectors import DIM, SHAPES, data, nearest, stored

from faceprint.recognition.gallery.search import Search
from faceprint.recognition.index.binary_lsh import BinaryLshIndex
from faceprint.recognition.index.usearch import to_int8
from faceprint.types import Array

GOAL, BATCH = 0.99, 64
EXPANSIONS = (32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
SIMILARITIES, MATES = (0.4, 0.45, 0.5, 0.55, 0.6), 300
LINKS, BUILDING, NEAR = 16, 128, 16
PEERS = ("usearch", "FAISS HNSW")


class Graphs:
    """The peers' graphs: built, or read where they were kept."""

    def __init__(
        self, vectors: Array, folder: Path | None, name: str, peers: Sequence[str]
    ) -> None:
        self.seconds: dict[str, float] = {}
        self._folder, self._name = folder, name
        self.usearch = self._usearch(vectors)
        self.faiss = self._faiss(vectors) if "FAISS HNSW" in peers else None

    def _place(self, kind: str) -> Path | None:
        return None if self._folder is None else self._folder / f"{self._name}.{kind}"

    def _usearch(self, vectors: Array) -> Any:
        from usearch.index import Index

        index = Index(ndim=DIM, metric="ip", dtype="i8", connectivity=LINKS, expansion_add=BUILDING)
        place = self._place("usearch")
        if place is not None and place.is_file():
            index.load(str(place))
            self.seconds["usearch"] = json.loads(_note(place).read_text(encoding="utf-8"))
            return index
        start = time.perf_counter()
        for first in range(0, len(vectors), 50_000):
            part = vectors[first : first + 50_000]
            keys = np.arange(first + 1, first + 1 + len(part), dtype=np.uint64)
            index.add(keys, to_int8(part))
        self.seconds["usearch"] = round(time.perf_counter() - start, 1)
        if place is not None:
            index.save(str(place))
            _note(place).write_text(json.dumps(self.seconds["usearch"]), encoding="utf-8")
        return index

    def _faiss(self, vectors: Array) -> Any:
        import faiss

        place = self._place("faiss")
        if place is not None and place.is_file():
            self.seconds["FAISS HNSW"] = json.loads(_note(place).read_text(encoding="utf-8"))
            return faiss.read_index(str(place))
        graph = faiss.IndexHNSWFlat(DIM, LINKS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = BUILDING
        start = time.perf_counter()
        graph.add(vectors)
        self.seconds["FAISS HNSW"] = round(time.perf_counter() - start, 1)
        if place is not None:
            faiss.write_index(graph, str(place))
            _note(place).write_text(json.dumps(self.seconds["FAISS HNSW"]), encoding="utf-8")
        return graph

    def widen(self, side: str, value: int) -> None:
        """Search with that expansion."""
        if side == "usearch":
            self.usearch.expansion_search = value
        elif side == "FAISS HNSW":
            self.faiss.hnsw.efSearch = value


def _note(place: Path) -> Path:
    """Where the seconds stand that a graph took to build."""
    return place.with_name(place.name + ".json")


def approximate(given: argparse.Namespace) -> dict[str, Any]:
    """A gallery of signs, and both graphs."""
    vectors, probes = data(given.faces, given.probes, given.shape)
    truth = nearest(vectors, probes)
    result: dict[str, Any] = {"faces": given.faces, "probes": given.probes, "shape": given.shape}
    graphs = Graphs(vectors, given.keep, f"{given.shape}-{given.faces}", given.peers)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FACEPRINT_HOME"] = folder
        store = stored(Path(folder) / "people.db", vectors)
        start = time.perf_counter()
        Search(store, "signs").ready(store.header())
        built = time.perf_counter() - start
        start = time.perf_counter()
        index, _ = Search(store, "signs").ready(store.header())
        opened = time.perf_counter() - start
        assert isinstance(index, BinaryLshIndex)
        file = (Path(folder) / "people.db.index").stat().st_size
        result["build_s"] = {"faceprint, from the file": round(built, 1), **graphs.seconds}
        result["open_s"] = {"faceprint": round(opened, 2)}
        result["bytes_a_face"] = {
            "faceprint": round(index.nbytes / given.faces, 1),
            "faceprint, cache file": round(file / given.faces, 1),
            "usearch": round(graphs.usearch.serialized_length / given.faces, 1),
            "usearch, resident": round(graphs.usearch.memory_usage / given.faces, 1),
        }

        def best_of(keys: Any, q: Array) -> int:
            return int(keys[(vectors.take(keys.astype(np.int64) - 1, 0) @ q).argmax()])

        sides: dict[str, Callable[[Array], int]] = {
            "faceprint": lambda q: int(index.search(q[None], 1).keys[0, 0]),
            "usearch": lambda q: best_of(graphs.usearch.search(to_int8(q[None])[0], NEAR).keys, q),
            "FAISS HNSW": lambda q: int(graphs.faiss.search(q[None], 1)[1][0, 0]) + 1,
        }
        sides = {name: run for name, run in sides.items() if name in ("faceprint", *given.peers)}
        result["sides"] = _measured(sides, graphs, probes, truth, given.rounds)
        result["found_of_mates"] = {
            f"{similarity:.2f}": {
                name: round(float(np.mean([run(q) for q in mates] == rows)), 3)
                for name, run in sides.items()
            }
            for similarity in SIMILARITIES
            for mates, rows in [_mates(vectors, similarity)]
        }
        batch = rotate({"batch": lambda: index.search(probes[:BATCH], 1)}, given.rounds)["batch"]
        result["sides"]["faceprint"]["ms_a_probe_in_batches"] = round(
            1000 * median(batch) / BATCH, 3
        )
        store.raw.close()
    times = {name: side["ms_a_probe"] for name, side in result["sides"].items()}
    result["ratio_to_usearch"] = round(times["faceprint"] / times["usearch"], 3)
    return result


def _mates(vectors: Array, similarity: float) -> tuple[Array, Any]:
    """(m, d) probes of that similarity to one template each, and these, counted from 1."""
    rng = np.random.default_rng(round(100 * similarity))
    rows = rng.choice(len(vectors), MATES, replace=False)
    nearby = vectors[rows]
    aside = rng.standard_normal(nearby.shape, np.float32)
    aside -= (aside * nearby).sum(1, keepdims=True) * nearby
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    share = np.float32(np.sqrt(1 - similarity**2))
    return np.float32(similarity) * nearby + share * aside, rows + 1


def _measured(
    sides: dict[str, Callable[[Array], int]], graphs: Graphs, probes: Array, truth: Any, rounds: int
) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for name, run in sides.items():
        tried = {}
        for value in EXPANSIONS if name != "faceprint" else (0,):
            graphs.widen(name, value)
            tried[value] = round(float(np.mean([run(q) for q in probes] == truth)), 4)
            if tried[value] >= GOAL:
                break
        rows[name] = {"recall@1": tried[value], "expansion": value or None}
        if name != "faceprint":
            rows[name]["recall@1_by_expansion"] = tried
    few = probes[: min(len(probes), 200)]
    loops = {name: _loop(run, few) for name, run in sides.items()}
    for name, values in rotate(loops, rounds).items():
        rows[name]["ms_a_probe"] = round(1000 * median(values) / len(few), 3)
    return rows


def _loop(run: Callable[[Array], int], probes: Array) -> Callable[[], object]:
    return lambda: [run(probe) for probe in probes]


def main() -> int:
    """Measure, and keep what was measured of other sizes and shapes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=1_000_000)
    parser.add_argument("--shape", choices=SHAPES, default="isotropic")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--probes", type=int, default=500)
    parser.add_argument(
        "--peers", nargs="+", choices=PEERS, default=PEERS, help="usearch is always among them"
    )
    parser.add_argument("--keep", type=Path, help="folder for the graphs of the peers")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    figures = approximate(given)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    path = RESULTS / "search_approximate.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else []
    same = (given.faces, given.shape)
    rows = [row for row in rows if (row["faces"], row["shape"]) != same]
    about = {**provenance("faiss-cpu", "usearch"), "load_before": load}
    rows.append({**figures, "peak_gb": round(peak, 2), **about})
    rows.sort(key=lambda row: (row["faces"], row["shape"]))
    write("search_approximate", {"what": "approximate search, one probe at a time", "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
