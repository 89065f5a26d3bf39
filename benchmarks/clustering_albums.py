"""Albums of two data sets: whole, small, like a family's, and by a model nobody measured.

    python benchmarks/clustering_albums.py --name mbf LFW.npz FACESCRUB.npz

The tables are `faceprint embed` of folders with one folder per person; the face nearest to each
photograph's middle counts. Half of the people of each data set give the operating points (the
threshold is the highest that either data set needs, as in the cards); albums are of the other
half. The constant threshold of average linkage is chosen on the half with the points.

Albums like a family's hold people who resemble each other: one drawn at random, then those nearest
to the ones chosen, with up to 30 photographs each.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from _common import provenance, write
from PIL import Image

from faceprint.evaluation.cluster_scores import cluster_scores
from faceprint.recognition.clustering.partition import cluster_embeddings
from faceprint.recognition.clustering.unsupervised_calibration import unsupervised_distributions
from faceprint.recognition.thresholds import merge_threshold
from faceprint.recognition.thresholds.merge_threshold import ScoreDistributions, score_distributions
from faceprint.types import Measurement, OperatingPoint

DRAWS, RATES = 12, (1e-2, 1e-3, 1e-4)
FEWEST = (1_000, 300, 100)

Data = tuple[Any, Any]
"""(n, d) unit vectors and (n,) person numbers."""


def central_faces(path: Path) -> Data:
    """The face nearest to each photograph's middle; photographs without a face are left out."""
    with np.load(path) as columns:
        there = columns["face"] >= 0
        box, source, vectors = (columns[name][there] for name in ("box", "source", "embedding"))
    sizes = {name: Image.open(name).size for name in np.unique(source)}
    middles = np.array([sizes[name] for name in source]) / 2
    order = np.lexsort((np.hypot(*((box[:, :2] + box[:, 2:]) / 2 - middles).T), source))
    source = source[order]
    first = np.concatenate([[True], source[1:] != source[:-1]])
    people = [Path(str(name)).parent.name for name in source[first]]
    return vectors[order][first].astype(np.float32), np.unique(people, return_inverse=True)[1]


def halves(data: Data, swapped: bool) -> tuple[Data, Data]:
    """The half of the people that the points come from, and the other."""
    x, y = data
    chosen = np.isin(y, np.random.default_rng(0).permutation(y.max() + 1)[: (y.max() + 1) // 2])
    one, other = (chosen, ~chosen) if not swapped else (~chosen, chosen)
    return tuple((x[h], np.unique(y[h], return_inverse=True)[1]) for h in (one, other))  # type: ignore[return-value]


def points_of(sets: dict[str, Data]) -> list[OperatingPoint]:
    """Points at the thresholds that keep each rate on every data set."""
    scores = {}
    for name, (x, y) in sets.items():
        pair = np.triu_indices(len(x), 1)
        mated, all_scores = y[pair[0]] == y[pair[1]], (x @ x.T)[pair]
        scores[name] = all_scores[~mated], all_scores[mated]
    points = []
    for rate in RATES:
        highest = max(float(np.quantile(others, 1 - rate)) for others, _ in scores.values())
        found = tuple(
            Measurement(name, float((o >= highest).mean()), fnmr=float((m < highest).mean()))
            for name, (o, m) in scores.items()
        )
        fnmr = max(one.fnmr or 0.0 for one in found)
        points.append(OperatingPoint(highest, rate, fnmr=fnmr, measurements=found))
    return points


def figures(y: Any, labels: Any) -> dict[str, float]:
    """BCubed precision, recall and F."""
    found = cluster_scores(y, labels).bcubed
    return {name: round(getattr(found, name), 4) for name in ("precision", "recall", "f")}


def grid(known: ScoreDistributions) -> list[float]:
    """Constant thresholds to choose from, by the normal quantile of two people's."""
    return [known.threshold_at(1 - NormalDist().cdf(z)) for z in np.linspace(2.2, 5, 15)]


def drawn(data: Data, count: int, rng: np.random.Generator) -> Data:
    """So many people with two photographs or more, up to 30 of each."""
    counts = np.bincount(data[1])
    return _album(data, rng.permutation(np.flatnonzero(counts >= 2))[:count], rng)


def family(data: Data, count: int, rng: np.random.Generator) -> Data:
    """So many people who resemble each other, of the third with the most photographs."""
    x, y = data
    counts = np.bincount(y)
    often = np.flatnonzero(counts >= max(4, int(np.quantile(counts[counts >= 2], 2 / 3))))
    centers = np.array([x[y == person].mean(axis=0) for person in often])
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    alike = centers @ centers.T
    chosen = [int(rng.integers(len(often)))]
    while len(chosen) < min(count, len(often)):
        nearness = alike[chosen].mean(axis=0)
        nearness[chosen] = -2
        chosen.append(int(nearness.argmax()))
    return _album(data, often[chosen], rng)


def _album(data: Data, people: Any, rng: np.random.Generator) -> Data:
    x, y = data
    rows = np.concatenate([rng.permutation(np.flatnonzero(y == person))[:30] for person in people])
    return x[rows], np.unique(y[rows], return_inverse=True)[1]


def small(make: Callable[[np.random.Generator], Data], known: ScoreDistributions) -> dict[str, Any]:
    """Albums of one kind: mean F and least precision of each way."""
    ways: dict[str, list[dict[str, float]]] = {}
    unsaid = 0
    for number in range(DRAWS):
        x, y = make(np.random.default_rng(number))
        for fewest in FEWEST:
            kept, merge_threshold.FEWEST = merge_threshold.FEWEST, fewest
            labels = cluster_embeddings(x, threshold=known)
            merge_threshold.FEWEST = kept
            ways.setdefault(f"counts as {fewest:,} or more", []).append(figures(y, labels))
        best = max((figures(y, cluster_embeddings(x, threshold=t)) for t in grid(known)),
                   key=lambda row: row["f"])  # fmt: skip
        ways.setdefault("average linkage, best for each album", []).append(best)
        own = unsupervised_distributions(x, [str(i) for i in range(len(x))])
        unsaid += own is None
        if own is not None:
            row = figures(y, cluster_embeddings(x, threshold=own))
            ways.setdefault("told by the album itself", []).append(row)
    return {
        name: {
            "albums": len(rows),
            "f": round(float(np.mean([row["f"] for row in rows])), 4),
            "least_f": min(row["f"] for row in rows),
            "precision": round(float(np.mean([row["precision"] for row in rows])), 4),
            "least_precision": min(row["precision"] for row in rows),
        }
        for name, rows in ways.items()
    } | {"albums that say nothing themselves": unsaid}


def measured(sets: dict[str, Data], swapped: bool) -> dict[str, Any]:
    """One direction: points of one half, albums of the other."""
    split = {name: halves(data, swapped) for name, data in sets.items()}
    known = score_distributions(points_of({name: parts[0] for name, parts in split.items()}))
    assert known is not None
    result: dict[str, Any] = {
        "similarities": {k: round(v, 4) for k, v in asdict(known).items() if k != "source"}
    }
    for name, ((dx, dy), (x, y)) in split.items():
        best = max(grid(known), key=lambda t: figures(dy, cluster_embeddings(dx, threshold=t))["f"])
        own = unsupervised_distributions(x, [str(i) for i in range(len(x))])
        assert own is not None
        result[name] = {
            "photographs": len(x),
            "people": int(y.max()) + 1,
            "whole": {
                "faceprint": figures(y, cluster_embeddings(x, threshold=known)),
                "average linkage": figures(y, cluster_embeddings(x, threshold=best)),
                "told by the album itself": figures(y, cluster_embeddings(x, threshold=own)),
            },
            "drawn": {str(n): small(partial(drawn, (x, y), n), known) for n in (10, 20, 30, 100)},
            "family": {str(n): small(partial(family, (x, y), n), known) for n in (5, 10)},
        }
    return result


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lfw", type=Path)
    parser.add_argument("facescrub", type=Path)
    parser.add_argument("--name", required=True)
    given = parser.parse_args()
    sets = {"LFW": central_faces(given.lfw), "FaceScrub": central_faces(given.facescrub)}
    result = provenance()
    result |= {"draws": DRAWS}
    result["first half"] = measured(sets, swapped=False)
    result["second half"] = measured(sets, swapped=True)
    write(f"clustering_albums_{given.name}", result)


if __name__ == "__main__":
    main()
