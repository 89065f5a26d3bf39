"""Clips of one person each, made from photographs, and what `analyze_video` makes of them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from _common import SHARED
from video_clips import HEIGHT, RATE, WIDTH, write

from faceprint.recognition.thresholds.min_quality import objection, usable_quality
from faceprint.types import Array, Face, Image
from faceprint.video.analyze import analyze_video
from faceprint.video.decision import consensus
from faceprint.video.options import VideoOptions
from faceprint.video.track import Track
from faceprint.vision.analyzer import FaceAnalyzer
from faceprint.vision.images import decode

__all__ = ["Person", "Seen", "encoded", "holds_middle", "people", "watch"]

EVERY = 5
_FRAMES, _FADE, _MOST_PHOTOGRAPHS = 60, 5, 3
_LFW_CROP = 170
"""Pixels of LFW's 250 that are shown: the middle, with few bystanders."""


@dataclass(frozen=True)
class Person:
    """One person: the photograph that can be enrolled, and those that make the clip.

    Attributes:
        enrolled: None if the only photograph is needed for the clip.
        fitting: whether thresholds may be measured on the person; the others are kept for the test.
    """

    name: str
    enrolled: Path | None
    shown: tuple[Path, ...]
    fitting: bool


@dataclass(frozen=True, eq=False)
class Seen:
    """What the models saw of a person; rows are embeddings of unit length.

    Attributes:
        enrolled: (d,) of the enrolled photograph, NaN without one.
        frames: (n, d) of the face in the middle of each analyzed frame; NaN where there is none, or
            where it is too poor to decide.
        mean: (d,) the embedding of the person's longest track; NaN if it can't decide.
        agreement: () of the faces that decide for it (`Consensus.agreement`).
        tracks: () number of tracks in the middle of the clip.
    """

    enrolled: Array
    frames: Array
    mean: Array
    agreement: Array
    tracks: Array


def people() -> list[Person]:
    """LFW's first five folds and FaceScrub's half here.

    The people of LFW's folds 1 to 4 and every other one of FaceScrub are for fitting.
    """
    lfw = SHARED / "faces" / "lfw"
    test = _fold(5)
    folders = sorted(p for p in lfw.iterdir() if p.is_dir())
    found = [_person(folder, fitting=folder.name not in test) for folder in folders]
    scrub = sorted(p for p in (SHARED / "faces" / "facescrub").iterdir() if p.is_dir())
    found += [_person(folder, fitting=index % 2 == 0) for index, folder in enumerate(scrub)]
    return found


def _fold(number: int) -> set[str]:
    """The people of a fold of pairs.txt."""
    lines = (SHARED / "faces" / "lfw_pairs.txt").read_text("utf-8").splitlines()
    pairs = [line.split("\t") for line in lines if line.count("\t") in (2, 3)]
    size = len(pairs) // 5
    rows = pairs[(number - 1) * size : number * size]
    return {name for row in rows for name in (row[0], *row[2:3] * (len(row) == 4))}


def _person(folder: Path, *, fitting: bool) -> Person:
    paths = sorted(folder.glob("*.jpg"))
    order = np.random.default_rng(zlib.crc32(folder.name.encode())).permutation(len(paths))
    chosen = [paths[index] for index in order]
    if len(chosen) == 1:
        return Person(folder.name, None, (chosen[0],), fitting)
    return Person(folder.name, chosen[0], tuple(chosen[1 : 1 + _MOST_PHOTOGRAPHS]), fitting)


def clip_of(person: Person) -> list[Image]:
    """The frames: photographs one after the other, moved, turned, zoomed, blurred, exposed."""
    rng = np.random.default_rng(zlib.crc32(person.name.encode()) + 1)
    size = rng.uniform(80, 200)
    photographs = [_shown(path) for path in person.shown]
    ends = np.linspace(0, _FRAMES, len(photographs) + 1).round().astype(int)
    motion = [_Motion(rng, size) for _ in photographs]
    frames = []
    for number in range(_FRAMES):
        place = int(np.searchsorted(ends, number, "right")) - 1
        frame = motion[place].frame(photographs[place], number)
        left = ends[place + 1] - number
        if left <= _FADE and place + 1 < len(photographs):
            after = motion[place + 1].frame(photographs[place + 1], number)
            share = 1 - left / (_FADE + 1)
            frame = cv2.addWeighted(frame, 1 - share, after, share, 0)
        frames.append(np.asarray(frame, np.uint8))
    return frames


def _shown(path: Path) -> Image:
    image = decode(path)
    if path.parents[1].name == "lfw":
        edge = (image.shape[0] - _LFW_CROP) // 2
        image = np.ascontiguousarray(image[edge : edge + _LFW_CROP, edge : edge + _LFW_CROP])
    return image


class _Motion:
    """A slow movement before a wall, with the faults of a camera."""

    def __init__(self, rng: np.random.Generator, size: float) -> None:
        self._size, self._phase = size, rng.uniform(0, 2 * np.pi, 6)
        self._blur, self._light = rng.uniform(0.3, 2.0), rng.uniform(0.05, 0.3)

    def frame(self, photograph: Image, number: int) -> Image:
        """One frame of the clip."""
        t = number / RATE * 2 * np.pi
        swing = np.sin(self._phase + t * np.asarray([0.5, 0.4, 0.3, 0.35, 1.0, 0.6]))
        height, width = photograph.shape[:2]
        scale = self._size / max(height, width) * (1 + 0.12 * swing[0])
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 6 * swing[1], scale)
        middle = np.asarray([WIDTH / 2 + 12 * swing[2], HEIGHT / 2 + 8 * swing[3]])
        matrix[:, 2] += middle - np.asarray([width / 2, height / 2])
        sigma = self._blur * (0.5 + 0.5 * swing[4])
        # Smoothed before it is made smaller, as a lens does.
        soft = cv2.GaussianBlur(photograph, (0, 0), max(sigma, 0.5) / min(scale, 1.0))
        wall = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
        moved = cv2.warpAffine(
            soft, matrix, (WIDTH, HEIGHT), dst=wall, borderMode=cv2.BORDER_TRANSPARENT
        )
        lit = moved.astype(np.float32) * (1 + self._light * swing[5])
        return np.asarray(lit.clip(0, 255), np.uint8)


class _Recording:
    """An analyzer that remembers the faces of each frame."""

    def __init__(self, fp: FaceAnalyzer) -> None:
        self._fp = fp
        self.seen: list[list[Face]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fp, name)

    def analyze(self, image: Image) -> list[Face]:
        """The analyzer's."""
        faces = self._fp.analyze(image)
        self.seen.append(faces)
        return faces


def watch(fp: FaceAnalyzer, person: Person, folder: Path) -> Seen:
    """Encode a person's clip and analyze the file."""
    dim, least = fp.embedder_card.dim or 0, usable_quality(fp.embedder_card)
    nothing = np.full(dim, np.nan, np.float32)

    def vector(face: Face | None) -> Array:
        if face is None or face.embedding is None or objection(face.quality, least):
            return nothing
        return face.embedding.vector

    recording = _Recording(fp)
    options = VideoOptions(every=EVERY)
    tracks = list(analyze_video(encoded(person, folder), recording, options=options))  # type: ignore[arg-type]
    middle = [track for track in tracks if holds_middle(track)]
    best = max(middle, key=lambda track: len(track.times), default=None)
    found = consensus(best.faces if best else (), least)
    enrolled = nothing
    if person.enrolled is not None:
        enrolled = vector(_central(fp.analyze(person.enrolled), decode(person.enrolled).shape))
    return Seen(
        enrolled=enrolled,
        frames=np.stack([vector(_central(faces, (HEIGHT, WIDTH))) for faces in recording.seen]),
        mean=best.embedding.vector if best and best.embedding else nothing,
        agreement=np.float32(found.agreement),
        tracks=np.int64(len(middle)),
    )


def encoded(person: Person, folder: Path) -> Path:
    """The person's clip as a file."""
    frames = clip_of(person)
    times = [number / RATE for number in range(len(frames))]
    return write(folder / "clip.mp4", frames, times, crf=26)


def holds_middle(track: Track) -> bool:
    """Whether the track was ever in the middle of the picture."""
    x, y, boxes = WIDTH / 2, HEIGHT / 2, track.boxes
    inside = (boxes[:, 0] < x) & (x < boxes[:, 2]) & (boxes[:, 1] < y) & (y < boxes[:, 3])
    return bool(inside.any())


def _central(faces: Sequence[Face], shape: tuple[int, ...]) -> Face | None:
    """The face nearest to the middle."""
    middle = np.asarray([shape[1], shape[0]]) / 2
    return min(
        faces,
        key=lambda f: float(np.abs((f.box[:2] + f.box[2:]) / 2 - middle).sum()),
        default=None,
    )
