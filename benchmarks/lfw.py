"""LFW, first five folds: accuracy of every embedder that is here, with two alignments.

    python benchmarks/lfw.py [--side faceprint|dlib] [--detectors mtcnn]

Photographs and models come from ../shared. Each photograph's face is the one nearest its middle,
as LFW has bystanders in one photograph of eight; a photograph without a detection is cut around
its middle, as `faceprint evaluate lfw` does, so that every pair counts. Accuracy is
`protocols.fold_accuracy`: on each fold at the threshold that is best on the other four. "Mirrored"
adds the embedding of the mirrored crop, enlarged by a tenth where the card asks for two crops.
dlib's own detector, landmarks and network are measured on the same pairs. With --side or
--detectors, other rows stay as they were measured last.
docs/models.md holds the table, made from benchmarks/results/lfw.json by tools/make_docs.py.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _common import RESULTS, SHARED, provenance, use_shared_models, write
from numpy.typing import NDArray
from shared_cards import DERIVED

from faceprint.evaluation.datasets import PairSet
from faceprint.evaluation.embeddings import MIDDLE
from faceprint.evaluation.fold_accuracy import fold_accuracy, pair_embeddings, squared_distances
from faceprint.evaluation.pairs import open_lfw
from faceprint.types import Array, Detections, Image
from faceprint.vision import images
from faceprint.vision.align import align
from faceprint.vision.load import LoadOptions, load_detector, load_embedder
from faceprint.zoo.catalog import get_card

DETECTORS = ("yunet-2023mar", "mtcnn")
EMBEDDERS = ("dlib-resnet", "mobileface", *DERIVED)
THREADS = 1
_BATCH = 32

Faces = tuple[list[Array | None], list[Array]]


def main() -> int:
    """Measures and writes benchmarks/results/lfw.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=("both", "faceprint", "dlib"), default="both")
    parser.add_argument("--detectors", nargs="+", choices=DETECTORS, default=DETECTORS)
    given = parser.parse_args()
    pairs = open_lfw(SHARED / "faces" / "lfw", SHARED / "faces" / "lfw_pairs.txt")
    if given.side != "dlib":
        _keep(pairs, "faceprint", _faceprint(pairs, given.detectors))
    if given.side != "faceprint":
        _keep(pairs, "dlib", _dlib(pairs))
    return 0


def _keep(pairs: PairSet, side: str, rows: list[dict[str, Any]]) -> None:
    path = RESULTS / "lfw.json"
    before = json.loads(path.read_text("utf-8"))["rows"] if path.exists() else {}
    measured = {row["detector"] for row in rows}
    rows = [r for r in before.get(side, []) if r["detector"] not in measured] + rows
    result = {
        **provenance("dlib-bin"),
        "protocol": "LFW View 2, folds 1 to 5",
        "pairs": len(pairs),
        "photographs": len(pairs.pictures),
        "rows": {**before, side: rows},
    }
    write("lfw", result)


def _faceprint(pairs: PairSet, detectors: Sequence[str]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        use_shared_models(Path(folder))
        return [row for detector in detectors for row in _measure(pairs, detector)]


def _measure(pairs: PairSet, detector: str) -> list[dict[str, Any]]:
    start = time.perf_counter()
    landmarks, boxes = _central_faces(pairs, detector)
    missed = sum(points is None for points in landmarks)
    _say(f"{detector}: {missed} of {len(boxes)} not found, {time.perf_counter() - start:.0f} s")
    rows = []
    for embedder in EMBEDDERS:
        card = get_card(embedder)
        network = load_embedder(card, LoadOptions(threads=THREADS, mirror=True))
        alignment = card.alignment
        assert alignment is not None

        def cut(picture: Image, index: int, alignment: Any = alignment) -> Image:
            points = landmarks[index]
            found = None if points is None else points[None]
            return align(picture, found, boxes[index][None], alignment)[0]

        def other(crops: Image, network: Any = network) -> Array:
            # What the pack adds to the crop's vector: the mirror image, of a card with two crops
            # enlarged.
            summed = np.stack([each.vector * each.norm for each in network.embed(crops)])
            return summed - network.raw(crops)

        plain, mirrored = _embed(pairs, cut, network.raw, other)
        rows += _rows(pairs, plain, mirrored, detector=detector, embedder=embedder, missed=missed)
    return rows


def _embed(
    pairs: PairSet,
    cut: Callable[[Image, int], Image],
    raw: Callable[[Image], Array],
    other: Callable[[Image], Array],
) -> tuple[Array, Array]:
    """Raw embeddings of all pictures' crops, and of their mirror images."""
    plain, mirrored = [], []
    for start in range(0, len(pairs.pictures), _BATCH):
        numbers = range(start, min(start + _BATCH, len(pairs.pictures)))
        crops = np.stack([cut(images.decode(pairs.pictures[i].read()), i) for i in numbers])
        plain.append(raw(crops))
        mirrored.append(other(crops))
    return np.concatenate(plain), np.concatenate(mirrored)


def _central_faces(pairs: PairSet, detector: str) -> Faces:
    """Landmarks (None where nothing was found) and box of each picture's central face."""
    card = get_card(detector)
    model = load_detector(card, LoadOptions(threads=THREADS))
    landmarks: list[Array | None] = []
    boxes: list[Array] = []
    for start in range(0, len(pairs.pictures), _BATCH):
        pictures = [images.decode(item.read()) for item in pairs.pictures[start : start + _BATCH]]
        for picture, found in zip(pictures, model.detect(pictures), strict=True):
            points, box = _central(picture, found)
            landmarks.append(points)
            boxes.append(box)
    return landmarks, boxes


def _central(picture: Image, found: Detections) -> tuple[Array | None, Array]:
    height, width = picture.shape[:2]
    middle = np.asarray((width / 2, height / 2), np.float32)
    if not len(found) or found.landmarks is None:
        half = min(width, height) * MIDDLE / 2
        return None, np.asarray((*(middle - half), *(middle + half)), np.float32)
    centers = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    best = int(np.argmin(np.abs(centers - middle).sum(axis=1)))
    return found.landmarks[best], found.boxes[best]


def _dlib(pairs: PairSet) -> list[dict[str, Any]]:
    """dlib's own pipeline, by cosine and, as `face_recognition` compares, by plain distance."""
    from _dlib import DlibPipeline

    start = time.perf_counter()
    pipeline = DlibPipeline()
    plain, mirrored, missed = [], [], 0
    for picture in pairs.pictures:
        chip, found = pipeline.central_chip(images.decode(picture.read()))
        missed += not found
        plain.append(pipeline.embed(chip))
        mirrored.append(pipeline.embed(np.ascontiguousarray(chip[:, ::-1])))
    _say(f"dlib: {missed} of {len(plain)} not found, {time.perf_counter() - start:.0f} s")
    return _rows(
        pairs,
        np.stack(plain),
        np.stack(mirrored),
        detector="dlib HOG",
        embedder="dlib's own network",
        missed=missed,
    )


def _rows(
    pairs: PairSet, plain: NDArray[Any], mirrored: NDArray[Any], **facts: object
) -> list[dict[str, Any]]:
    # Raw lengths say something in dlib's network alone, which was trained on plain distances.
    raw = "dlib" in str(facts["embedder"])
    rows = []
    for name, other in (("plain", None), ("mirrored", mirrored)):
        unit = pair_embeddings(plain, other)
        rows.append({**facts, "crops": name, "metric": "cosine", **_accuracy(pairs, unit)})
        if raw:
            mean = np.asarray(plain if other is None else (plain + other) / 2, np.float64)
            rows.append({**facts, "crops": name, "metric": "euclidean", **_accuracy(pairs, mean)})
    for row in rows:
        _say(" ".join(f"{key}={row[key]}" for key in (*facts, "crops", "metric", "accuracy")))
    return rows


def _accuracy(pairs: PairSet, rows: NDArray[np.float64]) -> dict[str, Any]:
    assert pairs.folds is not None
    found = fold_accuracy(
        squared_distances(rows, pairs.left, pairs.right), pairs.mated, pairs.folds
    )
    return {
        "accuracy": round(found.mean, 6),
        "std": round(found.std, 6),
        "folds": [round(value, 6) for value in found.accuracies],
    }


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
