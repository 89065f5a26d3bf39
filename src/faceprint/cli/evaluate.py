"""`faceprint evaluate`: measures models on labeled photographs, as published figures are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from faceprint._optional import require
from faceprint.cli import completion, options
from faceprint.cli.exit_codes import DONE
from faceprint.cli.labeled_data import Aligned, Mirror, open_labeled, open_pairs
from faceprint.cli.output import note, print_json, print_table
from faceprint.cli.progress import progress
from faceprint.errors import UsageError

if TYPE_CHECKING:
    from faceprint.evaluation.datasets import LabeledSet, PairSet
    from faceprint.evaluation.embeddings import WhichFace
    from faceprint.evaluation.people_protocols import PeopleResult
    from faceprint.evaluation.result import EvaluationResult
    from faceprint.evaluation.verification import VerificationProtocol, VerificationRun
    from faceprint.recognition.thresholds.merge_threshold import ScoreDistributions
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["evaluate"]

PROTOCOLS = ("lfw", "bin", "pairs", "identification", "clustering", "cropped")


@options.with_model_options(*options.STREAM)
def evaluate(
    protocol: Annotated[
        str,
        typer.Argument(
            metavar="PROTOCOL",
            help="lfw, bin, pairs, identification, clustering, cropped.",
            autocompletion=completion.choices(*PROTOCOLS),
        ),
    ],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The data set.")],
    pairs: Annotated[
        Path | None,
        typer.Option("--pairs", metavar="F", help="lfw: pairs.txt; pairs: a CSV or Parquet table."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="DIR", help="Write report.html and report.json."),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option("--folds", metavar="N", min=2, help="Cut the pairs into N consecutive folds."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Count errors at this cosine similarity.")
    ] = None,
    face: Annotated[
        str | None,
        typer.Option(
            "--face",
            metavar="RULE",
            help="Which of several faces: largest, as in verify, or central. "
            "[largest; lfw: central, as in published figures]",
            autocompletion=completion.choices("largest", "central"),
        ),
    ] = None,
    mirror: Mirror = False,
    aligned: Aligned = False,
    exclude: options.Exclude = None,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Measure a pack on labeled photographs.

    lfw: one folder per person, and pairs.txt. bin: a .bin pack of InsightFace. pairs: a table of
    labeled pairs, with groups if it has that column. identification, clustering: one folder per
    person, or a RecordIO pack. clustering merges as `cluster` does: at --threshold, or at a
    threshold derived from the model's operating points. cropped: one folder per person; each
    photograph is cropped close to its face in several ways, to measure detection and error rates.
    """
    from faceprint.evaluation.embeddings import EmbedOptions
    from faceprint.evaluation.people_protocols import evaluate_clustering, evaluate_identification
    from faceprint.evaluation.verification import evaluate as run

    if protocol not in PROTOCOLS:
        raise UsageError(
            f"no protocol named {protocol!r}; the protocols are {', '.join(PROTOCOLS)}"
        )
    _check(protocol, report is not None, pairs is not None or folds is not None)
    fp = models.load(mirror=mirror)
    show = progress("pictures")
    rule = _face_rule(face, protocol)
    if protocol in ("lfw", "bin", "pairs"):
        data = open_pairs(protocol, path, pairs, aligned=aligned)
        outcome = run(
            cast("VerificationProtocol", protocol),
            data,
            fp,
            folds=folds,
            threshold=threshold,
            options=EmbedOptions(aligned=data.aligned, face=rule),
            progress=show,
        )
        if as_json:
            print_json(outcome.result.to_json())
        else:
            _print(outcome.result)
        if report is not None:  # last: where it can't be written, the result is not lost
            _write_report(report, data, outcome)
        return DONE
    people = open_labeled(path, aligned=aligned, exclude=exclude or ())
    if protocol == "cropped":
        return _cropped(people, fp, as_json)
    how = EmbedOptions(aligned=people.aligned, face=rule)
    if protocol == "identification":
        result = evaluate_identification(people, fp, options=how, progress=show)
    else:
        joined = _similarities(fp) if threshold is None else threshold
        result = evaluate_clustering(people, fp, threshold=joined, options=how, progress=show)
    if as_json:
        print_json(result.to_json())
    else:
        _print_people(result)
    return DONE


def _cropped(data: LabeledSet, fp: FaceAnalyzer, as_json: bool) -> int:
    from faceprint.evaluation.cropped import evaluate_cropped
    from faceprint.recognition.thresholds.operating_points import measured_points

    points = measured_points(fp.embedder_card, fp.detector_card)
    results = evaluate_cropped(data, fp, points, progress=progress("pictures"))
    if as_json:
        print_json({"pack": fp.name, "cuts": [result.to_json() for result in results]})
        return DONE
    head = ("cut", "photographs", "found", "lost", "usable", "landmarks moved", "FMR", "FNMR")
    rows = [
        (
            result.cut,
            f"{result.photographs:,}",
            f"{result.found:,}",
            f"{result.lost:,}",
            f"{result.usable:,}",
            "" if result.landmark_shift is None else f"{100 * result.landmark_shift:.1f} %",
            ", ".join(f"{point.fmr_found:.2g}" for point in result.points),
            ", ".join(f"{point.fnmr_found:.2g}" for point in result.points),
        )
        for result in results
    ]
    print_table(head, rows)
    if points:
        rates = ", ".join(f"{point.fmr:g}" for point in points if point.fmr is not None)
        note(f"FMR and FNMR at the operating points for an FMR of {rates}")
    return DONE


def _check(protocol: str, report: bool, pairs: bool) -> None:
    """Check options and extras before any work."""
    if protocol in ("identification", "clustering", "cropped") and (report or pairs):
        raise UsageError(f"--pairs, --folds and --report can't be used with {protocol}")
    if report:
        require("jinja2", extra="report")
        require("matplotlib", extra="report")


def _face_rule(given: str | None, protocol: str) -> WhichFace:
    if given not in (None, "largest", "central"):
        raise UsageError(f"--face is {given!r}; it is largest or central")
    return cast("WhichFace", given or ("central" if protocol == "lfw" else "largest"))


def _similarities(fp: FaceAnalyzer) -> ScoreDistributions | None:
    """The score distributions that `cluster` uses for these models; None if not measured."""
    from faceprint.recognition.thresholds.default_threshold import model_points
    from faceprint.recognition.thresholds.merge_threshold import score_distributions

    known = model_points(fp)
    found = None if known.provisional else score_distributions(known.points)
    if found is None:
        note("these models were not measured; the threshold is estimated from the pictures")
    return found


def _write_report(folder: Path, data: PairSet, outcome: VerificationRun) -> None:
    from faceprint.evaluation.report import pictured, render_report, worst_pairs, write_report

    worst = worst_pairs(outcome.similarities, data.mated, outcome.result.threshold)
    html = render_report(
        outcome.result,
        outcome.similarities,
        data.mated,
        false_matches=pictured(data, outcome.similarities, worst.false_matches),
        false_non_matches=pictured(data, outcome.similarities, worst.false_non_matches),
    )
    page, _ = write_report(folder, html, outcome.result)
    note(f"report: {page}")


def _print(result: EvaluationResult) -> None:
    rows: list[tuple[str, Any]] = []
    if result.accuracy is not None:
        rows.append(
            (
                "accuracy",
                f"{result.accuracy:.4f} ± {result.accuracy_std:.4f} ({result.folds} folds)",
            )
        )
    rows += [("AUC", f"{result.auc:.5f}"), ("EER", f"{result.eer:.4f}")]
    rows += [(f"TAR at FAR {far}", told) for far, told in result.tar_statements.items()]
    rows += [
        ("threshold", f"{result.threshold:.4f}"),
        ("FMR there", result.rates.fmr.statement),
        ("FNMR there", result.rates.fnmr.statement),
        ("FNMR by person", _by_person(result)),
        ("pairs", f"{result.pairs:,}"),
        ("failed", f"{result.failed:,} pictures without a face"),
    ]
    print_table((result.protocol, f"{result.pack} on {result.dataset}"), rows)
    if result.groups:
        print_table(
            ("group", "FMR", "FNMR"),
            [(g.group, g.rates.fmr.statement, g.rates.fnmr.statement) for g in result.groups],
        )


def _by_person(result: EvaluationResult) -> str:
    from faceprint.evaluation.intervals import share

    mean = result.rates.fnmr_by_person
    return "people unknown" if mean is None else f"{share(mean)}, each person counted once"


def _print_people(result: PeopleResult) -> None:
    rows: list[tuple[str, str]] = []
    found, clusters = result.identified, result.clusters
    if found is not None:
        rows.append(("subjects", f"{found.subjects:,} enrolled with one picture each"))
        rows.append(("probes", f"{found.enrolled:,} of them, {found.strangers:,} of strangers"))
        rows += [
            (f"rank {k}", f"{found.cmc[k - 1]:.4f}") for k in (1, 5, 20) if k <= len(found.cmc)
        ]
        rows += [(f"FPIR {point.fpir:g}", point.statement) for point in found.points]
    if clusters is not None:
        rows.append(("threshold", f"{result.threshold:.4f}"))
        rows.append(("people", f"{clusters.people:,}, in {clusters.clusters:,} clusters"))
        scores = [("BCubed", clusters.bcubed), ("pairwise", clusters.pairwise)]
        if result.several is not None:
            scores.insert(1, ("BCubed, people with two or more", result.several.bcubed))
        for name, score in scores:
            told = f"precision {score.precision:.4f}, recall {score.recall:.4f}, F {score.f:.4f}"
            rows.append((name, told))
    rows.append(("pictures", f"{result.pictures:,}, {result.failed:,} without a face"))
    print_table((result.protocol, f"{result.pack} on {result.dataset}"), rows)
