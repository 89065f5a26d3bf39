"""Follows faces from one analyzed frame to the next, by their boxes and embeddings.

The order of the two stages is ByteTrack's (Zhang et al., ECCV 2022): the detections that say most
are matched first, and the others may only continue what is left. ByteTrack tells them apart by the
detector's score. Here it is the quality: the embedding of a poor face says little about the person
(docs/decisions/0003-quality.md), so poor faces are matched by their boxes alone.

A good face never joins a track whose faces it does not resemble, however well the boxes agree: two
people who cross must not change names. A track that breaks costs less than one that mixes people.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from faceprint.geometry import iou_matrix
from faceprint.types import Array
from faceprint.video.assignment import best_pairs

__all__ = ["Step", "Tracker", "TrackerOptions"]

_FOLLOWED = 0.5
"""Seconds for which a face that is not seen is assumed to move on as it did."""

_SMOOTHED = 0.5
"""How much of a track's velocity, and of its mean embedding, is that of the newest face."""

_REACH = 2.0
"""Face sizes within which a face that surely is the same person is found again."""

_UNKNOWN = 0.25
"""The similarity, 0..1, of a face to a track that has no embedding so far."""


@dataclass(frozen=True, slots=True)
class TrackerOptions:
    """How faces are followed.

    Attributes:
        births: number of detections that make a track.
        max_gap: seconds after which a face that was not found again is gone.
        loose, strict: cosine similarities at which a face may be, and surely is, the track's
            person. None if they are unknown: then boxes alone decide.
        min_overlap: intersection over union for a face that resembles the track.
        min_overlap_alone: the same where nothing is known of the resemblance.
    """

    births: int = 2
    max_gap: float = 1.0
    loose: float | None = None
    strict: float | None = None
    min_overlap: float = 0.2
    min_overlap_alone: float = 0.4


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What one analyzed frame changed.

    Attributes:
        keys: (n,) the track of each detection. A key is never used again.
        ended: tracks that are over.
        dropped: tracks that were begun and have not been confirmed.
    """

    keys: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    ended: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()


@dataclass(slots=True, eq=False)
class _State:
    """A track as it was when it was last seen."""

    key: int
    box: Array
    seen: float
    embedding: Array | None
    velocity: Array = field(default_factory=lambda: np.zeros(2, np.float32))
    hits: int = 1
    missed: int = 0

    def predicted(self, time: float) -> Array:
        """(4,) the box at a later time."""
        moved = self.velocity * min(time - self.seen, _FOLLOWED)
        return self.box + np.tile(moved, 2).astype(np.float32)

    def see(self, time: float, box: Array, embedding: Array | None) -> None:
        """Continue the track with a face."""
        passed = max(time - self.seen, 1e-3)
        velocity = (_centers(box[None]) - _centers(self.box[None]))[0] / passed
        if self.hits > 1:
            velocity = (1 - _SMOOTHED) * self.velocity + _SMOOTHED * velocity
        self.velocity = velocity.astype(np.float32)
        self.box, self.seen = box, time
        self.hits, self.missed = self.hits + 1, 0
        if embedding is not None:
            mean = embedding
            if self.embedding is not None:
                mean = (1 - _SMOOTHED) * self.embedding + _SMOOTHED * embedding
            self.embedding = mean / max(float(np.linalg.norm(mean)), 1e-12)


class Tracker:
    """Tracks of one video, on arrays alone."""

    def __init__(self, options: TrackerOptions | None = None) -> None:
        self._options = options or TrackerOptions()
        self._states: list[_State] = []
        self._next = 0
        self._steps = 0  # since the last cut

    def update(self, time: float, boxes: Array, embeddings: Array) -> Step:
        """Match the faces of one frame with the tracks.

        Args:
            time: seconds; grows from call to call.
            boxes: (n, 4) xyxy pixels.
            embeddings: (n, d) unit rows; rows of NaN for faces too poor to be compared.
        """
        self._steps += 1
        ended = self._expire(time)
        keys = np.full(len(boxes), -1, np.intp)
        good = np.asarray(np.isfinite(embeddings).all(axis=1), np.bool_)
        left = self._match(time, boxes, embeddings, keys, good)
        recent = [state for state in left if not state.missed]
        self._match(time, boxes, embeddings, keys, ~good, recent)
        for state in self._states:
            state.missed += state.seen < time
        dropped = [s.key for s in self._states if s.missed and s.hits < self._options.births]
        self._states = [s for s in self._states if s.key not in dropped]
        for index in np.flatnonzero(keys < 0):
            embedding = embeddings[index] if good[index] else None
            self._states.append(_State(self._next, boxes[index], time, embedding))
            keys[index] = self._next
            self._next += 1
        return Step(keys, tuple(ended), tuple(dropped))

    def cut(self) -> Step:
        """End all tracks: at a cut, and at the end of the video.

        A scene with fewer analyzed frames than `births` could confirm nobody; there a face counts
        that was found in all of them.
        """
        births = min(self._options.births, self._steps)
        ended = tuple(s.key for s in self._states if s.hits >= births)
        dropped = tuple(s.key for s in self._states if s.hits < births)
        self._states, self._steps = [], 0
        return Step(ended=ended, dropped=dropped)

    def _expire(self, time: float) -> list[int]:
        """Take out the tracks that were not found for too long; their keys."""
        late = [s for s in self._states if s.missed and time - s.seen > self._options.max_gap]
        self._states = [s for s in self._states if s not in late]
        return [s.key for s in late]

    def _match(
        self,
        time: float,
        boxes: Array,
        embeddings: Array,
        keys: NDArray[np.intp],
        chosen: NDArray[np.bool_],
        states: list[_State] | None = None,
    ) -> list[_State]:
        """Match the chosen detections, note the tracks in `keys`; the tracks that are left."""
        states = self._states if states is None else states
        columns = np.flatnonzero(chosen)
        if not states or not len(columns):
            return list(states)
        at = np.stack([state.predicted(time) for state in states])
        values = self._affinity(states, at, boxes[columns], embeddings[columns])
        found = best_pairs(values)
        for row, column in found:
            index = columns[column]
            embedding = embeddings[index] if np.isfinite(embeddings[index]).all() else None
            states[row].see(time, boxes[index], embedding)
            keys[index] = states[row].key
        taken = {row for row, _ in found}
        return [state for row, state in enumerate(states) if row not in taken]

    def _affinity(self, states: list[_State], at: Array, boxes: Array, embeddings: Array) -> Array:
        """(m, n) how well each face continues each track; 0 where it can't."""
        options = self._options
        overlap = iou_matrix(at, boxes)
        likeness = np.full_like(overlap, np.nan)
        if options.loose is not None and options.strict is not None:
            span = max(options.strict - options.loose, 1e-6)
            for row, state in enumerate(states):
                if state.embedding is not None:
                    likeness[row] = (embeddings @ state.embedding - options.loose) / span
        known = np.isfinite(likeness)
        near = (likeness >= 1) & _within_reach(at, boxes)
        allowed = np.where(
            known,
            (likeness >= 0) & ((overlap >= options.min_overlap) | near),
            overlap >= options.min_overlap_alone,
        )
        value = overlap + np.where(known, np.clip(likeness, 0, 1), _UNKNOWN)
        return np.where(allowed, value, 0.0).astype(np.float32)


def _centers(boxes: Array) -> Array:
    return np.asarray((boxes[:, :2] + boxes[:, 2:]) / 2, np.float32)


def _within_reach(a: Array, b: Array) -> NDArray[np.bool_]:
    """(m, n) whether boxes are of like size and not far apart."""
    size_a, size_b = (np.sqrt(np.prod(x[:, 2:] - x[:, :2], axis=1)).clip(1e-6) for x in (a, b))
    distance = np.linalg.norm(_centers(a)[:, None] - _centers(b)[None], axis=2)
    ratio = size_a[:, None] / size_b[None]
    within: NDArray[np.bool_] = (distance <= _REACH * np.maximum(size_a[:, None], size_b[None])) & (
        np.abs(np.log2(ratio)) <= 1
    )
    return within
