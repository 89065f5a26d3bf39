"""Images, arrays and detections: one convention for each, checked where they enter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceprint.errors import InvalidImageArrayError

__all__ = ["Array", "Detections", "Image", "check_image"]

Image = NDArray[np.uint8]
"""RGB, uint8, shape (H, W, 3): the only image format inside the library."""

Array = NDArray[np.float32]


def check_image(array: object) -> Image:
    """Return `array` unchanged if it is uint8 of shape (H, W, 3).

    The order of the channels can't be checked. An array read by OpenCV is BGR; reverse it with
    `array[:, :, ::-1]`.

    Raises:
        InvalidImageArrayError: another type, shape or dtype; the message says which.
    """
    expected = "expected an RGB uint8 array of shape (height, width, 3)"
    if not isinstance(array, np.ndarray):
        raise InvalidImageArrayError(f"{expected}, got {type(array).__name__}")
    if array.dtype != np.uint8:
        hint = ""
        if np.issubdtype(array.dtype, np.floating):
            hint = "; convert with (x * 255).round().astype('uint8') if x runs from 0 to 1"
            if not np.isfinite(array).all():
                hint = "; it holds NaN or infinity"
        raise InvalidImageArrayError(f"{expected}, got dtype {array.dtype}{hint}")
    if array.ndim != 3 or array.shape[2] != 3:
        hint = "; repeat a gray channel three times" if array.ndim == 2 else ""
        if array.ndim == 3 and array.shape[0] == 3:
            hint = "; this looks like (3, height, width): transpose it with (1, 2, 0)"
        if array.ndim == 3 and array.shape[2] == 4:
            hint = "; this looks like RGBA: pass a PIL image, or array[:, :, :3]"
        raise InvalidImageArrayError(f"{expected}, got shape {array.shape}{hint}")
    if array.shape[0] == 0 or array.shape[1] == 0:
        raise InvalidImageArrayError(f"{expected}, got the empty shape {array.shape}")
    return array


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The faces of one image, as a struct of arrays.

    Attributes:
        boxes: (n, 4) float32, x1 y1 x2 y2 in pixels; may reach past the image's edge.
        scores: (n,) float32 in 0..1.
        landmarks: (n, 5, 2) float32 pixels: eye, eye, nose, mouth corner, mouth corner, image left
            first; None if the detector gives no landmarks.
    """

    boxes: Array
    scores: Array
    landmarks: Array | None

    def __post_init__(self) -> None:
        n = len(self.boxes)
        if self.boxes.shape != (n, 4) or self.scores.shape != (n,):
            raise ValueError(
                f"boxes {self.boxes.shape} and scores {self.scores.shape} do not match (n, 4), (n,)"
            )
        if self.landmarks is not None and self.landmarks.shape != (n, 5, 2):
            raise ValueError(f"landmarks {self.landmarks.shape} are not ({n}, 5, 2)")

    @classmethod
    def empty(cls, *, landmarks: bool = True) -> Detections:
        """No faces."""
        points = np.zeros((0, 5, 2), np.float32) if landmarks else None
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), points)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: NDArray[np.bool_] | NDArray[np.integer] | slice) -> Detections:
        """Select by mask, index array or slice."""
        points = None if self.landmarks is None else self.landmarks[index]
        return Detections(self.boxes[index], self.scores[index], points)

    @property
    def areas(self) -> Array:
        """(n,) box areas in square pixels."""
        sides = np.maximum(self.boxes[:, 2:] - self.boxes[:, :2], 0)
        return np.asarray(sides[:, 0] * sides[:, 1])
