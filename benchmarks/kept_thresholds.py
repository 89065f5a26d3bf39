"""How often other people keep the false match rate that a threshold was fitted for.

The people of each FOLDER (one folder for each person) are split at random into halves. Thresholds
are fitted on one half by several rules and tested on the other. Prints JSON: for each data set,
rule and target, in how many draws the other half stayed at or below the target, and its FNMR.

    python benchmarks/kept_thresholds.py --embedder mobileface --detector yunet-2023mar \\
        --draws 20 --most 3 lfw facescrub > kept.json
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from label_noise import read_aside

from faceprint.evaluation.embeddings import EmbedOptions, embed_pictures
from faceprint.evaluation.folders import open_folder
from faceprint.evaluation.labeled_scores import LabeledScores, all_pairs
from faceprint.evaluation.metrics import error_rates
from faceprint.evaluation.person_bootstrap import rate_by_person
from faceprint.evaluation.provenance import engine_facts
from faceprint.evaluation.resampled_scores import ResampledScores
from faceprint.vision.analyzer import FaceAnalyzer, load

TARGETS = (1e-2, 1e-3, 1e-4)
RULES = (None, 0.8, 0.84, 0.9, 0.95)


def main() -> None:
    """Judge each data set by itself."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--embedder", required=True)
    parser.add_argument("--detector", required=True)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--most", type=int, default=0, help="photographs of a person; 0 is all")
    parser.add_argument("--aside", type=Path, help="photographs to leave out")
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    fp = load(detector=given.detector, embedder=given.embedder, threads=given.threads)
    aside = read_aside(given.aside) if given.aside else frozenset[str]()
    found = {
        folder.name: _judge(_scores(folder, fp, given.most, aside), given.draws)
        for folder in given.folders
    }
    print(json.dumps({"data_sets": found, "reproduce": engine_facts(fp, EmbedOptions())}, indent=1))


def _scores(folder: Path, fp: FaceAnalyzer, most: int, aside: frozenset[str]) -> LabeledScores:
    data = open_folder(folder)
    embedded = embed_pictures(data.pictures, fp)
    place = np.arange(len(data)) - np.searchsorted(data.subjects, data.subjects)
    named = np.asarray([picture.name in aside for picture in data.pictures])
    kept = embedded.found & ~named & ((place < most) if most else True)
    return all_pairs(embedded.vectors[kept], data.subjects[kept])


def _judge(scores: LabeledScores, draws: int) -> list[dict[str, Any]]:
    people = int(max(scores.first.max(), scores.second.max())) + 1
    seen: dict[tuple[str, float], list[tuple[float, float, float]]] = {}
    for draw in range(draws):
        half = np.random.default_rng(draw).permutation(people) < people // 2
        fitted = ResampledScores.of(scores.among(half), replicates=200, seed=draw)
        other = scores.among(~half)
        for target in TARGETS:
            for keep in RULES:
                threshold = fitted.threshold_for(target, keep)
                if isinstance(threshold, str):
                    continue
                rates = error_rates(other.similarities, other.mated, threshold)
                missed = other.similarities[other.mated] < threshold
                by_person = rate_by_person(missed, other.first[other.mated])
                row = (rates.fmr.observed, rates.fnmr.observed, by_person)
                seen.setdefault((f"{keep or 'observed'}", target), []).append(row)
    return [
        {
            "rule": rule,
            "fmr": target,
            "draws": len(rows),
            "kept": sum(fmr <= target for fmr, _, _ in rows),
            "fnmr": float(np.mean([fnmr for _, fnmr, _ in rows])),
            "fnmr_by_person": float(np.mean([by_person for _, _, by_person in rows])),
        }
        for (rule, target), rows in seen.items()
    ]


if __name__ == "__main__":
    main()
