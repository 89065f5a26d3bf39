"""`faceprint train distill`: a small network learns a large one's embeddings, without names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from faceprint.cli import options
from faceprint.cli.train_output import run_and_report
from faceprint.errors import UsageError

__all__ = ["distill"]

_GENTLE = """optimizer = "adamw"
rate = 5e-3
warmup_epochs = 0.5
weight_decay = 0.0
"""
"""How weights that have learned already are trained on."""


def distill(
    teacher: Annotated[
        str, typer.Option("--teacher", metavar="ID", help="Card id of the embedder to learn from.")
    ],
    photos: Annotated[
        Path,
        typer.Option(
            "--photos",
            metavar="DIR",
            help="Photographs of faces at any depth, without names; or a RecordIO pack.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", help="Folder of the run, with its run file run.toml."),
    ],
    student: Annotated[
        str,
        typer.Option(
            "--student",
            metavar="NAME",
            help="Network, as network.name in a run file; or 'pruned': the teacher with fewer "
            "channels, which begins with its weights.",
        ),
    ] = "mobilefacenet",
    width: Annotated[
        float | None,
        typer.Option("--width", help="Factor on the student's channels. [1; 0.5 for 'pruned']"),
    ] = None,
    faces: Annotated[
        Literal["largest", "all"], typer.Option("--faces", help="Faces of each photograph.")
    ] = "largest",
    aligned: Annotated[
        bool, typer.Option("--aligned", help="The pictures are aligned crops of 112x112.")
    ] = False,
    epochs: Annotated[
        int, typer.Option("--epochs", metavar="N", min=1, help="Times through all faces.")
    ] = 20,
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch", metavar="N", min=2, help="Faces per update. [128; 32 for 'pruned']"
        ),
    ] = None,
    until: Annotated[
        int | None,
        typer.Option(
            "--until", metavar="N", min=1, help="Stop with a checkpoint after update N of the run."
        ),
    ] = None,
    as_json: options.Json = False,
) -> int:
    """Train a small network to give the embeddings of a model, on photographs without names.

    Writes a run file, DIR/run.toml, and runs it; `train DIR/run.toml` goes on, after you changed
    it if you like, and `train export DIR/run.toml` makes a card. Faces are found, aligned and
    embedded by the teacher once, and kept in DIR/crops.
    JSON: as `train run`; people is 0.
    """
    from faceprint._files import atomic_write
    from faceprint.training.network_names import PRUNED
    from faceprint.training.run_file import read_run_file
    from faceprint.zoo.catalog import get_card

    dim = get_card(teacher).dim or 0
    pruned = student == PRUNED
    if width is None:
        width = 0.5 if pruned else 1.0
    if batch is None:
        batch = 32 if pruned else 128
    path = out / "run.toml"
    text = f'''out = "."

[data]
folder = {_quoted(str(photos.absolute()))}
store = "crops"
aligned = {str(aligned).lower()}

[network]
name = {_quoted(student)}
width = {width}
dim = {dim}

[distill]
teacher = {_quoted(teacher)}
faces = "{faces}"

[augmentation]
flip = 0.5
color = 0.2
blur = 0.05
low_resolution = 0.1

[schedule]
epochs = {epochs}
batch = {batch}
decay = "cosine"
{_GENTLE if pruned else ""}'''
    try:
        if path.exists():
            if path.read_text("utf-8") != text:
                raise UsageError(
                    f"{path} is there with other settings: `faceprint train {path}` goes on with "
                    "them; give another --out for these"
                )
        else:
            out.mkdir(parents=True, exist_ok=True)
            atomic_write(path, text)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    return run_and_report(read_run_file(path), until=until, as_json=as_json)


def _quoted(text: str) -> str:
    """A TOML string."""
    import json

    return json.dumps(text, ensure_ascii=False)
