from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from video_clips import clip, write

import faceprint
from faceprint.types import Embedding, Identification, Match
from faceprint.video.analyze import analyze_video
from faceprint.video.options import VideoOptions
from faceprint.video.people import cluster_tracks
from faceprint.video.track import Track
from faceprint.vision.analyzer import FaceAnalyzer


@pytest.fixture(scope="module")
def analyzer() -> FaceAnalyzer:
    return faceprint.load(threads=1)


def track(
    direction: int | None, start: float, end: float, name: str = "", turn: float = 0.0
) -> Track:
    """A track of the person who lies in that direction; `turn` in degrees away from it."""
    embedding = answer = None
    if direction is not None:
        vector = np.zeros(128, np.float32)
        vector[direction], vector[100] = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
        embedding = Embedding(vector, "dlib-resnet", 1.0)
    if name:
        answer = Identification((Match(name, "1", 1.0, 1),), 0.9)
    boxes = np.zeros((2, 4), np.float32)
    times = np.asarray([start, end])
    return Track(1, times, boxes, (), embedding=embedding, identification=answer)


def people(tracks: list[Track], sources: str, analyzer: FaceAnalyzer) -> list[tuple[int, ...]]:
    return [person.tracks for person in cluster_tracks(tracks, sources, analyzer).people]


def test_people_over_several_videos(analyzer: FaceAnalyzer) -> None:
    tracks = [track(0, 0, 1), track(1, 0, 1), track(1, 0, 1), track(1, 4, 5), track(None, 6, 7)]
    found = cluster_tracks(tracks, "aabbb", analyzer)
    assert [person.tracks for person in found.people] == [(1, 2, 3), (0,)]
    assert [person.number for person in found.people] == [1, 2]
    assert found.unassigned == (4,) and found.merge_threshold.evidence == "measured"


def test_who_is_seen_at_the_same_time_is_somebody_else(analyzer: FaceAnalyzer) -> None:
    twins = [track(0, 0, 2), track(0, 1, 3)]
    assert people(twins, "aa", analyzer) == [(0,), (1,)]
    assert people(twins, "ab", analyzer) == [(0, 1)], "of two videos they may be one"
    assert people([track(0, 0, 1), track(0, 1.1, 3)], "aa", analyzer) == [(0, 1)]


def test_names_go_before_similarities(analyzer: FaceAnalyzer) -> None:
    far = [track(0, 0, 1, "ada"), track(1, 2, 3, "ada")]
    assert people(far, "aa", analyzer) == [(0, 1)]
    near = [track(0, 0, 1, "ada"), track(0, 2, 3, "bob"), track(0, 4, 5, "ada", turn=1)]
    found = cluster_tracks(near, "aaa", analyzer)
    assert [(p.subject, p.tracks) for p in found.people] == [("ada", (0, 2)), ("bob", (1,))]


def test_no_tracks(analyzer: FaceAnalyzer) -> None:
    assert cluster_tracks([], [], analyzer).people == ()
    assert cluster_tracks([track(None, 0, 1)], ["a"], analyzer).unassigned == (0,)


def test_the_made_clips_show_two_people(tmp_path: Path, analyzer: FaceAnalyzer) -> None:
    tracks, sources, names = [], [], ("swap", "comes_back")
    for name in names:
        made = clip(name)
        path = write(tmp_path / f"{name}.mp4", made.frames, made.times)
        found = list(analyze_video(path, analyzer, options=VideoOptions(every=3)))
        tracks += found
        sources += [name] * len(found)
    assert [len(person.tracks) for person in cluster_tracks(tracks, sources, analyzer).people] == [
        4,
        2,
    ]
