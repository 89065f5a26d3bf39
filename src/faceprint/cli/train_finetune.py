"""`faceprint train finetune`: adapt a model of the zoo, and say whether it became better."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from faceprint.cli import options
from faceprint.cli.exit_codes import DONE, NO
from faceprint.cli.labeled_data import Aligned
from faceprint.cli.output import note, print_json, print_table, say
from faceprint.cli.progress import progress
from faceprint.cli.train_output import log, report
from faceprint.errors import UsageError

if TYPE_CHECKING:
    from faceprint.training.before_after import Comparison
    from faceprint.training.finetune_report import Finetuned

__all__ = ["finetune"]


def finetune(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="One folder per person; or the RUN.toml of an earlier call."
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option("--from", metavar="CARD|FILE.onnx", help="The model to start from."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Write run.toml, crops, checkpoint and report here."
        ),
    ] = None,
    aim: Annotated[
        Literal["covered", "small", "people"],
        typer.Option(
            "--for",
            help="What is to become better: faces whose lower half is covered, faces of 16 to 24 "
            "pixels, or recognizing these people and those like them.",
        ),
    ] = "covered",
    layers: Annotated[
        Literal["all", "last-stage", "lora", "head"],
        typer.Option("--layers", help="What is trained; `lora` adds low-rank changes."),
    ] = "lora",
    rank: Annotated[int, typer.Option("--rank", min=1, help="Rank of the changes of lora.")] = 8,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the data.")] = 2,
    hold_out: Annotated[
        float,
        typer.Option("--hold-out", metavar="SHARE", help="People who are measured instead."),
    ] = 0.3,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            "--against",
            metavar="FOLDER",
            help="Measure on these people too, such as LFW; repeatable. Shared people are refused.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of everything random.")] = 0,
    detector: Annotated[
        str | None, typer.Option("--detector", metavar="ID", help="Finds the faces.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", min=1, help="Of PyTorch.")
    ] = None,
    aligned: Aligned = False,
    as_json: options.Json = False,
) -> int:
    """Fine-tune a model on your photographs, and measure it on people it has not seen.

    Writes DIR/run.toml, which `train run` and `train export` take, and goes on where an earlier
    call stopped. Exit code 1: not an improvement, or one within the interval of chance.
    JSON: run_file, checkpoint, report, updates, people, photographs, improved, verdict,
    comparisons[]{data_set, people, photographs, fmr, changes[]{condition, before, before_low,
    before_high, after, after_low, after_high, low, high}}.
    """
    from faceprint._optional import require
    from faceprint.training.finetune_defaults import Choices, run_text
    from faceprint.training.finetune_table import Finetune
    from faceprint.training.run_file import read_run_file

    if data.suffix == ".toml":
        if model is not None or out is not None:
            raise UsageError(f"{data} says the model and the folder; omit --from and --out")
        path = data
    elif model is None or out is None:
        raise UsageError("--from and --out are needed: the model, and a folder for the run")
    else:
        from faceprint.zoo.catalog import get_card

        known = str(Path(model).absolute()) if model.endswith(".onnx") else get_card(model).id
        labels = 0.1 if aim == "people" else 0.0
        tuned = Finetune(known, aim, layers, rank, 1.0, labels, hold_out)
        text = run_text(
            Choices(
                data,
                out,
                tuned,
                seed,
                epochs,
                against=against or (),
                aligned=aligned,
                detector=detector,
                threads=threads,
            )
        )
        path = _write(out / "run.toml", text)
    run = read_run_file(path)
    require("torch", extra="train")
    from faceprint.training.distributed import group_of_environment

    if group_of_environment().count > 1:
        raise UsageError(
            f"it measures in one process; `torchrun -m faceprint train {path}` trains in several"
        )
    from faceprint.training.finetune_report import finetune as work
    from faceprint.training.run import Hooks

    done = work(run, Hooks(progress, report, log))
    if as_json:
        print_json(_document(path, done))
    else:
        for each in done.comparisons:
            _print(each)
        say(done.verdict)
        note(f"`faceprint train export {path}` makes it a model of the zoo")
    return DONE if done.improved else NO


def _document(path: Path, done: Finetuned) -> dict[str, Any]:
    return {
        "run_file": str(path),
        "checkpoint": str(done.outcome.checkpoint),
        "report": str(done.file),
        "updates": done.outcome.updates,
        "people": done.outcome.people,
        "photographs": done.outcome.photographs,
        "improved": done.improved,
        "verdict": done.verdict,
        "comparisons": [each.to_dict() for each in done.comparisons],
    }


def _write(path: Path, text: str) -> Path:
    from faceprint._files import atomic_write

    try:
        if path.exists() and path.read_text("utf-8") != text:
            raise UsageError(
                f"{path} has other settings; `faceprint train finetune {path}` goes on with them, "
                "another --out begins anew"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, text)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    return path


def _print(found: Comparison) -> None:
    title = f"FNMR at FMR {found.fmr:g}: {found.data_set}, {found.people} people"
    print_table(
        (title, "before", "after", "change (95 %)"),
        [
            (
                change.condition,
                f"{change.before:.4f}",
                f"{change.after:.4f}",
                f"{change.low:+.4f} to {change.high:+.4f}",
            )
            for change in found.changes
        ],
    )
