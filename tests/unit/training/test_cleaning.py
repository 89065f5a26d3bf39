"""Cleaning on made-up people, of whom it is known what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from faceprint.training import cleaning
from faceprint.types import Array, Image


def _people(count: int, each: int, seed: int = 0) -> tuple[Array, Image, np.ndarray]:
    random = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(count), each)
    centers = random.normal(size=(count, 64))
    vectors = centers[subjects] + 0.4 * random.normal(size=(count * each, 64))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    crops = random.integers(0, 256, (count * each, 32, 32, 3), dtype=np.uint8)
    return vectors.astype(np.float32), crops, subjects


def test_clean_data_has_no_findings() -> None:
    found = cleaning.find(*_people(20, 5))
    assert (found.duplicates, found.outliers, found.merges) == ((), (), ())
    assert found.own_level == pytest.approx(0.9, abs=0.07)
    assert found.stranger_level is not None
    assert found.stranger_level < 0.4


def test_a_stranger_among_a_persons_photographs_is_an_outlier() -> None:
    vectors, crops, subjects = _people(20, 5)
    vectors[7] = vectors[90]  # of another person
    assert cleaning.find(vectors, crops, subjects).outliers == (7,)


def test_one_person_under_two_names_is_found() -> None:
    vectors, crops, subjects = _people(20, 6)
    split = subjects.copy()
    split[3:6] = 20
    found = cleaning.find(vectors, crops, split)
    assert [(a, b) for a, b, _ in found.merges] == [(0, 20)]
    assert found.outliers == ()


def test_a_copy_of_other_brightness_is_a_near_duplicate_and_another_person_is_not() -> None:
    vectors, crops, subjects = _people(4, 3)
    crops[2] = (crops[0] * 0.8).astype(np.uint8)
    crops[5] = crops[0]
    found = cleaning.find(vectors, crops, subjects)
    assert found.duplicates == ((0, 2),)


def test_without_embeddings_only_duplicates_are_found() -> None:
    _, crops, subjects = _people(4, 3)
    crops[1] = crops[0]
    found = cleaning.find(np.zeros((12, 0), np.float32), crops, subjects)
    assert found.duplicates == ((0, 1),)
    assert found.own_level is found.stranger_level is None


def test_people_with_one_photograph_each_are_not_judged() -> None:
    found = cleaning.find(*_people(5, 1))
    assert (found.outliers, found.merges, found.own_level) == ((), (), None)
