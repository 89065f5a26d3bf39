"""Clustering: linkage against SciPy's, constraints as properties, thresholds from points."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceprint.errors import UsageError
from faceprint.evaluation.cluster_scores import cluster_scores
from faceprint.recognition.albums.incremental import match_ids
from faceprint.recognition.albums.sorting import Links, partition
from faceprint.recognition.cluster import check_merge_options, cluster, cluster_embeddings
from faceprint.recognition.clustering.constraints import merged_sets
from faceprint.recognition.clustering.knn_graph import Edges, neighbor_graph
from faceprint.recognition.clustering.linkage import average_linkage
from faceprint.recognition.clustering.mixture import fit_mixture
from faceprint.recognition.clustering.unsupervised_calibration import unsupervised_distributions
from faceprint.recognition.thresholds.edges import clustering_point
from faceprint.recognition.thresholds.merge_threshold import (
    MergeThreshold,
    ScoreDistributions,
    as_norm,
    score_distributions,
)
from faceprint.types import Measurement, OperatingPoint


def people(count: int, each: int, noise: float = 0.6, dim: int = 32, seed: int = 0):
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((count, dim))
    rows = np.repeat(centers, each, axis=0) + noise * rng.standard_normal((count * each, dim))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), np.repeat(np.arange(count), each)


def same_partition(a, b) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    return bool(((a[:, None] == a) == (b[:, None] == b)).all())


@pytest.mark.parametrize("threshold", [0.2, 0.35, 0.5, 0.7])
@pytest.mark.parametrize("seed", range(3))
def test_the_linkage_is_scipys_average_linkage(threshold, seed):
    hierarchy = pytest.importorskip("scipy.cluster.hierarchy")
    rows, _ = people(12, 6, noise=0.9, seed=seed)
    tree = hierarchy.linkage(rows.astype(np.float64), "average", metric="cosine")
    expected = hierarchy.fcluster(tree, 1 - threshold, "distance")
    edges = neighbor_graph(rows, k=len(rows) - 1, least=-1.0)
    assert same_partition(
        average_linkage(rows, edges, MergeThreshold.constant(threshold), slack=0.0), expected
    )


def test_well_separated_people_are_found_by_both_graphs():
    pytest.importorskip("usearch")
    rows, truth = people(40, 8, dim=64)
    for exact in (True, False):
        assert same_partition(cluster_embeddings(rows, threshold=0.45, exact=exact), truth)


def test_labels_are_by_size_and_strangers_are_alone():
    rows, _ = people(3, 4, noise=0.1)
    labels = cluster_embeddings(rows[[0, 4, 5, 6, 8, 9]], threshold=0.6)
    assert labels.tolist() == [2, 0, 0, 0, 1, 1]
    assert len(cluster_embeddings(np.empty((0, 8)), threshold=0.5)) == 0


def test_two_faces_of_one_photograph_are_two_people_but_a_mirror_is_one():
    rows, _ = people(1, 3, noise=0.7)
    assert len(set(cluster_embeddings(rows, threshold=0.4).tolist())) == 1
    apart = cluster_embeddings(rows, threshold=0.4, photos=["a", "a", "b"])
    assert apart[0] != apart[1]
    twice = np.stack([rows[0], rows[0], rows[2]])
    assert len(set(cluster_embeddings(twice, threshold=0.4, photos=["a", "a", "b"]).tolist())) == 1


def test_a_face_that_was_taken_out_takes_nobody_along():
    rows, _ = people(1, 12, noise=0.3)
    links = [(0, i) for i in range(1, 6)]
    labels = cluster_embeddings(rows, threshold=0.4, cannot_link=links)
    assert len(set(labels[1:].tolist())) == 1
    assert labels[0] != labels[1]


pairs = st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=12)


@given(pairs, pairs, st.lists(st.integers(0, 12), min_size=30, max_size=30))
@settings(max_examples=60, deadline=None)
def test_corrections_are_always_obeyed(must, cannot, photos):
    rows, _ = people(6, 5, noise=0.8)
    groups = merged_sets(30, must)
    cannot = [(a, b) for a, b in cannot if groups[a] != groups[b]]
    labels = cluster_embeddings(
        rows, threshold=0.3, must_link=must, cannot_link=cannot, photos=photos
    )
    assert all(labels[a] == labels[b] for a, b in must)
    assert all(labels[a] != labels[b] for a, b in cannot)


def test_contradictions_and_nonsense_are_refused():
    rows, _ = people(2, 3)
    with pytest.raises(UsageError, match="must and must not"):
        cluster_embeddings(rows, threshold=0.5, must_link=[(0, 1), (1, 2)], cannot_link=[(0, 2)])
    with pytest.raises(UsageError, match="there are 0 to 5"):
        cluster_embeddings(rows, threshold=0.5, must_link=[(0, 6)])
    with pytest.raises(UsageError, match="cosine"):
        cluster_embeddings(rows, threshold=float("nan"))
    with pytest.raises(UsageError, match=r"not \(n, d\)"):
        cluster_embeddings(rows[0], threshold=0.5)
    with pytest.raises(UsageError, match="quality"):
        cluster_embeddings(rows, threshold=0.5, quality=[1, 2])


def test_the_threshold_goes_on_along_the_normal_distribution():
    impostors = NormalDist(0.05, 0.07)
    points = [OperatingPoint(impostors.inv_cdf(1 - f), fmr=f) for f in (1e-2, 1e-3)]
    for wanted in (1e-1, 3e-3, 5e-5, 1e-6):
        point = clustering_point(points, fmr=wanted)
        assert point is not None
        assert point.threshold == pytest.approx(impostors.inv_cdf(1 - wanted), abs=1e-6)
    assert clustering_point(points[:1]) is None
    with pytest.raises(UsageError):
        clustering_point(points, fmr=0.7)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"threshold": 3.0}, "cosine"),
        ({"fmr": 0.0}, "rate"),
        ({"threshold": 0.4, "fmr": 0.1}, "both"),
    ],
)
def test_what_can_not_be_meant_is_refused_before_a_photograph_is_looked_at(given, says):
    def results():
        raise AssertionError("looked at")
        yield

    with pytest.raises(UsageError, match=says):
        cluster(results(), **given)
    with pytest.raises(UsageError, match=says):
        check_merge_options(given.get("threshold"), given.get("fmr"))


def test_an_album_tells_its_own_similarities():
    rows, truth = people(300, 4, noise=0.5, dim=64)
    names = [str(i) for i in range(len(rows))]
    known = unsupervised_distributions(rows, names)
    assert known is not None
    same = (truth[:, None] == truth)[pair := np.triu_indices(len(rows), 1)]
    scores = (rows @ rows.T)[pair]
    assert known.at(1e-3) == pytest.approx(np.quantile(scores[~same], 1 - 1e-3), abs=0.01)
    mean = known.origin + known.step * known.mean
    assert mean == pytest.approx(np.median(scores[same]), abs=0.02)
    labels = cluster_embeddings(rows, threshold=known)
    assert cluster_scores(truth, labels).bcubed.f > 0.99
    assert unsupervised_distributions(rows[:30], names[:30]) is None


def test_an_album_of_people_photographed_once_tells_what_strangers_have():
    rows, _ = people(400, 1, dim=64)
    known = unsupervised_distributions(rows, [str(i) for i in range(len(rows))])
    assert known is not None
    labels = cluster_embeddings(rows, threshold=known)
    assert len(set(labels.tolist())) > 0.95 * 400


@pytest.mark.parametrize("photographs", [(3,) * 20, (2,) * 19 + (30,), (2, 9) * 15])
@pytest.mark.parametrize("skewed", [False, True])
def test_thirty_people_tell_their_own_similarities(photographs, skewed):
    # Mated pairs are up to a fifth of all: counted as non-mated, they hid every person.
    rng = np.random.default_rng(7)
    truth = np.repeat(np.arange(len(photographs)), photographs)
    centers = rng.standard_normal((len(photographs), 128))
    noise = rng.standard_normal((len(truth), 128)) * rng.uniform(0.6, 1.1, (len(truth), 1))
    rows = centers[truth] + noise
    if skewed:  # a common part, as dlib's network has: two people's similarities skew downwards
        rows[:, 0] += 30 * rng.uniform(0.95, 1.05, len(truth))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    known = unsupervised_distributions(rows, [str(i) for i in range(len(rows))])
    assert known is not None
    labels = cluster_embeddings(rows, threshold=known)
    assert cluster_scores(truth, labels).bcubed.f > 0.95


def test_a_small_album_without_mated_pairs_says_nothing():
    rows, _ = people(60, 1, dim=64)
    assert unsupervised_distributions(rows, [str(i) for i in range(len(rows))]) is None


def test_a_mixture_of_two_normals_is_told_apart():
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(0.1, 0.07, 9_000), rng.normal(0.6, 0.1, 1_000)])
    found = fit_mixture(scores.astype(np.float32))
    assert (found.origin, found.step) == pytest.approx((0.1, 0.07), abs=0.005)
    assert (found.mean, found.spread) == pytest.approx((0.6, 0.1), abs=0.01)
    assert found.share == pytest.approx(0.1, abs=0.005)


def test_a_long_tail_of_two_people_is_nobody():
    # 500,000 pairs of which one in 300 is in a second, wider slope; no similarity stands out.
    rng = np.random.default_rng(0)
    scores = rng.normal(0.02, 0.07, 500_000).astype(np.float32)
    scores[:1_700] = 0.02 + np.abs(rng.normal(0.13, 0.08, 1_700))
    scores[-1] = 0.99
    with np.errstate(invalid="raise"):
        found = fit_mixture(scores)
    assert found.share * len(scores) < 1_000 / 4  # the pairs of 1,000 faces
    assert found.origin == pytest.approx(0.02, abs=0.005)


def test_ids_go_to_the_group_with_most_of_the_faces_and_are_never_given_twice():
    labels = np.array([0, 0, 0, 1, 1, 2, -1])
    before = np.array([7, 7, 4, 4, -1, -1, 7])
    ids, following = match_ids(labels, before, {}, 9)
    assert ids.tolist() == [7, 7, 7, 4, 4, 9, -1]
    assert following == 10
    named, _ = match_ids(np.zeros(4, np.int64), np.array([3, 3, 3, 5]), {5: "Ada"}, 9)
    assert named.tolist() == [5, 5, 5, 5]


def test_points_of_several_detectors_take_the_strictest_of_each_rate() -> None:
    points = [OperatingPoint(0.914, fmr=1e-2), OperatingPoint(0.931, fmr=1e-3)]
    others = [OperatingPoint(0.913, fmr=1e-2), OperatingPoint(0.9305, fmr=1e-3)]
    both = clustering_point([*points, *others])
    alone = clustering_point(points)
    assert both is not None
    assert alone is not None
    assert both.threshold == alone.threshold
    assert type(both.threshold) is float, "as JSON"
    assert clustering_point([points[0], others[0]]) is None


def normal_points(non_mated: NormalDist, mated: NormalDist) -> list[OperatingPoint]:
    thresholds = [non_mated.inv_cdf(1 - fmr) for fmr in (1e-2, 1e-3, 1e-4)]
    return [
        OperatingPoint(t, fmr=f, fnmr=mated.cdf(t))
        for t, f in zip(thresholds, (1e-2, 1e-3, 1e-4), strict=True)
    ]


@pytest.mark.parametrize("spread", [0.05, 0.07, 0.12], ids=["narrower", "alike", "wider"])
def test_two_faces_are_one_person_where_that_is_as_likely_as_not(spread):
    non_mated, mated = NormalDist(0.05, 0.07), NormalDist(0.5, spread)
    known = score_distributions(normal_points(non_mated, mated))
    assert known is not None
    for faces in (5_000, 100_000):
        demand = known.demand(faces)
        two, one = non_mated.pdf(demand.alone) * faces / 5, mated.pdf(demand.alone)
        assert two == pytest.approx(one, rel=1e-3)
        assert max(demand.least, demand.many) < demand.alone
    assert known.demand(10).alone == known.demand(300).alone, "few say nothing of their number"
    assert known.demand(400).alone > known.demand(300).alone


def test_of_two_data_sets_the_one_with_more_false_matches_counts():
    easy, hard = NormalDist(0.05, 0.07), NormalDist(0.06, 0.08)
    mated = {"easy": NormalDist(0.6, 0.1), "hard": NormalDist(0.5, 0.12)}
    thresholds = [hard.inv_cdf(1 - rate) for rate in (1e-2, 1e-3, 1e-4)]
    points = [
        OperatingPoint(
            threshold,
            fmr=rate,
            fnmr=mated["hard"].cdf(threshold),
            measurements=tuple(
                Measurement(name, 1 - others.cdf(threshold), fnmr=mated[name].cdf(threshold))
                for name, others in (("easy", easy), ("hard", hard))
            ),
        )
        for threshold, rate in zip(thresholds, (1e-2, 1e-3, 1e-4), strict=True)
    ]
    known = score_distributions(points)
    assert known is not None
    assert (known.origin, known.step) == pytest.approx((0.06, 0.08), rel=1e-6)
    assert known.origin + known.step * known.mean == pytest.approx(0.5, rel=1e-6)
    assert known.step * known.spread == pytest.approx(0.12, rel=1e-6)
    # The rates of the headline are of both, or of another data set than the FMR's: not a fit.
    mixed = [replace(point, fnmr=0.4) for point in points]
    assert score_distributions(mixed) == known
    bare = [replace(point, measurements=(Measurement("easy", 0.0),)) for point in points]
    assert score_distributions(bare) == score_distributions(
        [replace(point, measurements=()) for point in points]
    ), "rates that lead to no fit leave the point's own"


def test_a_collage_is_one_person_and_neighbors_in_a_photograph_are_two():
    # The starter pack on a collage of two photographs: 0.957, and 0.967 between the photographs.
    def at(*cosines: float):
        """Unit rows with these similarities to the first axis, in a plane of their own."""
        return [[c, *(np.sqrt(1 - c * c) * (np.arange(9) == i))] for i, c in enumerate(cosines)]

    starter = ScoreDistributions(0.8659, 0.0208, 4.83, 1.088)  # as measured on LFW
    for alike, threshold in ((0.967, 0.939), (0.967, starter), (0.957, starter)):
        rows = np.array(at(*[np.sqrt(alike)] * 3), np.float32)
        for photos in ([0, 0, 1], [0, 0, 0], [0, 1, 2]):
            labels = cluster_embeddings(rows, threshold=threshold, photos=photos)
            assert len(set(labels.tolist())) == 1
    rows = np.array(at(*[np.sqrt(0.945)] * 2), np.float32)
    assert len(set(cluster_embeddings(rows, threshold=0.939, photos=[0, 1]).tolist())) == 1
    assert len(set(cluster_embeddings(rows, threshold=0.939, photos=[0, 0]).tolist())) == 2
    # The first is like the third by the second: 0.966 and 0.866 where 0.9 is needed.
    angles = np.deg2rad([0, 15, 30])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    labels = cluster_embeddings(rows, threshold=0.85, photos=[0, 0, 0])
    assert len(set(labels.tolist())) == 1


def test_faces_of_one_photograph_may_be_one_person_when_as_alike_as_photographs_of_one_are():
    assert MergeThreshold.constant(0.5).twins == pytest.approx(0.5 + 0.5 / 3)
    for usual, expected in ((0.7, 0.7), (0.9, 0.75), (0.45, 0.625)):
        assert MergeThreshold(0.5, 0.4, 0.3, usual=usual).twins == pytest.approx(expected)
    known = ScoreDistributions(0.0, 0.1, 6.0, 1.0)
    assert known.demand(100).usual == pytest.approx(0.5), "one standard deviation below the mean"


def test_what_is_demanded_falls_with_the_number_of_photographs():
    demand = MergeThreshold(0.5, 0.3, 0.2)
    sizes = np.array([1, 4, 1_000_000], np.float32)
    assert demand.between(sizes, sizes) == pytest.approx([0.5, 0.35, 0.3], abs=1e-5)
    assert set(MergeThreshold.constant(0.4).between(sizes, sizes)) == {np.float32(0.4)}


def test_points_that_say_nothing_of_one_person_lead_to_no_distribution():
    assert score_distributions([]) is None
    assert (
        score_distributions([OperatingPoint(0.3, fmr=1e-2), OperatingPoint(0.4, fmr=1e-3)]) is None
    )
    flat = [OperatingPoint(t, fmr=f, fnmr=0.02) for t, f in ((0.3, 1e-2), (0.4, 1e-3))]
    assert score_distributions(flat) is None
    falling = [OperatingPoint(t, fmr=f, fnmr=0.1) for t, f in ((0.4, 1e-2), (0.3, 1e-3))]
    assert score_distributions(falling) is None


def test_a_face_like_many_strangers_is_crowded_and_its_own_person_does_not_count():
    rows, truth = people(20, 4, noise=0.3)
    shared = rows[:20].mean(axis=0) * 3
    rows[:20] += shared  # five people that resemble each other
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    excess = as_norm(neighbor_graph(rows, k=40, least=0.1), truth, 0.1)
    assert excess[:20].min() > np.abs(excess[20:]).max()
    everybody = np.zeros(len(rows), np.int64)
    assert not as_norm(neighbor_graph(rows, k=40, least=0.1), everybody, 0.1).any()


def test_people_that_resemble_each_other_are_kept_apart():
    rng = np.random.default_rng(3)
    rows, truth = people(150, 4, noise=0.55, dim=64)
    alike = rng.standard_normal(64).astype(np.float32) * 0.12
    rows[:120] += alike
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    products, pair = rows @ rows.T, np.triu_indices(len(rows), 1)
    same = (truth[:, None] == truth)[pair]
    scores = products[pair]
    thresholds = np.quantile(scores[~same], [1 - f for f in (1e-2, 1e-3, 1e-4)])
    points = [
        OperatingPoint(float(t), fmr=f, fnmr=float((scores[same] < t).mean()))
        for t, f in zip(thresholds, (1e-2, 1e-3, 1e-4), strict=True)
    ]
    known = score_distributions(points)
    assert known is not None
    demand = known.demand(len(rows))
    with_it, without = (
        cluster_scores(truth, partition(rows, kind, Links())).bcubed
        for kind in (demand, replace(demand, crowded=False))
    )
    assert with_it.f > without.f
    assert with_it.precision > without.precision


def test_crowding_is_the_mean_of_ten_strangers_over_the_median_face():
    # Face 0 has 12 strangers, each of which has it alone; the least counts for the missing ones.
    strangers = np.arange(1, 13)
    similarity = np.linspace(0.2, 0.42, 12, dtype=np.float32)
    edges = Edges(np.zeros(12, np.int64), strangers, similarity)
    excess = as_norm(edges, np.arange(13), 0.1)
    alone = (similarity - 0.1) / 10
    middle = np.median([np.sort(similarity)[-10:].mean() - 0.1, *alone])
    assert excess[0] == pytest.approx(np.sort(similarity)[-10:].mean() - 0.1 - middle, abs=1e-6)
    assert excess[1:] == pytest.approx(alone - middle, abs=1e-6)
