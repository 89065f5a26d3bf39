"""Protocols against answers from paper, from definitions and from scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold

from faceprint.errors import UsageError
from faceprint.evaluation.cluster_scores import cluster_scores
from faceprint.evaluation.fold_accuracy import (
    consecutive_folds,
    cosines,
    fold_accuracy,
    pair_embeddings,
    squared_distances,
)
from faceprint.evaluation.intervals import Rate, wilson
from faceprint.evaluation.open_set import open_set, subject_scores


def test_folds_worked_out_on_paper() -> None:
    # Twelve pairs in three folds; squared distances, m = mated, n = non-mated.
    #   fold 0: m 0.505  m 0.905  n 1.505  n 1.005
    #   fold 1: m 0.605  m 1.205  n 1.105  n 1.805
    #   fold 2: m 0.305  m 1.605  n 1.405  n 2.005
    # "Same" is d < t, t = 0, 0.01, 0.02 ...; right calls among the eight training pairs:
    # Test fold 0, trained on 1 and 2: m 0.305 0.605 1.205 1.605, n 1.105 1.405 1.805 2.005.
    #   t in (0.605, 1.105]: 2 m + 4 n = 6; t in (1.205, 1.405]: 3 m + 3 n = 6;
    #   t in (1.605, 1.805]: 4 m + 2 n = 6; elsewhere less. The first t with 6 is 0.61.
    #   On fold 0 at 0.61: m 0.505 same (right), m 0.905 not (wrong), n n right: 3/4.
    # Test fold 1, trained on 0 and 2: m 0.305 0.505 0.905 1.605, n 1.005 1.405 1.505 2.005.
    #   t in (0.905, 1.005]: 3 m + 4 n = 7, the best. The first is 0.91.
    #   On fold 1 at 0.91: m 0.605 right, m 1.205 wrong, n n right: 3/4.
    # Test fold 2, trained on 0 and 1: m 0.505 0.605 0.905 1.205, n 1.005 1.105 1.505 1.805.
    #   t in (0.905, 1.005]: 3 m + 4 n = 7; t in (1.205, 1.505]: 4 m + 2 n = 6. The first is 0.91.
    #   On fold 2 at 0.91: m 0.305 right, m 1.605 wrong, n n right: 3/4.
    # So far every fold has 3/4; moving n 1.405 of fold 2 to 0.805 makes them differ:
    # Test fold 0: m 0.305 0.605 1.205 1.605, n 0.805 1.105 1.805 2.005.
    #   t in (0.605, 0.805]: 2 + 4 = 6, first 0.61; (1.605, 1.805]: 4 + 2 = 6. 0.61 -> 3/4.
    # Test fold 1: m 0.305 0.505 0.905 1.605, n 0.805 1.005 1.505 2.005.
    #   t in (0.505, 0.805]: 2 + 4 = 6; t in (0.905, 1.005]: 3 + 3 = 6; first 0.51.
    #   On fold 1 at 0.51: m wrong, m wrong, n n right: 2/4.
    # Test fold 2: 0.91 as before. On fold 2: m 0.305 right, m 1.605 wrong, n 0.805 wrong,
    #   n 2.005 right: 2/4.
    # Mean (3/4 + 2/4 + 2/4) / 3 = 7/12; population variance (1/6^2 + 2 * 1/12^2) / 3 = 1/72.
    distances = [0.505, 0.905, 1.505, 1.005, 0.605, 1.205, 1.105, 1.805, 0.305, 1.605, 0.805, 2.005]
    mated = [True, True, False, False] * 3
    result = fold_accuracy(distances, mated, folds=3)
    assert result.accuracies == (0.75, 0.5, 0.5)
    assert result.mean == pytest.approx(7 / 12)
    assert result.std == pytest.approx(np.sqrt(1 / 72))
    assert result.distances == pytest.approx((0.61, 0.51, 0.91))
    assert result.thresholds == pytest.approx((0.695, 0.745, 0.545))
    before = fold_accuracy([*distances[:10], 1.405, 2.005], mated, folds=3)
    assert before.accuracies == (0.75, 0.75, 0.75)
    assert before.distances == pytest.approx((0.61, 0.91, 0.91))
    # The same pairs shuffled, with their folds given.
    order = np.random.default_rng(0).permutation(12)
    named = np.repeat([7, 8, 9], 4)[order]
    again = fold_accuracy(np.asarray(distances)[order], np.asarray(mated)[order], named)
    assert again == result


def test_same_is_strictly_below_the_threshold() -> None:
    # 1.0 is a threshold itself: at t = 1.0 a pair at 1.0 is not the same, at 1.01 it is.
    result = fold_accuracy([1.0, 2.0, 1.0, 2.0], [True, False, True, False], 2)
    assert result.accuracies == (1.0, 1.0)
    assert result.distances == pytest.approx((1.01, 1.01))
    # A failed pair takes 4 and is never the same.
    assert fold_accuracy([4.0, 4.0, 4.0, 4.0], [False, True] * 2, 2).mean == 0.5


@given(
    st.lists(st.tuples(st.floats(0, 4), st.booleans()), min_size=10, max_size=60),
    st.integers(2, 10),
)
@settings(max_examples=100, deadline=None)
def test_folds_follow_the_definition(rows: list[tuple[float, bool]], folds: int) -> None:
    d, same = np.asarray([r[0] for r in rows]), np.asarray([r[1] for r in rows])
    thresholds, accuracies = np.arange(0, 4, 0.01), []
    for train, test in KFold(folds, shuffle=False).split(d):
        right = [((d[train] < t) == same[train]).sum() for t in thresholds]
        best = thresholds[int(np.argmax(right))]
        accuracies.append(((d[test] < best) == same[test]).mean())
    result = fold_accuracy(d, same, folds)
    assert result.accuracies == pytest.approx(accuracies)
    assert (result.mean, result.std) == pytest.approx((np.mean(accuracies), np.std(accuracies)))


def test_consecutive_blocks() -> None:
    assert consecutive_folds(7, 3).tolist() == [0, 0, 0, 1, 1, 2, 2]
    for bad in (1, 8):
        with pytest.raises(UsageError, match="folds"):
            consecutive_folds(7, bad)
    with pytest.raises(UsageError, match="at least two"):
        fold_accuracy([1.0, 2.0], [True, False], np.zeros(2))


def test_the_mirrored_rows_are_added_before_the_length_is_taken() -> None:
    rows = np.asarray([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    mirrored = np.asarray([[0.0, 4.0], [0.0, 3.0], [0.0, 0.0]])
    units = pair_embeddings(rows, mirrored)
    np.testing.assert_allclose(units, [[0.6, 0.8], [0.0, 1.0], [0.0, 0.0]])
    np.testing.assert_allclose(squared_distances(units, [0], [1]), [0.36 + 0.04])
    np.testing.assert_allclose(cosines(units, [0], [1]), [0.8])
    np.testing.assert_allclose(pair_embeddings(rows)[0], [1, 0])
    with pytest.raises(UsageError, match="differ"):
        pair_embeddings(rows, mirrored[:2])
    with pytest.raises(UsageError, match="finite"):
        pair_embeddings([[np.nan, 1.0]])


def test_templates_of_a_subject_make_one_score() -> None:
    scores = [[0.1, 0.9, 0.5], [0.4, 0.2, 0.6]]
    best, names = subject_scores(scores, [4, 2, 4])
    assert names.tolist() == [2, 4]
    np.testing.assert_allclose(best, [[0.9, 0.5], [0.2, 0.6]])


def test_open_set_on_paper() -> None:
    # A gallery of three axes; probes' similarities to them are their coordinates.
    gallery = np.eye(3)
    probes = [
        [0.9, 0.1, 0.0],  # subject 0, rank 1
        [0.6, 0.7, 0.0],  # subject 0, rank 2
        [0.0, 0.5, 0.5],  # subject 1, tied with subject 2: rank 2
        [0.0, 0.0, 0.4],  # subject 2, rank 1
        [0.3, 0.0, 0.0], [0.0, 0.35, 0.0], [0.0, 0.2, 0.1], [0.1, 0.0, 0.1], [0.0, 0.0, 0.05],
        [0.5, 0.0, 0.0],  # six strangers, best scores 0.3 0.35 0.2 0.1 0.05 0.5
    ]  # fmt: skip
    owners = [0, 0, 1, 2, 9, 9, 8, 8, 7, -1]
    result = open_set(probes, owners, gallery, [0, 1, 2], fpirs=(0.5, 0.1), ranks=20)
    assert (result.enrolled, result.strangers, result.subjects) == (4, 6, 3)
    assert result.cmc == (0.5, 1.0, 1.0)
    # FPIR 1/2 lets three strangers in: the threshold lies just above 0.2.
    point = result.points[0]
    assert point.threshold == pytest.approx(0.2)
    assert point.threshold is not None
    assert point.threshold > 0.2
    assert point.tpir == 0.5
    assert point.seen is not None
    assert point.seen.errors == 3
    assert result.points[1].tpir is None
    assert "6 probes of strangers cannot show an FPIR of 0.1" in result.points[1].statement
    with pytest.raises(UsageError, match="no probe shows"):
        open_set(probes, [99] * 10, gallery, [0, 1, 2])


@given(st.data(), st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_clusters_follow_the_definitions(data: st.DataObject, n: int) -> None:
    people = data.draw(st.lists(st.integers(0, 6), min_size=n, max_size=n))
    clusters = data.draw(st.lists(st.integers(-1, 5), min_size=n, max_size=n))
    named = [c if c >= 0 else 100 + k for k, c in enumerate(clusters)]
    precision, recall, joined, together, alike = [], [], 0, 0, 0
    for i in range(n):
        same_cluster = [j for j in range(n) if named[j] == named[i]]
        same_person = [j for j in range(n) if people[j] == people[i]]
        both = len(set(same_cluster) & set(same_person))
        precision.append(both / len(same_cluster))
        recall.append(both / len(same_person))
        for j in range(i):
            together += named[i] == named[j]
            alike += people[i] == people[j]
            joined += named[i] == named[j] and people[i] == people[j]
    scores = cluster_scores(people, clusters)
    assert scores.bcubed.precision == pytest.approx(np.mean(precision))
    assert scores.bcubed.recall == pytest.approx(np.mean(recall))
    p, r = np.mean(precision), np.mean(recall)
    assert scores.bcubed.f == pytest.approx(2 * p * r / (p + r))
    assert scores.pairwise.precision == pytest.approx(joined / together if together else 1)
    assert scores.pairwise.recall == pytest.approx(joined / alike if alike else 1)
    assert scores.clusters == len(set(named))


def test_a_hundred_thousand_items_and_names() -> None:
    people = np.repeat(np.arange(25_000), 4)
    scores = cluster_scores(people, people // 2)
    assert (scores.bcubed.precision, scores.bcubed.recall) == (0.5, 1.0)
    assert scores.pairwise.precision == pytest.approx(3 / 7)
    assert cluster_scores(["ada", "ada", "bob"], [1, 1, 0]).bcubed.f == 1.0
    with pytest.raises(UsageError, match="n > 0"):
        cluster_scores([], [])


def test_intervals_of_an_open_set_are_over_people() -> None:
    # 200 pictures of strangers, 40 of which match somebody: of 40 strangers, or of two.
    def found(pictures_each: int) -> Rate:
        gallery, hit, miss = np.eye(4)[:2], [0.6, 0.0, 0.8, 0.0], [0.0, 0.0, 0.0, 1.0]
        owners = [0] * 40 + [1] * 40
        owners += [100 + i // pictures_each for i in range(40)] + [500 + i for i in range(160)]
        probes = [gallery[0]] * 40 + [gallery[1]] * 40 + [hit] * 40 + [miss] * 160
        point = open_set(probes, owners, gallery, [0, 1], fpirs=(0.2,)).points[0]
        assert point.seen is not None
        assert point.tpir == 1.0
        return point.seen

    many, two = found(1), found(20)
    assert many.observed == two.observed == 0.2
    # 40 of 200 people: Wilson's interval is 0.151 to 0.261.
    assert (many.low, many.high) == pytest.approx(wilson(40, 200), abs=0.015)
    # Two people make no number, and another two might have been four or none.
    assert two.value is None
    assert two.low == 0.0
    assert "2 of them independent" in two.statement
    assert two.high > 0.3
