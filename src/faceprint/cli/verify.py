"""`faceprint verify`: are these two faces one person's?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from faceprint.cli import options
from faceprint.cli.exit_codes import DONE, NO
from faceprint.cli.output import note, print_json, say
from faceprint.errors import UsageError
from faceprint.evidence import evidence_json, evidence_words
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

    JSON: similarity, threshold, match, decidable, reason, fmr (null where nobody measured it for
    these models), fmr_low, fmr_high, operating_point, evidence (measured, copy, calibrated,
    published, borrowed or given), provisional (true: published or borrowed), measured_on[]:
    data_set, fmr, fmr_low, fmr_high, fnmr, fnmr_low, fnmr_high, fnmr_by_person, group, group_fmr;
    source, rarity, probability, prior, pack, embedder, faces[2]: box, score, landmarks, quality,
    face_count.
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
        _print(result, (a, b), figure, largest=faces == "largest")
        compared = result.face_counts[0] * result.face_counts[1]
        if faces == "all" and compared > 1 and result.operating_point.fmr is not None:
            note(f"that is the rate of one pair; this is the best of {compared}")
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
        **evidence_json(point),
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


def _print(
    result: Verification, sources: tuple[Path, Path], figure: Path | None, *, largest: bool
) -> None:
    for source, count in zip(sources, result.face_counts, strict=True):
        if count > 1:
            hint = ", the largest was compared; see --faces" if largest else ""
            note(f"{source}: {count} faces{hint}")
    verdict = "match" if result.is_match else "no match" if result.decidable else "cannot decide"
    say(f"{verdict}: similarity {result.similarity:.3f}, threshold {result.threshold:.3f}")
    if not result.decidable:
        note(f"{result.reason}; --min-quality 0 decides anyway")
    note(evidence_words(result.operating_point))
    if result.rarity is not None:
        note(result.rarity)
    if figure is not None:
        note(f"figure: {figure}")


def _draw(path: Path, sources: tuple[Path, Path], result: Verification) -> None:
    from faceprint.vision import images
    from faceprint.vision.draw import save_png
    from faceprint.vision.figure import comparison_figure

    first, second = (images.decode(source) for source in sources)
    crops = [face.crop for face in result.faces if face.crop is not None]
    figure = comparison_figure(
        title="Are these the same person?",
        images=(first, second),
        verification=result,
        crops=(crops[0], crops[1]),
        captions=(sources[0].name, sources[1].name),
    )
    save_png(figure, path)
