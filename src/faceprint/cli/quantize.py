"""`faceprint models quantize`: an int8 model, kept where it is faster and hardly less accurate."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceprint.cli import completion, options
from faceprint.cli.exit_codes import DONE, NO
from faceprint.cli.output import note, print_json, print_table, say
from faceprint.cli.progress import progress
from faceprint.errors import UsageError

if TYPE_CHECKING:
    from faceprint.training.quantization_trial import Trial

__all__ = ["quantize"]


@options.with_model_options("detector", "threads")
def quantize(
    card_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="Card id of an embedder.", autocompletion=completion.embedders
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FILE.onnx", help="Write the new graph here, and its card beside it."
        ),
    ],
    on: Annotated[
        Path,
        typer.Option("--on", metavar="FOLDER", help="Photographs of faces to calibrate on."),
    ],
    pairs: Annotated[
        Path | None,
        typer.Option("--pairs", metavar="F", help="LFW's pairs.txt for FOLDER. [FOLDER/pairs.txt]"),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NEWID", help="Id of the new card. [ID-int8]")
    ] = None,
    limit: Annotated[
        float, typer.Option("--limit", help="Percentage points of accuracy that may be lost.")
    ] = 0.2,
    min_speedup: Annotated[
        float, typer.Option("--min-speedup", help="Least speedup over float32 on this machine.")
    ] = 1.2,
    photographs: Annotated[
        int,
        typer.Option(
            "--photographs", metavar="N", min=1, help="Number of photographs to calibrate on."
        ),
    ] = 128,
    speed_only: Annotated[
        bool, typer.Option("--speed-only", help="Decide without measuring accuracy.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite FILE and the card of the same id.")
    ] = False,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Make an int8 model of an embedder. Exit code 1: not worth it here, nothing is kept.

    The model is kept if it loses at most --limit on the pairs and is at least --min-speedup times
    as fast on this machine. Its embeddings can't be compared with those of ID.
    JSON: id, name, kept, reasons[], cpu, cpu_flags, reduce_range, calibration{photographs, crops},
    speed{float32_ms, int8_ms, rows, rounds, threads, ratio}, agreement{mean, lowest, crops},
    accuracy{pairs, float32, int8, lost_points} (null with --speed-only), out, card (null: refused).
    """
    from faceprint.training.quantization_trial import TrialOptions, quantize_card
    from faceprint.zoo import catalog

    new_id = name or f"{card_id}-int8"
    if out.suffix != ".onnx" or not out.parent.is_dir():
        raise UsageError(f"{out}: expected a file FILE.onnx in an existing folder")
    existing = [str(out)] if out.exists() else []
    existing += [f"the card {new_id}"] if new_id in catalog.card_ids() else []
    if existing and not replace:
        raise UsageError(f"{' and '.join(existing)}: exists already; --replace overwrites")
    pairs_file = None if speed_only else pairs or on / "pairs.txt"
    if pairs_file is not None and not pairs_file.is_file():
        raise UsageError(
            f"{pairs_file}: no such list of pairs, so the loss of accuracy can't be measured; "
            "give --pairs, or --speed-only to decide without it"
        )
    trial, decision, card_path = quantize_card(
        card_id,
        new_id,
        out,
        on,
        pairs_file,
        options=TrialOptions(photographs, models.detector, models.threads, limit, min_speedup),
        progress=progress,
    )
    document = _document(trial, card_id) | asdict(decision)
    document |= {
        "out": str(out) if decision.kept else None,
        "card": None if card_path is None else str(card_path),
    }
    if as_json:
        print_json(document)
    else:
        _print(document)
    return DONE if decision.kept else NO


def _document(trial: Trial, card_id: str) -> dict[str, Any]:
    from faceprint import _cpu

    accuracy: dict[str, Any] | None = None
    if trial.accuracy is not None:
        before, after = trial.accuracy
        accuracy = {
            "pairs": trial.pairs,
            "float32": before,
            "int8": after,
            "lost_points": round(100 * (before - after), 6),
        }
    return {
        "id": card_id,
        "name": trial.card.id,
        "cpu": _cpu.cpu_name(),
        "cpu_flags": _cpu.cpu_flags(),
        "reduce_range": trial.reduce_range,
        "calibration": {"photographs": trial.photographs, "crops": trial.agreement.crops},
        "speed": {**trial.speed, "ratio": trial.ratio},
        "agreement": asdict(trial.agreement),
        "accuracy": accuracy,
    }


def _print(document: dict[str, Any]) -> None:
    speed, accuracy, agrees = document["speed"], document["accuracy"], document["agreement"]
    flags = ", ".join(document["cpu_flags"]) or "unknown"
    bits = "7 bits, as this processor needs" if document["reduce_range"] else "8 bits"
    rows = [
        ("processor", f"{document['cpu']}; instruction sets: {flags}"),
        ("weights", bits),
        ("calibrated on", f"{agrees['crops']} crops"),
        (
            "speed",
            f"{speed['ratio']:.2f} x ({speed['float32_ms']:.1f} ms to {speed['int8_ms']:.1f} ms "
            f"for {speed['rows']} crops, {speed['threads']} threads)",
        ),
        ("cosine to float32", f"{agrees['mean']:.4f}, lowest {agrees['lowest']:.4f}"),
    ]
    if accuracy is None:
        rows.append(("accuracy", "not measured"))
    else:
        rows.append(
            (
                "accuracy",
                f"{accuracy['float32']:.4f} to {accuracy['int8']:.4f}, "
                f"{accuracy['lost_points']:+.2f} points lost on {accuracy['pairs']:,} pairs",
            )
        )
    print_table((document["id"], f"as {document['name']}"), rows)
    if document["kept"]:
        say(f"kept: {document['out']}, card {document['card']}")
        note("its embeddings can't be compared with the old ones; it has no operating points yet")
    else:
        say(f"not kept: {'; '.join(document['reasons'])}")
