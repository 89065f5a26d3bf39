"""A track: one face over a stretch of time, and who it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceprint.types import Array, Embedding, Face, Identification, Image
from faceprint.video.track_rate import TrackRate

__all__ = ["Track"]


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One face followed over a stretch of a video.

    Attributes:
        number: 1, 2, ... in the order in which tracks end; never used twice in a video.
        times: (n,) float64 seconds of the analyzed frames in which it was found.
        boxes: (n, 4) float32 where it was then: xyxy in pixels of the upright frame.
        faces: the faces that decide, best first.
        rejected: number of further good faces that resemble these too little.
        embedding: the mean of `faces`, weighted by quality; None if no face is good enough.
        identification: the answer of the gallery; None if there is none.
        reason: why nothing can be decided; empty if it can.
        crop: the best face with some surroundings, if crops were asked for.
        rate: what is known of the error rate of such decisions; None without a gallery.
    """

    number: int
    times: NDArray[np.float64]
    boxes: Array
    faces: tuple[Face, ...]
    rejected: int = 0
    embedding: Embedding | None = None
    identification: Identification | None = None
    reason: str = ""
    crop: Image | None = None
    rate: TrackRate | None = None

    @property
    def start(self) -> float:
        """Seconds at which it was first found."""
        return float(self.times[0])

    @property
    def end(self) -> float:
        """Seconds at which it was last found."""
        return float(self.times[-1])

    @property
    def subject(self) -> str | None:
        """The person in the gallery; None for a stranger, without a gallery, or if undecidable."""
        return None if self.identification is None else self.identification.subject

    @property
    def similarity(self) -> float | None:
        """To the most similar subject of the gallery; None if there is none."""
        found = self.identification
        return found.candidates[0].similarity if found is not None and found.candidates else None

    def box_at(self, time: float) -> Array | None:
        """(4,) the box at a time, between those found; None before the start and after the end."""
        if not self.start <= time <= self.end:
            return None
        columns = [np.interp(time, self.times, self.boxes[:, side]) for side in range(4)]
        return np.asarray(columns, np.float32)

    def to_dict(self) -> dict[str, Any]:
        """A line of `video --json`; times to a millisecond."""
        line: dict[str, Any] = {
            "track": self.number,
            "subject": self.subject,
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "similarity": None if self.similarity is None else round(self.similarity, 6),
            "threshold": None,
            "evidence": None,
            "provisional": None,
            "decidable": not self.reason,
            "reason": self.reason or None,
            "candidates": [],
        }
        if self.identification is not None:
            answer = self.identification.to_dict()
            line |= {key: answer[key] for key in line if key in answer}
        rate = TrackRate(None, None) if self.rate is None else self.rate
        return line | {
            "detections": len(self.times),
            "faces": len(self.faces),
            "rejected": self.rejected,
            "quality": self._quality(),
            **rate.to_dict(),
        }

    def _quality(self) -> float | None:
        best = self.faces[0].quality if self.faces else None
        return None if best is None else round(best.value, 3)
