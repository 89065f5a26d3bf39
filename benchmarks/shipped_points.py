"""Do the operating points that the cards carry hold? FMR, FPIR, TPIR and albums on two data sets.

    python benchmarks/shipped_points.py [--draws N]

Photographs and models come from ../shared. FMR is counted over all pairs of half of the people, who
are drawn at random. For FPIR, 100 and 250 people are enrolled with one photograph each, the other
photographs of these people and those of all others are probes, and the threshold is what `identify`
takes at an FPIR of 1 %. Both are repeated over random draws. The largest face of a photograph
counts, as in `verify`. The points were measured on these photographs: people who are kept back
elsewhere decide whether they hold. FaceScrub's photographs with a wrong name are left out
(docs/reports/aside-facescrub.txt). Albums are sorted as `cluster` sorts them.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
from _common import ROOT, SHARED, provenance, write
from measure_data import read_aside
from shared_cards import register

from faceprint import settings
from faceprint.evaluation.cluster_scores import cluster_scores
from faceprint.evaluation.embeddings import EmbedOptions, embed_pictures
from faceprint.evaluation.folders import open_folder
from faceprint.recognition.clustering.partition import cluster_embeddings
from faceprint.recognition.thresholds.fpir import search_point
from faceprint.recognition.thresholds.merge_threshold import score_distributions
from faceprint.recognition.thresholds.operating_points import KnownPoints, known_points
from faceprint.types import Array
from faceprint.vision.analyzer import load
from faceprint.zoo.catalog import get_card

FPIR = 1e-2
ENROLLED = (100, 250)
PUBLISHER = {"w600k-mbf-dequant": "w600k-mbf", "edgeface-xs-dequant": "edgeface-xs"}
PAIRS = (
    ("mtcnn", "dlib-resnet"),
    ("yunet-2023mar", "mobileface"),
    ("yunet-2023mar", "w600k-mbf-dequant"),
    ("yunet-2023mar", "edgeface-xs-dequant"),
    ("scrfd-500m", "w600k-mbf-dequant"),
)
DATA = {"LFW": ("lfw", None), "FaceScrub": ("facescrub", "aside-facescrub.txt")}


def main() -> int:
    """Measures and writes benchmarks/results/shipped_points.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=20)
    draws = parser.parse_args().draws
    os.environ.setdefault("FACEPRINT_MIRROR", str(SHARED / "models"))
    os.environ.setdefault("FACEPRINT_ACCEPT_LICENSE", "1")
    register(SHARED / "models", settings.home() / "cards-in")
    rows: dict[str, Any] = {}
    for detector, embedder in PAIRS:
        fp = load(detector=detector, embedder=embedder)
        card = get_card(PUBLISHER.get(embedder, embedder))
        known = known_points(card, fp.detector_card)
        for name, (folder, aside) in DATA.items():
            data = open_folder(SHARED / "faces" / folder)
            made = embed_pictures(data.pictures, fp, EmbedOptions(face="largest"))
            wrong = read_aside(ROOT / "docs" / "reports" / aside) if aside else frozenset()
            kept = made.found & np.asarray([p.name not in wrong for p in data.pictures])
            vectors, people = made.vectors[kept], np.asarray(data.subjects)[kept]
            row = {
                "evidence": known.evidence,
                "photographs": len(data),
                "no_face": int((~made.found).sum()),
                "fmr": _fmr(vectors, people, known, draws),
                "search": [_search(vectors, people, known, n, draws) for n in ENROLLED],
                "album_bcubed_f": _album(made.vectors[made.found], made.found, data, known),
            }
            rows[f"{detector} + {embedder}, {name}"] = row
            print(detector, embedder, name, row, file=sys.stderr, flush=True)
    write("shipped_points", {"fpir_asked": FPIR, "draws": draws, "rows": rows, **provenance()})
    return 0


def _fmr(
    vectors: Array, people: NDArray[np.int64], known: KnownPoints, draws: int
) -> list[dict[str, Any]]:
    names = np.unique(people)
    rows = []
    for point in known.points:
        found = []
        for seed in range(draws):
            drawn = np.random.default_rng(seed).permutation(names)[: len(names) // 2]
            half = np.isin(people, drawn)
            scores = vectors[half] @ vectors[half].T
            upper = np.triu_indices(len(scores), 1)
            other = people[half][upper[0]] != people[half][upper[1]]
            found.append(float((scores[upper][other] >= point.threshold).mean()))
        rows.append(
            {
                "asked": point.fmr,
                "threshold": point.threshold,
                "mean": float(np.mean(found)),
                "range": [min(found), max(found)],
                "draws_kept": sum(value <= (point.fmr or 0) for value in found),
            }
        )
    return rows


def _search(
    vectors: Array, people: NDArray[np.int64], known: KnownPoints, enrolled: int, draws: int
) -> dict[str, Any]:
    point = search_point(known, enrolled, FPIR)
    names, counts = np.unique(people, return_counts=True)
    fpir, tpir, strangers = [], [], []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        # Those who have a second photograph first, so that there are probes of the enrolled.
        order = rng.permutation(len(names))
        order = order[np.argsort(counts[order] < 2, kind="stable")][:enrolled]
        templates = np.asarray([rng.choice(np.flatnonzero(people == names[i])) for i in order])
        probes = np.setdiff1d(np.arange(len(people)), templates)
        scores = vectors[probes] @ vectors[templates].T
        mine = np.isin(people[probes], names[order])
        top, whose = scores.max(axis=1), people[templates][scores.argmax(axis=1)]
        hit = (top >= point.threshold) & (whose == people[probes])
        strangers.append(int((~mine).sum()))
        fpir.append(float((top[~mine] >= point.threshold).mean()) if (~mine).any() else 0.0)
        tpir.append(float(hit[mine].mean()))
    return {
        "enrolled": min(enrolled, len(names)),
        "threshold": point.threshold,
        "strangers": [min(strangers), max(strangers)],
        "fpir_mean": float(np.mean(fpir)),
        "fpir_range": [min(fpir), max(fpir)],
        "draws_kept": sum(value <= FPIR for value in fpir),
        "tpir_mean": float(np.mean(tpir)),
    }


def _album(vectors: Array, found: NDArray[np.bool_], data: Any, known: KnownPoints) -> float:
    labels = np.full(len(data), -1, np.int64)
    known_scores = score_distributions(known.points)
    assert known_scores is not None
    labels[found] = cluster_embeddings(vectors, threshold=known_scores)
    return cluster_scores(np.asarray(data.subjects), labels).bcubed.f


if __name__ == "__main__":
    raise SystemExit(main())
