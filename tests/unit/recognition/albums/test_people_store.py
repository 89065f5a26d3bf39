"""Ids that stay the same from run to run."""

from __future__ import annotations

import numpy as np

from faceprint.recognition.albums.people_store import match_ids


def test_ids_go_to_the_group_with_most_of_the_faces_and_are_never_given_twice():
    labels = np.array([0, 0, 0, 1, 1, 2, -1])
    before = np.array([7, 7, 4, 4, -1, -1, 7])
    ids, following = match_ids(labels, before, {}, 9)
    assert ids.tolist() == [7, 7, 7, 4, 4, 9, -1]
    assert following == 10
    named, _ = match_ids(np.zeros(4, np.int64), np.array([3, 3, 3, 5]), {5: "Ada"}, 9)
    assert named.tolist() == [5, 5, 5, 5]
