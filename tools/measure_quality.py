"""Measures how well an embedder can tell poor pictures, and writes the [quality] table of its card.

For each EMBEDDER+DETECTOR, photographs of each data set are embedded as they are and degraded. Half
of the people choose the measure and its limit, the other half reports what the limit does. The
report goes to docs/reports/quality/EMBEDDER--DETECTOR.json. With --write-cards the packaged card
takes the table; what was measured with a copy (ID-dequant) goes to the publisher's card.

With --search 100 people of each data set are enrolled, degraded strangers are searched at an FPIR
of 1 %, and the report is EMBEDDER--DETECTOR--search.json. It judges the cards as they are.

    python tools/measure_quality.py --data LFW=FOLDER --data FaceScrub=FOLDER --write-cards \\
        dlib-resnet+mtcnn mobileface+yunet-2023mar
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from quality_fit import choose, scores, summary
from quality_sample import Sample, collect, draw, read_sample, write_sample
from quality_search import search_jobs, search_strangers

from faceprint.recognition.thresholds.fpir import search_point
from faceprint.recognition.thresholds.operating_points import known_points
from faceprint.vision.analyzer import FaceAnalyzer, load
from faceprint.vision.load import LoadOptions
from faceprint.zoo.card import QualityMeasure
from faceprint.zoo.card_io import parse_card
from faceprint.zoo.catalog import get_card

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "docs" / "reports" / "quality"
CARDS = ROOT / "src" / "faceprint" / "zoo" / "cards"
REFERENCE = "yunet-2023mar"
COPY = "-dequant"
ENROLLED, FPIR = 100, 1e-2
PEOPLE = 200
"""Of each data set and half that --search takes photographs of, at the most."""


def main() -> None:
    """Measure each combination that was named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("models", nargs="+", metavar="EMBEDDER+DETECTOR")
    parser.add_argument(
        "--data", action="append", required=True, metavar="NAME=FOLDER", help="repeatable"
    )
    parser.add_argument("--photographs", type=int, default=3000, help="how many at most [3000]")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep and reuse the embeddings")
    parser.add_argument("--search", action="store_true", help="search degraded strangers")
    parser.add_argument("--write-cards", action="store_true")
    parser.add_argument("--reports", type=Path, default=REPORTS)
    given = parser.parse_args()
    folders = {name: Path(path) for name, _, path in (text.partition("=") for text in given.data)}
    for name in given.models:
        embedder, _, detector = name.partition("+")
        what = "search" if given.search else "quality"
        kept = None if given.keep is None else given.keep / f"{what}-{embedder}--{detector}.npz"
        if kept is not None and kept.is_file():
            sample = read_sample(kept)
        else:
            fp = bare(embedder, detector, given.threads)
            reference = load(detector=REFERENCE, threads=given.threads, accept_license=True)
            jobs = draw(folders)
            jobs = search_jobs(jobs, PEOPLE) if given.search else jobs[: given.photographs]
            sample = collect(fp, reference, jobs, _progress)
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                write_sample(kept, sample)
        if given.search:
            path = given.reports / f"{embedder}--{detector}--search.json"
            report = searched(sample, embedder, detector)
            path.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", "utf-8")
            print(path, json.dumps(report["data_sets"], indent=1), sep="\n")
            continue
        measure, report = measured(sample, embedder, detector, " and ".join(folders))
        path = given.reports / f"{embedder}--{detector}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", "utf-8")
        print(path)
        print(json.dumps(report["reporting"], indent=1))
        if given.write_cards:
            write_table(embedder, measure)


def bare(embedder: str, detector: str, threads: int) -> FaceAnalyzer:
    """The models, with quality by the crop alone: what is measured must not hang on itself."""
    fp = load(detector=detector, embedder=embedder, threads=threads, accept_license=True)
    options = LoadOptions(threads=threads, accept_license=True)
    return FaceAnalyzer(fp.name, fp.detector_card, replace(fp.embedder_card, quality=None), options)


def searched(sample: Sample, embedder: str, detector: str) -> dict[str, Any]:
    """What a search among 100 enrolled people says of degraded strangers, by the packaged cards."""
    card = get_card(embedder.removesuffix(COPY))
    point = search_point(known_points(card, get_card(detector)), ENROLLED, FPIR)
    if card.quality is None:
        raise SystemExit(f"{card.id}: its card has no quality measure")
    limit = next(score for score, value in card.quality.knots if value == 0.5)
    good = scores(sample, card.quality) >= limit
    data_sets: dict[str, Any] = {}
    for name in np.unique(sample.data_set).tolist():
        which = sample.data_set == name
        part = sample.pick(which)
        data_sets[name] = {
            gallery: asdict(search_strangers(part, good[which], point.threshold, poor_gallery=poor))
            for gallery, poor in (("ordinary_gallery", False), ("degraded_gallery", True))
        }
    return {
        "format": "faceprint-quality-search",
        "version": 1,
        "embedder": embedder,
        "detector": detector,
        "date": time.strftime("%Y-%m-%d"),
        "fpir_asked": FPIR,
        "threshold": point.threshold,
        "photographs": sample.jobs,
        "faces": len(sample.person),
        "data_sets": data_sets,
    }


def measured(
    sample: Sample, embedder: str, detector: str, data: str
) -> tuple[QualityMeasure, dict[str, Any]]:
    """The measure that one half of the people chooses, and the report of the other half."""
    half, day = sample.half, time.strftime("%Y-%m-%d")
    copy = ", with a copy of the weights" if embedder.endswith(COPY) else ""
    source = (
        f"measured on degraded photographs of {data}{copy}, {day}: "
        f"docs/reports/quality/{embedder}--{detector}.json"
    )
    measure = choose(sample.pick(half), source)
    limit = next(score for score, value in measure.knots if value == 0.5)
    report = {
        "format": "faceprint-quality",
        "version": 1,
        "embedder": embedder,
        "detector": detector,
        "data_sets": data,
        "date": day,
        "photographs": sample.jobs,
        "faces": len(sample.person),
        "knots": [list(knot) for knot in measure.knots],
        "norm": measure.norm,
        "centers": len(measure.centers),
        "choosing": summary(sample.pick(half), scores(sample.pick(half), measure), limit),
        "reporting": summary(sample.pick(~half), scores(sample.pick(~half), measure), limit),
    }
    return measure, report


def write_table(embedder: str, measure: QualityMeasure) -> None:
    """Put the table into the packaged card, or into the publisher's where this is a copy."""
    path = CARDS / f"{embedder}.toml"
    if not path.is_file():
        path = CARDS / f"{embedder.removesuffix(COPY)}.toml"
    if not path.is_file():
        print(f"  {embedder} is no packaged card; the report stands alone")
        return
    lines, kept, inside = path.read_text("utf-8").rstrip("\n").split("\n"), [], False
    for line in lines:
        if line.startswith("["):
            inside = line == "[quality]"
        if not inside:
            kept.append(line)
    place = next(index for index, line in enumerate(kept) if line.startswith("[[files]]"))
    text = "\n".join([*kept[:place], *_table(measure), *kept[place:]]) + "\n"
    parse_card(text, where=path.name, origin="packaged")
    path.write_text(text, "utf-8")
    print(f"  {path.name}: quality")


def _table(measure: QualityMeasure) -> list[str]:
    knots = ", ".join(f"[{score}, {value}]" for score, value in measure.knots)
    norm = [f"norm = {measure.norm}"] if measure.norm else []
    centers = [f'  "{center}",' for center in measure.centers]
    return [
        "[quality]",
        f'source = "{measure.source}"',
        *norm,
        f"knots = [{knots}]",
        "centers = [",
        *centers,
        "]",
        "",
    ]


def _progress(done: int, total: int) -> None:
    if done % 250 == 0 or done == total:
        print(f"  {done:,} of {total:,}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
