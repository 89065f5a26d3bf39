"""Read model cards from TOML; every key and type is checked."""

from __future__ import annotations

import errno
import tomllib
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

from faceprint._files import read_bounded
from faceprint.errors import CardError
from faceprint.zoo.card import (
    Alignment,
    ArchiveMember,
    CommercialUse,
    InputContract,
    License,
    ModelCard,
    ModelFile,
    PublishedFigure,
    Task,
)
from faceprint.zoo.card_fields import Fields, check_file_name, check_sha256
from faceprint.zoo.card_points import read_point
from faceprint.zoo.card_quality import read_quality
from faceprint.zoo.card_text import card_hash, card_toml

__all__ = ["DECODERS", "TEMPLATES", "card_hash", "card_toml", "parse_card", "read_card"]

DECODERS: dict[str, tuple[str, ...]] = {
    "detect": ("mtcnn", "yunet", "scrfd", "retinaface", "ultraface"),
    "embed": ("vector",),
}

TEMPLATES: dict[str, tuple[int, tuple[tuple[float, float], ...]]] = {
    "arcface-112": (
        112,
        (
            (38.2946, 51.6963),
            (73.5318, 51.5014),
            (56.0252, 71.7366),
            (41.5493, 92.3655),
            (70.7299, 92.2041),
        ),
    ),
    "dlib-150": (
        150,
        ((47.95, 46.21), (102.21, 46.06), (74.98, 78.48), (51.88, 105.55), (98.25, 105.67)),
    ),
}
"""Named templates: side of the crop and the five points in it, in pixels."""

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_CARD_LIMIT = 1 << 20
_MOST_NUMBERS = 4096
"""Numbers in an embedding; galleries store no longer ones."""
_MOST_SIDE = 4096
"""Pixels: an input of the size that a card claims is made to compare golden values."""


def read_card(path: Path, *, origin: str | None = None) -> ModelCard:
    """Read a card from a TOML file.

    Args:
        path: the file.
        origin: `ModelCard.origin`; the path when None.

    Raises:
        CardError: not readable, not TOML, or not a valid card; names the file and the key.
    """
    try:
        text = read_bounded(path, _CARD_LIMIT).decode("utf-8")
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise CardError(f"{path}: a card is a small text; this file is over 1 MiB") from error
        raise CardError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise CardError(f"{path}: not UTF-8 text") from error
    return parse_card(text, where=path.name, origin=origin or str(path))


def parse_card(text: str, *, where: str, origin: str) -> ModelCard:
    """Read a card from TOML text.

    Args:
        text: TOML.
        where: the text's name in errors, usually its file name.
        origin: `ModelCard.origin`.

    Raises:
        CardError: not TOML, or not a valid card; names `where` and the key.
    """
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise CardError(f"{where}: not TOML ({error})") from error
    fields = Fields(table, where)
    dim = fields.whole("dim", _MOST_NUMBERS)
    task = cast("Task", fields.choice("task", ("detect", "embed")))
    card = ModelCard(
        id=check_file_name(fields, "id", fields.text("id")),
        task=task,
        decoder=fields.choice("decoder", DECODERS[task]),
        title=fields.text("title"),
        description=fields.text("description", ""),
        dim=dim,
        landmarks=fields.flag("landmarks", True),
        training_data=fields.text("training_data", ""),
        paper=fields.text("paper", ""),
        homepage=fields.text("homepage", ""),
        golden=fields.numbers("golden"),
        options=fields.numbers_by_name("options"),
        license=_license(fields),
        input=_input(fields),
        alignment=_alignment(fields),
        files=tuple(_file(item) for item in fields.tables("files")),
        published=tuple(_published(item) for item in fields.tables("published")),
        operating_points=tuple(read_point(item) for item in fields.tables("operating_points")),
        quality=read_quality(fields, dim),
        origin=origin,
    )
    fields.done()
    _check_consistency(card, fields)
    return card


def _check_consistency(card: ModelCard, fields: Fields) -> None:
    """Refuse a card whose keys contradict each other."""
    if not card.files:
        raise fields.fail("files", "is missing: a card names at least one file ([[files]])")
    for key in ("role", "name"):
        values = [getattr(file, key) for file in card.files]
        if len(set(values)) != len(values):
            raise fields.fail("files", f"has two entries of the same {key}")
    roles = {file.role for file in card.files}
    required = {"pnet", "rnet", "onet"} if card.decoder == "mtcnn" else {"model"}
    if not required <= roles:
        missing = ", ".join(sorted(required - roles))
        raise fields.fail("files", f"has no file of role {missing}; {card.decoder} needs it")
    if card.task == "embed":
        if card.dim is None:
            raise fields.fail(
                "dim", "is missing: an embedder's card gives the length of its vector"
            )
        if card.alignment is None:
            raise fields.fail(
                "alignment", "is missing: an embedder's card says how faces are aligned"
            )
        if (card.input.width, card.input.height) != (card.alignment.size,) * 2:
            raise fields.fail(
                "alignment.size",
                f"is {card.alignment.size}, but input is {card.input.width}x{card.input.height}",
            )
    elif card.dim is not None or card.alignment is not None:
        raise fields.fail("dim", "and alignment belong to embedders, and this is a detector")


def _license(fields: Fields) -> License:
    table = fields.table("license")
    if table is None:
        raise fields.fail("license", "is missing: every card says what its weights may be used for")
    found = License(
        weights=table.text("weights"),
        commercial_use=cast(
            "CommercialUse", table.choice("commercial_use", ("yes", "no", "unclear"))
        ),
        code=table.text("code", ""),
        note=table.text("note", ""),
        url=table.text("url", ""),
    )
    table.done()
    return found


def _input(fields: Fields) -> InputContract:
    table = fields.table("input")
    if table is None:
        raise fields.fail("input", "is missing: color and normalization are never guessed")
    inside = table.flag("normalized_inside", False)
    found = InputContract(
        width=table.whole("width", _MOST_SIDE),
        height=table.whole("height", _MOST_SIDE),
        color=cast('Literal["RGB", "BGR"]', table.choice("color", ("RGB", "BGR"))),
        mean=_triple(table, "mean", 0.0 if inside else None),
        std=_triple(table, "std", 1.0 if inside else None),
        layout=cast('Literal["NCHW", "NHWC"]', table.choice("layout", ("NCHW", "NHWC"), "NCHW")),
        normalized_inside=inside,
        mirror=table.flag("mirror", False),
        crops=cast("Literal[1, 2, 4]", table.whole("crops") or 1),
    )
    table.done()
    if (found.width is None) != (found.height is None):
        raise table.fail("width", "and height come together, or neither for a graph of any size")
    if found.crops not in (1, 2, 4):
        raise table.fail("crops", f"is {found.crops}; an embedding is made of 1, 2 or 4 crops")
    if found.mirror and found.crops > 1:
        raise table.fail("mirror", "and crops both average views of a face; give one of them")
    if min(found.std) <= 0:
        raise table.fail("std", "must be above 0")
    if inside and (found.mean != (0.0, 0.0, 0.0) or found.std != (1.0, 1.0, 1.0)):
        raise table.fail("mean", "must be 0 and std 1 where normalized_inside is true")
    return found


def _triple(table: Fields, key: str, default: float | None) -> tuple[float, float, float]:
    if key not in table and default is not None:
        return (default, default, default)
    values = table.numbers(key)
    if len(values) != 3:
        raise table.fail(key, "must be three numbers, in the order of the graph's channels")
    return (values[0], values[1], values[2])


def _alignment(fields: Fields) -> Alignment | None:
    table = fields.table("alignment")
    if table is None:
        return None
    template = table.text("template")
    size, points = table.whole("size", _MOST_SIDE), table.pairs("points")
    if template in TEMPLATES:
        known_size, known = TEMPLATES[template]
        if (size or known_size, points or known) != (known_size, known):
            raise table.fail("points", f"are not those of {template}; give it another name")
        size, points = known_size, known
    if size is None or len(points) != 5:
        raise table.fail(
            "points",
            f"and size are needed for the template {template!r} (five [x, y] in crop pixels); "
            f"known by name: {', '.join(TEMPLATES)}",
        )
    weights = table.numbers("weights")
    if weights and (
        len(weights) != 5 or min(weights) < 0 or sum(value > 0 for value in weights) < 2
    ):
        raise table.fail("weights", "must be five numbers, none negative, at least two above 0")
    table.done()
    return Alignment(template=template, size=size, points=points, weights=weights)


def _file(table: Fields) -> ModelFile:
    archive = table.table("archive")
    sha256 = check_sha256(table)
    found = ModelFile(
        name=check_file_name(table, "name", table.text("name")),
        sha256=sha256,
        size=table.whole("size"),
        urls=table.texts("urls"),
        role=table.text("role", "model"),
        bundled=table.flag("bundled", False),
        archive=None if archive is None else _archive(archive),
    )
    table.done()
    pinned = bool(sha256 or (found.archive and found.archive.sha256))
    for url in found.urls:
        _check_url(table, url, pinned=pinned)
    return found


def _check_url(table: Fields, url: str, *, pinned: bool) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise table.fail("urls", f"holds {url!r}; only https:// and http:// addresses are fetched")
    if parts.username or parts.password:
        raise table.fail("urls", "holds a user name or password; a card is public")
    if parts.scheme == "http" and not pinned and parts.hostname not in _LOOPBACK:
        raise table.fail("urls", f"holds {url!r}; without a sha256 only https:// is fetched")


def _archive(table: Fields) -> ArchiveMember:
    member = table.text("member")
    if member.startswith(("/", "\\")) or "\\" in member or ".." in member.split("/"):
        raise table.fail("member", f"is {member!r}, which leads out of the archive")
    name = check_file_name(table, "name", table.text("name"))
    if not name.lower().endswith(".zip"):
        raise table.fail("name", f"is {name!r}; only zip archives are read")
    found = ArchiveMember(name, member, check_sha256(table), table.whole("size"))
    table.done()
    return found


def _published(table: Fields) -> PublishedFigure:
    found = PublishedFigure(
        protocol=table.text("protocol"),
        metric=table.text("metric"),
        value=table.number("value"),
        source=table.text("source"),
    )
    table.done()
    return found
