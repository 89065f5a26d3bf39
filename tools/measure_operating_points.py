"""Measures the operating points of model cards, and writes the reports behind them.

For each EMBEDDER+DETECTOR, every pair of the photographs below FOLDER (one folder a person) is
compared; thresholds and intervals come from `faceprint.evaluation.calibrate`. The report goes to
docs/reports/EMBEDDER--DETECTOR.json; with --write-cards, packaged embedder cards take the points.

    python tools/measure_operating_points.py FOLDER --pairs PAIRS.txt \\
        --data-set "LFW, 5 folds" --write-cards dlib-resnet+mtcnn mobileface+yunet-2023mar
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from faceprint.evaluation.calibrate import CalibratedPoint, calibrate
from faceprint.evaluation.embeddings import EmbeddedPictures, EmbedOptions, embed_pictures
from faceprint.evaluation.folders import open_folder
from faceprint.evaluation.labelled import LabelledScores, all_pairs
from faceprint.evaluation.pairs import open_lfw
from faceprint.evaluation.provenance import data_facts, engine_facts
from faceprint.evaluation.run import evaluate
from faceprint.vision.pipeline import FacePrint, load
from faceprint.zoo.card import ModelCard
from faceprint.zoo.card_io import parse_card

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "docs" / "reports"
CARDS = ROOT / "src" / "faceprint" / "zoo" / "cards"
TARGETS = (1e-2, 1e-3, 1e-4)
OPTIONS = EmbedOptions(face="central")
DIGITS = 5
_POINTS = re.compile(r"\n\[\[operating_points\]\]\n(?:[^\[\n].*\n)*")


def main() -> None:
    """Measure each combination that was named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="one folder of photographs for each person")
    parser.add_argument("models", nargs="+", metavar="EMBEDDER+DETECTOR")
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.txt, for the accuracy")
    parser.add_argument("--data-set", required=True, help="what the cards shall call the data")
    parser.add_argument("--write-cards", action="store_true")
    parser.add_argument("--reports", type=Path, default=REPORTS)
    given = parser.parse_args()
    for name in given.models:
        embedder, _, detector = name.partition("+")
        fp = load(detector=detector, embedder=embedder)
        report = measure(fp, given.folder, given.pairs, given.data_set)
        path = given.reports / f"{embedder}--{detector}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
        path.write_text(text + "\n", "utf-8")
        print(path)
        for point in report["points"]:
            print(" ", point["statement"])
        for line in report["refused"]:
            print(" ", line)
        if given.write_cards:
            write_points(embedder, detector, report, path.name)


def measure(fp: FacePrint, folder: Path, pairs: Path, data_set: str) -> dict[str, Any]:
    """The report of one embedder on one detector's faces."""
    data = open_folder(folder)
    embedded = embed_pictures(data.pictures, fp, OPTIONS, progress=_progress)
    # A photograph without a face is refused by `verify`, so it takes no part in its error rates.
    kept = embedded.found
    scores = all_pairs(embedded.vectors[kept], data.subjects[kept])
    calibration = calibrate(scores, TARGETS)
    accuracy = evaluate("lfw", open_lfw(folder, pairs), fp, options=OPTIONS).result
    engine = engine_facts(fp, OPTIONS)
    return {
        "format": "faceprint-operating-points",
        "version": 1,
        "embedder": fp.embedder_card.id,
        "detector": fp.detector_card.id,
        "data_set": data_set,
        "date": engine.pop("date"),
        "points": [_point(point) for point in calibration.points],
        "refused": list(calibration.refused),
        "summary": [*calibration.summary, _found(embedded), _label_note(), *_weights(fp)],
        "distribution": _distribution(scores),
        "accuracy": {
            "mean": accuracy.accuracy,
            "std": accuracy.accuracy_std,
            "folds": list(accuracy.fold_accuracies),
            "pairs": accuracy.pairs,
            "auc": accuracy.auc,
            "eer": accuracy.eer,
            "protocol_file": accuracy.reproduce["data"],
        },
        "reproduce": {**engine, "data": data_facts(data_set, embedded.hashes, None)},
    }


def _point(point: CalibratedPoint) -> dict[str, Any]:
    return {
        "fmr": point.fmr,
        "fmr_low": point.fmr_low,
        "fmr_high": point.fmr_high,
        "threshold": point.threshold,
        "fnmr": point.fnmr.observed,
        "fnmr_low": point.fnmr.low,
        "fnmr_high": point.fnmr.high,
        "false_matches": point.seen.errors,
        "non_mated": point.seen.trials,
        "false_non_matches": point.fnmr.errors,
        "mated": point.fnmr.trials,
        "bound_only": point.seen.value is None,
        "statement": point.statement,
    }


def _found(embedded: EmbeddedPictures) -> str:
    found, total = int(embedded.found.sum()), len(embedded.found)
    return (
        f"a face was found in {found:,} of {total:,} photographs; the others take no part in the "
        "points, and take part in the accuracy by their middle"
    )


def _label_note() -> str:
    return (
        "the data's label errors are counted as the model's: points at 1e-4 and below are stricter "
        "than the model alone would need"
    )


def _weights(fp: FacePrint) -> list[str]:
    if fp.embedder_card.origin == "packaged":
        return []
    return [
        "the weights are not the publisher's file but were derived from it, as the sha256 below "
        "says; no packaged card takes these points"
    ]


def _distribution(scores: LabelledScores) -> dict[str, float]:
    mated, other = scores.similarities[scores.mated], scores.similarities[~scores.mated]
    return {
        "mated_mean": float(mated.mean(dtype=np.float64)),
        "mated_std": float(mated.std(dtype=np.float64)),
        "non_mated_mean": float(other.mean(dtype=np.float64)),
        "non_mated_std": float(other.std(dtype=np.float64)),
    }


def write_points(embedder: str, detector: str, report: dict[str, Any], name: str) -> None:
    """Put the points of this detector into the packaged card of the embedder."""
    path = CARDS / f"{embedder}.toml"
    if not path.is_file():
        print(f"  {embedder} is no packaged card; the report stands alone")
        return
    text = path.read_text("utf-8")
    kept = [block for block in _POINTS.findall(text) if f'detector = "{detector}"\n' not in block]
    fresh = [_block(detector, point, report, name) for point in report["points"]]
    blocks = "".join(sorted((b.rstrip("\n") + "\n" for b in kept + fresh), key=_block_order))
    new = _POINTS.sub("", text).rstrip("\n") + "\n" + blocks
    card: ModelCard = parse_card(new, where=path.name, origin="packaged")
    path.write_text(new, "utf-8")
    print(f"  {path.name}: {len(card.operating_points)} operating points")


def _block_order(block: str) -> tuple[str, float]:
    detector = re.search(r'detector = "([^"]+)"', block)
    fmr = re.search(r"\nfmr = (\S+)", block)
    if detector is None or fmr is None:
        raise SystemExit(f"an operating point without detector or fmr: {block}")
    return detector[1], -float(fmr[1])


def _block(detector: str, point: dict[str, Any], report: dict[str, Any], name: str) -> str:
    # Rounded up: a lower threshold would let more pairs match than were counted.
    scale = 10**DIGITS
    threshold = math.ceil(point["threshold"] * scale) / scale
    promise = f"{100 * point['fmr_high']:.2g} % at most"
    source = f"measured on {report['data_set']}, {report['date']}: docs/reports/{name}"
    if point["bound_only"]:
        source += f"; the FMR is a bound, {promise}"
    lines = [
        "",
        "[[operating_points]]",
        f'detector = "{detector}"',
        f'name = "fmr-{point["fmr"]:g}"',
        f"threshold = {threshold:.{DIGITS}f}",
        f"fmr = {point['fmr']:g}",
        f"fmr_low = {_digits(point['fmr_low'])}",
        f"fmr_high = {_digits(point['fmr_high'])}",
        f"fnmr = {_digits(point['fnmr'])}",
        f'source = "{source}"',
    ]
    return "\n".join(lines) + "\n"


def _digits(value: float) -> str:
    return f"{value:.3g}" if value else "0.0"


def _progress(done: int, total: int) -> None:
    if done % 640 == 0 or done == total:
        print(f"  {done:,} of {total:,}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
