"""Searching a gallery, exactly and approximately, against FAISS and usearch used directly.

    python benchmarks/search.py                            1 M faces: 5 GB of disk, an hour or more
    python benchmarks/search.py --faces 100000             a quick one
    python benchmarks/search.py --part exact|approximate   one half; the other keeps its figures

Unit vectors of 512 dimensions are drawn around faces / 10 centres, so that two of one centre have a
similarity near 0.6; probes are drawn around the same centres. Every side answers the same probes,
in turn; times are medians. FAISS and usearch come from the index (faiss-cpu, usearch). The
approximate half stores the templates in a gallery's SQLite file and searches as a gallery does,
exact comparison with the stored vectors included; each side takes the least expansion that reaches
recall@1 0.99.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _common import RESULTS, median, provenance, rotate, write

from faceprint.recognition.gallery.core import Core
from faceprint.recognition.gallery.records import Header, ModelPin, Policy, Subject, TemplateRow
from faceprint.recognition.gallery.searching import Search
from faceprint.recognition.gallery.store_sqlite import SqliteStore
from faceprint.recognition.index.exact import ExactIndex, ExactInt8Index
from faceprint.recognition.index.usearch import HnswSettings, UsearchIndex
from faceprint.types import Array

DIM, K, BATCH, GOAL = 512, 10, 64, 0.99
EXPANSIONS = (16, 24, 32, 48, 64, 96, 128, 192, 256)
SPREAD = 0.8


def draw(centres: Array, which: Any, seed: int) -> Array:
    """Unit vectors around the chosen centres."""
    noise = np.random.default_rng(seed).standard_normal((len(which), DIM), np.float32)
    rows: Array = centres[which] + np.float32(SPREAD / np.sqrt(DIM)) * noise
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def data(faces: int, probes: int) -> tuple[Array, Array]:
    """The gallery's vectors and the probes."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((max(faces // 10, 1), DIM), np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    vectors = np.empty((faces, DIM), np.float32)
    for start in range(0, faces, 50_000):
        which = np.arange(start, min(start + 50_000, faces)) % len(centres)
        vectors[start : start + len(which)] = draw(centres, which, start + 1)
    return vectors, draw(centres, rng.integers(0, len(centres), probes), 7_000_001)


def exact(faces: int, rounds: int) -> dict[str, Any]:
    """One probe and a batch over float32; int8 beside it."""
    import faiss
    from usearch.index import MetricKind, search

    vectors, probes = data(faces, BATCH)
    keys = np.arange(1, faces + 1, dtype=np.int64)
    flat = faiss.IndexFlatIP(DIM)
    flat.add(vectors)
    ours, small = ExactIndex(DIM), ExactInt8Index(DIM, lambda k: (k, vectors[k - 1]))
    start = time.perf_counter()
    ours.reserve(faces)
    ours.add(keys, vectors)
    built = time.perf_counter() - start
    small.reserve(faces)
    for first in range(0, faces, 50_000):
        small.add(keys[first : first + 50_000], vectors[first : first + 50_000])
    sides: dict[str, Callable[[Array], Any]] = {
        "faceprint exact": lambda q: ours.search(q, K).keys - 1,
        "faceprint exact int8": lambda q: small.search(q, K).keys - 1,
        "faiss flat": lambda q: flat.search(q, K)[1],
        "usearch exact": lambda q: search(vectors, q, K, MetricKind.IP, exact=True).keys,
    }
    result: dict[str, Any] = {"faces": faces, "k": K, "build_s": round(built, 2)}
    result["bytes_a_face"] = {"float32": ours.nbytes / faces, "int8": small.nbytes / faces}
    truth = flat.search(probes, 1)[1][:, 0]
    result["recall@1"] = {
        name: float((np.asarray(run(probes)).reshape(BATCH, K)[:, 0] == truth).mean())
        for name, run in sides.items()
    }
    for label, batch in (("one probe", probes[:1]), (f"{BATCH} probes", probes)):
        times = rotate({name: _bound(run, batch) for name, run in sides.items()}, rounds)
        ms = {name: 1000 * median(values) for name, values in times.items()}
        peers = min(value for name, value in ms.items() if not name.startswith("faceprint"))
        result[label] = {
            "ms": {name: round(value, 2) for name, value in ms.items()},
            "ratio_to_fastest_peer": round(ms["faceprint exact"] / peers, 3),
        }
    return result


def _bound(run: Callable[[Array], Any], batch: Array) -> Callable[[], object]:
    return lambda: run(batch)


def approximate(faces: int, rounds: int, count: int) -> dict[str, Any]:
    """The gallery's own path, usearch's graph in f16, and FAISS's in float32."""
    import faiss
    from usearch.index import Index

    vectors, probes = data(faces, count)
    truth = _truth(vectors, probes)
    result: dict[str, Any] = {"faces": faces, "probes": count, "build_s": {}, "bytes_a_face": {}}
    shape = HnswSettings()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FACEPRINT_HOME"] = folder
        store = _stored(Path(folder) / "people.db", vectors)
        core = Core(store, None, "benchmark")
        index, result["build_s"]["faceprint"] = _timed(lambda: Search(core, "usearch"), store)
        index, result["open_s"] = _timed(lambda: Search(core, "usearch"), store)
        file = (Path(folder) / "people.db.index").stat().st_size
        result["bytes_a_face"]["faceprint, index file"] = round(file / faces, 1)
        result["bytes_a_face"]["faceprint, resident"] = round(index.nbytes / faces, 1)

        direct = Index(
            ndim=DIM,
            metric="ip",
            dtype="f16",
            connectivity=shape.connectivity,
            expansion_add=shape.expansion_add,
        )
        start = time.perf_counter()
        direct.add(np.arange(1, faces + 1, dtype=np.uint64), vectors)
        result["build_s"]["usearch f16"] = time.perf_counter() - start
        result["bytes_a_face"]["usearch f16"] = round(direct.serialized_length / faces, 1)

        graph = faiss.IndexHNSWFlat(DIM, shape.connectivity, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = shape.expansion_add
        start = time.perf_counter()
        graph.add(vectors)
        result["build_s"]["faiss hnsw"] = time.perf_counter() - start
        del vectors

        def width(name: str, value: int) -> None:
            if name == "faiss hnsw":
                graph.hnsw.efSearch = value
            elif name == "usearch f16":
                direct.expansion_search = value
            else:
                index._graph.expansion_search = value

        bare = index._graph
        sides: dict[str, Callable[[Array], int]] = {
            "faceprint": lambda q: int(index.search(q[None], 1).keys[0, 0]),
            "usearch f16": lambda q: int(direct.search(q, 1).keys[0]),
            "faiss hnsw": lambda q: int(graph.search(q[None], 1)[1][0, 0]) + 1,
        }
        chosen = {}
        for name, run in sides.items():
            for value in EXPANSIONS:
                width(name, value)
                recall = float(np.mean([run(q) for q in probes] == truth))
                if recall >= GOAL:
                    break
            chosen[name] = {"expansion": value, "recall@1": recall}
        coded = index._coded(probes)
        loops = {name: _loop(run, probes) for name, run in sides.items()}
        loops["faceprint's graph alone"] = _loop(lambda q: int(bare.search(q, 16).keys[0]), coded)
        times = rotate(loops, rounds)
        ms = {name: 1000 * median(values) / count for name, values in times.items()}
        width("faceprint", shape.expansion_search)
        shipped = float(np.mean([sides["faceprint"](q) for q in probes] == truth))
        store.close()
    result["as_shipped"] = {"expansion": shape.expansion_search, "recall@1": shipped}
    result["at_recall_0.99"] = chosen
    result["ms_a_probe"] = {name: round(value, 3) for name, value in ms.items()}
    result["ratio_to_usearch"] = round(ms["faceprint"] / ms["usearch f16"], 3)
    return result


def _loop(run: Callable[[Array], int], probes: Array) -> Callable[[], object]:
    return lambda: [run(probe) for probe in probes]


def _truth(vectors: Array, probes: Array) -> Any:
    best = np.full(len(probes), -np.inf, np.float32)
    truth = np.zeros(len(probes), np.int64)
    for start in range(0, len(vectors), 20_000):
        scores = probes @ vectors[start : start + 20_000].T
        place = scores.argmax(1)
        top = scores[np.arange(len(probes)), place]
        truth = np.where(top > best, place + start + 1, truth)
        best = np.maximum(best, top)
    return truth


def _stored(path: Path, vectors: Array) -> SqliteStore:
    pin = ModelPin("benchmark", "0" * 64, DIM, "arcface-112")
    SqliteStore.create(path, Header("0" * 32, pin, "max", Policy(), created="2025-01-01"))
    store = SqliteStore(path)
    for start in range(0, len(vectors), 50_000):
        with store.write() as writer:
            person = writer.put_subject(Subject(f"person {start}", f"{start}"))
            for place in range(start, min(start + 50_000, len(vectors))):
                content = hashlib.sha256(place.to_bytes(8, "big")).digest()
                blob = vectors[place].tobytes()
                writer.put_template(TemplateRow(person.key, content, "drawn", blob))
    return store


def _timed(make: Callable[[], Search], store: SqliteStore) -> tuple[UsearchIndex, float]:
    start = time.perf_counter()
    index, _ = make().ready(store.header())
    assert isinstance(index, UsearchIndex)
    return index, time.perf_counter() - start


def main() -> int:
    """Measure, and keep what the other half measured before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=1_000_000)
    parser.add_argument("--part", choices=("exact", "approximate"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--probes", type=int, default=500)
    chosen = parser.parse_args()
    path = RESULTS / "search.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    halves = {name: kept[name] for name in ("exact", "approximate") if name in kept}
    for part in (chosen.part,) if chosen.part else ("exact", "approximate"):
        load = os.getloadavg()[0]
        run = exact if part == "exact" else approximate
        more = () if part == "exact" else (chosen.probes,)
        figures = run(chosen.faces, chosen.rounds, *more)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        about = provenance("faiss-cpu", "usearch")
        halves[part] = {**about, "load_before": load, **figures, "peak_gb": round(peak, 2)}
    write("search", halves)
    return 0


if __name__ == "__main__":
    sys.exit(main())
