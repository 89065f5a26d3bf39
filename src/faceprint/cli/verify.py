"""`faceprint verify`: are these two faces one person's?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from faceprint.cli import options
from faceprint.cli.exit_codes import DONE, NO
from faceprint.cli.output import print_json
from faceprint.errors import UsageError
from faceprint.types import Face, Verification

__all__ = ["face_json", "verify"]


def verify(
    a: Annotated[Path, typer.Argument(metavar="A", help="A photograph.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    fmr: Annotated[
        float | None,
        typer.Option("--fmr", help="Decide at this measured false match rate. [1e-3]"),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Decide at this cosine similarity instead.")
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option("--calibration", metavar="NAME", help="Decide by `calibrate --name NAME`."),
    ] = None,
    faces: Annotated[
        str,
        typer.Option("--faces", help="Of several faces: largest, all (best pair), one (or fail)."),
    ] = "largest",
    min_quality: options.MinQuality = None,
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="OUT.png", help="Draw the comparison.")
    ] = None,
    as_json: options.Json = False,
    pack: options.Pack = None,
    detector: options.Detector = None,
    embedder: options.Embedder = None,
    runtime: options.Runtime = None,
    threads: options.Threads = None,
) -> int:
    """Compare the faces of two photographs. Exit code 0: match, 1: no match, or undecided.

    A face that is too poor for the model's error rates to hold decides nothing.
    """
    from faceprint.recognition.verify import verify as compare

    if figure is not None and figure.suffix.lower() != ".png":
        raise UsageError(f"--figure writes PNG; {figure} ends otherwise")
    fp = options.analyzer(pack, detector, embedder, runtime, threads)
    result = compare(
        a,
        b,
        analyzer=fp,
        fmr=fmr,
        threshold=threshold,
        faces=faces,  # type: ignore[arg-type]
        keep_crops=figure is not None,
        calibration=calibration,
        min_quality=min_quality,
    )
    if figure is not None:
        _draw(figure, (a, b), result)
    if as_json:
        print_json(result_json(result))
    else:
        _print(result, (a, b), figure)
    return DONE if result.is_match else NO


def result_json(result: Verification) -> dict[str, Any]:
    """The document of `verify --json`."""
    point = result.operating_point
    return {
        "similarity": round(result.similarity, 6),
        "threshold": round(result.threshold, 6),
        "match": result.is_match,
        "decidable": result.decidable,
        "reason": result.reason or None,
        "fmr": point.fmr,
        "fmr_low": point.fmr_low,
        "fmr_high": point.fmr_high,
        "operating_point": point.name,
        "measured_on": point.source,
        "rarity": result.rarity,
        "probability": None if result.probability is None else round(result.probability, 6),
        "prior": result.prior,
        "pack": result.pack,
        "embedder": result.embedder,
        "faces": [
            face_json(face) | {"face_count": count}
            for face, count in zip(result.faces, result.face_counts, strict=True)
        ],
    }


def face_json(face: Face) -> dict[str, Any]:
    """A face's `box`, `score`, `landmarks` and `quality` as JSON values, pixels to 0.01."""
    landmarks = None
    if face.landmarks is not None:
        landmarks = [[round(float(v), 2) for v in point] for point in face.landmarks]
    quality = None
    if face.quality is not None:
        quality = {
            "value": round(face.quality.value, 3),
            "size": round(face.quality.size, 1),
            "sharpness": round(face.quality.sharpness, 1),
            "yaw": None if face.quality.yaw is None else round(face.quality.yaw, 3),
            "measure": face.quality.measure,
            "landmarks_plausible": face.quality.landmarks_plausible,
        }
    return {
        "box": [round(float(v), 2) for v in face.box],
        "score": round(face.score, 4),
        "landmarks": landmarks,
        "quality": quality,
    }


def _print(result: Verification, sources: tuple[Path, Path], figure: Path | None) -> None:
    for source, count in zip(sources, result.face_counts, strict=True):
        if count > 1:
            typer.echo(f"{source}: {count} faces; see --faces", err=True)
    verdict = "match" if result.is_match else "no match" if result.decidable else "cannot decide"
    typer.echo(f"{verdict}: similarity {result.similarity:.3f}, threshold {result.threshold:.3f}")
    if not result.decidable:
        typer.echo(f"{result.reason}; --min-quality 0 decides anyway", err=True)
    point = result.operating_point
    if point.fmr is not None:
        typer.echo(f"decided at FMR {point.fmr:g} ({point.source})", err=True)
    elif point.source:
        typer.echo(f"threshold: {point.source}", err=True)
    if result.rarity is not None:
        typer.echo(result.rarity, err=True)
    if figure is not None:
        typer.echo(f"figure: {figure}", err=True)


def _draw(path: Path, sources: tuple[Path, Path], result: Verification) -> None:
    from faceprint.vision import draw, images

    first, second = (images.decode(source) for source in sources)
    crops = [face.crop for face in result.faces if face.crop is not None]
    figure = draw.comparison_figure(
        title="Are these the same person?",
        images=(first, second),
        verification=result,
        crops=(crops[0], crops[1]),
        captions=(sources[0].name, sources[1].name),
    )
    draw.save_png(figure, path)
