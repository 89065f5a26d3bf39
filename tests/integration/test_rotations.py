"""What the README says of turned faces: MTCNN is for upright ones."""

from __future__ import annotations

from pathlib import Path

import faceprint


def test_turned_faces_are_missed_or_score_worse(shared_faces: Path) -> None:
    fp = faceprint.load("starter")
    folder = shared_faces / "insightface" / "rotate"
    scores = {
        turn: [face.score for face in fp.analyze(folder / f"rot_{turn}.jpg", embed=False)]
        for turn in (0, 90, 180, 270)
    }
    assert len(scores[0]) == 1
    assert scores[0][0] > 0.999
    assert scores[90] == []
    for turn in (180, 270):
        assert all(score < 0.96 for score in scores[turn]), scores


def test_six_faces_of_the_group_and_nothing_else(shared_faces: Path) -> None:
    faces = faceprint.load("starter").analyze(shared_faces / "insightface" / "t1.jpg")
    assert len(faces) == 6
    assert min(face.score for face in faces) > 0.95
