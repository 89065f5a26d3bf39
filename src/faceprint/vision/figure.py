"""The figure of a 1:1 comparison: photographs, aligned crops, and the similarity on a scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from faceprint.types import Face, Image, OperatingPoint, Verification, check_image
from faceprint.vision import draw
from faceprint.vision.draw import Color

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

__all__ = ["comparison_figure", "operating_point_words"]

_Anchor = Literal["ls", "ms", "rs"]
"""Left, middle or right end of a baseline."""

_SIZE = (1920, 1080)
_FINER = 2
"""The figure is drawn this many times larger and reduced, for smooth lines and letters."""

_MARGIN = 96
_PANEL = (560, 600)
_TOP = 176
_CROP = 256
_SCALE_Y = 910
_LOW, _HIGH = -0.2, 1.0

_INK: Color = (24, 32, 38)
_GRAY: Color = (104, 116, 124)
_FAINT: Color = (214, 220, 224)
_PAPER: Color = (244, 246, 247)
_WHITE: Color = (255, 255, 255)
_MATCH: Color = (13, 122, 92)
_MATCH_FAINT: Color = (190, 226, 214)
_OTHER: Color = (190, 63, 34)


def comparison_figure(
    *,
    title: str,
    images: tuple[Image, Image],
    verification: Verification,
    crops: tuple[Image, Image],
    captions: tuple[str, str],
) -> Image:
    """Draw a 1:1 comparison, in the size of a slide.

    Args:
        title: one line; shortened if it is too long.
        images: the photographs of `verification.faces`.
        crops: the aligned crops, of any size.
        captions: a line below each photograph, such as its file name.

    Returns:
        (1080, 1920, 3) RGB uint8.

    Raises:
        InvalidImageArrayError: a picture that is not an RGB uint8 array.
    """
    sheet = _Sheet.blank()
    sheet.title(title)
    right = _SIZE[0] - _MARGIN - _PANEL[0]
    for left, image, face, caption in zip(
        (_MARGIN, right), images, verification.faces, captions, strict=True
    ):
        sheet.photograph(left, check_image(image), face, caption)
    gap = (right - _MARGIN - _PANEL[0] - 2 * _CROP) // 3
    for index, crop in enumerate(crops):
        left = _MARGIN + _PANEL[0] + gap + index * (_CROP + gap)
        sheet.picture(check_image(crop), (left, _TOP, _CROP, _CROP))
    sheet.verdict(verification)
    sheet.scale(verification.similarity, verification.threshold)
    sheet.footer(verification)
    return np.array(sheet.surface.reduce(_FINER))


def operating_point_words(point: OperatingPoint) -> str:
    """The evidence for a threshold: "FMR 1 in 1,000, measured on LFW folds 1-5"."""
    if point.evidence == "published":
        return f"threshold published, not measured here: {point.source}"
    if point.evidence == "borrowed":
        return f"provisional: {point.source}"
    if point.fmr is None:
        return f"threshold: {point.source or point.name or 'without a measured error rate'}"
    rate = f"1 in {round(1 / point.fmr):,}" if point.fmr > 0 else "0"
    return f"FMR {rate}" + (f", {point.source}" if point.source else "")


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A white sheet; its coordinates are pixels of the finished figure."""

    surface: PILImage

    @classmethod
    def blank(cls) -> _Sheet:
        import PIL.Image

        return cls(PIL.Image.new("RGB", (_SIZE[0] * _FINER, _SIZE[1] * _FINER), _WHITE))

    def text(
        self,
        place: tuple[float, float],
        text: str,
        size: int,
        fill: Color,
        anchor: _Anchor = "ls",
        *,
        width: float = _SIZE[0],
        bold: float = 0.0,
    ) -> None:
        """Write one line. `bold` is the stroke added to each letter, in pixels."""
        import PIL.ImageDraw

        chosen = draw.font(size * _FINER)
        PIL.ImageDraw.Draw(self.surface).text(
            (place[0] * _FINER, place[1] * _FINER),
            draw.shortened(text, chosen, width * _FINER),
            font=chosen,
            fill=fill,
            anchor=anchor,
            stroke_width=bold * _FINER,
        )

    def bar(self, box: tuple[float, float, float, float], fill: Color, radius: float = 0) -> None:
        import PIL.ImageDraw

        corners = tuple(round(value * _FINER) for value in box)
        PIL.ImageDraw.Draw(self.surface).rounded_rectangle(
            (corners[0], corners[1], corners[2] - 1, corners[3] - 1), radius * _FINER, fill
        )

    def title(self, title: str) -> None:
        self.text((_MARGIN, 112), title, 56, _INK, width=_SIZE[0] - 2 * _MARGIN, bold=0.6)

    def photograph(self, left: int, image: Image, face: Face, caption: str) -> None:
        """Place a photograph in its panel, with its face marked and its caption below."""
        width, height = _PANEL
        self.bar((left, _TOP, left + width, _TOP + height), _PAPER)
        self.picture(image, (left, _TOP, width, height), face)
        self.text((left + width / 2, _TOP + height + 40), caption, 26, _GRAY, "ms", width=width)

    def picture(
        self, image: Image, box: tuple[int, int, int, int], face: Face | None = None
    ) -> None:
        """Place a picture in the middle of (left, top, width, height), with its face marked."""
        import PIL.Image

        left, top, width, height = (value * _FINER for value in box)
        scale = min(width / image.shape[1], height / image.shape[0])
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        picture = PIL.Image.fromarray(image).resize(size, PIL.Image.Resampling.LANCZOS)
        if face is not None:
            draw.mark_face(picture, face, scale=scale, line=3 * _FINER)
        self.surface.paste(picture, (left + (width - size[0]) // 2, top + (height - size[1]) // 2))

    def verdict(self, verification: Verification) -> None:
        middle = _SIZE[0] / 2
        color = _MATCH if verification.is_match else _OTHER
        words = "match" if verification.is_match else "no match"
        if not verification.decidable:
            words = "cannot decide"
        self.text((middle, _TOP + _CROP + 34), "aligned faces", 24, _GRAY, "ms")
        self.text((middle, 622), _number(verification.similarity), 148, _INK, "ms", bold=1.0)
        self.text((middle, 668), "cosine similarity", 26, _GRAY, "ms")
        self.text((middle, 768), words, 64, color, "ms", bold=0.8)

    def scale(self, similarity: float, threshold: float) -> None:
        """Draw the scale from -0.2 to 1 with the threshold, its matching side, the similarity."""
        left, right, y, half = _MARGIN, _SIZE[0] - _MARGIN, _SCALE_Y, 7

        def at(value: float) -> float:
            share = (float(np.clip(value, _LOW, _HIGH)) - _LOW) / (_HIGH - _LOW)
            return left + share * (right - left)

        self.bar((left, y - half, right, y + half), _FAINT, half)
        if (x := at(threshold)) < right:
            self.bar((x, y - half, right, y + half), _MATCH_FAINT, half)
            # The bar has a round end, but is square at the threshold.
            self.bar((x, y - half, min(right, x + 2 * half), y + half), _MATCH_FAINT)
        ticks = np.linspace(_LOW, _HIGH, 7)
        for tick in ticks:
            anchor: _Anchor = "ls" if tick == ticks[0] else "rs" if tick == ticks[-1] else "ms"
            self.text((at(tick), y + 46), _number(tick, 1), 22, _GRAY, anchor)
        color = _MATCH if similarity >= threshold else _OTHER
        center = [at(similarity) * _FINER, y * _FINER]
        draw.dot(self.surface, center, 17 * _FINER, color, _WHITE)
        self.bar((x - 2, y - 28, x + 2, y + 28), _INK)
        label = f"threshold {_number(threshold)}"
        reach = draw.font(24 * _FINER).getlength(label) / _FINER / 2
        x = float(np.clip(x, left + reach, right - reach))
        self.text((x, y - 38), label, 24, _INK, "ms")

    def footer(self, verification: Verification) -> None:
        models = f"pack {verification.pack}, embedder {verification.embedder}"
        if not verification.pack:
            models = f"embedder {verification.embedder}" if verification.embedder else ""
        room = _SIZE[0] - 2 * _MARGIN
        self.text((_SIZE[0] - _MARGIN, 1022), models, 24, _GRAY, "rs", width=room * 0.4)
        words = operating_point_words(verification.operating_point)
        chosen = draw.font(24 * _FINER)
        lines = draw.wrapped(words, chosen, room * 0.56 * _FINER, 2)
        for index, line in enumerate(lines):
            self.text((_MARGIN, 1022 + 32 * index), line, 24, _GRAY)


def _number(value: float, digits: int = 3) -> str:
    """A number without a minus sign on zero."""
    return f"{round(float(value), digits) + 0.0:.{digits}f}"
