"""`faceprint models parity`: compare the runtimes on one graph."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceprint.cli import completion, options
from faceprint.cli.exit_codes import DONE, NO
from faceprint.cli.output import note, print_json, print_table, say
from faceprint.errors import ModelMissingError, RuntimeUnavailableError, UsageError

if TYPE_CHECKING:
    from faceprint.runtime.parity import ParityInput, Row

__all__ = ["parity"]


@options.with_model_options("device", "threads", "accept_license")
def parity(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A card id, or an ONNX file.", autocompletion=completion.cards
        ),
    ],
    runtimes: Annotated[
        str,
        typer.Option("--runtimes", metavar="NAMES", help="`all`, or names separated by commas."),
    ] = "all",
    yes: Annotated[
        bool, typer.Option("--yes", help="Install the MXNet environment without asking.")
    ] = False,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Compare runtimes with ONNX Runtime: agreement, speed, memory. Exit code 1: one disagrees.

    With `all`, a row says which runtime is not installed or can't run the graph. A runtime that is
    named must be installed (else exit code 4) and must run the graph (else exit code 1). With
    --device, the runtimes are measured there and compared with ONNX Runtime on the CPU; exit code
    4 if none of them has the device.
    JSON: model, threads, inputs, ok, files[]: file, runtimes[]: runtime, version, state (agrees,
    disagrees, refused, missing), reason, max_difference, min_cosine, ms_batch1, ms_batch16,
    peak_mb, load_s, device, nodes (those that run on it, and all; null: not said).
    """
    from faceprint.runtime.devices import WITH_ACCELERATORS
    from faceprint.runtime.parity import INPUTS, compare
    from faceprint.runtime.session import RUNTIMES

    named, session = runtimes != "all", models.session()
    usual = RUNTIMES if session.device == "cpu" else WITH_ACCELERATORS
    chosen = [name.strip() for name in runtimes.split(",")] if named else list(usual)
    unknown = [name for name in chosen if name not in RUNTIMES]
    if unknown:
        raise UsageError(f"no runtime named {unknown[0]!r}; there are {', '.join(RUNTIMES)}")
    graphs = _graphs(model, models.accept_license)
    if "mxnet" in chosen:
        _offer_mxnet(yes=yes, named=named)
    note(f"inputs: {INPUTS}; {session.thread_count()} threads")
    files, ok = [], True
    for path, given in graphs:
        rows = []
        for row in compare(path, chosen, session, given):
            if named and row.state == "missing":
                raise RuntimeUnavailableError(f"{row.runtime}: {row.reason}")
            ok = ok and row.state != "disagrees" and not (named and row.state == "refused")
            rows.append(row)
            note(f"{path.name}: {row.runtime} {row.state}")
        if all(row.state == "missing" for row in rows if row.device == session.device):
            raise RuntimeUnavailableError(_first_reason(rows, session.device))
        files.append({"file": path.name, "runtimes": [asdict(row) for row in rows]})
        if not as_json:
            say(path.name)
            _print(rows)
    if as_json:
        print_json(
            {
                "model": model,
                "threads": session.thread_count(),
                "inputs": INPUTS,
                "ok": ok,
                "files": files,
            }
        )
    return DONE if ok else NO


def _first_reason(rows: list[Row], device: str) -> str:
    return next(row.reason for row in rows if row.device == device)


def _offer_mxnet(*, yes: bool, named: bool) -> None:
    """Offer to make MXNet's environment; says first what it installs."""
    from faceprint.runtime.mxnet import environment

    if environment.python() is not None:
        return
    note(f"the mxnet runtime needs {environment.describe()}")
    if yes or (sys.stdin.isatty() and typer.confirm("Install it?", default=False, err=True)):
        note("installing; this takes a minute or two")
        environment.create()
    elif named:
        raise RuntimeUnavailableError("the mxnet runtime is not installed; --yes installs it")


def _graphs(model: str, accept_license: bool) -> list[tuple[Path, ParityInput]]:
    """Return the graphs of a card, or the one file, as they are opened, and their inputs."""
    from faceprint import settings
    from faceprint._external import refuse_outside
    from faceprint.runtime.parity import ParityInput
    from faceprint.zoo import catalog, legacy, store

    folder = settings.home() / "prepared"
    path = Path(model)
    if model.endswith(".onnx") or path.is_file():
        if not path.is_file():
            raise ModelMissingError(f"{path}: no such file, and no card of that name")
        refuse_outside(path)
        return [(legacy.prepare(path, folder), _guess_input(path))]
    card = catalog.get_card(model)
    contract = card.input
    plain = contract.normalized_inside
    given = ParityInput(
        contract.height or 320,
        contract.width or 320,
        (0.0, 0.0, 0.0) if plain else contract.mean,
        (1.0, 1.0, 1.0) if plain else contract.std,
    )
    paths = store.ensure(card, accept_license=accept_license).values()
    return [(legacy.prepare(path, folder), given) for path in paths]


def _guess_input(path: Path) -> ParityInput:
    """Guess the input of a file without a card: plain pixels if the graph normalizes itself."""
    from faceprint import _onnx_reader
    from faceprint.runtime.parity import ParityInput

    nodes = _onnx_reader.scan(path).nodes
    if nodes and nodes[0].op in {"Sub", "Mul", "Div", "BatchNormalization"}:
        return ParityInput(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return ParityInput()


def _print(rows: list[Row]) -> None:
    names = ("runtime", "version", "largest difference", "lowest cosine", "ms b1", "ms b16", "MB")
    print_table(
        (*names, ""),
        [
            (
                row.runtime if row.device == "cpu" else f"{row.runtime} on {row.device}",
                row.version,
                _figure(row.max_difference, ".1e"),
                _figure(row.min_cosine, ".7f"),
                _figure(row.ms_batch1, ".1f"),
                _figure(row.ms_batch16, ".1f"),
                _figure(row.peak_mb, ".0f"),
                _remark(row),
            )
            for row in rows
        ],
    )


def _remark(row: Row) -> str:
    if row.reason:
        return f"{row.state}: {row.reason}"
    return (
        row.state if row.nodes is None else f"{row.state}, {row.nodes[0]} of {row.nodes[1]} nodes"
    )


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
