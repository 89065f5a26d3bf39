"""Marks faces on the frames of a video: in a file that is written, and in frames that are shown."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from faceprint.types import Array, Face, Image
from faceprint.video.frames import Frame
from faceprint.video.tracker import Step
from faceprint.vision import draw

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

__all__ = ["LiveMarks", "MarkedFrame", "mark"]

_MOST_WAITING = 30
"""Frames of a file that wait for the next analysis, whose faces tell where theirs were."""


@dataclass(frozen=True, slots=True, eq=False)
class MarkedFrame:
    """A frame of a video while it is analyzed, and the faces that are followed in it.

    Attributes:
        time: seconds from the start of the video.
        live: whether it is of a camera or a stream, of which only the newest frame matters.
        image: gives the (H, W, 3) RGB uint8 pixels, which takes time.
        boxes: (n, 4) float32 xyxy in pixels.
        names: (n,) whom the gallery names for each so far; "" for nobody. The track's own decision
            comes when it is over, and may be another.
    """

    time: float
    live: bool
    image: Callable[[], Image]
    boxes: Array
    names: tuple[str, ...]

    def faces(self) -> list[tuple[Face, str]]:
        """Each face with its name, for `mark`."""
        return [(Face(b, 1.0, None), n) for b, n in zip(self.boxes, self.names, strict=True)]


def mark(picture: PILImage, faces: Sequence[tuple[Face, str]], scale: float = 1.0) -> None:
    """Draw a box and a label at each face, in place.

    Args:
        scale: pixels of the picture per pixel of the boxes.
    """
    line = max(1, round((picture.width * picture.height) ** 0.5 / 300))
    for face, label in sorted(faces, key=lambda entry: -entry[0].area):
        draw.mark_face(picture, face, scale=scale, line=line, label=draw.plain(label))


@dataclass(slots=True, eq=False)
class _Seen:
    """A face of the last analyzed frame: where it is, and where it was when found before."""

    time: float
    box: Array
    before: tuple[float, Array] | None
    name: str

    def at(self, time: float) -> Array | None:
        """(4,) the box, on its way from the place before; None if it was not there yet."""
        if self.before is None:
            return None  # found once: not a track so far
        then, box = self.before
        if time < then:
            return None
        share = 1.0 if time >= self.time else (time - then) / (self.time - then)
        return np.asarray(box + np.float32(share) * (self.box - box), np.float32)


class LiveMarks:
    """Shows each frame with the faces of tracks that are not over.

    Frames of a file wait for the next analysis, so that boxes between two are where the faces are,
    as in the file that `write_annotated` makes. Frames of a live stream don't wait: their boxes are
    those of the last analysis. A face is marked from its second detection on.

    Args:
        look: takes the frames, in their order; None if nobody does.
        live: whether it is a live stream.
    """

    def __init__(self, look: Callable[[MarkedFrame], None] | None, live: bool) -> None:
        self._look, self._live = look, live
        self._waiting: deque[Frame] = deque()
        self._seen: list[_Seen] = []
        self._last: dict[int, tuple[float, Array]] = {}

    def passed(self, frame: Frame) -> None:
        """A frame that is not analyzed."""
        if self._look is None:
            return
        self._waiting.append(frame)
        while len(self._waiting) > (0 if self._live else _MOST_WAITING):
            self._show(self._waiting.popleft())

    def analyzed(
        self, frame: Frame, step: Step, boxes: Sequence[Array], names: Sequence[str]
    ) -> None:
        """A frame in which faces were found, n of them in `step`.

        Args:
            boxes: n of (4,).
            names: n.
        """
        for key in (*step.ended, *step.dropped):
            self._last.pop(key, None)
        self._seen = []
        for key, box, name in zip(map(int, step.keys), boxes, names, strict=True):
            self._seen.append(_Seen(frame.time, box, self._last.get(key), name))
            self._last[key] = frame.time, box
        self.passed(frame)
        self._flush()

    def cut(self) -> None:
        """All tracks are over: at a cut, before its frame is given, and at the end."""
        if not self._live:
            self._seen = []  # nobody knows where the faces went after the last analysis
        self._flush()
        self._seen, self._last = [], {}

    def _flush(self) -> None:
        while self._waiting:
            self._show(self._waiting.popleft())

    def _show(self, frame: Frame) -> None:
        if self._look is None:
            return
        found = [(seen.at(frame.time), seen.name) for seen in self._seen]
        shown = [(box, name) for box, name in found if box is not None]
        boxes = np.asarray([box for box, _ in shown], np.float32).reshape(-1, 4)
        names = tuple(name for _, name in shown)
        self._look(MarkedFrame(frame.time, self._live, frame.image, boxes, names))
