"""The `[quality]` table of an embedder's card: read, write, and decode its centers."""

from __future__ import annotations

import base64
import binascii
from itertools import pairwise

import numpy as np

from faceprint.types import Array
from faceprint.zoo.card import QualityMeasure
from faceprint.zoo.card_fields import Fields

__all__ = ["pack_centers", "quality_document", "read_quality", "unpack_centers"]


def read_quality(fields: Fields, dim: int | None) -> QualityMeasure | None:
    """Read the table of a card; None where it has none.

    Args:
        dim: length of the embedding; None for a detector.

    Raises:
        CardError: an unknown key or a wrong type; knots that don't rise; the card is a detector's;
            a center has another length than the embedding.
    """
    table = fields.table("quality")
    if table is None:
        return None
    if dim is None:
        raise fields.fail("quality", "belongs to embedders, and this is a detector")
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
        raise table.fail("norm", "or centers must be given, or nothing measures the quality")
    for center in found.centers:
        try:
            length = len(base64.b64decode(center, validate=True))
        except (binascii.Error, ValueError) as error:
            raise table.fail("centers", f"must be base64 ({error})") from error
        if length != dim:
            raise table.fail("centers", f"has {length} bytes, and dim is {dim}")
    return found


def quality_document(measure: QualityMeasure) -> dict[str, object]:
    """Return the table as plain data, without default values."""
    document: dict[str, object] = {"source": measure.source}
    if measure.norm:
        document["norm"] = measure.norm
    document["knots"] = [list(knot) for knot in measure.knots]
    if measure.centers:
        document["centers"] = list(measure.centers)
    return document


def pack_centers(centers: Array) -> tuple[str, ...]:
    """Encode (k, d) vectors as k texts, rounded to 1/127 of their largest component."""
    scale = 127.0 / np.maximum(np.abs(centers).max(axis=1, keepdims=True), 1e-9)
    rows = np.rint(centers * scale).astype(np.int8)
    return tuple(base64.b64encode(row.tobytes()).decode("ascii") for row in rows)


def unpack_centers(measure: QualityMeasure) -> Array:
    """Decode the centers to (k, d) float32 unit rows; (0, 0) where there are none."""
    if not measure.centers:
        return np.empty((0, 0), np.float32)
    rows = [np.frombuffer(base64.b64decode(text), np.int8) for text in measure.centers]
    vectors = np.stack(rows).astype(np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-9), np.float32)


def _falls(numbers: list[float]) -> bool:
    return any(b <= a for a, b in pairwise(numbers))
