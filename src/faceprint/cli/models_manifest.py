"""`faceprint models pull --manifest`: models by their name in an onnx.hub manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from faceprint.cli.output import note
from faceprint.errors import UsageError
from faceprint.zoo import catalog, store
from faceprint.zoo.manifest import DEFAULT_BASE, card_of, find_entry, read_manifest

__all__ = ["pull_from"]


def pull_from(
    manifest: Path, names: list[str], *, base_url: str | None, accept_license: bool
) -> list[dict[str, Any]]:
    """Fetch models by their name in a manifest; `id` is None for what no card knows."""
    base = base_url or DEFAULT_BASE
    if urlsplit(base).scheme not in {"http", "https"}:
        raise UsageError(f"--base-url {base!r} is not an http or https address")
    entries = read_manifest(manifest)
    cards = catalog.all_cards()
    pulled: list[dict[str, Any]] = []
    for name in names:
        entry = find_entry(entries, name)
        card = card_of(entry, cards, base)
        if card is not None:
            files = store.ensure(card, accept_license=accept_license)
            paths = {role: str(path) for role, path in files.items()}
            pulled.append({"id": card.id, "files": paths})
            continue
        path = store.fetch_file(entry.file(base))
        pulled.append({"id": None, "files": {"model": str(path)}})
        note(
            f"{entry.name}: no card knows this file, and a manifest says nothing of color, "
            f"normalization or license; `faceprint models lint {path}` proposes a card"
        )
    return pulled
