"""Detectors that find every face in one pass of one graph: YuNet, SCRFD, RetinaFace, UltraFace.

One pass over the photograph, letterboxed into the graph's canvas, finds nearly all faces at one
cost whatever the megapixels. It misses two kinds: a face that fills the frame, larger than the
network's largest anchors or without the background it was trained on, and a face that the canvas
shrinks to a few pixels.

A graph that takes any size (SCRFD) is given a small copy as well, for a tenth to a sixth of the
cost: at 640 pixels it misses every face above about 500, and would return the bystander of a
selfie alone. All the rest is done only where nothing was found, as it costs up to dozens of
passes: an empty frame around the photograph, then overlapping tiles at twice and four times the
scale. A photograph without anybody in it pays for all of them; `zoom = 1` and `margin = 0` in a
card's options turn that off.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from faceprint.errors import CardError
from faceprint.geometry import nms
from faceprint.runtime.session import Session
from faceprint.types import Array, Detections, Image
from faceprint.vision.detect import retinaface, scrfd, ultraface, yunet
from faceprint.vision.detect.tiling import Window, free_canvas, merge, spans
from faceprint.vision.preprocess import fit, to_blob
from faceprint.vision.warp import Mipmaps
from faceprint.zoo.card import ModelCard

__all__ = ["DECODERS", "Decoder", "SearchSettings", "SingleShotDetector"]

_BATCH = 8
"""Canvases in one call of a graph that takes batches: bounds memory at 40 MB of 640 x 640."""


class Decoder(Protocol):
    """Raw outputs of a graph to the faces of each image of the batch, in canvas pixels."""

    def __call__(
        self, outputs: Mapping[str, Array], *, canvas: tuple[int, int], score_threshold: float
    ) -> list[Detections]:
        """See the modules of the decoders."""
        ...


DECODERS: Mapping[str, Decoder] = {
    "retinaface": retinaface.decode,
    "scrfd": scrfd.decode,
    "ultraface": ultraface.decode,
    "yunet": yunet.decode,
}


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How faces are searched for; each is a key of a card's `[options]`.

    Attributes:
        score_threshold: least score of a face.
        nms_threshold: overlap (intersection over union) above which the worse box goes.
        max_side: longest side of the canvas in pixels, for graphs that take any size; the longer
            side of the card's input where it names one.
        min_side: the same for small images, which are enlarged to it.
        coarse_side: longest side of the small copy, for graphs that take any size; 0 for none. Of
            what is found there, only faces of half the photograph's longer side are kept.
        margin: share of the canvas left free on each side in the second pass; 0 for none.
        zoom: largest enlargement of the tiled passes over the first one; 1 for none. They never
            go beyond the photograph's own pixels.
    """

    score_threshold: float = 0.6
    nms_threshold: float = 0.4
    max_side: int = 640
    min_side: int = 320
    coarse_side: int = 160
    margin: float = 0.25
    zoom: float = 4.0

    @classmethod
    def from_options(cls, options: Mapping[str, float]) -> SearchSettings:
        """Settings from a card's options; unknown keys are ignored."""
        known = {key: value for key, value in options.items() if key in cls.__slots__}
        settings = replace(cls(), **known)  # type: ignore[arg-type]
        return replace(settings, max_side=int(settings.max_side), min_side=int(settings.min_side))


class SingleShotDetector:
    """A graph, its decoder, and how photographs are shown to it.

    Raises:
        CardError: no decoder of the card's name here.
    """

    def __init__(self, session: Session, card: ModelCard) -> None:
        if card.decoder not in DECODERS:
            known = ", ".join(sorted(DECODERS))
            raise CardError(f"{card.id}: no decoder named {card.decoder!r}; there are {known}")
        self._session, self.card = session, card
        self._decode = DECODERS[card.decoder]
        spec = session.info.inputs[0].shape
        self._fixed = _fixed_canvas(spec, card)
        # For a graph that takes any size, the card's size is a wish, and no canvas exceeds it.
        side = max(card.input.width or 0, card.input.height or 0)
        wish = {"max_side": float(side)} if side else {}
        self.settings = SearchSettings.from_options({**wish, **card.options})
        # Some exports flatten the batch into the rows, in an order of their own.
        flat = any(len(output.shape) == 2 for output in session.info.outputs)
        self._batch = 1 if flat or (spec and spec[0] == 1) else _BATCH

    def required_scale(self, width: int, height: int) -> float:
        """The share of a photograph's sides that the first pass over it needs."""
        return min(1.0, _scale((width, height), self._canvas((width, height))))

    def detect(self, images: Sequence[Image | Mipmaps]) -> list[Detections]:
        """Faces of each image, best score first.

        Args:
            images: RGB uint8 of shape (h, w, 3), sizes as they come.

        Raises:
            InvalidImageArrayError: an array of another kind.
            CardError, NotFiniteError: outputs that are not the decoder's, or not finite.
        """
        mipmaps = [Mipmaps.of(image) for image in images]
        sizes = [(mips.width, mips.height) for mips in mipmaps]
        found = [Detections.empty(landmarks=self.card.landmarks)] * len(images)
        for level in range(2 + self._zooms()):
            windows = [
                window
                for index, size in enumerate(sizes)
                if not len(found[index])
                for window in self._windows(index, size, level)
            ]
            for owner, parts in self._search(mipmaps, windows).items():
                found[owner] = merge(parts, sizes[owner])
        return found

    def _zooms(self) -> int:
        return max(0, int(np.log2(max(self.settings.zoom, 1.0))))

    def _windows(self, owner: int, size: tuple[int, int], level: int) -> Iterator[Window]:
        """What to search at a level: 0 the whole image, 1 within a frame, then in tiles."""
        canvas, whole = self._canvas(size), (0, 0, *size)
        if level == 0:
            yield Window(owner, whole, canvas)
            if (
                self._fixed is None
                and max(canvas) > self.settings.min_side
                and self.settings.coarse_side
            ):
                yield Window(
                    owner, whole, free_canvas(size, self.settings.coarse_side), least=max(size) / 2
                )
        elif level == 1 and self.settings.margin > 0:
            yield Window(owner, whole, canvas, self.settings.margin)
        elif level > 1:
            scale = _scale(size, canvas)
            # A level that would enlarge by less than 1.2 over the one before it finds nothing new.
            if scale * 2 ** (level - 2) * 1.2 > 1:
                return
            scale = min(1.0, scale * 2 ** (level - 1))
            tile = self._fixed or (self.settings.max_side, self.settings.max_side)
            for top, bottom in spans(size[1], tile[1] / scale):
                for left, right in spans(size[0], tile[0] / scale):
                    yield Window(owner, (left, top, right, bottom), tile)

    def _canvas(self, size: tuple[int, int]) -> tuple[int, int]:
        if self._fixed is not None:
            return self._fixed
        low = min(self.settings.min_side, self.settings.max_side)
        return free_canvas(size, min(max(*size, low), self.settings.max_side))

    def _search(
        self, mipmaps: Sequence[Mipmaps], windows: Sequence[Window]
    ) -> dict[int, list[tuple[Window, Detections]]]:
        """Faces of each window in its image's pixels, by image."""
        by_canvas: dict[tuple[int, int], list[Window]] = {}
        for window in windows:
            by_canvas.setdefault(window.canvas, []).append(window)
        found: dict[int, list[tuple[Window, Detections]]] = {}
        for canvas, group in by_canvas.items():
            for start in range(0, len(group), self._batch):
                part = group[start : start + self._batch]
                for window, faces in zip(part, self._run(mipmaps, part, canvas), strict=True):
                    found.setdefault(window.owner, []).append((window, faces))
        return found

    def _run(
        self, mipmaps: Sequence[Mipmaps], windows: Sequence[Window], canvas: tuple[int, int]
    ) -> list[Detections]:
        fitted, places = [], []
        for window in windows:
            view, place = _view(mipmaps[window.owner], window)
            fitted.append(fit(view, canvas, margin=window.margin))
            places.append(place)
        blob = to_blob([picture for picture, _ in fitted], self.card.input)
        names = [output.name for output in self._session.info.outputs]
        outputs = dict(zip(names, self._session.run(blob), strict=True))
        decoded = self._decode(
            outputs, canvas=canvas, score_threshold=self.settings.score_threshold
        )
        results = []
        for faces, window, (_, box), (corner, step) in zip(
            decoded, windows, fitted, places, strict=True
        ):
            points = faces.landmarks
            placed = Detections(
                box.undo_boxes(faces.boxes) * np.tile(step, 2) + np.tile(corner, 2),
                faces.scores,
                None if points is None else box.undo(points) * step + corner,
            )
            placed = placed[(placed.boxes[:, 2:] - placed.boxes[:, :2]).max(1) >= window.least]
            results.append(placed[nms(placed.boxes, placed.scores, self.settings.nms_threshold)])
        return results


def _scale(size: tuple[int, int], canvas: tuple[int, int]) -> float:
    """Of (width, height) fitted into a canvas."""
    return min(canvas[0] / size[0], canvas[1] / size[1])


def _view(mips: Mipmaps, window: Window) -> tuple[Image, tuple[Array, Array]]:
    """A window's pixels; of a photograph at a reduced scale those, where its canvas has no more.

    Returns:
        The pixels; where their corner lies in the image and how wide and high each is there, (2,).
    """
    left, top, right, bottom = window.area
    shrunk = _scale((right - left, bottom - top), window.canvas) * (1 - 2 * window.margin)
    image, span = mips.view(min(mips.halvings, int(max(0.0, -np.log2(shrunk)))))
    step = np.asarray((span[0] / image.shape[1], span[1] / image.shape[0]), np.float32)
    left, right = round(left / float(step[0])), math.ceil(right / float(step[0]))
    top, bottom = round(top / float(step[1])), math.ceil(bottom / float(step[1]))
    corner = np.asarray((left, top), np.float32) * step
    return image[top:bottom, left:right], (corner, step)


def _fixed_canvas(shape: Sequence[int | None], card: ModelCard) -> tuple[int, int] | None:
    """(width, height) where the graph fixes it; the graph knows better than the card."""
    axes = (3, 2) if card.input.layout == "NCHW" else (2, 1)
    if len(shape) != 4:
        width, height = card.input.width, card.input.height
    else:
        width, height = shape[axes[0]], shape[axes[1]]
    return None if width is None or height is None else (width, height)
