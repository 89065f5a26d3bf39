"""Write model cards as TOML, and hash what determines their embeddings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from faceprint.zoo.card import ModelCard, ModelFile
from faceprint.zoo.card_fields import without_empty
from faceprint.zoo.card_points import point_document
from faceprint.zoo.card_quality import quality_document

__all__ = ["card_document", "card_hash", "card_toml"]

_HASH_FORMAT = 1


def card_hash(card: ModelCard) -> str:
    """Return the hex sha256 of what determines the embeddings.

    That is: file hashes by role, input contract, alignment, decoder, options and dim. Galleries
    stay valid when anything else in the card is corrected. An unpinned file counts by its name.
    """
    alignment = card.alignment
    canonical = {
        "format": _HASH_FORMAT,
        "task": card.task,
        "decoder": card.decoder,
        "dim": card.dim,
        "files": sorted((file.role, file.sha256 or f"unpinned:{file.name}") for file in card.files),
        "input": [
            card.input.width,
            card.input.height,
            card.input.color,
            [float(value) for value in card.input.mean],
            [float(value) for value in card.input.std],
            card.input.layout,
            card.input.normalized_inside,
            # Only where they are set, so that hashes from before these fields are unchanged.
            *([True] if card.input.mirror else []),
            *([card.input.crops] if card.input.crops > 1 else []),
        ],
        "alignment": None
        if alignment is None
        else [
            alignment.size,
            [[float(x), float(y)] for x, y in alignment.points],
            [float(weight) for weight in alignment.weights],
        ],
        "options": sorted((key, float(value)) for key, value in card.options.items()),
    }
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def card_document(card: ModelCard) -> dict[str, object]:
    """Return the card as the tables of its TOML, without default values."""
    document: dict[str, object] = {
        "id": card.id,
        "task": card.task,
        "decoder": card.decoder,
        "title": card.title,
    }
    for key in ("description", "dim", "training_data", "paper", "homepage"):
        if getattr(card, key):
            document[key] = getattr(card, key)
    if not card.landmarks:
        document["landmarks"] = False
    if card.golden:
        document["golden"] = list(card.golden)
    license_keys = ("weights", "commercial_use", "code", "note", "url")
    document["license"] = without_empty(card.license, license_keys)
    document["input"] = _input_document(card)
    if card.alignment is not None:
        alignment: dict[str, object] = {
            "template": card.alignment.template,
            "size": card.alignment.size,
            "points": [list(point) for point in card.alignment.points],
        }
        if card.alignment.weights:
            alignment["weights"] = list(card.alignment.weights)
        document["alignment"] = alignment
    if card.quality is not None:
        document["quality"] = quality_document(card.quality)
    if card.options:
        document["options"] = dict(card.options)
    document["files"] = [_file_document(file) for file in card.files]
    if card.published:
        document["published"] = [
            without_empty(item, ("protocol", "metric", "value", "source"))
            for item in card.published
        ]
    if card.operating_points:
        document["operating_points"] = [point_document(item) for item in card.operating_points]
    return document


def card_toml(card: ModelCard, *, comments: Sequence[str] = ()) -> str:
    """Return the card as TOML that `parse_card` reads back to the same values.

    Args:
        card: the card.
        comments: lines at the top.
    """
    lines = [f"# {comment}".rstrip() for comment in comments]
    _write(card_document(card), "", lines)
    return "\n".join(lines) + "\n"


def _input_document(card: ModelCard) -> dict[str, object]:
    document = without_empty(card.input, ("width", "height", "color"))
    if card.input.normalized_inside:
        document["normalized_inside"] = True
    else:
        document["mean"], document["std"] = list(card.input.mean), list(card.input.std)
    if card.input.layout != "NCHW":
        document["layout"] = card.input.layout
    if card.input.mirror:
        document["mirror"] = True
    if card.input.crops > 1:
        document["crops"] = card.input.crops
    return document


def _file_document(file: ModelFile) -> dict[str, object]:
    document = without_empty(file, ("name", "sha256", "size"))
    if file.role != "model":
        document["role"] = file.role
    if file.bundled:
        document["bundled"] = True
    if file.urls:
        document["urls"] = list(file.urls)
    if file.archive is not None:
        document["archive"] = without_empty(file.archive, ("name", "member", "sha256", "size"))
    return document


def _write(table: Mapping[str, object], prefix: str, lines: list[str]) -> None:
    """Write a table as TOML: plain keys first, then inner tables."""
    inner: list[tuple[str, object]] = []
    for key, value in table.items():
        if isinstance(value, Mapping) or _is_tables(value):
            inner.append((key, value))
        else:
            lines.append(f"{_key(key)} = {_value(value)}")
    for key, value in inner:
        path = f"{prefix}{_key(key)}"
        if isinstance(value, Mapping):
            lines.extend(["", f"[{path}]"])
            _write(value, f"{path}.", lines)
        elif isinstance(value, list):
            for item in value:
                lines.extend(["", f"[[{path}]]"])
                _write(item, f"{path}.", lines)


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _key(key: str) -> str:
    bare = key.replace("-", "").replace("_", "")
    return key if bare.isascii() and bare.isalnum() else _value(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        # JSON's escapes are a subset of TOML's, except for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    raise TypeError(f"no TOML for {type(value).__name__}")
