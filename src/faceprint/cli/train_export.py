"""`faceprint train export`: a graph and a card from a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from faceprint.cli import options
from faceprint.cli.exit_codes import DONE
from faceprint.cli.labeled_data import open_labeled
from faceprint.cli.output import note, print_json, say
from faceprint.errors import UsageError

__all__ = ["export"]


def export(
    run_file: Annotated[Path, typer.Argument(metavar="RUN.toml", help="The run file.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FILE.onnx", help="Write the graph here, and its card beside it."
        ),
    ],
    name: Annotated[str, typer.Option("--name", metavar="ID", help="Id of the new card.")],
    license_text: Annotated[
        str,
        typer.Option("--license", metavar="TEXT", help="License of the weights, for the card."),
    ],
    commercial_use: Annotated[
        Literal["yes", "no", "unclear"],
        typer.Option("--commercial-use", help="Whether that license, and the data's, allow it."),
    ] = "unclear",
    measure_on: Annotated[
        Path | None,
        typer.Option(
            "--measure-on",
            metavar="FOLDER",
            help="Measure operating points on these photographs: one folder per person, none of "
            "whom was trained on.",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite FILE and the card of the same id.")
    ] = False,
    as_json: options.Json = False,
) -> int:
    """Export the network of a checkpoint to ONNX, and add it to the zoo of this machine.

    The graph must agree with PyTorch to 1e-4 on crops of the training data, and `models lint` must
    find no error.
    JSON: id, out, card, difference, crops, operating_points[]{name, threshold, fmr, fnmr},
    lacking[] (what a contribution to the catalog still needs).
    """
    from faceprint._optional import require
    from faceprint.training.run_file import read_run_file

    if out.suffix != ".onnx" or not out.parent.is_dir():
        raise UsageError(f"{out}: expected a file FILE.onnx in an existing folder")
    if out.exists() and not replace:
        raise UsageError(f"{out}: exists already; --replace overwrites")
    run = read_run_file(run_file)
    people = None if measure_on is None else open_labeled(measure_on, aligned=False)
    require("torch", extra="train")
    from faceprint.training.export import Wanted
    from faceprint.training.export import export as write
    from faceprint.zoo.card import License

    done = write(run, out, Wanted(name, License(license_text, commercial_use), people, replace))
    document: dict[str, Any] = {
        "id": done.card.id,
        "out": str(done.file),
        "card": str(done.card_file),
        "difference": done.difference,
        "crops": done.crops,
        "operating_points": [
            {key: getattr(item.point, key) for key in ("name", "threshold", "fmr", "fnmr")}
            for item in done.card.operating_points
        ],
        "lacking": list(done.lacking),
    }
    if as_json:
        print_json(document)
        return DONE
    say(f"{done.card.id}: {done.file}, card {done.card_file}")
    say(f"agrees with PyTorch to {done.difference:.1e} on {done.crops} crops")
    for item in document["operating_points"]:
        say(f"{item['name']}: threshold {item['threshold']:.4f}, FNMR {item['fnmr']:.4f}")
    note("A contribution still lacks:")
    for text in done.lacking:
        note(f"  - {text}")
    return DONE
