"""The `[quality]` table of an embedder's card: read, checked, written, unpacked."""

from __future__ import annotations

import base64
import binascii
from itertools import pairwise

import numpy as np

from faceprint.types import Array
from faceprint.zoo.card import ModelCard, QualityMeasure
from faceprint.zoo.card_fields import Fields

__all__ = ["check_quality", "pack_centers", "quality_document", "read_quality", "unpack_centers"]


def read_quality(fields: Fields) -> QualityMeasure | None:
    """The table, or None where the card has none.

    Raises:
        CardError: a key of another type, unknown, or knots that do not rise.
    """
    table = fields.table("quality")
    if table is None:
        return None
    found = QualityMeasure(
        knots=table.pairs("knots"),
        norm=table.optional_number("norm") or 0.0,
        centers=table.texts("centers"),
        source=table.text("source"),
    )
    table.done()
    scores, values = [knot[0] for knot in found.knots], [knot[1] for knot in found.knots]
    if len(found.knots) < 2 or _falls(scores) or _falls(values):
        raise table.fail("knots", "must be two or more [score, value], both rising")
    if min(values) < 0 or max(values) > 1:
        raise table.fail("knots", "must have values from 0 to 1")
    if found.norm < 0:
        raise table.fail("norm", "must not be negative: a longer vector is a better picture")
    if not found.norm and not found.centers:
        raise table.fail("norm", "or centers must be given: something has to tell the quality")
    return found


def check_quality(card: ModelCard, fields: Fields) -> None:
    """Refuse a measure that does not fit the rest of the card.

    Raises:
        CardError: the card is a detector's, or a center has another length than the embedding.
    """
    if card.quality is None:
        return
    if card.dim is None:
        raise fields.fail("quality", "belongs to embedders, and this is a detector")
    for center in card.quality.centers:
        try:
            length = len(base64.b64decode(center, validate=True))
        except (binascii.Error, ValueError) as error:
            raise fields.fail("quality.centers", f"must be base64 ({error})") from error
        if length != card.dim:
            raise fields.fail("quality.centers", f"has {length} bytes, and dim is {card.dim}")


def quality_document(measure: QualityMeasure) -> dict[str, object]:
    """The table as plain data; what has its default value is left out."""
    document: dict[str, object] = {"source": measure.source}
    if measure.norm:
        document["norm"] = measure.norm
    document["knots"] = [list(knot) for knot in measure.knots]
    if measure.centers:
        document["centers"] = list(measure.centers)
    return document


def pack_centers(centers: Array) -> tuple[str, ...]:
    """(k, d) vectors as k texts; a part in 127 of the largest component is lost."""
    scale = 127.0 / np.maximum(np.abs(centers).max(axis=1, keepdims=True), 1e-9)
    rows = np.rint(centers * scale).astype(np.int8)
    return tuple(base64.b64encode(row.tobytes()).decode("ascii") for row in rows)


def unpack_centers(measure: QualityMeasure) -> Array:
    """(k, d) float32 unit rows; (0, 0) where there are none."""
    if not measure.centers:
        return np.empty((0, 0), np.float32)
    rows = [np.frombuffer(base64.b64decode(text), np.int8) for text in measure.centers]
    vectors = np.stack(rows).astype(np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-9), np.float32)


def _falls(numbers: list[float]) -> bool:
    return any(b <= a for a, b in pairwise(numbers))
