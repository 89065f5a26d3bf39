"""MTCNN's cascade as array code over batched sessions.

Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks",
IEEE SPL 23(10), 2016. P-Net proposes over an image pyramid, R-Net refines, O-Net refines again and
gives five landmarks. All crops of a stage, over all images of a call, go through one network call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from faceprint.geometry import nms
from faceprint.runtime.session import Session
from faceprint.types import Array, Detections, Image
from faceprint.vision.detect.blocks import CELL, STRIDE, BlockRunner
from faceprint.vision.warp import Mipmaps, box_transforms

__all__ = ["MtcnnDetector", "MtcnnSettings"]

_CHUNK = 1024
"""Crops cut at a time; bounds memory when a crowd is analysed."""

_RNET_ROWS, _ONET_ROWS = 16, 4
"""Crops that one call of a network takes: as many as stay in a core's cache."""


@dataclass(frozen=True, slots=True)
class MtcnnSettings:
    """How the cascade searches.

    Attributes:
        pnet_threshold, rnet_threshold, onet_threshold: least face probability a stage lets through.
        factor: ratio of neighbouring pyramid levels.
        min_face: smallest face searched for, pixels.
        min_face_share: the same as a share of the image's shorter side; the larger of the two
            counts, so that the cost of a photograph does not grow with its megapixels.
        border: pixels added around each coarse pyramid level, so that faces which fill or leave
            the frame are proposed too.
        max_proposals: proposals an image may send to R-Net, best first.
    """

    pnet_threshold: float = 0.6
    rnet_threshold: float = 0.7
    onet_threshold: float = 0.8
    factor: float = 0.709
    min_face: float = 20.0
    min_face_share: float = 0.02
    border: int = 6
    max_proposals: int = 4000

    @classmethod
    def from_options(cls, options: Mapping[str, float]) -> MtcnnSettings:
        """Settings from a card's options; unknown keys are ignored."""
        known = {key: value for key, value in options.items() if key in cls.__slots__}
        settings = replace(cls(), **known)  # type: ignore[arg-type]
        return replace(
            settings,
            border=int(settings.border),
            max_proposals=int(settings.max_proposals),
        )

    def smallest_face(self, width: int, height: int) -> float:
        """Side in pixels of the smallest face searched for in an image of that size."""
        share = self.min_face_share * min(width, height)
        return max(self.min_face, share, float(CELL))


@dataclass(frozen=True, slots=True, eq=False)
class _Candidates:
    """Boxes of all images of a call: (n, 4) xyxy, (n,) score, (n, 4) offsets, (n,) image index."""

    boxes: Array
    scores: Array
    offsets: Array
    owner: NDArray[np.intp]

    def __getitem__(self, index: NDArray[np.bool_] | NDArray[np.intp]) -> _Candidates:
        return _Candidates(
            self.boxes[index], self.scores[index], self.offsets[index], self.owner[index]
        )


class MtcnnDetector:
    """The three networks and how they are used.

    Args:
        threads: calls of a network that run at once; above 1 the sessions should have one thread.
    """

    def __init__(
        self,
        pnet: Session,
        rnet: Session,
        onet: Session,
        settings: MtcnnSettings | None = None,
        *,
        threads: int = 1,
    ) -> None:
        self._pnet, self._rnet, self._onet = pnet, rnet, onet
        self._blocks = BlockRunner(threads)
        self.settings = settings or MtcnnSettings()

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        """Faces of each image, best score first."""
        mipmaps = [Mipmaps(image) for image in images]
        found = self._propose(mipmaps)
        boxes = _square(_shift(found.boxes, found.offsets))
        scores, offsets = self._refine(mipmaps, boxes, found.owner)
        keep = scores >= self.settings.rnet_threshold
        found = _Candidates(boxes[keep], scores[keep], offsets[keep], found.owner[keep])
        found = found[nms(found.boxes, found.scores, 0.7, groups=found.owner)]
        return self._output(mipmaps, _square(_shift(found.boxes, found.offsets)), found.owner)

    def _propose(self, mipmaps: Sequence[Mipmaps]) -> _Candidates:
        by_size: dict[tuple[int, int], list[int]] = {}
        for index, mips in enumerate(mipmaps):
            by_size.setdefault((mips.width, mips.height), []).append(index)
        parts: list[_Candidates] = []
        for (width, height), indices in by_size.items():
            levels = [
                self._propose_level([mipmaps[i] for i in indices], np.asarray(indices), *level)
                for level in self._levels(width, height)
            ]
            merged = _concatenate(levels)
            merged = merged[nms(merged.boxes, merged.scores, 0.7, groups=merged.owner)]
            parts.append(self._limit(merged))
        return _concatenate(parts)

    def _limit(self, found: _Candidates) -> _Candidates:
        """The best `max_proposals` of each image; `found` is in order of score."""
        if len(found.scores) <= self.settings.max_proposals:
            return found
        keep = np.zeros(len(found.scores), np.bool_)
        for owner in np.unique(found.owner):
            keep[np.flatnonzero(found.owner == owner)[: self.settings.max_proposals]] = True
        return found[keep]

    def _levels(self, width: int, height: int) -> list[tuple[int, int, int]]:
        """(width, height, border) of the pyramid's levels in pixels, fine to coarse."""
        scale = CELL / self.settings.smallest_face(width, height)
        border = self.settings.border
        levels: list[tuple[int, int, int]] = []
        while True:
            w, h = max(1, round(width * scale)), max(1, round(height * scale))
            # Windows hang over the edge by `border` pixels only where they are large in the image.
            extra = border if min(w, h) < 4 * CELL else 0
            if min(w, h) + 2 * extra < CELL or min(w, h) < CELL - extra:
                return levels
            levels.append((w, h, extra))
            scale *= self.settings.factor

    def _propose_level(
        self,
        mipmaps: Sequence[Mipmaps],
        indices: NDArray[np.intp],
        width: int,
        height: int,
        border: int,
    ) -> _Candidates:
        images = [mips.resized(width, height) for mips in mipmaps]
        if border:
            images = [
                cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE)
                for image in images
            ]
        score, offsets = self._blocks.proposals(self._pnet, np.stack(images))
        batch, row, column = np.nonzero(score >= self.settings.pnet_threshold)
        corner = np.stack([column, row], axis=1).astype(np.float32) * STRIDE - border
        ratio = np.asarray((mipmaps[0].width / width, mipmaps[0].height / height), np.float32)
        boxes = np.concatenate([corner * ratio, (corner + CELL) * ratio], axis=1)
        found = _Candidates(
            boxes.astype(np.float32),
            score[batch, row, column],
            offsets[batch, :, row, column],
            indices[batch],
        )
        return found[nms(found.boxes, found.scores, 0.5, groups=found.owner)]

    def _refine(
        self, mipmaps: Sequence[Mipmaps], boxes: Array, owner: NDArray[np.intp]
    ) -> tuple[Array, Array]:
        scores, offsets = np.zeros(len(boxes), np.float32), np.zeros((len(boxes), 4), np.float32)
        for start in range(0, len(boxes), _CHUNK):
            part = slice(start, start + _CHUNK)
            crops = _crops(mipmaps, boxes[part], owner[part], 24)
            scores[part], offsets[part] = self._blocks.crops(self._rnet, crops, _RNET_ROWS)
        return scores, offsets

    def _output(
        self, mipmaps: Sequence[Mipmaps], boxes: Array, owner: NDArray[np.intp]
    ) -> list[Detections]:
        scores = np.zeros(len(boxes), np.float32)
        offsets = np.zeros((len(boxes), 4), np.float32)
        relative = np.zeros((len(boxes), 10), np.float32)
        for start in range(0, len(boxes), _CHUNK):
            part = slice(start, start + _CHUNK)
            crops = _crops(mipmaps, boxes[part], owner[part], 48)
            outputs = self._blocks.crops(self._onet, crops, _ONET_ROWS)
            scores[part], offsets[part], relative[part] = outputs
        sides = boxes[:, 2:] - boxes[:, :2]
        points = np.stack([relative[:, :5], relative[:, 5:]], axis=2)
        landmarks = boxes[:, None, :2] + points * sides[:, None]
        final = _shift(boxes, offsets)
        results = []
        for index in range(len(mipmaps)):
            mine = np.flatnonzero((owner == index) & (scores >= self.settings.onet_threshold))
            mine = mine[nms(final[mine], scores[mine], 0.7, over_minimum=True)]
            results.append(Detections(final[mine], scores[mine], landmarks[mine]))
        return results


def _crops(mipmaps: Sequence[Mipmaps], boxes: Array, owner: NDArray[np.intp], size: int) -> Image:
    """What a stage sees of each box.

    As published, a box that leaves the image is cut to it and stretched, so that the networks see
    what they were trained on; the offsets they answer with are meant for the whole box.
    """
    # R-Net's 24 pixels are few: averaging 2 x 2 samples keeps fine structure from aliasing.
    over = 2 if size == 24 else 1
    crops = np.empty((len(boxes), size, size, 3), np.uint8)
    for index in np.unique(owner):
        mine, mips = owner == index, mipmaps[index]
        limit = np.asarray((mips.width, mips.height) * 2, np.float32)
        transforms = box_transforms(np.clip(boxes[mine], 0, limit), size * over)
        cut = mips.crops(transforms, size * over, replicate=True)
        if over == 2:
            # The crops below one another are one tall image; halving it averages 2 x 2 samples.
            tall = cut.reshape(-1, 2 * size, 3)
            half = cv2.resize(tall, (size, len(tall) // 2), interpolation=cv2.INTER_AREA)
            cut = half.reshape(-1, size, size, 3)
        crops[mine] = cut
    return crops


def _shift(boxes: Array, offsets: Array) -> Array:
    """Move the corners by offsets given as shares of the box's sides."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(boxes + offsets * np.concatenate([sides, sides], axis=1))


def _square(boxes: Array) -> Array:
    """The square of the longer side around the same centre."""
    sides = boxes[:, 2:] - boxes[:, :2]
    half = sides.max(axis=1, keepdims=True, initial=0) / 2
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def _concatenate(parts: Sequence[_Candidates]) -> _Candidates:
    if not parts:
        empty = np.zeros((0, 4), np.float32)
        return _Candidates(empty, np.zeros(0, np.float32), empty, np.zeros(0, np.intp))
    return _Candidates(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.offsets for part in parts]),
        np.concatenate([part.owner for part in parts]),
    )
