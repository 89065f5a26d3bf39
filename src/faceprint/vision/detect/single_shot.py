"""Detectors that find all faces in one pass of one graph: YuNet, SCRFD, RetinaFace, UltraFace.

One pass over the photograph, letterboxed into the graph's canvas, finds nearly all faces at the
same cost for any number of megapixels. It misses two kinds of faces: one that fills the frame,
larger than the network's largest anchors or without the background it was trained on, and one that
the canvas shrinks to a few pixels.

A graph that takes any size (SCRFD) also gets a small copy, for a tenth to a sixth of the cost: at
640 pixels it misses every face above about 500, and would find only the bystander in a selfie.

Further passes are made only while nothing is found, as they cost up to dozens of passes: an empty
frame around the photograph, then overlapping tiles at twice and four times the scale. A photograph
without people pays for all of them; `zoom = 1` and `margin = 0` in a card's options turn them off.
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
from faceprint.vision.detect.tiling import Window, merge, scaled_canvas, spans
from faceprint.vision.mipmaps import Mipmaps
from faceprint.vision.preprocess import fit, to_blob
from faceprint.zoo.card import ModelCard

__all__ = ["DECODERS", "Decoder", "SearchSettings", "SingleShotDetector"]

_BATCH = 8
"""Canvases per call of a graph that takes batches; at 640 x 640 that is 40 MB."""

_ON_ACCELERATOR = 32
"""The same on an accelerator: the photographs of one batch."""


class Decoder(Protocol):
    """Turns the raw outputs of a graph into faces."""

    def __call__(
        self, outputs: Mapping[str, Array], *, canvas: tuple[int, int], score_threshold: float
    ) -> list[Detections]:
        """The faces of each image in the batch, in canvas pixels and before suppression.

        Args:
            outputs: arrays by the graph's output names.
            canvas: (width, height) of the network's input.

        Raises:
            CardError: the outputs are not those of this decoder.
            NotFiniteError: the outputs hold NaN or infinity.
        """
        ...


DECODERS: Mapping[str, Decoder] = {
    "retinaface": retinaface.decode,
    "scrfd": scrfd.decode,
    "ultraface": ultraface.decode,
    "yunet": yunet.decode,
}


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How faces are searched for; each attribute is a key of a card's `[options]`.

    Attributes:
        score_threshold: lowest score of a face.
        nms_threshold: intersection over union above which the box with the lower score is dropped.
        max_side: longest side of the canvas in pixels, for graphs that take any size; by default
            the longer side of the card's input.
        min_side: longest side that smaller images are enlarged to.
        coarse_side: longest side of the small copy, for graphs that take any size; 0 for none.
            Only faces of at least half the photograph's longer side are kept from it.
        margin: share of the canvas left free on each side in the second pass; 0 for no such pass.
        zoom: largest enlargement of the tiled passes over the first pass; 1 for no such passes.
            Tiles are never enlarged beyond the photograph's own pixels.
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
    """A graph, its decoder, and the search over windows of a photograph.

    Raises:
        CardError: no decoder of the card's name.
    """

    def __init__(self, session: Session, card: ModelCard) -> None:
        if card.decoder not in DECODERS:
            known = ", ".join(sorted(DECODERS))
            raise CardError(f"{card.id}: no decoder named {card.decoder!r}; there are {known}")
        self._session, self.card = session, card
        self._decode = DECODERS[card.decoder]
        spec = session.info.inputs[0].shape
        self._fixed = _fixed_canvas(spec, card)
        # For a graph that takes any size, the card's size limits the canvas.
        side = max(card.input.width or 0, card.input.height or 0)
        limit = {"max_side": float(side)} if side else {}
        self.settings = SearchSettings.from_options({**limit, **card.options})
        # Some exports flatten the batch into the rows, in an unknown order.
        flat = any(len(output.shape) == 2 for output in session.info.outputs)
        largest = _BATCH if session.info.device == "cpu" else _ON_ACCELERATOR
        self._batch = 1 if flat or (spec and spec[0] == 1) else largest

    def required_scale(self, width: int, height: int) -> float:
        """The share of a photograph's sides that the first pass needs."""
        return min(1.0, _scale((width, height), self._canvas((width, height))))

    def detect(self, images: Sequence[Image | Mipmaps]) -> list[Detections]:
        """Faces of each image, best score first.

        Args:
            images: RGB uint8 of shape (h, w, 3), of any sizes.

        Raises:
            InvalidImageArrayError: an array of another kind.
            CardError: the outputs are not what the decoder expects.
            NotFiniteError: the outputs hold NaN or infinity.
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
            for image, parts in self._search(mipmaps, windows).items():
                found[image] = merge(parts, sizes[image])
        return found

    def _zooms(self) -> int:
        return max(0, int(np.log2(max(self.settings.zoom, 1.0))))

    def _windows(self, image: int, size: tuple[int, int], level: int) -> Iterator[Window]:
        """What to search: at level 0 the whole image, at 1 the image in a frame, then tiles."""
        canvas, whole = self._canvas(size), (0, 0, *size)
        if level == 0:
            yield Window(image, whole, canvas)
            if (
                self._fixed is None
                and max(canvas) > self.settings.min_side
                and self.settings.coarse_side
            ):
                coarse = scaled_canvas(size, self.settings.coarse_side)
                yield Window(image, whole, coarse, min_face=max(size) / 2)
        elif level == 1 and self.settings.margin > 0:
            yield Window(image, whole, canvas, self.settings.margin)
        elif level > 1:
            scale = _scale(size, canvas)
            # Enlarging the level before by less than 1.2 finds nothing new.
            if scale * 2 ** (level - 2) * 1.2 > 1:
                return
            scale = min(1.0, scale * 2 ** (level - 1))
            tile = self._fixed or (self.settings.max_side, self.settings.max_side)
            for top, bottom in spans(size[1], tile[1] / scale):
                for left, right in spans(size[0], tile[0] / scale):
                    yield Window(image, (left, top, right, bottom), tile)

    def _canvas(self, size: tuple[int, int]) -> tuple[int, int]:
        if self._fixed is not None:
            return self._fixed
        low = min(self.settings.min_side, self.settings.max_side)
        return scaled_canvas(size, min(max(*size, low), self.settings.max_side))

    def _search(
        self, mipmaps: Sequence[Mipmaps], windows: Sequence[Window]
    ) -> dict[int, list[tuple[Window, Detections]]]:
        """For each image index, its windows with their faces in the image's pixels."""
        by_canvas: dict[tuple[int, int], list[Window]] = {}
        for window in windows:
            by_canvas.setdefault(window.canvas, []).append(window)
        found: dict[int, list[tuple[Window, Detections]]] = {}
        for canvas, group in by_canvas.items():
            for start in range(0, len(group), self._batch):
                part = group[start : start + self._batch]
                for window, faces in zip(part, self._run(mipmaps, part, canvas), strict=True):
                    found.setdefault(window.image, []).append((window, faces))
        return found

    def _run(
        self, mipmaps: Sequence[Mipmaps], windows: Sequence[Window], canvas: tuple[int, int]
    ) -> list[Detections]:
        fitted, places = [], []
        for window in windows:
            view, place = _view(mipmaps[window.image], window)
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
            placed = placed[(placed.boxes[:, 2:] - placed.boxes[:, :2]).max(1) >= window.min_face]
            results.append(placed[nms(placed.boxes, placed.scores, self.settings.nms_threshold)])
        return results


def _scale(size: tuple[int, int], canvas: tuple[int, int]) -> float:
    """The scale at which (width, height) fits into a canvas."""
    return min(canvas[0] / size[0], canvas[1] / size[1])


def _view(mips: Mipmaps, window: Window) -> tuple[Image, tuple[Array, Array]]:
    """A window's pixels, at a reduced scale where its canvas needs no more.

    Returns:
        The pixels, and in image pixels their top left corner (2,) and the size of each (2,).
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
    """The graph's fixed (width, height), or None; the graph takes precedence over the card."""
    axes = (3, 2) if card.input.layout == "NCHW" else (2, 1)
    if len(shape) != 4:
        width, height = card.input.width, card.input.height
    else:
        width, height = shape[axes[0]], shape[axes[1]]
    return None if width is None or height is None else (width, height)
