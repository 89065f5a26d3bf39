"""The order of an epoch, the changes of crops, and the batches of a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from faceprint.training.augment import augment
from faceprint.training.batches import BatchPlan
from faceprint.training.run_file import Augmentation, Schedule
from faceprint.training.sampling import epoch_order
from faceprint.training.schedule import learning_rate

NOTHING = Augmentation(flip=0)
CROP = np.random.default_rng(0).integers(60, 200, (112, 112, 3), dtype=np.uint8)


def test_by_people_everybody_is_seen_equally_often_and_no_photograph_repeats_early() -> None:
    subjects = np.repeat(np.arange(4), [1, 2, 5, 12])
    order = epoch_order(subjects, seed=1, epoch=0, by_people=True)
    assert len(order) == 20
    assert np.bincount(subjects[order]).tolist() == [5, 5, 5, 5]
    for person, most in ((1, 3), (2, 1), (3, 1)):
        _, times = np.unique(order[subjects[order] == person], return_counts=True)
        assert times.max() == most
    assert set(subjects[order[:4]]) == {0, 1, 2, 3}


def test_by_photographs_every_photograph_is_seen_once() -> None:
    subjects = np.repeat(np.arange(4), [1, 2, 5, 12])
    order = epoch_order(subjects, seed=1, epoch=0, by_people=False)
    assert sorted(order) == list(range(20))


@pytest.mark.parametrize("by_people", [True, False])
def test_the_order_depends_on_seed_and_epoch_alone(by_people: bool) -> None:
    subjects = np.repeat(np.arange(10), 5)

    def order(seed: int, epoch: int) -> list[int]:
        return epoch_order(subjects, seed=seed, epoch=epoch, by_people=by_people).tolist()

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


def test_without_a_chance_nothing_changes() -> None:
    assert np.array_equal(augment(CROP, NOTHING, np.random.default_rng(0)), CROP)


def test_flip_mirrors() -> None:
    seen = augment(CROP, Augmentation(flip=1), np.random.default_rng(0))
    assert np.array_equal(seen, CROP[:, ::-1])


@pytest.mark.parametrize("kind", ["color", "blur", "jpeg", "low_resolution", "mask", "glasses"])
def test_each_change_is_made_and_repeatable(kind: str) -> None:
    chances = replace(NOTHING, **{kind: 1.0})
    seen = augment(CROP, chances, np.random.default_rng(3))
    assert seen.shape == CROP.shape
    assert seen.dtype == np.uint8
    assert not np.array_equal(seen, CROP)
    assert np.array_equal(seen, augment(CROP, chances, np.random.default_rng(3)))
    assert not np.array_equal(seen, augment(CROP, chances, np.random.default_rng(4)))


def test_masks_cover_the_mouth_and_glasses_the_eyes() -> None:
    masked = augment(CROP, replace(NOTHING, mask=1.0), np.random.default_rng(0))
    changed = (masked != CROP).any(axis=2)
    assert changed[85:95, 45:67].mean() > 0.9
    assert not changed[:45].any()
    glasses = augment(CROP, replace(NOTHING, glasses=1.0), np.random.default_rng(0))
    changed = (glasses != CROP).any(axis=2)
    assert changed[35:68].any()
    assert not changed[75:].any()


def test_one_change_does_not_alter_another() -> None:
    flipped = augment(CROP, replace(NOTHING, jpeg=1.0, flip=1.0), np.random.default_rng(5))
    plain = augment(CROP, replace(NOTHING, jpeg=1.0), np.random.default_rng(5))
    assert np.array_equal(flipped, plain[:, ::-1])


def _plan(workers: int = 2) -> BatchPlan:
    crops = np.random.default_rng(0).integers(0, 256, (23, 112, 112, 3), dtype=np.uint8)
    subjects = np.arange(23) % 5
    chances = Augmentation(flip=0.5, color=0.5)
    return BatchPlan(crops, np.arange(23), subjects, 4, 2, chances, seed=9, workers=workers)


def test_batches_depend_on_their_place_alone() -> None:
    assert _plan().updates_per_epoch == 2
    whole = list(_plan().updates(0, 6))
    assert len(whole) == 6
    assert all(len(update) == 2 for update in whole)
    rest = list(_plan(workers=1).updates(3, 6))
    for ours, theirs in zip(whole[3:], rest, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert np.array_equal(a.blob, b.blob)
            assert np.array_equal(a.labels, b.labels)
    first = whole[0][0]
    assert first.blob.shape == (4, 3, 112, 112)
    assert -1 <= first.blob.min() < first.blob.max() <= 1
    assert first.labels.tolist() == (first.photographs % 5).tolist()


def test_the_parts_of_a_batch_make_up_what_one_process_sees() -> None:
    whole = list(_plan().updates(0, 3))
    parts = [list(replace(_plan(), part=(number, 2)).updates(0, 3)) for number in (0, 1)]
    for update, *halves in zip(whole, *parts, strict=True):
        for batch, *own in zip(update, *halves, strict=True):
            assert [len(each.blob) for each in own] == [2, 2]
            assert np.array_equal(np.concatenate([each.blob for each in own]), batch.blob)
            assert all(np.array_equal(each.labels, batch.labels) for each in own)


def test_the_rate_rises_then_falls_to_zero() -> None:
    schedule = Schedule(epochs=10, rate=0.1, warmup_epochs=1.0)
    assert learning_rate(schedule, 0, 10) == pytest.approx(0.01)
    assert learning_rate(schedule, 9, 10) == pytest.approx(0.1)
    assert learning_rate(schedule, 10, 10) == pytest.approx(0.1)
    assert learning_rate(schedule, 55, 10) == pytest.approx(0.1 * 0.5**2)
    assert learning_rate(schedule, 100, 10) == pytest.approx(0.0)
    cosine = replace(schedule, decay="cosine")
    assert learning_rate(cosine, 55, 10) == pytest.approx(0.05)
    assert learning_rate(replace(schedule, decay="constant"), 99, 10) == pytest.approx(0.1)
    assert learning_rate(replace(schedule, warmup_epochs=0.0), 0, 10) == pytest.approx(0.1)
