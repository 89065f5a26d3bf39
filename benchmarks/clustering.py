"""Sorting LFW into people: methods side by side. `clustering_scale.py` has what many faces cost.

    python benchmarks/clustering.py TABLE.npz [--fast]

TABLE is an embedding table of a folder a person, the central face of each photograph counts. Each
method's parameter is chosen on half of the people and reported on the other half, then on all;
faceprint's own thresholds (`thresholds/merge_threshold.py`) come from operating points of half of
the people.
Chinese whispers (Biemann 2006) is written out here; Leiden needs igraph and leidenalg.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from _common import provenance, write

from faceprint.evaluation.cluster_scores import cluster_scores
from faceprint.recognition.clustering.knn_graph import neighbor_graph
from faceprint.recognition.clustering.linkage import merge_groups
from faceprint.recognition.clustering.partition import cluster_embeddings
from faceprint.recognition.clustering.unsupervised_calibration import unsupervised_distributions
from faceprint.recognition.thresholds import merge_threshold
from faceprint.recognition.thresholds.merge_threshold import ScoreDistributions, score_distributions
from faceprint.types import OperatingPoint


def central_faces(path: Path) -> tuple[Any, Any]:
    """(n, d) unit vectors and (n,) person numbers: the face nearest to each photograph's middle.

    Photographs without a face are left out. Those of LFW measure 250 pixels and are named
    Name/Name_0001.jpg.
    """
    with np.load(path) as columns:
        there = columns["face"] >= 0  # a photograph without a face is a row too
        table = {name: columns[name][there] for name in ("box", "source", "embedding")}
    center = (table["box"][:, :2] + table["box"][:, 2:]) / 2 - 125
    order = np.lexsort((np.hypot(*center.T), table["source"]))
    sources = table["source"][order]
    first = np.concatenate([[True], sources[1:] != sources[:-1]])
    people = [Path(str(source)).parent.name for source in sources[first]]
    return table["embedding"][order][first].astype(np.float32), np.unique(
        people, return_inverse=True
    )[1]


def components(x: Any, t: float) -> Any:
    """Connected components of the pairs at or above the threshold."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    e = neighbor_graph(x, k=32, floor=t)
    return connected_components(coo_matrix((np.ones(len(e)), (e.a, e.b)), (len(x), len(x))))[1]


def whispers(x: Any, t: float) -> Any:
    """Chinese whispers: 20 rounds in which each face takes the label its neighbors favor."""
    e = neighbor_graph(x, k=32, floor=t)
    ends, others = np.concatenate([e.a, e.b]), np.concatenate([e.b, e.a])
    weights = np.concatenate([e.similarity, e.similarity])
    order = np.argsort(ends, kind="stable")
    ends, others, weights = ends[order], others[order], weights[order]
    starts = np.searchsorted(ends, np.arange(len(x) + 1))
    labels, rng = np.arange(len(x)), np.random.default_rng(0)
    for _ in range(20):
        for i in rng.permutation(len(x)):
            part = slice(starts[i], starts[i + 1])
            if starts[i] < starts[i + 1]:
                names, place = np.unique(labels[others[part]], return_inverse=True)
                labels[i] = names[np.bincount(place, weights[part]).argmax()]
    return merge_groups(np.unique(labels, return_index=True, return_inverse=True)[1][
        np.unique(labels, return_inverse=True)[1]
    ])  # fmt: skip


def leiden(x: Any, t: float) -> Any:
    """Leiden with the constant Potts model at that resolution."""
    import igraph
    import leidenalg

    e = neighbor_graph(x, k=32, floor=max(0.0, t - 0.15))
    graph = igraph.Graph(len(x), np.stack([e.a, e.b], axis=1).tolist())
    kind = leidenalg.CPMVertexPartition
    return np.array(
        leidenalg.find_partition(
            graph, kind, weights=e.similarity.tolist(), resolution_parameter=t, seed=0
        ).membership
    )


def dbscan(x: Any, t: float) -> Any:
    """DBSCAN of scikit-learn, two faces to a core."""
    from sklearn.cluster import DBSCAN

    return DBSCAN(eps=float(np.sqrt(2 - 2 * t)), min_samples=2, n_jobs=-1).fit_predict(x)


def hdbscan(x: Any, t: float) -> Any:
    """HDBSCAN of scikit-learn, two faces to a cluster.

    It has no threshold: its `cluster_selection_epsilon`, which would be one, raises a TypeError in
    scikit-learn 1.9.1 with numpy 2.4.
    """
    from sklearn.cluster import HDBSCAN

    return HDBSCAN(min_cluster_size=2, copy=True, n_jobs=-1).fit_predict(x)


def average(x: Any, t: float) -> Any:
    """Average linkage on the neighbor graph, down to a constant threshold."""
    return cluster_embeddings(x, threshold=t)


METHODS: dict[str, Callable[[Any, float], Any]] = {
    "average linkage": average,
    "components": components,
    "Chinese whispers": whispers,
    "Leiden": leiden,
    "DBSCAN": dbscan,
    "HDBSCAN": hdbscan,
}


def figures(y: Any, labels: Any) -> dict[str, float]:
    """BCubed on all photographs and on people with two or more."""
    several = np.bincount(y)[y] >= 2
    everybody = cluster_scores(y, labels).bcubed
    s = cluster_scores(y[several], labels[several]).bcubed
    names = ("precision", "recall", "f")
    return {name: round(getattr(everybody, name), 4) for name in names} | {
        f"{name}_several": round(getattr(s, name), 4) for name in names
    }


def compare(x: Any, y: Any, fast: bool) -> dict[str, Any]:
    """Every method: chosen on half of the people, reported on the other and on all."""
    chosen = np.random.default_rng(0).permutation(y.max() + 1)[: (y.max() + 1) // 2]
    develop = np.isin(y, chosen)
    rows, people = x[develop], y[develop]
    pair = np.triu_indices(len(rows), 1)
    impostors = (rows @ rows.T)[pair][people[pair[0]] != people[pair[1]]]
    three, four = np.quantile(impostors, [NormalDist().cdf(z) for z in (3, 4)])
    grid = [min(0.999, three + (four - three) * (z - 3)) for z in np.arange(2.6, 6.6, 0.2)]
    table: dict[str, Any] = {}
    for name, run in METHODS.items():
        if fast and name == "HDBSCAN":
            continue
        scores = [figures(y[develop], run(x[develop], t))["f"] for t in grid]
        best = grid[int(np.argmax(scores))]
        start = time.perf_counter()
        labels = run(x, best)
        table[name] = {
            "threshold": round(float(best), 4),
            "develop_f": max(scores),
            "other_half": figures(y[~develop], run(x[~develop], best)),
            "all": figures(y, labels),
            "seconds": round(time.perf_counter() - start, 2),
        }
        print(name, table[name], file=sys.stderr, flush=True)
    known = unsupervised_distributions(x, [str(i) for i in range(len(x))])
    assert known is not None
    table["faceprint, told by the album itself"] = {
        "threshold": round(known.merge_threshold(len(x)).pair, 4),
        "all": figures(y, cluster_embeddings(x, threshold=known)),
    }
    return table


def from_half(x: Any, y: Any) -> dict[str, Any]:
    """faceprint as it is: operating points from half of the people, the other half and all sorted.

    Twice, each half once; and for each what other constants of `merge_threshold.py` would have come
    to on the half that the points are from, and the best choice there on the other half.
    """
    halves = np.random.default_rng(0).permutation(y.max() + 1)[: (y.max() + 1) // 2]
    first = np.isin(y, halves)
    result = {}
    for name, develop in (("first half", first), ("second half", ~first)):
        known = score_distributions(points_of(x[develop], y[develop]))
        assert known is not None

        def run(which: Any, others: int, many: float, known: ScoreDistributions = known) -> Any:
            kept = merge_threshold.MATED_PER_FACE, merge_threshold.MANY
            merge_threshold.MATED_PER_FACE, merge_threshold.MANY = others, many
            labels = cluster_embeddings(x[which], threshold=known)
            merge_threshold.MATED_PER_FACE, merge_threshold.MANY = kept
            return figures(y[which], labels)

        grid = [(o, m) for o in (3, 5, 10) for m in (2.6, 2.75, 2.9, 3.05, 3.2)]
        tried = {f"{o}, {m}": run(develop, o, m)["f"] for o, m in grid}
        best = grid[int(np.argmax(list(tried.values())))]
        result[name] = {
            "similarities": {k: round(v, 4) for k, v in asdict(known).items() if k != "source"},
            "f_there_by_others_and_many": tried,
            "best_there": best,
            "other_half_with_the_best": run(~develop, *best),
            "other_half": run(~develop, merge_threshold.MATED_PER_FACE, merge_threshold.MANY),
            "all": run(develop | True, merge_threshold.MATED_PER_FACE, merge_threshold.MANY),
        }
    return result


def points_of(x: Any, y: Any) -> list[OperatingPoint]:
    """Points at FMR 1e-2, 1e-3 and 1e-4, over all pairs."""
    pair = np.triu_indices(len(x), 1)
    mated, scores = y[pair[0]] == y[pair[1]], (x @ x.T)[pair]
    rates = (1e-2, 1e-3, 1e-4)
    thresholds = np.quantile(scores[~mated], [1 - rate for rate in rates]).tolist()
    return [
        OperatingPoint(t, fmr=rate, fnmr=float((scores[mated] < t).mean()))
        for t, rate in zip(thresholds, rates, strict=True)
    ]


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--name", default="clustering")
    parser.add_argument("--fast", action="store_true", help="leave HDBSCAN out")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    x, y = central_faces(given.table)
    result: dict[str, Any] = provenance("scikit-learn", "usearch", "igraph", "leidenalg")
    result |= {"photographs": len(x), "people": int(y.max()) + 1}
    result["faceprint"] = from_half(x, y)
    result["methods"] = compare(x, y, given.fast)
    write(given.name, result)


if __name__ == "__main__":
    main()
