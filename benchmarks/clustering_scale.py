"""What sorting 25,000 to 200,000 faces costs, and what the neighbor graph finds and misses.

    python benchmarks/clustering_scale.py TABLE.npz --name clustering_scale_starter
    python benchmarks/clustering_scale.py TABLE.npz --sizes 100000 --methods graph hnsw

TABLE is an embedding table of a folder a person (LFW); the central face of each photograph counts.
More people are made of the real ones: each copy of all faces is reflected along some of the
principal axes of the people's centers, drawn at random, so that similarities within a copy stay as
they are, and those of two copies are spread as those of two people of one copy are; then every face
gets noise, a quarter of what a person's faces scatter around their center. Every run is a process
of its own, so that the peak of memory is its own; it includes the vectors. One that takes longer
than --timeout is cut off. Everybody knows how the model's similarities are distributed, as
`cluster` does: from its operating points, or else from TABLE. DBSCAN gets the threshold that is
best for it at 25,000 faces.
Rows of earlier runs with other sizes or methods stay in the file.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from _common import RESULTS, provenance, write
from clustering import central_faces, dbscan, hdbscan

from faceprint.embedding_table.reader import read_table
from faceprint.errors import UnknownModelError
from faceprint.evaluation.cluster_scores import cluster_scores
from faceprint.recognition.clustering.knn_graph import Edges, dots, neighbor_graph
from faceprint.recognition.clustering.linkage import average_linkage
from faceprint.recognition.clustering.partition import cluster_embeddings
from faceprint.recognition.clustering.score_normalization import as_norm
from faceprint.recognition.clustering.unsupervised_calibration import unsupervised_distributions
from faceprint.recognition.thresholds.merge_threshold import (
    MergeThreshold,
    ScoreDistributions,
    score_distributions,
)
from faceprint.recognition.thresholds.operating_points import measured_points
from faceprint.types import Array
from faceprint.zoo.catalog import get_card

K = 32
PROBES = 2_000
SIZES = (25_000, 50_000, 100_000)
LABELS = {"dbscan": dbscan, "hdbscan": hdbscan}


def multiplied(x: Array, y: Any, n: int) -> tuple[Array, Any]:
    """n faces around real centers, and whose they are."""
    rng = np.random.default_rng(1)
    d, people = x.shape[1], int(y.max()) + 1
    middle = x.mean(axis=0)
    middle /= np.linalg.norm(middle)
    across = x - (x @ middle)[:, None] * middle
    centers = np.zeros((people, d), np.float32)
    np.add.threshold_at(centers, y, across)
    counts = np.bincount(y)
    centers /= counts[:, None]
    axes = np.linalg.eigh(centers.T @ centers)[1].astype(np.float32)  # one of them is the middle
    scatter = np.linalg.norm(across - centers[y], axis=1)[counts[y] > 1]
    noise = np.float32(0.25 * np.sqrt((scatter**2).mean() / d))
    rows, labels = np.empty((n, d), np.float32), np.empty(n, np.int64)
    for copy, start in enumerate(range(0, n, len(x))):
        part = slice(start, min(n, start + len(x)))
        size = part.stop - part.start
        signs = np.ones(d, np.float32) if copy == 0 else rng.choice(np.float32([-1, 1]), d)
        along = (x[:size] @ middle)[:, None] * middle
        rows[part] = (across[:size] @ axes * signs) @ axes.T + along
        rows[part] += noise * rng.standard_normal((size, d), np.float32)
        rows[part] /= np.linalg.norm(rows[part], axis=1, keepdims=True)
        labels[part] = y[:size] + copy * people
    return rows, labels


def hnsw(x: Array, least: float) -> Edges:
    """The neighbor graph as it was before: usearch's HNSW over int8 vectors."""
    from usearch.index import Index

    n = len(x)
    graph = Index(
        ndim=x.shape[1],
        metric="cos",
        dtype="i8",
        connectivity=16,
        expansion_add=64,
        expansion_search=64,
    )
    graph.add(np.arange(n, dtype=np.uint64), x, threads=2)
    keys = []
    for start in range(0, n, 20_000):
        found = np.asarray(graph.search(x[start : start + 20_000], K + 1, threads=2).keys)
        own = np.broadcast_to(np.arange(start, start + len(found))[:, None], found.shape)
        found = found.astype(np.int64)
        keys.append((np.minimum(found, own) * n + np.maximum(found, own))[found != own])
    a, b = np.divmod(np.unique(np.concatenate(keys)), n)
    similarity = dots(x, a, b)
    near = similarity >= least
    return Edges(a[near], b[near], similarity[near])


GRAPHS = {
    "graph": lambda x, t: neighbor_graph(x, k=K, floor=t),
    "exact": lambda x, t: neighbor_graph(x, k=K, floor=t, exact=True),
    "hnsw": hnsw,
}


def found_of(x: Array, y: Any, edges: Edges, least: float) -> dict[str, float]:
    """Recall of the true neighbors of some faces, by float32 products with all others."""
    n = len(x)
    probes = np.sort(np.random.default_rng(2).permutation(n)[:PROBES])
    known = edges.a * n + edges.b
    hits: dict[str, list[Any]] = {"all": [], "one_person": [], "two_or_three_photographs": []}
    counts = np.bincount(y)
    for start in range(0, PROBES, 200):
        some = probes[start : start + 200]
        products = x[some] @ x.T
        products[np.arange(len(some)), some] = -1
        best = np.argpartition(products, n - K, axis=1)[:, n - K :]
        row, place = np.nonzero(np.take_along_axis(products, best, 1) >= least)
        a, b = some[row], best[row, place]
        hit = np.isin(np.minimum(a, b) * n + np.maximum(a, b), known)
        mine = y[a] == y[b]
        for name, which in (
            ("all", mine | True),
            ("one_person", mine),
            ("two_or_three_photographs", mine & (counts[y[a]] <= 3)),
        ):
            hits[name].append(hit[which])
    return {name: round(float(np.concatenate(parts).mean()), 5) for name, parts in hits.items()}


def known_of(path: Path) -> ScoreDistributions:
    """What is known of the table's model."""
    table = read_table(path)
    try:
        known = score_distributions(measured_points(get_card(table.embedder), "mtcnn"))
    except UnknownModelError:
        known = None
    known = known or unsupervised_distributions(table.vectors, table.sources)
    assert known is not None
    return known


def linked(x: Array, edges: Edges, threshold: MergeThreshold) -> Any:
    """What `cluster` does with a graph, without corrections."""
    offsets = as_norm(edges, average_linkage(x, edges, threshold), threshold.floor)
    return average_linkage(x, edges, threshold, offsets=offsets)


def one(path: Path, method: str, n: int, known: ScoreDistributions, threshold: float) -> None:
    """A process of its own: prints its row."""
    x, y = multiplied(*central_faces(path), n)
    merge_threshold = known.merge_threshold(n)
    before, start = time.process_time(), time.perf_counter()
    if method == "faceprint":
        outcome: Any = cluster_embeddings(x, threshold=known)
    elif method in GRAPHS:
        outcome = GRAPHS[method](x, merge_threshold.floor)
    else:
        outcome = LABELS[method](x, threshold or merge_threshold.pair)
    row: dict[str, Any] = {
        "seconds": round(time.perf_counter() - start, 2),
        "cpu_s": round(time.process_time() - before, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    if method in GRAPHS:
        row |= {"edges": len(outcome), "recall": found_of(x, y, outcome, merge_threshold.pair)}
        outcome = linked(x, outcome, merge_threshold)  # the same on every graph
    # DBSCAN and HDBSCAN call strangers -1: each is alone.
    alone = np.flatnonzero(outcome < 0)
    outcome[alone] = outcome.max() + 1 + np.arange(len(alone))
    scores = cluster_scores(y, outcome).bcubed
    row["bcubed"] = {name: round(getattr(scores, name), 4) for name in ("precision", "recall", "f")}
    print("RESULT " + json.dumps(row))


def run(
    path: Path, method: str, n: int, known: ScoreDistributions, threshold: float, timeout: float
) -> dict[str, Any]:
    """One row, or what went wrong."""
    words = [method, str(n), json.dumps(asdict(known)), str(threshold)]
    command = [sys.executable, __file__, str(path), "--one", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return {"cut_off_after_s": timeout}
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        why = done.stderr.strip().splitlines()[-1:] or [""]
        return {"exit": done.returncode, "error": why[0][:200]}
    row: dict[str, Any] = json.loads(lines[0].removeprefix("RESULT "))
    return row


def best_for(path: Path, method: str, n: int, known: ScoreDistributions, timeout: float) -> float:
    """The threshold at which a method does best, given the answers: DBSCAN needs a stricter one."""
    threshold = known.merge_threshold(n).pair
    grid = [threshold + share * (1 - threshold) for share in (0.0, 0.06, 0.12, 0.18, 0.24, 0.3)]
    scores = [run(path, method, n, known, t, timeout).get("bcubed", {}).get("f", 0.0) for t in grid]
    print(method, n, dict(zip(grid, scores, strict=True)), file=sys.stderr, flush=True)
    return grid[int(np.argmax(scores))]


def growth(rows: dict[str, Any]) -> dict[str, float]:
    """How many times as long four times as many faces take."""
    out = {}
    for method, sizes in rows.items():
        for n in sizes:
            small, large = sizes[n], sizes.get(str(4 * int(n)), {})
            if "seconds" in small and "seconds" in large:
                out[f"{method}, {int(n):,} to {4 * int(n):,}"] = round(
                    large["seconds"] / small["seconds"], 2
                )
    return out


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--name", default="clustering_scale")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--methods", nargs="+", default=["faceprint", *LABELS, *GRAPHS])
    parser.add_argument("--timeout", type=float, default=600)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    if given.one:
        method, n, words, threshold = given.one
        known = ScoreDistributions(**json.loads(words))
        one(given.table, method, int(n), known, float(threshold))
        return
    path = RESULTS / f"{given.name}.json"
    kept = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    known = known_of(given.table)
    facts = {k: round(v, 5) for k, v in asdict(known).items() if k != "source"}
    rows: dict[str, Any] = kept.get("rows", {}) if kept.get("similarities") == facts else {}
    for method in given.methods:
        own = 0.0
        if method == "dbscan":
            own = best_for(given.table, method, min(SIZES), known, given.timeout)
        for n in given.sizes:
            load = os.getloadavg()[0]
            row = run(given.table, method, n, known, own, given.timeout)
            row["threshold"] = round(own or known.merge_threshold(n).pair, 5)
            row["load_before"] = round(load, 1)
            rows.setdefault(method, {})[str(n)] = row
            print(method, n, row, file=sys.stderr, flush=True)
            if "seconds" not in row:
                break  # more faces would only take longer
    result = provenance("scikit-learn", "usearch")
    result |= {"similarities": facts, "rows": rows, "growth": growth(rows)}
    write(given.name, result)


if __name__ == "__main__":
    main()
