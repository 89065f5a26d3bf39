"""`faceprint calibrate`: operating points on your own photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from faceprint._files import atomic_write
from faceprint._optional import require
from faceprint._text import json_text
from faceprint.cli import options
from faceprint.cli.exit_codes import DONE, NO
from faceprint.cli.labeled_data import is_record_pack, open_labeled, open_pairs
from faceprint.cli.output import note, print_json, say
from faceprint.cli.progress import progress
from faceprint.errors import UsageError

if TYPE_CHECKING:
    from faceprint.recognition.thresholds.calibration_file import CalibrationFile

__all__ = ["calibrate"]


def calibrate(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A folder a person, or a table of pairs.")
    ],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What to save it under.")],
    pairs: Annotated[
        Path | None, typer.Option("--pairs", metavar="F", help="A table of pairs below PATH.")
    ] = None,
    fmr: Annotated[
        list[float] | None,
        typer.Option("--fmr", help="A target; may be given again. [1e-2 to 1e-6]"),
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(
            "--groups",
            metavar="FILE",
            help="Each person's group: lines of a person and a label, parted by a tab or a comma. "
            "[groups.csv in PATH, where there is one]",
        ),
    ] = None,
    keep: Annotated[
        float,
        typer.Option(
            "--keep",
            metavar="P",
            help="How sure to be that as many other people keep the rate; higher is stricter.",
        ),
    ] = 0.9,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="DIR", help="Write calibration.json and its plots."),
    ] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Average with the mirror image's embedding.")
    ] = False,
    aligned: Annotated[
        bool,
        typer.Option("--aligned", help="The pictures are aligned crops; use them as they are."),
    ] = False,
    exclude: options.Exclude = None,
    as_json: options.Json = False,
    pack: options.Pack = None,
    detector: options.Detector = None,
    embedder: options.Embedder = None,
    runtime: options.Runtime = None,
    threads: options.Threads = None,
) -> int:
    """Measure thresholds on labeled photographs; `verify --calibration NAME` decides by them.

    Exit code 1: the data support no operating point at all, and nothing is saved.
    JSON: points[]: fmr, fmr_low, fmr_high, threshold, fnmr, fnmr_by_person, groups[],
    measured_on[], statement; refused[], summary[], file (null when nothing was saved).
    """
    from faceprint.evaluation.calibrate import FMR_TARGETS
    from faceprint.evaluation.calibration_run import calibrate_data
    from faceprint.recognition.thresholds.saved_calibrations import keep_calibration
    from faceprint.vision.analyzer import load

    if report is not None:
        require("matplotlib", extra="report")
    fp = load(
        pack, detector=detector, embedder=embedder, runtime=runtime, threads=threads, mirror=mirror
    )
    table = pairs is not None or (path.is_file() and not is_record_pack(path))
    if table and groups is not None:
        raise UsageError("--groups goes with a folder of people, not with a table of pairs")
    data = (
        open_pairs("pairs", path, pairs, aligned=aligned)
        if table
        else open_labeled(path, aligned=aligned, exclude=exclude or (), groups=groups)
    )
    found = calibrate_data(
        name,
        data,
        fp,
        targets=fmr or FMR_TARGETS,
        keep=keep,
        progress=progress("pictures"),
        measuring=lambda: note("finding the operating points; with many pairs this takes a while"),
    )
    # An empty one would replace one of the same name that holds points.
    file = keep_calibration(found) if found.points else None
    if report is not None:
        _write_report(report, found)
    if as_json:
        print_json(found.to_json() | {"file": None if file is None else str(file)})
    else:
        _print(found, file)
    return DONE if found.points else NO


def _print(found: CalibrationFile, file: Path | None) -> None:
    say("The data:")
    for line in found.summary:
        say(f"  {line}")
    if found.points:
        say("What they support:")
        for details in found.details:
            say(f"  {details['statement']}")
            groups = cast("list[dict[str, Any]]", details["groups"])
            for group in groups:
                say(f"    {group['group']}: FMR {group['statement']}")
    if found.refused:
        say("What they do not:")
        for line in found.refused:
            say(f"  {line}")
    if found.points:
        say(f"faceprint verify A B --calibration {found.name}")
    note("not saved: there is no operating point" if file is None else f"saved: {file}")


def _write_report(folder: Path, found: CalibrationFile) -> None:
    from faceprint.evaluation.plots import reliability_figure, svg

    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / "calibration.json", json_text(found.to_json(), indent=1) + "\n")
    if found.reliability is None:
        note("no reliability plot: half of the people do not make both kinds of pairs")
    else:
        atomic_write(folder / "reliability.svg", svg(reliability_figure(found.reliability)))
    note(f"report: {folder}")
