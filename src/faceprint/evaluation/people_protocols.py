"""Evaluates open-set identification and clustering on pictures of known people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceprint.errors import DatasetError, UsageError
from faceprint.evaluation.cluster_scores import ClusterScores, cluster_scores
from faceprint.evaluation.datasets import LabeledSet
from faceprint.evaluation.embeddings import (
    EmbeddedPictures,
    EmbedOptions,
    Progress,
    embed_pictures,
)
from faceprint.evaluation.open_set import Identified, open_set
from faceprint.evaluation.provenance import data_facts, engine_facts
from faceprint.recognition.clustering.partition import cluster_embeddings
from faceprint.recognition.clustering.unsupervised_calibration import unsupervised_distributions
from faceprint.recognition.thresholds.merge_threshold import ScoreDistributions

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["PeopleResult", "evaluate_clustering", "evaluate_identification", "split_open_set"]

FPIRS = (1e-1, 1e-2, 1e-3)


@dataclass(frozen=True, slots=True)
class PeopleResult:
    """The outcome of identification or clustering; one of `identified` and `clusters` is given.

    Attributes:
        pictures: all of the data; `failed`: those in which no face was found.
        threshold: of the clustering, None for identification, whose points name theirs.
        several: `clusters` over the pictures of people who have two or more alone.
        reproduce: all that is needed to repeat it.
    """

    protocol: str
    dataset: str
    pack: str
    pictures: int
    failed: int
    threshold: float | None = None
    identified: Identified | None = None
    clusters: ClusterScores | None = None
    several: ClusterScores | None = None
    reproduce: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """As JSON values."""
        value = asdict(self)
        for name, scores in (("clusters", self.clusters), ("several", self.several)):
            for kind in ("bcubed", "pairwise") if scores is not None else ():
                value[name][kind]["f"] = getattr(scores, kind).f
        return {key: item for key, item in value.items() if item is not None}


def evaluate_identification(
    data: LabeledSet,
    analyzer: FaceAnalyzer,
    *,
    fpirs: Sequence[float] = FPIRS,
    options: EmbedOptions | None = None,
    progress: Progress | None = None,
) -> PeopleResult:
    """Search every probe among the enrolled people; see `split_open_set` for who is enrolled.

    For a probe without a detected face, its center is searched, so it counts as an error.

    Raises:
        DatasetError: too few people, or pictures that cannot be used.
        ModelError: the models cannot be loaded.
    """
    chosen, embedded = _embedded(data, analyzer, options, progress)
    subjects = np.asarray(data.subjects)
    gallery, probes = split_open_set(subjects, embedded.found)
    found = open_set(
        embedded.vectors[probes],
        subjects[probes],
        embedded.vectors[gallery],
        subjects[gallery],
        fpirs=fpirs,
    )
    return PeopleResult(
        "identification",
        data.name,
        analyzer.name,
        len(data),
        embedded.failed,
        identified=found,
        reproduce=_reproduce(data, analyzer, chosen, embedded),
    )


def evaluate_clustering(
    data: LabeledSet,
    analyzer: FaceAnalyzer,
    *,
    threshold: float | ScoreDistributions | None,
    options: EmbedOptions | None = None,
    progress: Progress | None = None,
) -> PeopleResult:
    """Cluster the pictures, and compare the clusters with the people.

    Each picture without a detected face is a cluster of its own.

    Args:
        threshold: mean cosine similarity from which two groups are one person, or how the model's
            similarities are distributed; the result then has the threshold of two faces alone. None
            takes that from the pictures, as `cluster` does with a model that nobody measured.

    Raises:
        DatasetError: no face at all, or pictures that cannot be used.
        UsageError: no threshold, and too few pictures to tell one from.
        ModelError: the models cannot be loaded.
    """
    chosen, embedded = _embedded(data, analyzer, options, progress)
    if not embedded.found.any():
        raise DatasetError(f"{data.name}: no face was found in any picture")
    labels = np.full(len(data), -1, np.int64)
    found = embedded.vectors[embedded.found]
    if threshold is None:
        threshold = unsupervised_distributions(found, [str(i) for i in range(len(found))])
    if threshold is None:
        raise UsageError("too few pictures to estimate a threshold; give --threshold")
    labels[embedded.found] = cluster_embeddings(found, threshold=threshold)
    if isinstance(threshold, ScoreDistributions):
        threshold = threshold.merge_threshold(len(found)).pair
    subjects = np.asarray(data.subjects)
    names, counts = np.unique(subjects, return_counts=True)
    often = np.isin(subjects, names[counts >= 2])
    return PeopleResult(
        "clustering",
        data.name,
        analyzer.name,
        len(data),
        embedded.failed,
        threshold=threshold,
        clusters=cluster_scores(subjects, labels),
        several=cluster_scores(subjects[often], labels[often]) if often.any() else None,
        reproduce=_reproduce(data, analyzer, chosen, embedded),
    )


def split_open_set(
    subjects: NDArray[np.int64], found: NDArray[np.bool_], seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of gallery pictures and of probes.

    Half of the people who have two pictures or more, drawn by `seed`, are enrolled with their first
    picture in which a face was found; all other pictures are probes, those of the other people
    strangers.

    Raises:
        DatasetError: fewer than two people can be enrolled or probed.
    """
    names, counts = np.unique(subjects, return_counts=True)
    several = np.intersect1d(names[counts >= 2], subjects[found])
    if len(several) < 2:
        raise DatasetError("identification needs two people or more with two pictures each")
    drawn = np.random.default_rng(seed).permutation(several)[: (len(several) + 1) // 2]
    usable = np.flatnonzero(found)
    _, first = np.unique(subjects[usable], return_index=True)
    gallery = usable[first][np.isin(subjects[usable[first]], drawn)]
    return gallery, np.setdiff1d(np.arange(len(subjects)), gallery)


def _embedded(
    data: LabeledSet,
    analyzer: FaceAnalyzer,
    options: EmbedOptions | None,
    progress: Progress | None,
) -> tuple[EmbedOptions, EmbeddedPictures]:
    chosen = options or EmbedOptions(aligned=data.aligned)
    return chosen, embed_pictures(data.pictures, analyzer, chosen, progress=progress)


def _reproduce(
    data: LabeledSet, analyzer: FaceAnalyzer, options: EmbedOptions, embedded: EmbeddedPictures
) -> dict[str, object]:
    facts = data_facts(data.name, embedded.hashes, None)
    return {**engine_facts(analyzer, options), "data": facts}
