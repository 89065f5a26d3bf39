"""Measures the operating points of model cards, and writes the reports behind them.

For each EMBEDDER+DETECTOR, every pair of the photographs of each data set is compared. A data set
is a folder with one folder for each person. Thresholds and intervals come from
`faceprint.evaluation.calibrate`: for each FMR, the threshold that the data set needs which needs
the highest. The report goes to docs/reports/EMBEDDER--DETECTOR.json; with --write-cards, packaged
embedder cards take the points. Embeddings are kept under FACEPRINT_HOME, so that a run that was cut
off goes on where it stopped.

    python tools/measure_operating_points.py --write-cards \\
        --data-set "LFW, 5 folds=lfw;pairs=pairs.txt" \\
        --data-set "FaceScrub=facescrub;groups=facescrub-numbers;aside=aside-facescrub.txt" \\
        --copy-of w600k-mbf-dequant=w600k-mbf \\
        dlib-resnet+mtcnn w600k-mbf-dequant+yunet-2023mar
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from measure_cards import write_points
from measure_data import DataSpec, measure_data, parse_data_set

from faceprint.evaluation.calibrate import CalibratedPoint, calibrate
from faceprint.evaluation.embeddings import EmbedOptions, WhichFace
from faceprint.evaluation.provenance import engine_facts
from faceprint.evaluation.resampled_scores import KEEP, RatesAt
from faceprint.vision.analyzer import FaceAnalyzer, load

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "docs" / "reports"
TARGETS = (1e-2, 1e-3, 1e-4)


def main() -> None:
    """Measure each combination that was named."""
    given = _arguments()
    specs = [parse_data_set(text) for text in given.data_set]
    copies = dict(pair.split("=", 1) for pair in given.copy_of.split(",") if pair)
    options = EmbedOptions(face=cast("WhichFace", given.face))
    for combination in given.models:
        embedder, _, detector = combination.partition("+")
        fp = load(detector=detector, embedder=embedder, threads=given.threads)
        report = measure(fp, specs, options, given.keep)
        path = given.reports / f"{embedder}--{detector}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
        path.write_text(text + "\n", "utf-8")
        print(path)
        for line in (*(p["statement"] for p in report["points"]), *report["refused"]):
            print(" ", line)
        if given.write_cards:
            write_points(embedder, detector, report, path.name)
            if embedder in copies:
                publisher = copies[embedder]
                write_points(publisher, detector, report, path.name, evidence="copy")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("models", nargs="+", metavar="EMBEDDER+DETECTOR")
    parser.add_argument(
        "--data-set",
        action="append",
        required=True,
        metavar="SPEC",
        help="NAME=FOLDER[;groups=FILE][;aside=FILE][;pairs=FILE]; once for each data set.\n"
        "groups: people and labels, or facescrub-numbers; aside: photographs to leave out;\n"
        "pairs: pairs.txt, for the accuracy",
    )
    parser.add_argument("--write-cards", action="store_true")
    parser.add_argument(
        "--copy-of",
        default="",
        metavar="COPY=CARD,...",
        help="also write the points of COPY into CARD, whose weights it was derived from",
    )
    parser.add_argument("--face", choices=("largest", "central"), default="largest")
    parser.add_argument("--keep", type=float, default=KEEP, help=f"see `calibrate` [{KEEP}]")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--reports", type=Path, default=REPORTS)
    return parser.parse_args()


def measure(
    fp: FaceAnalyzer, specs: Sequence[DataSpec], options: EmbedOptions, keep: float = KEEP
) -> dict[str, Any]:
    """The report of one embedder on one detector's faces."""
    data = [measure_data(spec, fp, options, _progress) for spec in specs]
    found = calibrate({each.name: each.scores for each in data}, TARGETS, keep=keep)
    engine = engine_facts(fp, options)
    return {
        "format": "faceprint-operating-points",
        "version": 2,
        "embedder": fp.embedder_card.id,
        "detector": fp.detector_card.id,
        "date": engine.pop("date"),
        "keep": keep,
        "points": [_point(point) for point in found.points],
        "refused": list(found.refused),
        "left_out": list(found.left_out),
        "summary": [*found.summary, *_weights(fp)],
        "data_sets": [each.facts for each in data],
        "reproduce": engine,
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
        "promised": point.promised,
        "decided_by": point.rates[point.decided_by].data_set,
        "statement": point.statement,
        "measured_on": [_rates(each) for each in point.rates],
    }


def _rates(rates: RatesAt) -> dict[str, Any]:
    return {
        **asdict(rates.measurement()),
        "false_matches": rates.fmr.errors,
        "non_mated": rates.fmr.trials,
        "false_non_matches": rates.fnmr.errors,
        "mated": rates.fnmr.trials,
        "bound_only": rates.fmr.value is None,
        "groups": [
            {
                "group": each.group,
                "within": each.within,
                "people": each.people,
                "fmr": each.fmr.observed,
                "fmr_low": each.fmr.low,
                "fmr_high": each.fmr.high,
                "false_matches": each.fmr.errors,
                "non_mated": each.fmr.trials,
                "enough": each.enough,
            }
            for each in rates.groups
            if each.fmr.trials
        ],
    }


def _weights(fp: FaceAnalyzer) -> list[str]:
    if fp.embedder_card.origin == "packaged":
        return []
    return [
        "the weights are not the publisher's file but a copy that was derived from it, as the "
        "sha256 below says"
    ]


def _progress(done: int, total: int) -> None:
    if done % 640 == 0 or done == total:
        print(f"  {done:,} of {total:,}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
