"""What the commands that train print."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from faceprint._text import counted
from faceprint.cli.exit_codes import DONE
from faceprint.cli.output import note, print_json, say
from faceprint.cli.progress import progress

if TYPE_CHECKING:
    from faceprint.training.check import DataReport
    from faceprint.training.crop_build import PeopleCrops
    from faceprint.training.run_file import RunFile

__all__ = ["log", "report", "run_and_report"]


def run_and_report(run: RunFile, *, until: int | None, as_json: bool) -> int:
    """Train, or go on, and say what came of it."""
    from faceprint._optional import require

    require("torch", extra="train")
    from faceprint.training.distributed import group_of_environment
    from faceprint.training.run import Hooks, train

    outcome = train(run, Hooks(progress, report, log, _faces), until=until)
    if not group_of_environment().first:
        return DONE
    document = asdict(outcome) | {"checkpoint": str(outcome.checkpoint)}
    if as_json:
        print_json(document)
        return DONE
    if outcome.loss is None:
        say(f"nothing left to do: {outcome.checkpoint} has all {outcome.updates:,} updates")
        return DONE
    seen = f"{outcome.photographs:,} faces"
    if outcome.people:
        people = counted(outcome.people, "person", "people")
        seen = f"{outcome.photographs:,} photographs of {people}"
    measured = "" if outcome.validation is None else f", accuracy {outcome.validation:.4f}"
    say(
        f"{outcome.checkpoint}: {outcome.updates:,} updates on {seen}, "
        f"loss {outcome.loss:.4f}{measured}"
    )
    return DONE


def report(data: DataReport) -> None:
    """Say what `train check` found, on stderr."""
    found = data.to_dict()
    parts = [f"{found['people']:,} people", f"{found['crops']:,} crops"]
    kinds = ("unusable", "repeated", "conflicting", "near_duplicates", "outliers")
    parts += [f"{len(found[key]):,} {key.replace('_', ' ')}" for key in kinds if found[key]]
    if found["probably_one"]:
        parts.append(f"{len(found['probably_one']):,} pairs of people who are probably one")
    note(f"data: {', '.join(parts)} (`train check` names them)")


def _faces(faces: PeopleCrops) -> None:
    parts = [f"{len(faces.rows):,} faces"]
    if faces.unusable:
        name, why = faces.unusable[0]
        count = counted(len(faces.unusable), "photograph", "photographs")
        parts.append(f"{count} without one, such as {name} ({why})")
    if faces.repeated:
        parts.append(f"{len(faces.repeated):,} repeated")
    note(f"data: {', '.join(parts)}")


def log(line: dict[str, Any]) -> None:
    """Show a line of log.jsonl on stderr."""
    if "loss" in line:
        left = f"{line['seconds_left']:,} s left"
        note(f"update {line['update']:,}, epoch {line['epoch']:g}: loss {line['loss']:.4f}, {left}")
    else:
        accuracy, eer = line["validation"]["accuracy"], line["validation"]["eer"]
        text = f"EER {eer:.4f}" if accuracy is None else f"accuracy {accuracy:.4f}"
        note(f"update {line['update']:,}: {text}")
