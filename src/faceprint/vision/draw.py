"""Pictures of results: faces on a photograph, the figure of a comparison, a covered face."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from faceprint._files import atomic_write
from faceprint.errors import UsageError
from faceprint.types import Array, Face, Image, check_image
from faceprint.vision import drawing
from faceprint.vision.figure import comparison_figure

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

__all__ = ["comparison_figure", "draw_faces", "occlude", "save_png"]

# Where the five points lie in a detector's box, as shares of it: for faces without landmarks.
_TYPICAL = np.array([[0.31, 0.4], [0.69, 0.4], [0.5, 0.58], [0.35, 0.78], [0.65, 0.78]], np.float32)

# A mask's outline in units of the face: x along the eyes, y down to the mouth's height at 1.
_MASK = np.array(
    [
        (0.0, 0.36), (0.16, 0.38), (0.34, 0.46), (0.6, 0.54), (0.92, 0.6), (0.94, 1.0),
        (0.86, 1.32), (0.68, 1.62), (0.46, 1.81), (0.22, 1.91), (0.0, 1.94),
    ]
)  # fmt: skip

_CLOTH = (126, 154, 166)


def draw_faces(image: Image, faces: Iterable[Face], *, labels: bool = True) -> Image:
    """A copy of a photograph with each face's box, five landmarks and score.

    Args:
        image: (H, W, 3) RGB uint8.
        faces: in the photograph's pixels; without landmarks the box alone is drawn.
        labels: write the detector's score at each box.

    Raises:
        InvalidImageArrayError: not an RGB uint8 array.
    """
    import PIL.Image

    picture = PIL.Image.fromarray(check_image(image))
    line = max(1, round((picture.width * picture.height) ** 0.5 / 300))
    for face in sorted(faces, key=lambda face: -face.area):
        drawing.mark_face(picture, face, line=line, label=f"{face.score:.3f}" if labels else "")
    return drawing.to_array(picture)


def occlude(image: Image, face: Face) -> Image:
    """A copy of a photograph with the lower half of a face, nose to chin, behind a plain mask.

    The mask turns and grows with the face. Without landmarks it is placed from the box.

    Args:
        image: (H, W, 3) RGB uint8.

    Raises:
        InvalidImageArrayError: not an RGB uint8 array.
    """
    import PIL.Image

    picture = PIL.Image.fromarray(check_image(image))
    _fill(picture, _mask_outline(_points(face)), _CLOTH)
    return drawing.to_array(picture)


def save_png(image: Image, path: str | os.PathLike[str]) -> None:
    """Write a picture whole or not at all; it shows faces, so its owner alone may read it.

    Raises:
        UsageError: it can't be written there.
    """
    import PIL.Image

    target = Path(path)
    picture = PIL.Image.fromarray(check_image(image))
    try:
        atomic_write(target, lambda file: picture.save(file, "PNG"), private=True)
    except OSError as error:
        raise UsageError(f"{target}: can't be written: {error.strerror or error}") from error


def _points(face: Face) -> Array:
    if face.landmarks is not None:
        return face.landmarks
    corner, far = face.box[:2], face.box[2:]
    points: Array = (corner + _TYPICAL * (far - corner)).astype(np.float32)
    return points


def _mask_outline(points: Array) -> Array:
    """Five landmarks (5, 2) to the mask's outline (n, 2) in pixels."""
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    across = points[1] - points[0]
    eye_distance = float(np.hypot(*across))
    if eye_distance < 1e-3:
        # A profile whose eyes coincide: across is then a right angle from eyes to mouth.
        across = np.array([mouth[1] - eyes[1], eyes[0] - mouth[0]])
    across = across / max(float(np.hypot(*across)), 1e-6)
    down = np.array([-across[1], across[0]])
    if (mouth - eyes) @ down < 0:
        down = -down
    drop = float((mouth - eyes) @ down)
    # A turned head has its eyes close together and its height unchanged.
    half_width = max(eye_distance, 0.9 * drop)
    side = np.concatenate([_MASK, _MASK[-2:0:-1] * (-1, 1)])
    # The middle of the face moves sideways from the eyes to the mouth as the head turns.
    middle = eyes + np.outer(side[:, 1], mouth - eyes)
    # The half of the face that turns away is the narrower one; the nose says which.
    nose = points[2] - (eyes + mouth) / 2
    turn = float(np.clip(1.2 * (nose @ across) / max(half_width, 1e-6), -0.4, 0.4))
    reach = side[:, 0] * half_width * np.where(side[:, 0] < 0, 1 + turn, 1 - turn)
    outline: Array = (middle + np.outer(reach, across)).astype(np.float32)
    return outline


def _fill(picture: PILImage, outline: Array, color: drawing.Color) -> None:
    """A polygon with smooth edges, filled in place."""
    import PIL.Image
    import PIL.ImageDraw

    limit = np.array([picture.width, picture.height])
    low = np.clip(np.floor(outline.min(0)) - 1, 0, limit).astype(int)
    high = np.clip(np.ceil(outline.max(0)) + 2, 0, limit).astype(int)
    width, height = (high - low).tolist()
    if width < 1 or height < 1:
        return
    finer = 4 if width * height < 4_000_000 else 1
    mask = PIL.Image.new("L", (width * finer, height * finer))
    corners = [(float(x), float(y)) for x, y in (outline - low + 0.5) * finer]
    PIL.ImageDraw.Draw(mask).polygon(corners, fill=255)
    place = (int(low[0]), int(low[1]))
    picture.paste(PIL.Image.new("RGB", (width, height), color), place, mask.reduce(finer))
