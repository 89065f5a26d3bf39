"""`faceprint models`: list, download and check the models of the zoo."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from faceprint.cli import completion, options, validate
from faceprint.cli.exit_codes import DONE, NO
from faceprint.cli.models_own import add, lint
from faceprint.cli.output import note, print_json, print_table, say
from faceprint.cli.parity import parity
from faceprint.cli.quantize import quantize
from faceprint.errors import UsageError
from faceprint.zoo import packs

if TYPE_CHECKING:
    from faceprint.zoo.card import ModelCard

__all__ = ["app"]

app = typer.Typer(
    help="Models: cards, downloads, licenses, and models of your own.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Ids = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ID...]",
        help="Card ids or pack names; if both exist, the pack.",
        autocompletion=completion.models,
    ),
]


@app.command("list")
def list_models(as_json: options.Json = False) -> int:
    """List all models and packs.

    JSON: models[]: id, task, decoder, title, dim, size, license, commercial_use, pinned, ready
    (on this machine), origin; packs[]: name, detector, embedder, description.
    """
    from faceprint.zoo import catalog, store

    cards = catalog.all_cards()
    if as_json:
        rows = [_row(card) for card in cards]
        print_json({"models": rows, "packs": [asdict(pack) for pack in packs.all_packs()]})
        return DONE
    print_table(
        ("id", "task", "dim", "MB", "commercial use", "here", "title"),
        [
            (
                card.id,
                card.task,
                card.dim or "",
                _megabytes(card),
                card.license.commercial_use,
                "yes" if store.is_ready(card) else "unpinned" if not card.pinned else "",
                card.title,
            )
            for card in cards
        ],
    )
    print_table(
        ("pack", "detector", "embedder", "description"),
        [(p.name, p.detector, p.embedder, p.description) for p in packs.all_packs()],
    )
    return DONE


@app.command()
def show(
    card_id: Annotated[
        str, typer.Argument(metavar="ID", help="A card id.", autocompletion=completion.cards)
    ],
    as_json: options.Json = False,
) -> int:
    """Show a model's card.

    JSON: the card in the keys of its TOML, with hash (of what determines the embeddings), pinned,
    ready, origin and license_accepted.
    """
    from faceprint.zoo import catalog, licenses, store
    from faceprint.zoo.card_io import card_hash
    from faceprint.zoo.card_points import point_document
    from faceprint.zoo.card_text import card_document

    card = catalog.get_card(card_id)
    document = card_document(card)
    if card.operating_points:
        document["operating_points"] = [
            {"evidence": item.point.evidence} | point_document(item)
            for item in card.operating_points
        ]
    document |= {
        "hash": card_hash(card),
        "pinned": card.pinned,
        "ready": store.is_ready(card),
        "origin": card.origin,
        "license_accepted": licenses.is_accepted(card),
    }
    if as_json:
        print_json(document)
    else:
        print_table(("key", "value"), _flat(document))
    return DONE


@app.command()
def pull(
    ids: Ids = None,
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="Accept the license of the weights.")
    ] = False,
    allow_unpinned: Annotated[
        bool, typer.Option("--allow-unpinned", help="Also download files whose sha256 is unknown.")
    ] = False,
    manifest: Annotated[
        Path | None,
        typer.Option("--manifest", metavar="FILE", help="Take names from an onnx.hub manifest."),
    ] = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="Base address of the manifest's paths.")
    ] = None,
    as_json: options.Json = False,
) -> int:
    """Download models or packs; files that are here already are checked and kept.

    JSON: pulled[]: id, files{role: path}; with --manifest, `id` is null for a model without a card,
    whose file is downloaded anyway.
    """
    from faceprint.zoo import store

    if not ids:
        raise UsageError("name at least one model or pack; `faceprint models list` shows them")
    pulled: list[tuple[ModelCard | None, dict[str, Path]]]
    if manifest is not None:
        from faceprint.zoo.manifest import DEFAULT_BASE, pull

        base = base_url or DEFAULT_BASE
        if urlsplit(base).scheme not in {"http", "https"}:
            raise UsageError(f"--base-url {base!r} is not an http or https address")
        pulled = pull(manifest, ids, base, accept_license=accept_license)
    else:
        pulled = []
        for card in _cards(ids):
            files = store.ensure(card, accept_license=accept_license, allow_unpinned=allow_unpinned)
            pulled.append((card, files))
    for known, files in pulled:
        if known is None:
            note(
                f"{files['model'].name}: no card has this file, and a manifest says nothing about "
                "color, normalization or license; "
                f"`faceprint models lint {files['model']}` proposes a card"
            )
    rows = [
        {"id": known.id if known else None, "files": {k: str(v) for k, v in files.items()}}
        for known, files in pulled
    ]
    if as_json:
        print_json({"pulled": rows})
    else:
        for known, files in pulled:
            for path in files.values():
                say(f"{known.id if known else 'no card'}: {path}")
    return DONE


@app.command()
def verify(ids: Ids = None, as_json: options.Json = False) -> int:
    """Check the files on this machine against their cards. Exit code 1: a file is damaged.

    Models that are named must be on this machine too.
    JSON: ok, files[]: id, role, name, path, state (ok, missing, corrupt, unpinned), detail.
    """
    from faceprint.zoo import catalog, store

    cards = _cards(ids) if ids else catalog.all_cards()
    bad = {"corrupt", "missing"} if ids else {"corrupt"}
    states = [(card.id, state) for card in cards for state in store.verify(card)]
    if not ids:
        states = [(card_id, state) for card_id, state in states if state.state != "missing"]
    ok = all(state.state not in bad for _, state in states)
    if as_json:
        files = [
            {"id": card_id, **asdict(state), "path": state.path and str(state.path)}
            for card_id, state in states
        ]
        print_json({"ok": ok, "files": files})
    else:
        rows = [(card_id, s.name, s.state, s.detail) for card_id, s in states]
        print_table(("id", "file", "state", "detail"), rows)
    return DONE if ok else NO


@app.command("licenses")
def list_licenses(as_json: options.Json = False) -> int:
    """List what each model may be used for, and the licenses accepted on this machine.

    JSON: models[]: id, license, commercial_use, code, note, url, accepted; accepted[]: card,
    license, files{name: sha256}, date, how.
    """
    from faceprint.zoo import catalog, licenses

    cards = catalog.all_cards()
    record = licenses.accepted()
    if as_json:
        models = [
            {
                "id": card.id,
                "license": card.license.weights,
                "commercial_use": card.license.commercial_use,
                "code": card.license.code,
                "note": card.license.note,
                "url": card.license.url,
                "accepted": licenses.is_accepted(card),
            }
            for card in cards
        ]
        print_json({"models": models, "accepted": [asdict(item) for item in record]})
        return DONE
    dates = {item.card: f"{item.date[:10]} by {item.how}" for item in record}
    rows = []
    for card in cards:
        asked = card.id in dates or not licenses.is_accepted(card)
        state = dates.get(card.id, "no") if asked else "not needed"
        rows.append((card.id, card.license.weights, card.license.commercial_use, state))
    print_table(("id", "weights", "commercial use", "accepted"), rows)
    return DONE


def _cards(ids: list[str]) -> list[ModelCard]:
    """Return the cards of ids and packs, each once."""
    from faceprint.zoo import catalog

    pack_names = {pack.name for pack in packs.all_packs()}
    card_ids: list[str] = []
    for name in ids:
        if name in pack_names:
            pack = packs.get_pack(name)
            card_ids += [pack.detector, pack.embedder]
        else:
            card_ids.append(name)
    return [catalog.get_card(name) for name in dict.fromkeys(card_ids)]


def _row(card: ModelCard) -> dict[str, Any]:
    from faceprint.zoo import store

    sizes = [file.size for file in card.files]
    return {
        "id": card.id,
        "task": card.task,
        "decoder": card.decoder,
        "title": card.title,
        "dim": card.dim,
        "size": None if None in sizes else sum(size or 0 for size in sizes),
        "license": card.license.weights,
        "commercial_use": card.license.commercial_use,
        "pinned": card.pinned,
        "ready": store.is_ready(card),
        "origin": card.origin,
    }


def _megabytes(card: ModelCard) -> str:
    if any(file.size is None for file in card.files):
        return "?"
    return f"{sum(file.size or 0 for file in card.files) / 1e6:.1f}"


def _flat(value: object, prefix: str = "") -> list[tuple[str, str]]:
    """Flatten nested data to rows of dotted keys."""
    if isinstance(value, dict):
        return [row for key, item in value.items() for row in _flat(item, f"{prefix}.{key}")]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [row for i, item in enumerate(value) for row in _flat(item, f"{prefix}[{i}]")]
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return [(prefix.lstrip("."), text)]


app.command()(add)
app.command()(lint)
app.command()(parity)
validate.register(app)
app.command()(quantize)
