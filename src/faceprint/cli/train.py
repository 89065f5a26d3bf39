"""`faceprint train`: train an embedder on your own photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from faceprint.cli import options
from faceprint.cli.exit_codes import DONE
from faceprint.cli.output import counted, note, print_json, say
from faceprint.cli.progress import progress
from faceprint.cli.train_check import check
from faceprint.cli.train_export import export

if TYPE_CHECKING:
    from faceprint.training.check import DataReport

__all__ = ["app"]


class _RunByDefault(TyperGroup):
    """`train RUN.toml` is `train run RUN.toml`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Take what is no command for a run file."""
        if args and args[0] not in self.commands:
            args = ["run", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_RunByDefault,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Train an embedder: `train check DATA`, `train RUN.toml`, `train export RUN.toml`.",
)
app.command("check")(check)
app.command("export")(export)


@app.command("run")
def run(
    run_file: Annotated[Path, typer.Argument(metavar="RUN.toml", help="The run file.")],
    until: Annotated[
        int | None,
        typer.Option(
            "--until", metavar="N", min=1, help="Stop with a checkpoint after update N of the run."
        ),
    ] = None,
    as_json: options.Json = False,
) -> int:
    """Train, or go on from the checkpoint; `train RUN.toml` is short for this.

    The result is that of an undisturbed run, however often it is stopped. The log is log.jsonl in
    the run's folder. A loss that is NaN ends the run with the batch saved.
    JSON: checkpoint, updates, people, photographs, resumed_at, loss (of the last logged updates),
    validation (accuracy; null without).
    """
    from dataclasses import asdict

    from faceprint._optional import require
    from faceprint.training.run_file import read_run_file

    chosen = read_run_file(run_file)
    require("torch", extra="train")
    from faceprint.training.run import Hooks, train

    outcome = train(chosen, Hooks(progress, _report, _log), until=until)
    document = asdict(outcome) | {"checkpoint": str(outcome.checkpoint)}
    if as_json:
        print_json(document)
        return DONE
    if outcome.loss is None:
        say(f"nothing left to do: {outcome.checkpoint} has all {outcome.updates:,} updates")
        return DONE
    people = counted(outcome.people, "person", "people")
    measured = "" if outcome.validation is None else f", accuracy {outcome.validation:.4f}"
    say(
        f"{outcome.checkpoint}: {outcome.updates:,} updates on {outcome.photographs:,} photographs "
        f"of {people}, loss {outcome.loss:.4f}{measured}"
    )
    return DONE


def _report(report: DataReport) -> None:
    found = report.to_dict()
    parts = [f"{found['people']:,} people", f"{found['crops']:,} crops"]
    kinds = ("unusable", "repeated", "conflicting", "near_duplicates", "outliers")
    parts += [f"{len(found[key]):,} {key.replace('_', ' ')}" for key in kinds if found[key]]
    if found["probably_one"]:
        parts.append(f"{len(found['probably_one']):,} pairs of people who are probably one")
    note(f"data: {', '.join(parts)} (`train check` names them)")


def _log(line: dict[str, Any]) -> None:
    if "loss" in line:
        left = f"{line['seconds_left']:,} s left"
        note(f"update {line['update']:,}, epoch {line['epoch']:g}: loss {line['loss']:.4f}, {left}")
    else:
        accuracy, eer = line["validation"]["accuracy"], line["validation"]["eer"]
        text = f"EER {eer:.4f}" if accuracy is None else f"accuracy {accuracy:.4f}"
        note(f"update {line['update']:,}: {text}")
