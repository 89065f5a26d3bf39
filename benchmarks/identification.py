"""Open-set identification on LFW: who is found, and how many strangers are taken for somebody.

    python benchmarks/identification.py [--cache DIR] [--draws N]

Photographs and models come from ../shared. People with five or more photographs are enrolled with
two of them; the rest of theirs are probes, and so are all photographs of 500 people who are not
enrolled. Of each photograph the face nearest its middle counts, as LFW has bystanders; where no
face is found, the photograph is not enrolled, and as a probe it is not found.

The threshold comes from operating points measured on the people who are left, who appear nowhere
else, and from the gallery's size (`recognition.fpir`). Everything is repeated over random draws of
photographs and strangers, as 500 people show an FPIR of 1 % with a wide interval: the first draw
goes through a gallery on disk, and the others through the same arithmetic.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _common import SHARED, provenance, use_shared_models, write
from numpy.typing import NDArray

from faceprint.evaluation.calibrate import Calibration, calibrate
from faceprint.evaluation.datasets import Picture
from faceprint.evaluation.embeddings import EmbedOptions, embed_pictures
from faceprint.evaluation.intervals import measured_rate
from faceprint.evaluation.labeled_scores import all_pairs
from faceprint.evaluation.open_set import open_set
from faceprint.recognition.gallery import Gallery
from faceprint.recognition.thresholds.fpir import fpir_point
from faceprint.types import AnalyzedImage, Array, Embedding, Face, OperatingPoint
from faceprint.vision.analyzer import FaceAnalyzer, load

FPIR = 1e-2
ENROLLED, TEMPLATES, STRANGERS = 5, 2, 500
TARGETS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
SIDES = {
    "starter": ("mtcnn", "dlib-resnet"),
    "yunet-2023mar + mobileface": ("yunet-2023mar", "mobileface"),
    "yunet-2023mar + edgeface-xs": ("yunet-2023mar", "edgeface-xs-dequant"),
    "yunet-2023mar + w600k-mbf": ("yunet-2023mar", "w600k-mbf-dequant"),
    "yunet-2023mar + w600k-mbf int8": ("yunet-2023mar", "w600k-mbf-int8-dynamic"),
}


@dataclass(frozen=True, eq=False)
class Faces:
    """LFW, embedded: a row a photograph; `found` where a face was."""

    paths: list[Path]
    people: NDArray[np.str_]
    vectors: Array
    found: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Draw:
    """Rows of `Faces`."""

    gallery: NDArray[np.int64]
    mated: NDArray[np.int64]
    strangers: NDArray[np.int64]
    others: NDArray[np.int64]


def main() -> int:
    """Measures and writes benchmarks/results/identification.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, help="keeps embeddings between runs")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--only", choices=tuple(SIDES), help="one row, not written anywhere")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        use_shared_models(Path(folder))
        rows = {}
        chosen = {given.only: SIDES[given.only]} if given.only else SIDES
        for name, (detector, embedder) in chosen.items():
            fp = load(detector=detector, embedder=embedder)
            faces = _embed(fp, given.cache or Path(folder) / "embeddings")
            rows[name] = _measure(fp, faces, given.draws, Path(folder))
    if given.only:
        print(json.dumps(rows, indent=2))
        return 0
    write(
        "identification",
        {
            **provenance("usearch"),
            "protocol": f"LFW, people with {ENROLLED} or more photographs enrolled with "
            f"{TEMPLATES}; {STRANGERS} people not enrolled",
            "fpir_asked": FPIR,
            "draws": given.draws,
            "rows": rows,
        },
    )
    return 0


def _embed(fp: FaceAnalyzer, cache: Path) -> Faces:
    root = SHARED / "faces" / "lfw"
    paths = sorted(root.glob("*/*.jpg"))
    pictures = [Picture(str(path.relative_to(root)), path) for path in paths]
    last = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal last
        if done == total or time.monotonic() - last > 20:
            last = time.monotonic()
            print(f"{fp.embedder_card.id}: {done} of {total}", file=sys.stderr, flush=True)

    made = embed_pictures(
        pictures, fp, EmbedOptions(face="central"), progress=progress, folder=cache
    )
    people = np.asarray([path.parent.name for path in paths])
    return Faces(paths, people, made.vectors, made.found)


def _measure(fp: FaceAnalyzer, faces: Faces, draws: int, folder: Path) -> dict[str, Any]:
    runs = []
    for seed in range(draws):
        draw = _draw(faces, seed)
        points = _points(faces, draw)
        run = _run(fp, faces, draw, points)
        if seed == 0:
            run |= {"in_a_gallery": _through_gallery(fp, faces, draw, points, folder)}
        runs.append(run)
    first = runs[0]
    tpir, fpir = ([run[key] for run in runs] for key in ("tpir", "fpir"))
    best = [run["tpir_at_fpir_of_these_strangers"] for run in runs]
    return {
        "photographs": len(faces.paths),
        "no_face": int((~faces.found).sum()),
        "first_draw": first,
        "tpir_mean": round(float(np.mean(tpir)), 4),
        "tpir_range": [min(tpir), max(tpir)],
        "fpir_mean": round(float(np.mean(fpir)), 4),
        "fpir_range": [min(fpir), max(fpir)],
        "fpir_found_over_asked": round(float(np.mean(fpir)) / FPIR, 2),
        "draws_within_twice": sum(value <= 2 * FPIR for value in fpir),
        "tpir_at_fpir_of_these_strangers_mean": round(float(np.mean(best)), 4),
    }


def _draw(faces: Faces, seed: int) -> Draw:
    rng = np.random.default_rng(seed)
    of: dict[str, list[int]] = defaultdict(list)
    for row, person in enumerate(faces.people):
        of[str(person)].append(row)
    gallery: list[int] = []
    mated: list[int] = []
    few: list[str] = []
    for person, rows in of.items():
        if len(rows) < ENROLLED:
            few.append(person)
            continue
        usable = [int(row) for row in rng.permutation(rows) if faces.found[row]]
        gallery += usable[:TEMPLATES]
        mated += sorted(set(rows) - set(usable[:TEMPLATES]))
    shuffled = [few[place] for place in rng.permutation(len(few))]
    strangers = [row for person in shuffled[:STRANGERS] for row in of[person]]
    others = [row for person in shuffled[STRANGERS:] for row in of[person] if faces.found[row]]
    return Draw(*(np.asarray(rows, np.int64) for rows in (gallery, mated, strangers, others)))


def _points(faces: Faces, draw: Draw) -> Sequence[OperatingPoint]:
    _, numbers = np.unique(faces.people[draw.others], return_inverse=True)
    scores = all_pairs(faces.vectors[draw.others], numbers)
    made: Calibration = calibrate(scores, TARGETS, replicates=50)
    return [point.operating_point("", "LFW, people not in this test") for point in made.points]


def _run(
    fp: FaceAnalyzer, faces: Faces, draw: Draw, points: Sequence[OperatingPoint]
) -> dict[str, Any]:
    point = fpir_point(points, len(draw.gallery), FPIR, model=fp.embedder_card.id)
    subjects = faces.people[draw.gallery]
    templates = faces.vectors[draw.gallery]
    similar = faces.vectors[draw.mated] @ templates.T
    right = subjects[similar.argmax(1)] == faces.people[draw.mated]
    hit = right & (similar.max(1) >= point.threshold) & faces.found[draw.mated]
    met = (faces.vectors[draw.strangers] @ templates.T).max(1) >= point.threshold
    met &= faces.found[draw.strangers]
    numbers = np.unique(faces.people, return_inverse=True)[1]
    probes = np.concatenate([draw.mated, draw.strangers])
    probes = probes[faces.found[probes]]
    bare = open_set(
        faces.vectors[probes],
        numbers[probes],
        templates,
        numbers[draw.gallery],
        fpirs=(FPIR,),
    )
    found = measured_rate(int(met.sum()), len(met))
    return {
        "subjects": len(set(subjects)),
        "templates": len(templates),
        "mated_probes": len(draw.mated),
        "stranger_probes": len(draw.strangers),
        "stranger_people": len(set(faces.people[draw.strangers])),
        "points_fmr": [p.fmr for p in points],
        "threshold": round(point.threshold, 4),
        "point": point.name,
        "tpir": round(float(hit.mean()), 4),
        "fpir": round(float(met.mean()), 4),
        "fpir_interval": found.statement,
        "rank_1": round(bare.cmc[0], 4),
        "tpir_at_fpir_of_these_strangers": round(bare.points[0].tpir or 0.0, 4),
    }


class _Known:
    """Gives a gallery the embeddings that are there already, as `analyze_many` would."""

    mirror = False

    def __init__(self, fp: FaceAnalyzer, faces: Faces) -> None:
        self.name, self.embedder_card, self.detector_card = (
            fp.name,
            fp.embedder_card,
            fp.detector_card,
        )
        self._model = fp.embedder_card.id
        self._faces = {path: row for row, path in enumerate(faces.paths)}
        self._vectors = faces.vectors

    def embedding(self, row: int) -> Embedding:
        """A photograph's."""
        return Embedding(self._vectors[row], self._model, 1.0)

    def analyze_many(
        self, sources: Iterable[Path], *, batch_size: int = 32, keep_crops: bool = False
    ) -> Iterator[AnalyzedImage]:
        """One face a photograph."""
        for source in sources:
            box = np.zeros(4, np.float32)
            face = Face(box, 1.0, None, embedding=self.embedding(self._faces[source]))
            yield AnalyzedImage(str(source), [face])


def _through_gallery(
    fp: FaceAnalyzer, faces: Faces, draw: Draw, points: Sequence[OperatingPoint], folder: Path
) -> dict[str, Any]:
    known = _Known(fp, faces)
    path = folder / f"{fp.embedder_card.id}.db"
    with Gallery.open(path, known) as gallery:  # type: ignore[arg-type]
        start = time.perf_counter()
        pairs = [(str(faces.people[row]), faces.paths[row]) for row in draw.gallery]
        list(gallery.enroll_many(pairs))
        enrolled = time.perf_counter() - start
        point = gallery.operating_point(fpir=FPIR, points=points)
        start = time.perf_counter()
        rows = [int(row) for row in (*draw.mated, *draw.strangers) if faces.found[row]]
        answers = gallery.identify_many([known.embedding(row) for row in rows], point, top=1)
        searched = time.perf_counter() - start
    enrolled_people = set(faces.people[draw.gallery])
    mated = [(faces.people[row], answer.subject) for row, answer in zip(rows, answers, strict=True)]
    right = sum(person == subject for person, subject in mated if person in enrolled_people)
    wrong = sum(subject is not None for person, subject in mated if person not in enrolled_people)
    return {
        "tpir": round(right / len(draw.mated), 4),
        "fpir": round(wrong / len(draw.strangers), 4),
        "enroll_ms_a_template": round(1000 * enrolled / len(draw.gallery), 3),
        "search_ms_a_probe": round(1000 * searched / len(rows), 3),
    }


if __name__ == "__main__":
    sys.exit(main())
