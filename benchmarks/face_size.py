"""How large a face must be to be recognized: LFW's photographs shrunk until theirs are 20 pixels.

Each photograph is shrunk so that the box of its central face has the width of a row, and goes
through the starter pack as any photograph would; faces the detector misses at that size are aligned
by the landmarks of the full photograph. The pairs are compared small with small, and small with
full size. FNMR is told at the threshold that gives FMR 1 % among the same pairs.
"""

from __future__ import annotations

import argparse
from typing import Any

import cv2
import numpy as np
from _common import SHARED, provenance, write

import faceprint
from faceprint.evaluation.pairs import open_lfw
from faceprint.types import Array, Detections, Image
from faceprint.vision.align import align
from faceprint.vision.images import decode

WIDTHS = (100, 60, 40, 30, 25, 20)
FMR = 0.01


def central(found: Detections, image: Image) -> int:
    """The face nearest to the middle."""
    middle = np.asarray((image.shape[1], image.shape[0])) / 2
    centers = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    return int(np.abs(centers - middle).sum(axis=1).argmin())


def shrunk(
    fp: faceprint.FaceAnalyzer, image: Image, face: Detections, width: float
) -> tuple[Image, bool]:
    """The aligned crop of a face from a photograph in which it is that wide; whether it was found.

    A face that is smaller already stays as it is.
    """
    scale = min(1.0, width / float(face.boxes[0, 2] - face.boxes[0, 0]))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    (found,) = fp.detector.detect([small])
    scales = np.asarray((small.shape[1] / image.shape[1], small.shape[0] / image.shape[0]))
    points = face.landmarks * scales.astype(np.float32) if face.landmarks is not None else None
    if len(found) and found.landmarks is not None:
        points = found.landmarks[[central(found, small)]]
    alignment = fp.embedder_card.alignment
    assert alignment is not None
    return align(small, points, face.boxes, alignment)[0], bool(len(found))


def errors(scores: Array, mated: Any) -> dict[str, float]:
    """The best accuracy of any threshold, and FNMR where FMR is 1 %."""
    impostors = np.sort(scores[~mated])
    threshold = impostors[int(np.ceil((1 - FMR) * len(impostors))) - 1]
    grid = np.unique(scores)
    accuracy = max(float(((scores >= t) == mated).mean()) for t in grid[:: len(grid) // 1000 + 1])
    return {
        "accuracy": round(accuracy, 4),
        "fnmr": round(float((scores[mated] <= threshold).mean()), 4),
    }


def main() -> None:
    """Measure and write benchmarks/results/face_size.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take each n-th pair alone")
    every = parser.parse_args().every
    pairs = open_lfw(SHARED / "faces" / "lfw", SHARED / "faces" / "lfw_pairs.txt")
    fp = faceprint.load("starter")
    faces: dict[int, tuple[Image, Detections]] = {}
    for index, picture in enumerate(pairs.pictures):
        image = decode(picture.read())
        (found,) = fp.detector.detect([image])
        if len(found):
            faces[index] = image, found[[central(found, image)]]
    first, second, mated = (
        np.asarray(column)[::every] for column in (pairs.left, pairs.right, pairs.mated)
    )
    usable = np.asarray([a in faces and b in faces for a, b in zip(first, second, strict=True)])
    first, second, mated = first[usable], second[usable], mated[usable].astype(bool)
    rows, full = [], np.empty(0)
    for width in WIDTHS:
        vectors = np.zeros((len(pairs.pictures), fp.embedder_card.dim or 0), np.float32)
        missed = 0
        for index in np.unique(np.concatenate([first, second])):
            crop, found_it = shrunk(fp, *faces[int(index)], width)
            vectors[index] = fp.embed_crops([crop])[0].vector
            missed += not found_it
        full = vectors if width == WIDTHS[0] else full
        both = np.einsum("nd,nd->n", vectors[first], vectors[second])
        one = np.einsum("nd,nd->n", full[first], vectors[second])
        rows.append(
            {
                "width": width,
                "missed": missed,
                "small_with_small": errors(both, mated),
                "small_with_full": errors(one, mated),
            }
        )
        print(rows[-1], flush=True)
    result = {
        "what": "errors of the starter pack by the width of the face's box in pixels, LFW",
        "pairs": len(mated),
        "fmr": FMR,
        "rows": rows,
    }
    write("face_size", result | provenance())


if __name__ == "__main__":
    main()
