"""MTCNN: a cascade of three networks, run on many photographs at once.

Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks",
IEEE SPL 23(10), 2016. P-Net proposes boxes over an image pyramid, R-Net refines them, O-Net refines
them again and gives five landmarks. Each stage handles the crops of all images together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from faceprint.geometry import nms
from faceprint.runtime.session import Session
from faceprint.types import Array, Detections, Image
from faceprint.vision.detect.box_crops import box_crops
from faceprint.vision.detect.cascade_batching import CELL, STRIDE, BlockRunner
from faceprint.vision.detect.framing import FRAMES, Framed
from faceprint.vision.detect.pyramid import Level, levels_of, pyramid
from faceprint.vision.mipmaps import Mipmaps, average_pairs

__all__ = ["MtcnnDetector", "MtcnnSettings"]

_CHUNK = 1024
"""Crops cut at a time; bounds memory on photographs of crowds."""

_RNET_SIDE, _ONET_SIDE = 24, 48
"""Sides of the crops in pixels."""

_RNET_ROWS, _ONET_ROWS = 16, 4
"""Crops per call of a network: as many as fit into a core's cache."""

_ON_ACCELERATOR = 64
"""How many times larger the calls to an accelerator are: 1,024 crops for R-Net, 256 for O-Net."""


@dataclass(frozen=True, slots=True)
class MtcnnSettings:
    """How the cascade searches.

    Attributes:
        pnet_threshold, rnet_threshold, onet_threshold: lowest face probability that passes a stage.
        levels_per_octave: pyramid levels from one size to half of it. 2 is the published ratio of
            0.709, and makes every level but the first two a halving of another.
        min_face: side of the smallest face searched for, in pixels.
        min_face_share: the same as a share of the image's shorter side, so that the cost does not
            grow with the megapixels.
        clear_face: side in pixels below which more than one mated pair in 25 is missed at FMR 1 %
            (docs/decisions/0004-smallest-face.md). Smaller faces cost the most to find, and are
            searched for only down to `clear_face_share` of the shorter side.
        border: pixels added around each coarse pyramid level, so that faces that fill or leave the
            image are proposed too.
        max_proposals: most proposals per image that go to R-Net, best first.
        frame: width of the frame added when a photograph without faces is searched again, as a
            share of its longer side; 0 for no second search.
    """

    pnet_threshold: float = 0.6
    rnet_threshold: float = 0.7
    onet_threshold: float = 0.8
    levels_per_octave: int = 2
    min_face: float = 20.0
    min_face_share: float = 0.02
    clear_face: float = 30.0
    clear_face_share: float = 0.03
    border: int = 6
    max_proposals: int = 4000
    frame: float = 0.5

    @classmethod
    def from_options(cls, options: Mapping[str, float]) -> MtcnnSettings:
        """Settings from a card's options; unknown keys are ignored."""
        known = {key: value for key, value in options.items() if key in cls.__slots__}
        settings = replace(cls(), **known)  # type: ignore[arg-type]
        return replace(
            settings,
            levels_per_octave=max(1, int(settings.levels_per_octave)),
            border=int(settings.border),
            max_proposals=int(settings.max_proposals),
        )

    def framed(self) -> MtcnnSettings:
        """Settings for a framed photograph: only large faces, at lower thresholds.

        The frame lowers the scores of R-Net and O-Net, and nothing else was found there
        (docs/decisions/0012-edge-of-the-image.md).
        """
        rnet, onet = min(0.6, self.rnet_threshold), min(0.7, self.onet_threshold)
        return replace(self, min_face_share=0.2, rnet_threshold=rnet, onet_threshold=onet)

    def smallest_face(self, width: int, height: int) -> float:
        """Side in pixels of the smallest face searched for in a (width, height) image."""
        side = min(width, height)
        clear = min(self.clear_face, self.clear_face_share * side)
        return max(self.min_face, self.min_face_share * side, clear, float(CELL))


@dataclass(frozen=True, slots=True, eq=False)
class _Candidates:
    """Boxes in all images: (n, 4) xyxy, (n,) scores, (n, 4) offsets, (n,) index of the image."""

    boxes: Array
    scores: Array
    offsets: Array
    owner: NDArray[np.intp]

    def __getitem__(self, index: NDArray[np.bool_] | NDArray[np.intp]) -> _Candidates:
        return _Candidates(
            self.boxes[index], self.scores[index], self.offsets[index], self.owner[index]
        )


class MtcnnDetector:
    """The three networks of the cascade.

    Args:
        threads: calls that run at once; above 1 the sessions should have one thread each.
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
        self.pnet, self.rnet, self.onet = pnet, rnet, onet
        enlarged = 1 if pnet.info.device == "cpu" else _ON_ACCELERATOR
        self.blocks = BlockRunner(threads, enlarged=enlarged)
        self.settings = settings or MtcnnSettings()

    def required_scale(self, width: int, height: int) -> float:
        """The share of a photograph's sides at which R-Net sees the smallest face at full scale."""
        return min(1.0, _RNET_SIDE / self.settings.smallest_face(width, height))

    def detect(self, images: Sequence[Image | Mipmaps]) -> list[Detections]:
        """Faces of each image, best score first.

        A photograph without faces is searched again with a frame around it, and mirrored, for a
        face that fills it: the networks were trained on faces with background.
        """
        mipmaps = [Mipmaps.of(image) for image in images]
        found = self._cascade(mipmaps)
        for frame in FRAMES if self.settings.frame > 0 else ():
            empty = [index for index, faces in enumerate(found) if not len(faces)]
            if not empty:
                break
            framed = [Framed.of(mipmaps[index], frame, self.settings.frame) for index in empty]
            again = self._with(self.settings.framed())._cascade([each.mips for each in framed])
            for index, each, faces in zip(empty, framed, again, strict=True):
                found[index] = each.undo(faces)
        return found

    def _with(self, settings: MtcnnSettings) -> MtcnnDetector:
        other = copy(self)
        other.settings = settings
        return other

    def _cascade(self, mipmaps: Sequence[Mipmaps]) -> list[Detections]:
        """Run all three stages once."""
        found = self._propose(mipmaps)
        boxes = _square(_shift(found.boxes, found.offsets))
        scores, offsets = self._refine(mipmaps, boxes, found.owner)
        keep = scores >= self.settings.rnet_threshold
        found = _Candidates(boxes[keep], scores[keep], offsets[keep], found.owner[keep])
        found = found[nms(found.boxes, found.scores, 0.7, groups=found.owner)]
        return self._output(mipmaps, _square(_shift(found.boxes, found.offsets)), found.owner)

    def _propose(self, mipmaps: Sequence[Mipmaps]) -> _Candidates:
        by_size: dict[tuple[int, int, int], list[int]] = {}
        for index, mips in enumerate(mipmaps):
            by_size.setdefault((mips.width, mips.height, mips.halvings), []).append(index)
        octave, parts = self.settings.levels_per_octave, []
        for (width, height, _), indices in by_size.items():
            scale = CELL / self.settings.smallest_face(width, height)
            levels = levels_of(mipmaps[indices[0]], scale, octave, self.settings.border)
            images = pyramid([mipmaps[i] for i in indices], levels, octave)
            maps = self.blocks.proposals(self.pnet, images)
            found = [self._proposed(*both, level) for level, both in zip(levels, maps, strict=True)]
            merged = _concatenate(found)
            # First within each level, then over all levels of an image.
            level = np.repeat(np.arange(len(found)), [len(part.scores) for part in found])
            groups = level * len(indices) + merged.owner
            merged = merged[nms(merged.boxes, merged.scores, 0.5, groups=groups)]
            merged = merged[nms(merged.boxes, merged.scores, 0.7, groups=merged.owner)]
            merged = replace(merged, owner=np.asarray(indices)[merged.owner])
            parts.append(self._limit(merged))
        return _concatenate(parts)

    def _limit(self, found: _Candidates) -> _Candidates:
        """The best `max_proposals` of each image; `found` is sorted by score."""
        if len(found.scores) <= self.settings.max_proposals:
            return found
        keep = np.zeros(len(found.scores), np.bool_)
        for owner in np.unique(found.owner):
            keep[np.flatnonzero(found.owner == owner)[: self.settings.max_proposals]] = True
        return found[keep]

    def _proposed(self, scores: Array, offsets: Array, level: Level) -> _Candidates:
        """P-Net's proposals in one level, in image pixels; `owner` is the index in the batch."""
        # Faster than `nonzero` over three axes.
        flat = np.flatnonzero(scores >= self.settings.pnet_threshold)
        above, column = np.divmod(flat, scores.shape[2])
        batch, row = np.divmod(above, scores.shape[1])
        corner = np.stack([column, row], axis=1).astype(np.float32) * STRIDE - level.border
        ratio = np.asarray((level.span[0] / level.width, level.span[1] / level.height), np.float32)
        boxes = np.concatenate([corner * ratio, (corner + CELL) * ratio], axis=1)
        found = offsets[batch, :, row, column]
        return _Candidates(
            boxes.astype(np.float32), scores[batch, row, column], found, batch.astype(np.intp)
        )

    def _refine(
        self, mipmaps: Sequence[Mipmaps], boxes: Array, owner: NDArray[np.intp]
    ) -> tuple[Array, Array]:
        """R-Net on each box: (n,) scores and (n, 4) offsets."""
        scores, offsets = np.zeros(len(boxes), np.float32), np.zeros((len(boxes), 4), np.float32)
        for start in range(0, len(boxes), _CHUNK):
            part = slice(start, start + _CHUNK)
            crops = _crops(mipmaps, boxes[part], owner[part], _RNET_SIDE)
            scores[part], offsets[part] = self.blocks.crops(self.rnet, crops, _RNET_ROWS)
        return scores, offsets

    def _output(
        self, mipmaps: Sequence[Mipmaps], boxes: Array, owner: NDArray[np.intp]
    ) -> list[Detections]:
        """O-Net on each box: the faces of each image."""
        scores = np.zeros(len(boxes), np.float32)
        offsets = np.zeros((len(boxes), 4), np.float32)
        relative = np.zeros((len(boxes), 10), np.float32)
        for start in range(0, len(boxes), _CHUNK):
            part = slice(start, start + _CHUNK)
            crops = _crops(mipmaps, boxes[part], owner[part], _ONET_SIDE)
            outputs = self.blocks.crops(self.onet, crops, _ONET_ROWS)
            scores[part], offsets[part], relative[part] = outputs
        sides = boxes[:, 2:] - boxes[:, :2]
        points = np.stack([relative[:, :5], relative[:, 5:]], axis=2)
        landmarks = boxes[:, None, :2] + points * sides[:, None]
        final = _shift(boxes, offsets)
        faces = np.flatnonzero(scores >= self.settings.onet_threshold)
        best = nms(final[faces], scores[faces], 0.7, over_minimum=True, groups=owner[faces])
        faces = faces[best]
        whose = owner[faces]
        found = Detections(final[faces], scores[faces], landmarks[faces])
        return [found[whose == index] for index in range(len(mipmaps))]


def _crops(mipmaps: Sequence[Mipmaps], boxes: Array, owner: NDArray[np.intp], size: int) -> Image:
    """The crop of each box; where a box leaves its image, the image's edge is repeated.

    The authors' code fills with black there, which misses more faces and moves landmarks as much.
    Some ports cut the box to the image and stretch it, which moves the landmarks of faces that fill
    the image (docs/decisions/0012-edge-of-the-image.md).
    """
    # For R-Net's 24 pixels, averaging 2 x 2 samples prevents aliasing.
    over = 2 if size == _RNET_SIDE else 1
    crops = box_crops(mipmaps, boxes, owner, size * over)
    if over == 2:
        # The crops form one tall image; halving it averages 2 x 2 samples.
        crops = average_pairs(crops.reshape(-1, 2 * size, 3)).reshape(-1, size, size, 3)
    return crops


def _shift(boxes: Array, offsets: Array) -> Array:
    """Move the corners by offsets, which are shares of the box's sides."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(boxes + offsets * np.concatenate([sides, sides], axis=1))


def _square(boxes: Array) -> Array:
    """Squares of the longer side around the same centers."""
    sides = boxes[:, 2:] - boxes[:, :2]
    half = sides.max(axis=1, keepdims=True, initial=0) / 2
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.concatenate([center - half, center + half], axis=1)


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
