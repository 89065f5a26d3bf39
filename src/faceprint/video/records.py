"""What is kept of a track while it lasts: its path, its best faces and one picture."""

from __future__ import annotations

import math
from array import array

import numpy as np

from faceprint.recognition.gallery.gallery import Gallery
from faceprint.types import Array, Face, Image, OperatingPoint
from faceprint.video.decision import BestFaces, consensus, identify_track
from faceprint.video.track import Track

__all__ = ["TrackRecord"]

_MARGIN = 0.3
"""Surroundings of a crop on each side, in sizes of the box."""

_LARGEST_CROP = 512
_NAMED_EVERY = 0.5
"""Seconds of video after which a track that is not over is sought in the gallery again."""


class TrackRecord:
    """A track that is not over yet.

    Args:
        crops: keep a picture of the best face.
    """

    def __init__(self, crops: bool = False) -> None:
        self._times, self._boxes = array("d"), array("f")
        self._best = BestFaces()
        self._crops = crops
        self._crop: Image | None = None
        self._name, self._named = "", -math.inf  # the name so far, and when it was sought

    def add(self, time: float, face: Face, image: Image) -> None:
        """Note a face of the frame `image`."""
        self._times.append(time)
        self._boxes.extend(float(value) for value in face.box)
        if face.embedding is not None and self._best.add(time, face) and self._crops:
            self._crop = _cut_out(image, face.box)

    @property
    def box(self) -> Array:
        """(4,) float32 where the face was found last."""
        return np.asarray(self._boxes[-4:], np.float32)

    def name_so_far(
        self, least: float | None, loose: float | None, gallery: Gallery, point: OperatingPoint
    ) -> str:
        """Whom the gallery names for the faces so far, "" for nobody; sought twice a second."""
        now = self._times[-1]
        if now - self._named >= _NAMED_EVERY:
            found = consensus(self._best.faces, least, loose)
            self._name = identify_track(gallery, found, point, 1).subject or ""
            self._named = now
        return self._name

    def track(
        self,
        number: int,
        least: float | None,
        loose: float | None,
        gallery: Gallery | None,
        point: OperatingPoint | None,
        top: int,
    ) -> Track:
        """The finished track; see `decision.consensus` for `least` and `loose`."""
        found = consensus(self._best.faces, least, loose)
        answer = None
        if gallery is not None and point is not None:
            answer = identify_track(gallery, found, point, top)
        return Track(
            number=number,
            times=np.asarray(self._times, np.float64),
            boxes=np.asarray(self._boxes, np.float32).reshape(-1, 4),
            faces=found.faces,
            rejected=found.rejected,
            embedding=found.embedding,
            identification=answer,
            reason=found.reason,
            crop=self._crop,
        )


def _cut_out(image: Image, box: Array) -> Image | None:
    """The box with its surroundings, at most 512 pixels on each side."""
    import cv2

    height, width = image.shape[:2]
    margin = _MARGIN * float(max(box[2] - box[0], box[3] - box[1]))
    x1, y1 = (max(0, int(value - margin)) for value in box[:2])
    x2, y2 = min(width, int(box[2] + margin) + 1), min(height, int(box[3] + margin) + 1)
    if x1 >= x2 or y1 >= y2:
        return None
    cut = np.ascontiguousarray(image[y1:y2, x1:x2])
    scale = _LARGEST_CROP / max(cut.shape[:2])
    if scale < 1:
        size = (max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale)))
        return np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA), np.uint8)
    return cut.copy()
