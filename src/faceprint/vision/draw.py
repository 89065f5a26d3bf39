"""Draw on photographs: faces with their boxes and landmarks, dots, and text that fits."""

from __future__ import annotations

import functools
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceprint._files import atomic_write
from faceprint.errors import UsageError
from faceprint.types import Face, Image, check_image

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from PIL.ImageFont import FreeTypeFont

__all__ = [
    "Color",
    "dot",
    "draw_faces",
    "font",
    "mark_face",
    "plain",
    "save_png",
    "shortened",
    "wrapped",
]

Color = tuple[int, int, int]

_LINE: Color = (64, 224, 208)
_EDGE: Color = (10, 42, 46)
_WHITE: Color = (255, 255, 255)
_OVERSAMPLED = 8
_SIMPLER = str.maketrans(
    "\u2010\u2011\u2012\u2013\u2014\u2212\u2018\u2019\u201c\u201d\u00d7\u00df\u00f8\u00d8",
    "------''\"\"xsoO",
)


def draw_faces(
    image: Image, faces: Sequence[Face], *, labels: bool | Sequence[str] = True
) -> Image:
    """Draw each face's box, landmarks and score on a copy of a photograph.

    Args:
        image: (H, W, 3) RGB uint8.
        faces: in the photograph's pixels; a face without landmarks gets its box alone.
        labels: the text at each box, in the order of the faces; True for the detector's score.

    Raises:
        InvalidImageArrayError: not an RGB uint8 array.
    """
    import PIL.Image

    picture = PIL.Image.fromarray(check_image(image))
    line = max(1, round((picture.width * picture.height) ** 0.5 / 300))
    if isinstance(labels, bool):
        labels = [f"{face.score:.3f}" if labels else "" for face in faces]
    marks = zip(faces, labels, strict=True)
    for face, label in sorted(marks, key=lambda mark: -mark[0].area):
        mark_face(picture, face, line=line, label=plain(label))
    return np.array(picture)


def save_png(image: Image, path: str | os.PathLike[str]) -> None:
    """Write a PNG file atomically. Only its owner may read it, as it shows faces.

    Raises:
        UsageError: the file can't be written.
    """
    import PIL.Image

    target = Path(path)
    picture = PIL.Image.fromarray(check_image(image))
    try:
        atomic_write(target, lambda file: picture.save(file, "PNG"), private=True)
    except OSError as error:
        raise UsageError(f"{target}: can't be written: {error.strerror or error}") from error


def mark_face(
    picture: PILImage, face: Face, *, scale: float = 1.0, line: int, label: str = ""
) -> None:
    """Draw a face's box, landmarks and label on `picture`, in place.

    A box that reaches past the edge is drawn along the edge, so that all four sides are visible.

    Args:
        scale: picture pixels per pixel of the face's coordinates.
        line: width of the box's line in pixels.
    """
    import PIL.ImageDraw

    if not np.isfinite(face.box).all():
        return
    brush = PIL.ImageDraw.Draw(picture)
    rim = max(1, round(line / 3))
    left, top, right, bottom = _inside(picture, face.box * scale, line + rim)
    size = min(right - left, bottom - top)
    line = max(1, min(line, size // 10))
    outline = (left - rim, top - rim, right + rim, bottom + rim)
    brush.rectangle(outline, outline=_EDGE, width=line + 2 * rim)
    brush.rectangle((left, top, right, bottom), outline=_LINE, width=line)
    radius = max(1.0, min(1.6 * line, size / 28))
    for point in () if face.landmarks is None else face.landmarks * scale:
        dot(picture, [float(value) for value in point], radius, _WHITE, _EDGE)
    if label:
        _label(picture, label, (left - rim, top - rim, bottom + rim), line)


def dot(
    picture: PILImage, center: Sequence[float], radius: float, fill: Color, edge: Color | None
) -> None:
    """Draw a smooth disc, in place; `edge` is the color of a rim around it."""
    import PIL.Image

    if not np.isfinite(center).all():
        return
    outer = radius * 1.3 if edge is not None else radius
    left, top = (int(np.floor(value - outer)) - 1 for value in center)
    if not _overlaps(picture, left, top, outer):
        return
    side = int(np.ceil(2 * outer)) + 3
    place = (center[0] - left, center[1] - top)
    if edge is not None:
        picture.paste(
            PIL.Image.new("RGB", (side, side), edge), (left, top), _disc(side, place, outer)
        )
    picture.paste(PIL.Image.new("RGB", (side, side), fill), (left, top), _disc(side, place, radius))


@functools.lru_cache(maxsize=32)
def font(size: int) -> FreeTypeFont:
    """Pillow's built-in font at a pixel size."""
    from PIL import ImageFont

    chosen = ImageFont.load_default(size)
    if not isinstance(chosen, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType, which the figures need for text")
    return chosen


def plain(text: str) -> str:
    """`text` on one line of ASCII, all that the built-in font can draw.

    Accents are removed, dashes and quotes simplified; other characters become question marks.
    """
    folded = unicodedata.normalize("NFKD", text.translate(_SIMPLER))
    kept = "".join(letter for letter in folded if not unicodedata.combining(letter))
    spaced = "".join(letter if letter.isprintable() else " " for letter in kept)
    return " ".join(spaced.encode("ascii", "replace").decode("ascii").split())


def shortened(text: str, chosen: FreeTypeFont, width: float) -> str:
    """`text`, with its middle replaced by dots if it is wider than `width` pixels.

    File names differ at their ends as often as at their starts, so both are kept.
    """
    text = plain(text)
    if chosen.getlength(text) <= width:
        return text
    for kept in range(len(text) - 1, 0, -1):
        tail = kept // 2
        candidate = text[: kept - tail].rstrip() + "..." + text[len(text) - tail :].lstrip()
        if chosen.getlength(candidate) <= width:
            return candidate
    return "..."


def wrapped(text: str, chosen: FreeTypeFont, width: float, lines: int) -> list[str]:
    """`text` in at most `lines` lines of `width` pixels; the last one is shortened."""
    words = plain(text).split()
    result: list[str] = []
    while words and len(result) < lines - 1:
        count = 1
        while count < len(words) and chosen.getlength(" ".join(words[: count + 1])) <= width:
            count += 1
        result.append(shortened(" ".join(words[:count]), chosen, width))
        words = words[count:]
    return [*result, shortened(" ".join(words), chosen, width)] if words else result


def _inside(picture: PILImage, box: NDArray[np.floating], margin: int) -> tuple[int, int, int, int]:
    last_x, last_y = picture.width - 1 - margin, picture.height - 1 - margin
    left, right = (int(np.clip(round(float(v)), margin, max(margin, last_x))) for v in box[0::2])
    top, bottom = (int(np.clip(round(float(v)), margin, max(margin, last_y))) for v in box[1::2])
    return left, top, max(left, right), max(top, bottom)


def _label(picture: PILImage, text: str, corner: tuple[int, int, int], line: int) -> None:
    """Write a label above the box's left corner, or inside the box if there is no room above."""
    import PIL.ImageDraw

    left, top, bottom = corner
    chosen = font(max(10, 5 * line))
    pad = max(2, line)
    width = round(chosen.getlength(text)) + 2 * pad
    ascent, descent = chosen.getmetrics()
    height = ascent + descent + pad
    y = top - height if top >= height else min(top, max(0, bottom - height))
    x = max(0, min(left, picture.width - width))
    brush = PIL.ImageDraw.Draw(picture)
    brush.rectangle((x, y, x + width - 1, y + height - 1), fill=_EDGE)
    brush.text((x + pad, y + height / 2), text, font=chosen, fill=_LINE, anchor="lm")


def _overlaps(picture: PILImage, left: int, top: int, outer: float) -> bool:
    reach = 2 * outer + 4
    return -reach < left < picture.width and -reach < top < picture.height


def _disc(side: int, center: tuple[float, float], radius: float) -> PILImage:
    import PIL.Image
    import PIL.ImageDraw

    big = PIL.Image.new("L", (side * _OVERSAMPLED, side * _OVERSAMPLED))
    x, y = ((value + 0.5) * _OVERSAMPLED for value in center)
    reach = radius * _OVERSAMPLED
    PIL.ImageDraw.Draw(big).ellipse((x - reach, y - reach, x + reach, y + reach), fill=255)
    return big.reduce(_OVERSAMPLED)
