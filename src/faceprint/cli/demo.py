"""`faceprint demo`: the three image sets of the 2018 article, end to end."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceprint.cli import options
from faceprint.cli.exit_codes import DONE, NO
from faceprint.cli.output import print_json, say
from faceprint.errors import NoFaceError

if TYPE_CHECKING:
    from faceprint.types import Image
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["demo"]


@options.with_model_options(*options.MODELS)
def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for the three figures.")
    ] = Path("demo"),
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold", help="Use this cosine similarity as the threshold. [the pack's]"
        ),
    ] = None,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Compare one person twice, two people, and a face with and without a mask.

    JSON: sets[]: name, title, similarity, threshold, fmr, match, expected, figure.
    """
    from faceprint.recognition.verify import verify
    from faceprint.vision import images
    from faceprint.vision.draw import save_png
    from faceprint.vision.figure import comparison_figure

    fp = models.load()
    folder = resources.files("faceprint") / "samples"
    photo = {
        name: images.decode((folder / f"{name}.jpg").read_bytes())
        for name in ("obama", "obama2", "collins")
    }
    covered = _covered(fp, photo["collins"])
    sets = (
        ("same-person", "The same person twice", True, "obama", photo["obama2"], "obama2.jpg"),
        ("two-people", "Two people", False, "obama", photo["collins"], "collins.jpg"),
        ("occluded", "With and without a mask", True, "collins", covered, "collins.jpg, covered"),
    )
    out.mkdir(parents=True, exist_ok=True)
    lines: list[dict[str, Any]] = []
    for name, title, expected, first, second, caption in sets:
        result = verify(photo[first], second, analyzer=fp, threshold=threshold, keep_crops=True)
        path = out / f"{len(lines) + 1}-{name}.png"
        crops = [face.crop for face in result.faces if face.crop is not None]
        figure = comparison_figure(
            title=title,
            images=(photo[first], second),
            verification=result,
            crops=(crops[0], crops[1]),
            captions=(f"{first}.jpg", caption),
        )
        save_png(figure, path)
        lines.append(
            {
                "name": name,
                "title": title,
                "similarity": round(result.similarity, 6),
                "threshold": round(result.threshold, 6),
                "fmr": result.operating_point.fmr,
                "match": result.is_match,
                "decidable": result.decidable,
                "expected": expected,
                "figure": str(path),
            }
        )
        if not as_json:
            _print(lines[-1], len(lines))
    if as_json:
        print_json({"pack": fp.name, "sets": lines})
    else:
        say("")
        say(f"Three figures are in {out}{'/' if str(out) != '/' else ''}")
    return DONE if all(line["match"] == line["expected"] for line in lines) else NO


def _covered(fp: FaceAnalyzer, photo: Image) -> Image:
    from faceprint.vision.occlude import occlude

    faces = fp.analyze(photo, embed=False)
    if not faces:
        raise NoFaceError("the sample photograph shows no face to this detector")
    return occlude(photo, faces[0])


def _print(line: dict[str, Any], number: int) -> None:
    verdict = "match" if line["match"] else "no match" if line["decidable"] else "cannot decide"
    say(
        f"set {number}  {line['title']:<26} similarity {line['similarity']:6.3f}   "
        f"threshold {line['threshold']:.3f}   {verdict}"
    )
