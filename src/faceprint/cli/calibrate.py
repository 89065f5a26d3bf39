"""`faceprint calibrate`: measures operating points on the user's own photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from faceprint._files import atomic_write
from faceprint._optional import require
from faceprint._text import json_text
from faceprint.cli import options
from faceprint.cli.exit_codes import DONE, NO
from faceprint.cli.installed import calibration_line
from faceprint.cli.labeled_data import (
    Aligned,
    Mirror,
    is_record_pack,
    open_labeled,
    open_pairs,
)
from faceprint.cli.output import note, print_json, print_table, say
from faceprint.cli.progress import progress
from faceprint.errors import UsageError

if TYPE_CHECKING:
    from faceprint.recognition.thresholds.calibration_file import CalibrationFile

__all__ = ["calibrate"]


@options.with_model_options(*options.MODELS)
def calibrate(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="PATH", help="One folder per person, or a table of pairs."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name to save it under.")
    ] = None,
    list_saved: Annotated[
        bool, typer.Option("--list", help="List the calibrations on this machine instead.")
    ] = False,
    pairs: Annotated[
        Path | None, typer.Option("--pairs", metavar="F", help="A table of pairs in PATH.")
    ] = None,
    fmr: Annotated[
        list[float] | None,
        typer.Option("--fmr", help="Target FMR; repeatable. [1e-2 to 1e-6]"),
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(
            "--groups",
            metavar="FILE",
            help="Group of each person: one person and label per line, separated by a tab or a "
            "comma. [PATH/groups.csv, if it exists]",
        ),
    ] = None,
    keep: Annotated[
        float,
        typer.Option(
            "--keep",
            metavar="P",
            help="Probability that the same number of other people stay below the rate.",
        ),
    ] = 0.9,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="DIR", help="Write calibration.json and its plots."),
    ] = None,
    mirror: Mirror = False,
    aligned: Aligned = False,
    exclude: options.Exclude = None,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Measure thresholds on labeled photographs, for `verify --calibration NAME`.

    Exit code 1: the data support no operating point, and nothing is saved.
    JSON: points[]: fmr, fmr_low, fmr_high, threshold, fnmr, fnmr_by_person, groups[],
    measured_on[], statement; refused[], summary[], file (null when nothing was saved). With --list:
    calibrations[]: name, date, pack, models[], points[]: fmr, threshold; or name and error.
    """
    if list_saved:
        return _list(as_json)
    if path is None or name is None:
        raise UsageError("give PATH and --name NAME; or --list")
    from faceprint.evaluation.calibrate import FMR_TARGETS
    from faceprint.evaluation.calibrate_data import calibrate_data
    from faceprint.recognition.thresholds.saved_calibrations import keep_calibration

    if report is not None:
        require("matplotlib", extra="report")
    fp = models.load(mirror=mirror)
    table = pairs is not None or (path.is_file() and not is_record_pack(path))
    if table and groups is not None:
        raise UsageError("--groups is for folders of people, not for a table of pairs")
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
        measuring=lambda: note("choosing thresholds; with many pairs this takes a while"),
    )
    # An empty one would replace one of the same name that holds points.
    file = None
    try:
        file = keep_calibration(found) if found.points else None
        if report is not None:
            _write_report(report, found)
    finally:  # where it can't be written, the result is not lost
        if as_json:
            print_json(found.to_json() | {"file": None if file is None else str(file)})
        else:
            _print(found, file)
    return DONE if found.points else NO


def _list(as_json: bool) -> int:
    """Show the saved calibrations."""
    from faceprint.recognition.thresholds.saved_calibrations import saved_calibrations

    found = [calibration_line(name, saved) for name, saved in saved_calibrations()]
    if as_json:
        print_json({"calibrations": found})
        return DONE
    rows = [
        (
            line["name"],
            line["date"],
            " and ".join(line["models"]),
            ", ".join(f"{p['fmr']:g}: {p['threshold']:.3f}" for p in line["points"]),
        )
        for line in found
        if "error" not in line
    ]
    if rows:
        print_table(("calibration", "date", "models", "FMR: threshold"), rows)
    if not found:
        note("no calibration yet; faceprint calibrate PATH --name NAME makes one")
    for line in found:
        if "error" in line:
            note(f"{line['name']}: {line['error']}")
    return DONE


def _print(found: CalibrationFile, file: Path | None) -> None:
    say("Data:")
    for line in found.summary:
        say(f"  {line}")
    if found.points:
        say("Supported:")
        for details in found.details:
            say(f"  {details['statement']}")
            groups = cast("list[dict[str, Any]]", details["groups"])
            for group in groups:
                say(f"    {group['group']}: FMR {group['statement']}")
    if found.refused:
        say("Not supported:")
        for line in found.refused:
            say(f"  {line}")
    if found.points:
        say(f"faceprint verify A B --calibration {found.name}")
    if not found.points:
        note("not saved: no operating point")
    elif file is not None:
        note(f"saved: {file}")


def _write_report(folder: Path, found: CalibrationFile) -> None:
    from faceprint.evaluation.plots import reliability_figure, svg

    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / "calibration.json", json_text(found.to_json(), indent=1) + "\n")
    if found.reliability is None:
        note("no reliability plot: half of the people don't have both kinds of pairs")
    else:
        atomic_write(folder / "reliability.svg", svg(reliability_figure(found.reliability)))
    note(f"report: {folder}")
