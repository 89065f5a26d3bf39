"""Which number orders faces by quality: error against discard, and strangers taken for somebody.

Photographs of LFW and FaceScrub are embedded as they are and degraded (blur, size, JPEG, noise,
exposure, occlusion). Each candidate is judged on people that took no part in choosing the card's
measure: the area under FNMR against the share discarded (0 to 30 %; 1 is useless), and, at the
limit that refuses 2 % of the ordinary photographs, the degraded strangers that are taken for a
person enrolled with a degraded photograph, at the threshold of FMR 1e-2.

    python benchmarks/quality.py dlib-resnet+mtcnn mobileface+yunet-2023mar
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _common import SHARED, provenance, write
from quality_fit import mated_area, rates, scores, threshold_at
from quality_sample import Sample, collect, draw, read_sample, write_sample

from faceprint.vision.analyzer import FaceAnalyzer, load
from faceprint.vision.load import LoadOptions

REFUSED = 0.02


def main() -> None:
    """Measure and write benchmarks/results/quality.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", metavar="EMBEDDER+DETECTOR")
    parser.add_argument("--photographs", type=int, default=3000)
    parser.add_argument("--keep", type=Path, help="a folder to keep embeddings in")
    given = parser.parse_args()
    names = (("LFW", "lfw"), ("FaceScrub", "facescrub"))
    jobs = draw({name: SHARED / "faces" / folder for name, folder in names})[: given.photographs]
    reference = load(detector="yunet-2023mar", threads=1, accept_license=True)
    models = {}
    for name in given.models:
        embedder, _, detector = name.partition("+")
        fp = load(detector=detector, embedder=embedder, threads=1, accept_license=True)
        both = []
        for mirror in (False, True):
            kept = (
                given.keep and given.keep / f"bench-{name}-{'mirrored' if mirror else 'plain'}.npz"
            )
            if kept and kept.is_file():
                both.append(read_sample(kept))
                continue
            both.append(collect(_with(fp, mirror), reference, jobs))
            if kept:
                write_sample(kept, both[-1])
        models[name] = table(fp, *both)
    write("quality", {**provenance(), "photographs": len(jobs), "models": models})


def _with(fp: FaceAnalyzer, mirror: bool) -> FaceAnalyzer:
    """The models without a measure, with or without the mirrored crop."""
    card = fp.embedder_card
    contract = card.input
    if not mirror:
        contract = replace(contract, mirror=False, crops=1)
    elif not contract.mirrored:
        contract = replace(contract, mirror=True)
    bare = replace(card, quality=None, input=contract)
    options = LoadOptions(threads=1, accept_license=True)
    return FaceAnalyzer(fp.name, fp.detector_card, bare, options)


def table(fp: FaceAnalyzer, plain: Sample, mirrored: Sample) -> dict[str, Any]:
    """The figures of each candidate, on the half of the people that chose nothing."""
    card = fp.embedder_card
    sample = mirrored if card.input.mirrored else plain
    candidates = {
        "norm": plain.norms,
        "agreement of plain and mirrored": agreement(plain, mirrored),
        "quality of the crop": sample.crop,
        "size": sample.size,
        "sharpness": sample.sharpness,
    }
    if card.quality is not None:
        candidates["the card's measure"] = scores(sample, card.quality)
    rest = ~sample.half
    part = sample.pick(rest)
    loose, strict = threshold_at(part, 1e-2), threshold_at(part, 1e-3)
    free = rates(part, np.zeros(len(part.person)), -np.inf, loose)
    rows = {"no limit": {"taken": round(free.taken[""], 4)}}
    for name, values in candidates.items():
        score = np.asarray(values, np.float64)[rest]
        limit = float(np.quantile(score[part.ordinary], REFUSED))
        found = rates(part, score, limit, loose)
        rows[name] = {
            "error_discard": round(mated_area(part, score, strict)[1], 3),
            "taken": round(found.taken[""], 4),
            "taken_worst_kind": round(max(found.taken.values()), 4),
            "fmr": round(found.fmr, 4),
            "kept_of_degraded": round(found.kept, 3),
        }
    return {"faces": len(part.person), "people": len(np.unique(part.person)), "measures": rows}


def agreement(plain: Sample, mirrored: Sample) -> Any:
    """(n,) cosine of the embeddings of the crop and of its mirror image.

    The mirrored run adds both up, so the mirror image's is the difference.
    """
    own = plain.vectors * plain.norms[:, None]
    other = mirrored.vectors * mirrored.norms[:, None] - own
    return np.einsum("nd,nd->n", plain.vectors, other) / np.linalg.norm(other, axis=1)


if __name__ == "__main__":
    main()
