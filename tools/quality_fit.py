"""Chooses an embedder's measure of quality from a sample of pictures, and says what it does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from quality_sample import Sample

from faceprint.types import Array
from faceprint.zoo.card import QualityMeasure
from faceprint.zoo.card_quality import pack_centers, unpack_centers

__all__ = ["Rates", "choose", "error_discard", "poor_centers", "rates", "scores", "threshold_at"]

_CENTERS = 8
_FEWEST = 10
"""People whose faces a center has to be the mean of, so that it shows nobody."""
_PRONE = 0.4
"""Share of the degraded faces, those that most resemble other people's, that centers come from."""
_ASKED = 0.01
_TAKEN = 0.01
"""Of the degraded strangers, taken for somebody at the 1e-2 point: the asked rate is kept."""
_TAKEN_OF_KIND = 0.05
"""Of the degraded strangers of any one kind."""
_MOST_REFUSED = 0.015
"""Of the ordinary photographs of each data set: where the limit stops in any case."""
_WORSE = 1.1

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def threshold_at(sample: Sample, fmr: float) -> float:
    """The threshold that keeps an FMR among ordinary photographs, on the worst of the data sets."""
    found = []
    for name in np.unique(sample.data_set):
        part = sample.pick(sample.ordinary & (sample.data_set == name))
        similar = part.vectors @ part.vectors.T
        other = np.triu(part.person[:, None] != part.person[None, :], 1)
        found.append(float(np.quantile(similar[other], 1 - fmr)))
    return max(found)


def poor_centers(sample: Sample) -> Array:
    """(k, d) what the model makes of poor pictures: means of faces of at least ten people.

    Of the degraded faces those are taken that most resemble other people's degraded faces; k-means
    on the sphere (Dhillon and Modha, Machine Learning 42, 2001) sorts them.
    """
    poor = sample.pick(~sample.ordinary)
    similar = poor.vectors @ poor.vectors.T
    similar[poor.person[:, None] == poor.person[None, :]] = -1.0
    most = np.sort(similar, axis=1)[:, -max(1, len(similar) // 20)]
    prone = most >= np.quantile(most, 1 - _PRONE)
    rows, people = poor.vectors[prone], poor.person[prone]
    rng = np.random.default_rng(0)
    centers = rows[rng.choice(len(rows), min(_CENTERS, len(rows)), replace=False)]
    for _ in range(30):
        nearest = (rows @ centers.T).argmax(axis=1)
        means = [rows[nearest == index].mean(axis=0) for index in np.unique(nearest)]
        centers = np.stack([mean / np.linalg.norm(mean) for mean in means])
    nearest = (rows @ centers.T).argmax(axis=1)
    crowd = [len(set(people[nearest == index].tolist())) for index in range(len(centers))]
    return np.asarray(centers[np.asarray(crowd) >= _FEWEST], np.float32)


def scores(sample: Sample, measure: QualityMeasure) -> Floats:
    """(n,) what `knots` map to a quality."""
    found = measure.norm * sample.norms.astype(np.float64)
    if measure.centers:
        found = found - (sample.vectors @ unpack_centers(measure).T).max(axis=1)
    return found


@dataclass(frozen=True, slots=True)
class Rates:
    """What a limit does.

    Attributes:
        refused: of ordinary photographs, by data set.
        refused_mates: of pairs of ordinary photographs of one person, by data set: those of which
            either falls short.
        taken: of the degraded strangers, by kind ("" for all): taken for a person who is enrolled
            with one degraded photograph that was not refused, of the same kind.
        taken_by_ordinary: the same where the enrolled photograph is an ordinary one.
        fmr: of pairs of degraded photographs of which neither is refused.
        kept: of the degraded photographs, those that are not refused.
    """

    refused: dict[str, float]
    refused_mates: dict[str, float]
    taken: dict[str, float]
    taken_by_ordinary: float
    fmr: float
    kept: float


def rates(sample: Sample, score: Floats, limit: float, threshold: float) -> Rates:
    """Count what happens at a limit and a threshold; `score` is (n,), as `scores` gives it."""
    good, ordinary = score >= limit, sample.ordinary
    similar = sample.vectors @ sample.vectors.T
    other = sample.person[:, None] != sample.person[None, :]
    match = similar >= threshold

    def share(gallery: Bools, probes: Bools) -> float:
        pairs = other[gallery & good][:, probes]
        hits = match[gallery & good][:, probes] & pairs & good[probes]
        return float(hits.sum() / max(1, pairs.sum()))

    taken = {"": share(~ordinary, ~ordinary)}
    for kind in np.unique(sample.kind[~ordinary]):
        taken[str(kind)] = share(sample.kind == kind, sample.kind == kind)
    sets = [str(name) for name in np.unique(sample.data_set)]
    refused = {name: float(1 - good[ordinary & (sample.data_set == name)].mean()) for name in sets}
    mates = {name: _refused_mates(sample, good, name) for name in sets}
    poor = good & ~ordinary
    pairs = np.triu(other[poor][:, poor], 1)
    return Rates(
        refused=refused,
        refused_mates=mates,
        taken=taken,
        taken_by_ordinary=share(ordinary, ~ordinary),
        fmr=float(match[poor][:, poor][pairs].mean()) if pairs.any() else 0.0,
        kept=float(good[~ordinary].mean()),
    )


def _refused_mates(sample: Sample, good: Bools, name: str) -> float:
    which = sample.ordinary & (sample.data_set == name)
    person, fine = sample.person[which], good[which]
    mated = np.triu(person[:, None] == person[None, :], 1)
    return float(1 - (fine[:, None] & fine[None, :])[mated].mean()) if mated.any() else 0.0


def choose(sample: Sample, source: str) -> QualityMeasure:
    """The measure and its knots, from this sample (give it one half of the people).

    The limit, value 0.5, is the lowest at which at most 1 % of the degraded strangers, and 5 % of
    those of any one kind, are taken for somebody at the 1e-2 point; it stops where 1.5 % of the
    ordinary photographs of a data set would be refused. The length of the vector takes part where
    that orders mated pairs better and takes no more strangers.
    """
    centers = pack_centers(poor_centers(sample))
    plain = QualityMeasure(((0.0, 0.0), (1.0, 1.0)), 0.0, centers)
    # Both parts of a score then spread as widely.
    spread = float(scores(sample, plain).std() / max(float(sample.norms.std()), 1e-6))
    both = replace(plain, norm=float(f"{spread:.3g}"))
    threshold, best = threshold_at(sample, _ASKED), plain
    taken, area = [], []
    for measure in (plain, both):
        score = _crossed(sample, measure)
        limit = _limit(sample, score, threshold)
        taken.append(rates(sample, score, limit, threshold).taken[""])
        area.append(mated_area(sample, score, threshold_at(sample, 1e-3))[1])
    if taken[1] <= _WORSE * taken[0] and area[1] < area[0]:
        best = both
    limit = _limit(sample, _crossed(sample, best), threshold)
    score = scores(sample, best)
    low = min(float(np.quantile(score[~sample.ordinary], 0.01)), limit - 1e-3)
    high = max(float(np.median(score[sample.ordinary])), limit + 1e-3)
    knots = tuple((round(at, 4), value) for at, value in ((low, 0.0), (limit, 0.5), (high, 1.0)))
    return QualityMeasure(knots, best.norm, best.centers, source)


def _crossed(sample: Sample, measure: QualityMeasure) -> Floats:
    """Scores by centers that others' faces gave: a face is near a center that it is part of."""
    found = np.empty(len(sample.person))
    for number in range(4):
        part = sample.fold == number
        centers = pack_centers(poor_centers(sample.pick(~part)))
        found[part] = scores(sample.pick(part), replace(measure, centers=centers))
    return found


def _limit(sample: Sample, score: Floats, threshold: float) -> float:
    ordinary = [
        score[sample.ordinary & (sample.data_set == name)] for name in np.unique(sample.data_set)
    ]
    steps = np.arange(0.0, _MOST_REFUSED + 1e-9, 0.0025)
    limits = [min(float(np.quantile(part, step)) for part in ordinary) for step in steps]
    for limit in limits:
        taken = rates(sample, score, limit, threshold).taken
        if taken[""] <= _TAKEN and max(taken.values()) <= _TAKEN_OF_KIND:
            return limit
    return limits[-1]


def error_discard(errors: Bools, quality: Floats, most: float = 0.3) -> float:
    """Area under the error rate against the share discarded, by the rate without discarding.

    Grother and Tabassi, "Performance of biometric quality measures", PAMI 29(4), 2007: 1 where the
    measure says nothing, less where discarding the poorest leaves fewer errors.

    Args:
        errors: (n,) which comparisons are wrong.
        quality: (n,) of each comparison, its poorer photograph's.
        most: share discarded at the end of the curve.
    """
    rate = float(errors.mean())
    if rate == 0.0:
        return 1.0
    order = np.argsort(quality, kind="stable")
    steps = np.linspace(0.0, most, 31)
    curve = [float(errors[order[int(len(order) * step) :]].mean()) / rate for step in steps]
    return float(np.trapezoid(curve, steps) / most)


def mated_area(sample: Sample, score: Floats, threshold: float) -> tuple[float, float, int]:
    """FNMR of mated pairs with at least one ordinary photograph, `error_discard` of it, and pairs.

    Both photographs come from different pictures of the person.
    """
    a, b = np.triu_indices(len(sample.person), 1)
    mated = (sample.person[a] == sample.person[b]) & (sample.photo[a] != sample.photo[b])
    mated &= sample.ordinary[a] | sample.ordinary[b]
    a, b = a[mated], b[mated]
    errors = np.einsum("nd,nd->n", sample.vectors[a], sample.vectors[b]) < threshold
    area = error_discard(errors, np.minimum(score[a], score[b]))
    return float(errors.mean()), area, len(errors)


def summary(sample: Sample, score: Floats, limit: float) -> dict[str, Any]:
    """What the limit does on this sample, at the points 1e-2 and 1e-3, as plain data."""
    out: dict[str, Any] = {"faces": len(sample.person), "people": len(np.unique(sample.person))}
    for fmr in (1e-2, 1e-3):
        threshold = threshold_at(sample, fmr)
        without = rates(sample, score, -np.inf, threshold)
        out[f"fmr-{fmr:g}"] = {
            "threshold": round(threshold, 4),
            **{
                key: _rounded(getattr(rates(sample, score, limit, threshold), key)) for key in _KEYS
            },
            "without_limit": {key: _rounded(getattr(without, key)) for key in _KEYS[2:5]},
        }
    fnmr, area, pairs = mated_area(sample, score, threshold_at(sample, 1e-3))
    out["mated"] = {"fnmr": round(fnmr, 4), "error_discard": round(area, 3), "pairs": pairs}
    return out


_KEYS = ("refused", "refused_mates", "taken", "taken_by_ordinary", "fmr", "kept")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key or "all": round(number, 4) for key, number in value.items()}
    return round(value, 5)
