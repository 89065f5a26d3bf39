"""Read `ONNX_HUB_MANIFEST.json`, the index of `onnx.hub`, as a source of model files.

A manifest gives a file's address, sha256 and size, and nothing about color, normalization,
alignment or license. So an entry adds an address to the card of the same sha256; of a model without
a card it only gives the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from faceprint._files import read_bounded
from faceprint.errors import CardError, UnknownModelError
from faceprint.zoo import catalog, store
from faceprint.zoo.card import ModelCard, ModelFile

__all__ = ["DEFAULT_BASE", "ManifestEntry", "card_of", "find_entry", "pull", "read_manifest"]

DEFAULT_BASE = "https://huggingface.co/onnxmodelzoo/legacy_models/resolve/main/"
"""The home of the ONNX Model Zoo's files since its own downloads stopped (2025-07-01)."""

_LIMIT = 64 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
"""A part of a path that becomes an address and a file name in the store."""


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One model of a manifest.

    Attributes:
        name: the model's name; several entries may share it.
        path: the file, relative to the manifest's base.
        opset: the default domain's opset version.
    """

    name: str
    path: str
    sha256: str
    size: int | None
    opset: int | None

    @property
    def file_name(self) -> str:
        """Return the last part of the path."""
        return PurePosixPath(self.path).name

    def file(self, base: str = DEFAULT_BASE) -> ModelFile:
        """Return the entry as a file that the store can download."""
        url = f"{base.rstrip('/')}/{self.path}"
        return ModelFile(self.file_name, self.sha256, self.size, (url,))


def read_manifest(path: Path) -> tuple[ManifestEntry, ...]:
    """Read the entries of a manifest file; those without a usable path or sha256 are skipped.

    Raises:
        CardError: not readable, or not a manifest.
    """
    try:
        rows = json.loads(read_bounded(path, _LIMIT))
    except OSError as error:
        raise CardError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise CardError(f"{path}: not JSON ({error})") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise CardError(f"{path}: a manifest is a list of models")
    return tuple(entry for row in rows if (entry := _entry(row)) is not None)


def find_entry(entries: Iterable[ManifestEntry], name: str) -> ManifestEntry:
    """Find an entry by model name, file name or path; of several, that of the highest opset.

    Raises:
        UnknownModelError: no such entry.
    """
    key = name.lower()
    found = [
        entry
        for entry in entries
        if key in {entry.name.lower(), entry.file_name.lower(), entry.path.lower()}
        or key == PurePosixPath(entry.path).stem.lower()
    ]
    if not found:
        raise UnknownModelError(f"the manifest has no model named {name!r}")
    return max(found, key=lambda entry: entry.opset or 0)


def card_of(
    entry: ManifestEntry, cards: Iterable[ModelCard], base: str = DEFAULT_BASE
) -> ModelCard | None:
    """Find the card with the entry's file, and add the manifest's address; None without one."""
    for card in cards:
        for index, file in enumerate(card.files):
            if file.sha256 == entry.sha256 and file.archive is None:
                urls = tuple(dict.fromkeys((*file.urls, *entry.file(base).urls)))
                files = (*card.files[:index], replace(file, urls=urls), *card.files[index + 1 :])
                return replace(card, files=files)
    return None


def pull(
    path: Path, names: Iterable[str], base: str = DEFAULT_BASE, *, accept_license: bool = False
) -> list[tuple[ModelCard | None, dict[str, Path]]]:
    """Download models by their name in a manifest file.

    Returns:
        For each name its card, None if no card has the file, and the downloaded files by role.

    Raises:
        CardError, UnknownModelError: as `read_manifest` and `find_entry`.
        ModelError: as `store.ensure`.
    """
    entries, cards = read_manifest(path), catalog.all_cards()
    found: list[tuple[ModelCard | None, dict[str, Path]]] = []
    for name in names:
        entry = find_entry(entries, name)
        card = card_of(entry, cards, base)
        if card is None:
            found.append((None, {"model": store.fetch_file(entry.file(base))}))
        else:
            found.append((card, store.ensure(card, accept_license=accept_license)))
    return found


def _entry(row: dict[str, Any]) -> ManifestEntry | None:
    metadata = row.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    path, sha256 = row.get("model_path"), metadata.get("model_sha")
    if not isinstance(path, str) or not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        return None
    parts = PurePosixPath(path).parts
    if not parts or not all(_PART.fullmatch(part) for part in parts):
        return None
    size, opset = metadata.get("model_bytes"), row.get("opset_version")
    return ManifestEntry(
        name=str(row.get("model", parts[-1])),
        path=path,
        sha256=sha256,
        size=size if isinstance(size, int) and size > 0 else None,
        opset=opset if isinstance(opset, int) else None,
    )
