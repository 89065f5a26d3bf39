"""`faceprint train`: train an embedder on your own photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from faceprint.cli import options
from faceprint.cli.train_check import check
from faceprint.cli.train_distill import distill
from faceprint.cli.train_export import export
from faceprint.cli.train_finetune import finetune
from faceprint.cli.train_output import run_and_report

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
    help="Train an embedder: `train check DATA`, `train RUN.toml`, `train export RUN.toml`. Adapt "
    "one: `train finetune DATA --from CARD --out DIR`. Make a smaller one: `train distill`.",
)
app.command("check")(check)
app.command("distill")(distill)
app.command("export")(export)
app.command("finetune")(finetune)


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
    from faceprint.training.run_file import read_run_file

    return run_and_report(read_run_file(run_file), until=until, as_json=as_json)
