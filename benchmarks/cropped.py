"""Photographs cut close around their faces, for every detector: what is found, where, which errors.

    python benchmarks/cropped.py [--every N] [DETECTOR ...]

LFW's photographs (people with two or more, at most four each) are cut to the box that YuNet finds
in the whole photograph: with margins of 30, 15 and 0 % of the box, at one, two and three of its
sides, and through the middle of the face (`faceprint.evaluation.cropped`). Landmarks are held
against YuNet's in the whole photograph; those of YuNet itself against SCRFD's. FMR and FNMR are
counted over all pairs at the points that `verify` decides by: those of the starter pack for MTCNN,
and those of MobileFaceNet, borrowed for detectors that were not measured with it.
"""

from __future__ import annotations

import argparse
import os
import sys

import numpy as np
from _common import SHARED, provenance, write

from faceprint.evaluation.cropped import evaluate_cropped
from faceprint.evaluation.datasets import LabeledSet
from faceprint.evaluation.folders import open_folder
from faceprint.recognition.thresholds.operating_points import known_points
from faceprint.vision.analyzer import load

MOST = 4
EMBEDDERS = {"mtcnn": "dlib-resnet"}
DETECTORS = (
    "mtcnn",
    "yunet-2023mar",
    "scrfd-500m",
    "scrfd-2.5g",
    "retinaface-mnet025",
    "ultraface-rfb-320",
)


def main() -> int:
    """Measure each detector that was named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detectors", nargs="*", default=DETECTORS)
    parser.add_argument("--every", type=int, default=1, help="take every N-th person only")
    given = parser.parse_args()
    os.environ.setdefault("FACEPRINT_MIRROR", str(SHARED / "models"))
    os.environ.setdefault("FACEPRINT_ACCEPT_LICENSE", "1")
    data = few(open_folder(SHARED / "faces" / "lfw", minimum=2), given.every)
    detectors = {}
    for name in given.detectors:
        fp = load(detector=name, embedder=EMBEDDERS.get(name, "mobileface"))
        reference = load(
            detector="scrfd-500m" if name == "yunet-2023mar" else "yunet-2023mar",
            embedder="mobileface",
        )
        known = known_points(fp.embedder_card, fp.detector_card)
        results = evaluate_cropped(data, fp, known.points, reference=reference)
        detectors[name] = {
            "embedder": fp.embedder_card.id,
            "evidence": known.evidence,
            "points": [
                {"fmr": p.fmr, "low": p.fmr_low, "high": p.fmr_high, "threshold": p.threshold}
                for p in known.points
            ],
            "cuts": [result.to_json() for result in results],
        }
        for result in results:
            print(name, result, file=sys.stderr, flush=True)
    write("cropped", {"photographs": len(data.pictures), "detectors": detectors, **provenance()})
    return 0


def few(data: LabeledSet, every: int) -> LabeledSet:
    """At most `MOST` photographs of every N-th person."""
    counts: dict[int, int] = {}
    kept = []
    for index, subject in enumerate(data.subjects.tolist()):
        counts[subject] = counts.get(subject, 0) + 1
        if counts[subject] <= MOST and subject % every == 0:
            kept.append(index)
    pictures = tuple(data.pictures[index] for index in kept)
    return LabeledSet(data.name, pictures, np.asarray(data.subjects)[kept], data.names)


if __name__ == "__main__":
    raise SystemExit(main())
