"""Cover the lower half of a face with a mask, to show what occlusion does to similarities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from faceprint.types import Array, Face, Image, check_image

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

__all__ = ["occlude"]

# The five landmarks of an average face as shares of its box, for faces without landmarks.
_TYPICAL = np.array([[0.31, 0.4], [0.69, 0.4], [0.5, 0.58], [0.35, 0.78], [0.65, 0.78]], np.float32)

# Right half of a mask's outline: x along the line of the eyes, y downwards, the mouth at y = 1.
_MASK = np.array(
    [
        (0.0, 0.36), (0.16, 0.38), (0.34, 0.46), (0.6, 0.54), (0.92, 0.6), (0.94, 1.0),
        (0.86, 1.32), (0.68, 1.62), (0.46, 1.81), (0.22, 1.91), (0.0, 1.94),
    ]
)  # fmt: skip

_CLOTH = (126, 154, 166)


def occlude(image: Image, face: Face) -> Image:
    """Cover a face from nose to chin with a plain mask, on a copy of a photograph.

    The mask follows the face's size and rotation. Without landmarks it is placed by the box.

    Args:
        image: (H, W, 3) RGB uint8.

    Raises:
        InvalidImageArrayError: not an RGB uint8 array.
    """
    import PIL.Image

    picture = PIL.Image.fromarray(check_image(image))
    _fill(picture, _mask_outline(_points(face)))
    return np.array(picture)


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
        # A profile whose eyes coincide: take the right angle to the line from eyes to mouth.
        across = np.array([mouth[1] - eyes[1], eyes[0] - mouth[0]])
    across = across / max(float(np.hypot(*across)), 1e-6)
    down = np.array([-across[1], across[0]])
    if (mouth - eyes) @ down < 0:
        down = -down
    drop = float((mouth - eyes) @ down)
    # In a turned head the eyes are close together, but the height is unchanged.
    half_width = max(eye_distance, 0.9 * drop)
    side = np.concatenate([_MASK, _MASK[-2:0:-1] * (-1, 1)])
    # The middle of the face moves sideways from the eyes to the mouth as the head turns.
    middle = eyes + np.outer(side[:, 1], mouth - eyes)
    # The half of the face that turns away is narrower; the nose shows which half it is.
    nose = points[2] - (eyes + mouth) / 2
    turn = float(np.clip(1.2 * (nose @ across) / max(half_width, 1e-6), -0.4, 0.4))
    reach = side[:, 0] * half_width * np.where(side[:, 0] < 0, 1 + turn, 1 - turn)
    outline: Array = (middle + np.outer(reach, across)).astype(np.float32)
    return outline


def _fill(picture: PILImage, outline: Array) -> None:
    """Fill a polygon with smooth edges, in place."""
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
    picture.paste(PIL.Image.new("RGB", (width, height), _CLOTH), place, mask.reduce(finer))
