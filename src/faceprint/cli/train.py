"""`faceprint train`: train an embedder on your own photographs."""

from __future__ import annotations

import typer

from faceprint.cli.train_check import check

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Train an embedder: check the data first.",
)
app.command("check")(check)


@app.callback()
def _root() -> None:
    """Keep the name of the subcommand even while it is the only one."""
