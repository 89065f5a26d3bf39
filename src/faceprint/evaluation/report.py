"""Writes an evaluation as one HTML file: figures, the worst pairs as pictures, groups, provenance.

Needs the extra `report` (matplotlib, jinja2). The page runs no script and fetches nothing, which
its content security policy enforces. Every name is escaped.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from faceprint._files import atomic_write
from faceprint._optional import require
from faceprint._text import json_text
from faceprint.errors import DatasetError, DecodeError
from faceprint.evaluation import plots
from faceprint.evaluation.datasets import PairSet, Picture
from faceprint.evaluation.intervals import share
from faceprint.evaluation.metrics import Roc, roc
from faceprint.evaluation.result import EvaluationResult
from faceprint.vision import images

__all__ = [
    "PairPicture",
    "WorstPairs",
    "pictured",
    "render_report",
    "thumbnail",
    "worst_pairs",
    "write_report",
]

_EMPTY = (
    "data:image/svg+xml;base64,"
    + base64.b64encode(b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>').decode()
)


@dataclass(frozen=True, slots=True)
class WorstPairs:
    """Indices of the worst errors, worst first."""

    false_matches: tuple[int, ...]
    false_non_matches: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PairPicture:
    """A pair as the report shows it.

    Attributes:
        left, right: JPEG bytes of thumbnails; None where there is no picture to show.
    """

    left_name: str
    right_name: str
    similarity: float
    left: bytes | None = None
    right: bytes | None = None


def worst_pairs(
    similarities: ArrayLike, mated: ArrayLike, threshold: float, count: int = 12
) -> WorstPairs:
    """The non-mated pairs furthest above the threshold and the mated ones furthest below."""
    scores, labels = np.asarray(similarities, np.float64), np.asarray(mated, np.bool_)
    order = np.argsort(scores, kind="stable")
    missed = order[(labels & (scores < threshold))[order]][:count]
    false = order[(~labels & (scores >= threshold))[order]][::-1][:count]
    return WorstPairs(tuple(false.tolist()), tuple(missed.tolist()))


def pictured(
    data: PairSet, similarities: ArrayLike, chosen: Sequence[int]
) -> tuple[PairPicture, ...]:
    """The chosen pairs of a data set with thumbnails; None for an unreadable picture."""
    scores = np.asarray(similarities, np.float64)
    found = []
    for i in chosen:
        pair = data[i]
        left, right = (_thumbnail_or_none(picture) for picture in (pair.a, pair.b))
        found.append(PairPicture(pair.a.name, pair.b.name, float(scores[i]), left, right))
    return tuple(found)


def _thumbnail_or_none(picture: Picture) -> bytes | None:
    try:
        return thumbnail(picture.read())
    except DatasetError:
        return None


def thumbnail(encoded: bytes, side: int = 128) -> bytes:
    """A picture's middle square as a small JPEG, upright.

    Raises:
        DatasetError: not a picture.
    """
    from PIL import Image, ImageOps

    def enough(width: int, height: int) -> float:
        return min(1.0, 2 * side / max(1, min(width, height)))

    try:
        mips = images.decode_scaled(encoded, enough)
        picture = Image.fromarray(mips.level(mips.halvings))
    except DecodeError as error:
        raise DatasetError(f"a picture of the report cannot be read ({error})") from error
    out = io.BytesIO()
    ImageOps.fit(picture, (side, side)).save(out, "JPEG", quality=80)
    return out.getvalue()


def render_report(
    result: EvaluationResult,
    similarities: ArrayLike,
    mated: ArrayLike,
    *,
    false_matches: Sequence[PairPicture] = (),
    false_non_matches: Sequence[PairPicture] = (),
) -> str:
    """The report as HTML.

    Args:
        similarities, mated: (n,) the pairs behind `result`.
        false_matches, false_non_matches: pictures of `worst_pairs`, in its order.

    Raises:
        MissingExtraError: the extra `report` is not installed.
        UsageError: scores that cannot be judged.
    """
    jinja2 = require("jinja2", extra="report")
    curve = roc(similarities, mated)
    text = (files("faceprint.evaluation") / "templates" / "report.html").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    rendered = environment.from_string(text).render(
        result=result,
        tiles=list(_tiles(result)),
        figures=list(_figures(result, curve, similarities, mated)),
        groups_figure=_figure(
            plots.groups_figure(result.groups), "FMR and FNMR of each group, with intervals", ""
        )
        if result.groups
        else None,
        sections=[
            _section("Worst false matches", "wrong", _WRONG, false_matches),
            _section("Worst false non-matches", "missed", _MISSED, false_non_matches),
        ],
        folds=[f"{accuracy:.4f}" for accuracy in result.fold_accuracies],
        reproduce=list(_flat(result.reproduce)),
    )
    return str(rendered)


def write_report(folder: Path, html: str, result: EvaluationResult) -> tuple[Path, Path]:
    """Write `report.html` and `report.json` into a folder, and return both paths.

    Only their owner may read them: the page shows faces.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page, data = folder / "report.html", folder / "report.json"
    atomic_write(page, html, private=True)
    atomic_write(data, json_text(result.to_json(), indent=1) + "\n", private=True)
    return page, data


_WRONG = (
    "Two people whom the model takes for one, the most similar first. Look for wrong labels too."
)
_MISSED = "One person whom the model takes for two, the least similar first."


def _tiles(result: EvaluationResult) -> Iterator[Mapping[str, str]]:
    if result.accuracy is not None:
        note = f"± {result.accuracy_std:.4f} over {result.folds} folds"
        yield {"name": "Accuracy", "value": f"{result.accuracy:.4f}", "note": note}
    yield {"name": "Equal error rate", "value": share(result.eer), "note": ""}
    yield {"name": "Area under the ROC", "value": f"{result.auc:.5f}", "note": ""}
    for far, tar in result.tar_at_far.items():
        if tar is not None:
            yield {"name": f"TAR at FAR {far}", "value": share(tar), "note": ""}
    yield {"name": "Threshold", "value": f"{result.threshold:.4f}", "note": "cosine similarity"}


def _figures(
    result: EvaluationResult, curve: Roc, similarities: ArrayLike, mated: ArrayLike
) -> Iterator[Mapping[str, str]]:
    fmr, fnmr = result.rates.fmr.observed, result.rates.fnmr.observed
    told = f"at the threshold: FMR {share(fmr)}, FNMR {share(fnmr)}"
    yield _figure(
        plots.roc_figure(curve, fmr, fnmr),
        f"ROC curve; {told}",
        "ROC. Dashed where fewer than 30 false matches stand behind the line; the dot is the "
        "threshold.",
    )
    yield _figure(
        plots.det_figure(curve, fmr, fnmr),
        f"DET curve; {told}",
        "DET, on normal-deviate axes. Dashed where fewer than 30 errors of either kind stand "
        "behind the line; it crosses the diagonal at the equal error rate.",
    )
    yield _figure(
        plots.histogram_figure(similarities, mated, result.threshold),
        f"Histogram of the similarities; {told}",
        "How similarities are spread, each kind of pair to the same area; the line is the "
        "threshold.",
    )


def _figure(figure: Any, alt: str, caption: str) -> Mapping[str, str]:
    encoded = base64.b64encode(plots.svg(figure)).decode("ascii")
    return {"data": f"data:image/svg+xml;base64,{encoded}", "alt": alt, "caption": caption}


def _section(title: str, kind: str, text: str, pairs: Sequence[PairPicture]) -> Mapping[str, Any]:
    shown = [
        {
            "left": _jpeg(pair.left),
            "right": _jpeg(pair.right),
            "left_name": pair.left_name,
            "right_name": pair.right_name,
            "similarity": pair.similarity,
        }
        for pair in pairs
    ]
    return {"title": title, "kind": kind, "text": text, "pairs": shown}


def _jpeg(data: bytes | None) -> str:
    if data is None:
        return _EMPTY
    return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")


def _flat(value: Mapping[str, object], above: str = "") -> Iterator[tuple[str, str]]:
    for name, item in value.items():
        where = f"{above} · {name}" if above else str(name)
        if isinstance(item, Mapping):
            yield from _flat(item, where)
        elif isinstance(item, (list, tuple)):
            yield where, ", ".join(str(part) for part in item)
        else:
            yield where, str(item)
