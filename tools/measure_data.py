"""The data sets of `measure_operating_points.py`: photographs, groups, and what was set aside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from facescrub_groups import facescrub_groups
from label_noise import read_aside
from numpy.typing import NDArray

from faceprint.evaluation.datasets import LabeledSet
from faceprint.evaluation.embeddings import (
    EmbeddedPictures,
    EmbedOptions,
    Progress,
    WhichFace,
    embed_pictures,
)
from faceprint.evaluation.folders import open_folder
from faceprint.evaluation.groups import labels_of, read_groups
from faceprint.evaluation.labeled_scores import LabeledScores, all_pairs
from faceprint.evaluation.pairs import open_lfw
from faceprint.evaluation.provenance import data_facts
from faceprint.evaluation.verification import evaluate
from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["NUMBERS", "DataSpec", "MeasuredData", "measure_data", "parse_data_set"]

NUMBERS = "facescrub-numbers"
"""In place of a file of groups: tell FaceScrub's men and women by their photographs' numbers."""


@dataclass(frozen=True, slots=True)
class DataSpec:
    """A data set as the command line names it.

    Attributes:
        name: what cards and reports call it.
        groups: a file of people and labels, or `NUMBERS`; None without labels.
        aside: a file that lists photographs to leave out.
        pairs: LFW's pairs.txt, for the accuracy.
    """

    name: str
    folder: Path
    groups: str | None = None
    aside: Path | None = None
    pairs: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredData:
    """A data set under one embedder and one detector.

    Attributes:
        scores: of every pair of photographs that take part.
        facts: photographs, people, how many were left out and why, as JSON values.
    """

    name: str
    scores: LabeledScores
    facts: dict[str, Any]


def parse_data_set(text: str) -> DataSpec:
    """Read `NAME=FOLDER[;groups=FILE][;aside=FILE][;pairs=FILE]`.

    Raises:
        SystemExit: not of this form.
    """
    head, *options = text.split(";")
    name, _, folder = head.partition("=")
    given: dict[str, str] = {}
    for option in options:
        key, _, value = option.partition("=")
        given[key.strip()] = value.strip()
    if not name.strip() or not folder.strip() or not set(given) <= {"groups", "aside", "pairs"}:
        raise SystemExit(f"{text!r} is not NAME=FOLDER[;groups=FILE][;aside=FILE][;pairs=FILE]")
    paths = {key: Path(given[key]) for key in ("aside", "pairs") if key in given}
    return DataSpec(name.strip(), Path(folder.strip()), given.get("groups"), **paths)


def measure_data(
    spec: DataSpec, fp: FaceAnalyzer, options: EmbedOptions, progress: Progress
) -> MeasuredData:
    """Embed a data set, and compare every pair of its photographs.

    A photograph without a face is refused by `verify`, so it takes no part in its error rates.
    """
    data = open_folder(spec.folder)
    embedded = embed_pictures(data.pictures, fp, options, progress=progress)
    labels, how = _labels(spec, data)
    listed = frozenset[str]() if spec.aside is None else read_aside(spec.aside)
    named = np.asarray([picture.name in listed for picture in data.pictures], np.bool_)
    if int(named.sum()) != len(listed):
        raise SystemExit(f"{spec.aside}: names photographs that {spec.folder} does not hold")
    kept = embedded.found & ~named
    scores = all_pairs(embedded.vectors[kept], data.subjects[kept], groups=labels)
    facts: dict[str, Any] = {
        "name": spec.name,
        "photographs": len(data),
        "people": len(data.names),
        "without_face": int((~embedded.found).sum()),
        "set_aside": int(named.sum()),
        "set_aside_list": None if spec.aside is None else spec.aside.name,
        "groups": how,
        "distribution": _distribution(scores),
        "accuracy": _accuracy(spec, fp, "central"),
        "accuracy_largest": _accuracy(spec, fp, "largest"),
        "data": data_facts(spec.name, embedded.hashes, None),
        "summary": _summary(embedded, named),
    }
    return MeasuredData(spec.name, scores, facts)


def _labels(spec: DataSpec, data: LabeledSet) -> tuple[NDArray[np.str_] | None, str | None]:
    if spec.groups is None:
        return None, None
    if spec.groups == NUMBERS:
        groups = facescrub_groups(spec.folder)
        how = "men and women, by the order of names and numbers (tools/facescrub_groups.py)"
    else:
        groups = read_groups(Path(spec.groups))
        how = f"read from {Path(spec.groups).name}"
    labels = labels_of(data.names, groups, spec.groups)
    counted = ", ".join(
        f"{int((labels == each).sum())} {each}" for each in np.unique(labels[labels != ""]).tolist()
    )
    return labels, f"{how}: {counted}, {int((labels == '').sum())} people without a label"


def _summary(embedded: EmbeddedPictures, named: NDArray[np.bool_]) -> list[str]:
    found, total = int(embedded.found.sum()), len(embedded.found)
    lines = [
        f"a face was found in {found:,} of {total:,} photographs; the others take no part in the "
        "points, and take part in an accuracy by their middle"
    ]
    if named.any():
        lines.append(
            f"{int(named.sum())} photographs carry a wrong name, as three embedders agree, and "
            "take no part in the points"
        )
    else:
        lines.append("the data's label errors are counted as the model's")
    return lines


def _accuracy(spec: DataSpec, fp: FaceAnalyzer, face: WhichFace) -> dict[str, Any] | None:
    """Published figures on LFW are those of the central face; `verify` takes the largest."""
    if spec.pairs is None:
        return None
    data = open_lfw(spec.folder, spec.pairs)
    found = evaluate("lfw", data, fp, options=EmbedOptions(face=face)).result
    return {
        "mean": found.accuracy,
        "std": found.accuracy_std,
        "folds": list(found.fold_accuracies),
        "pairs": found.pairs,
        "auc": found.auc,
        "eer": found.eer,
        "protocol_file": found.reproduce["data"],
    }


def _distribution(scores: LabeledScores) -> dict[str, float]:
    mated, other = scores.similarities[scores.mated], scores.similarities[~scores.mated]
    return {
        "mated_mean": float(mated.mean(dtype=np.float64)),
        "mated_std": float(mated.std(dtype=np.float64)),
        "non_mated_mean": float(other.mean(dtype=np.float64)),
        "non_mated_std": float(other.std(dtype=np.float64)),
    }
