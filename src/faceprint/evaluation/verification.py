"""Evaluates verification on a set of labeled pairs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from faceprint.errors import UsageError
from faceprint.evaluation.datasets import PairSet
from faceprint.evaluation.embeddings import (
    EmbeddedPictures,
    EmbedOptions,
    Progress,
    WhichFace,
    embed_pictures,
)
from faceprint.evaluation.fold_accuracy import (
    FoldAccuracy,
    cosines,
    fold_accuracy,
    pair_embeddings,
    squared_distances,
)
from faceprint.evaluation.provenance import data_facts, engine_facts
from faceprint.evaluation.result import About, EvaluationResult, verification_result

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["VerificationProtocol", "VerificationRun", "evaluate", "pair_scores"]

VerificationProtocol = Literal["lfw", "bin", "pairs"]

_NEVER = 4.0
"""Squared distance of a pair with an undecodable picture; it matches at no threshold."""


@dataclass(frozen=True, slots=True, eq=False)
class VerificationRun:
    """The result with the scores behind it, which the report plots.

    Attributes:
        similarities: (n,) of the pairs.
        computed: pictures that were not in the cache.
    """

    result: EvaluationResult
    similarities: NDArray[np.float64]
    computed: int


def evaluate(
    protocol: VerificationProtocol,
    data: PairSet,
    analyzer: FaceAnalyzer,
    *,
    folds: int | None = None,
    threshold: float | None = None,
    options: EmbedOptions | None = None,
    progress: Progress | None = None,
    cache: Path | None = None,
) -> VerificationRun:
    """Evaluate models on labeled pairs.

    `lfw` and `bin` give the accuracy over folds as it is published; `pairs` gives both errors at a
    threshold, and the accuracy too where the list names folds or `folds` is given.

    Args:
        folds: cut the pairs into as many consecutive folds; those of the list (of a .bin pack:
            ten) when None.
        threshold: cosine similarity where errors are counted; the folds' mean when None, or the
            equal error rate's without folds.
        options: `EmbedOptions.aligned` is also taken from the data.
        cache: folder of the cache of embeddings; see `embed_pictures`.

    Raises:
        DatasetError: pictures that cannot be used.
        UsageError: pairs of one kind alone, or too few for the folds.
        ModelError: the models cannot be loaded.
    """
    if protocol not in ("lfw", "bin", "pairs"):
        raise UsageError(f"protocol is {protocol!r}; it is 'lfw', 'bin' or 'pairs'")
    # Published accuracies on LFW are those of the central face.
    face: WhichFace = "central" if protocol == "lfw" else "largest"
    chosen = options or EmbedOptions(aligned=data.aligned, face=face)
    embedded = embed_pictures(data.pictures, analyzer, chosen, progress=progress, folder=cache)
    similarities, distances = pair_scores(data, embedded)
    accuracy: FoldAccuracy | None = None
    if protocol != "pairs" or folds is not None or data.folds is not None:
        cut = data.folds if folds is None and data.folds is not None else folds or 10
        accuracy = fold_accuracy(distances, data.mated, cut)
    reproduce = {
        **engine_facts(analyzer, chosen),
        "data": data_facts(data.name, embedded.hashes, data.protocol),
    }
    result = verification_result(
        similarities,
        data.mated,
        About(protocol, data.name, analyzer.name, embedded.failed, reproduce),
        accuracy=accuracy,
        threshold=threshold,
        groups=data.groups,
        people=(data.people[data.left], data.people[data.right]),
    )
    return VerificationRun(result, similarities, embedded.computed)


def pair_scores(
    data: PairSet, embedded: EmbeddedPictures
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n,) cosine similarities and (n,) squared distances of the pairs.

    A pair of which a picture gave no embedding takes -1 and 4: it matches nowhere.
    """
    rows = pair_embeddings(embedded.vectors)
    similarities = cosines(rows, data.left, data.right)
    distances = squared_distances(rows, data.left, data.right)
    lost = ~(embedded.usable[data.left] & embedded.usable[data.right])
    similarities[lost], distances[lost] = -1.0, _NEVER
    return similarities, distances
