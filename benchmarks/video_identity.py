"""Who keeps identities: faceprint's tracks and ByteTrack on the same detections of the test clips.

    python benchmarks/video_identity.py [--environments DIR]

The clips of tests/video_clips.py are encoded and go through `analyze_video`, with every frame and
with every third. The detections go to the ByteTrack of Roboflow's `trackers`, in an environment of
its own (_peers/envs.py), with its defaults and two other settings (_peers/byte_track.py); the best
of the three stands in the table for each clip. `tracks` are ours, and `people` the same put
together by `cluster_tracks`, without a gallery: those are the identities that faceprint gives, so
they are compared.

A detection that shows no face of the truth is left out for both: the detections are the same.
IDF1 is that of Ristani et al. (ECCV 2016): faces that carry the identity which the best one-to-one
assignment of identities to people gives their person, against all faces and all detections. A
switch is a face whose identity is not that of the same person's face before.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _common import provenance, write
from _peers import envs
from numpy.typing import NDArray
from video_clips import CLIPS, RATE, clip
from video_clips import write as encode

import faceprint
from faceprint.geometry import iou_matrix
from faceprint.types import Face, Image
from faceprint.video.analyze import analyze_video
from faceprint.video.assignment import best_pairs
from faceprint.video.options import VideoOptions
from faceprint.video.people import cluster_tracks
from faceprint.video.track import Track
from faceprint.vision.analyzer import FaceAnalyzer

STRIDES = (1, 3)
_HERE = Path(__file__).parent
_SAME = 0.5


@dataclass(frozen=True, eq=False)
class Found:
    """The detections of one clip.

    Attributes:
        times: (n,) seconds. boxes: (n, 4). scores: (n,).
        frames: the time of every analyzed frame, with faces or without.
        shows: (n,) the person whose face it is; empty for nobody's.
        truths: number of faces to be seen in the analyzed frames.
    """

    times: NDArray[np.float64]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    frames: list[float]
    shows: list[str]
    truths: int


def main() -> int:
    """Measure and write benchmarks/results/video_identity.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environments", type=Path, default=envs.DEFAULT_FOLDER)
    folder = parser.parse_args().environments.resolve()
    envs.make("trackers", folder)
    fp = faceprint.load()
    rows = []
    for name in CLIPS:
        for stride in STRIDES:
            found, tracks = _analyzed(fp, name, stride)
            rows.append(_row(name, stride, found, tracks, fp, envs.python_of("trackers", folder)))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    worse = [row for row in rows if row["worse"]]
    write(
        "video_identity",
        {
            **provenance("av"),
            "peer": envs.ENVIRONMENTS["trackers"].steps[0][0],
            "pack": fp.name,
            "rows": rows,
            "worse_on": [f"{row['clip']}, every {row['every']}" for row in worse],
        },
    )
    return int(bool(worse))


class _Recording:
    """An analyzer that remembers the faces of each frame."""

    def __init__(self, fp: FaceAnalyzer) -> None:
        self._fp = fp
        self.faces: list[list[Face]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fp, name)

    def analyze(self, image: Image) -> list[Face]:
        """The analyzer's."""
        self.faces.append(self._fp.analyze(image))
        return self.faces[-1]


def _analyzed(fp: FaceAnalyzer, name: str, stride: int) -> tuple[Found, list[Track]]:
    made, recording, frames = clip(name), _Recording(fp), list[float]()
    progress = faceprint.VideoProgress(lambda now: frames.append(now.position))
    with tempfile.TemporaryDirectory() as folder:
        path = encode(Path(folder) / "clip.mp4", made.frames, made.times)
        options = VideoOptions(every=stride)
        analysis = analyze_video(path, recording, options=options, progress=progress)  # type: ignore[arg-type]
        tracks = list(analysis)
    times, boxes, scores, shows, truths = [], [], [], [], 0
    for time, faces in zip(frames, recording.faces, strict=True):
        truth = made.truth[int(np.abs(np.asarray(made.times) - time).argmin())]
        names, there = list(truth), np.asarray(list(truth.values()), np.float32).reshape(-1, 4)
        here = np.asarray([face.box for face in faces], np.float32).reshape(-1, 4)
        overlap = iou_matrix(here, there)
        pairs = dict(best_pairs(np.where(overlap >= _SAME, overlap, 0)))
        truths += len(names)
        for index, face in enumerate(faces):
            times.append(time)
            boxes.append(face.box)
            scores.append(face.score)
            shows.append(names[pairs[index]] if index in pairs else "")
    found = Found(
        np.asarray(times, np.float64),
        np.asarray(boxes, np.float32).reshape(-1, 4),
        np.asarray(scores, np.float32),
        frames,
        shows,
        truths,
    )
    return found, tracks


def _row(
    name: str, stride: int, found: Found, tracks: list[Track], fp: FaceAnalyzer, python: Path
) -> dict[str, Any]:
    ours = _ids(found, tracks, range(len(tracks)))
    people = _ids(found, tracks, _people(tracks, fp))
    theirs = [_scores(found, ids) for ids in _byte_track(found, stride, python)]
    best = max(theirs, key=lambda s: (s["idf1"], -s["switches"]))
    sides = {"tracks": _scores(found, ours), "people": _scores(found, people)}
    shown = [{found.shows[row] for row in np.flatnonzero(ours == k)} for k in range(len(tracks))]
    return {
        "clip": name,
        "every": stride,
        "faces": found.truths,
        "detected": sum(bool(shown) for shown in found.shows),
        **sides,
        "byte_track": best,
        "tracks_that_mix_people": sum(len(names - {""}) > 1 for names in shown),
        "worse": sides["people"]["idf1"] < best["idf1"]
        or sides["people"]["switches"] > best["switches"],
    }


def _people(tracks: list[Track], fp: FaceAnalyzer) -> list[int]:
    """The person of each track; a number of its own for a track that can't be clustered."""
    labels = [-2 - place for place in range(len(tracks))]
    for person in cluster_tracks(tracks, ["clip"] * len(tracks), fp).people:
        for place in person.tracks:
            labels[place] = person.number
    return labels


def _ids(found: Found, tracks: list[Track], labels: Sequence[int]) -> NDArray[np.int64]:
    """(n,) the identity of each detection; -1 for one that belongs to no track."""
    ids = np.full(len(found.times), -1, np.int64)
    for track, label in zip(tracks, labels, strict=True):
        for time, box in zip(track.times, track.boxes, strict=True):
            same = (found.times == time) & (found.boxes == box).all(axis=1)
            ids[same] = label
    return ids


def _byte_track(found: Found, stride: int, python: Path) -> list[NDArray[np.int64]]:
    """The same by ByteTrack, with each of its settings."""
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder) / "detections.npz", Path(folder) / "ids.npz"
        np.savez(
            given,
            times=found.times,
            boxes=found.boxes,
            scores=found.scores,
            frames=np.asarray(found.frames),
            rate=RATE / stride,
        )
        script = _HERE / "_peers" / "byte_track.py"
        subprocess.run([str(python), str(script), str(given), str(answer)], check=True)
        with np.load(answer) as ids:
            return [ids[key] for key in sorted(ids)]


def _scores(found: Found, ids: NDArray[np.int64]) -> dict[str, Any]:
    """IDF1 and switches; detections that show nobody are left out."""
    shown = np.asarray(found.shows)
    counted = (shown != "") & (ids != -1)
    names, keys = np.unique(shown[counted]), np.unique(ids[counted])
    table = np.asarray(
        [[np.sum(counted & (shown == n) & (ids == k)) for k in keys] for n in names], np.float32
    ).reshape(len(names), len(keys))
    right = sum(float(table[pair]) for pair in best_pairs(table))
    switches = 0
    for name in names:
        mine = ids[counted & (shown == name)]
        switches += int(np.sum(mine[1:] != mine[:-1]))
    total = found.truths + int(counted.sum())
    return {"idf1": round(2 * right / max(total, 1), 4), "switches": switches}


if __name__ == "__main__":
    sys.exit(main())
