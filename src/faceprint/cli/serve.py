"""`faceprint serve`: the API over HTTP and the page, and the keys for it."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from faceprint import settings
from faceprint._optional import require
from faceprint.cli import completion
from faceprint.cli.exit_codes import DONE
from faceprint.cli.gallery_options import load_for, moment
from faceprint.cli.options import STREAM, Json, ModelOptions, with_model_options
from faceprint.cli.output import note, print_json, print_table, say
from faceprint.errors import UsageError

__all__ = ["app"]

_MANY_CORES = 4
"""Cores from which on commands have worker processes anyway."""

app = typer.Typer(
    help="Serve the API over HTTP and a page for people.",
    invoke_without_command=True,
    no_args_is_help=False,
    rich_markup_mode=None,
)
keys = typer.Typer(help="API keys: create, list, revoke.", rich_markup_mode=None)
app.add_typer(keys, name="keys")

KeysFile = Annotated[
    Path | None,
    typer.Option(
        "--keys", metavar="FILE", help="File of API keys. [api-keys.json in FACEPRINT_HOME]"
    ),
]


@app.callback()
@with_model_options(*STREAM)
def serve(
    ctx: typer.Context,
    models: ModelOptions,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; needs API keys beyond loopback.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port; 0 picks a free one.")
    ] = 8000,
    gallery: Annotated[
        str | None,
        typer.Option(
            "--gallery", metavar="GALLERY", help="A file, or postgresql://...; created if missing."
        ),
    ] = None,
    album: Annotated[
        Path | None,
        typer.Option(
            "--album",
            metavar="FOLDER",
            help="Show and correct the album in this folder: what `cluster --out` wrote.",
        ),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--key-file",
            metavar="FILE",
            help="The key of an encrypted gallery. [FACEPRINT_KEY_FILE]",
        ),
    ] = None,
    keys_file: KeysFile = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Require no API key; allowed only on loopback.")
    ] = False,
    rate: Annotated[str, typer.Option("--rate", help="Request limit of each key.")] = "1200/minute",
    max_body: Annotated[
        int,
        typer.Option("--max-body", metavar="BYTES", min=1024, help="Largest request, in bytes."),
    ] = 24_000_000,
    max_requests: Annotated[
        int,
        typer.Option(
            "--max-requests", min=1, help="Concurrent uploads; further ones are answered with 429."
        ),
    ] = 64,
    compat: Annotated[
        list[str] | None,
        typer.Option(
            "--compat",
            metavar="NAME",
            help="Answer clients of immich, compreface or deepstack as well; repeatable.",
            autocompletion=completion.choices("immich", "compreface", "deepstack"),
        ),
    ] = None,
    compat_open: Annotated[
        bool,
        typer.Option(
            "--compat-open",
            help="Give faces and embeddings of Immich's requests to everybody who can reach this "
            "address: Immich sends no key.",
        ),
    ] = False,
    forward: Annotated[
        str | None,
        typer.Option(
            "--forward",
            metavar="URL",
            help="Immich's own service, for its requests that are not about faces.",
        ),
    ] = None,
) -> int:
    """Serve the API and the page until interrupted.

    Without API keys it does not start, unless --no-auth is given on loopback. Create a key with
    `faceprint serve keys create`. The page is at /, the API's description at /openapi.json.
    """
    if ctx.invoked_subcommand is not None:
        return DONE
    for module in ("fastapi", "uvicorn", "limits", "prometheus_client", "python_multipart"):
        require(module, extra="server")
    from faceprint._memory import one_arena
    from faceprint.recognition.gallery.crypto import read_key_file
    from faceprint.runtime.session import RuntimeOptions
    from faceprint.server.album_thread import album_file
    from faceprint.server.app import ServiceOptions
    from faceprint.server.keys import KeyFile, default_key_file
    from faceprint.server.run import run

    stored = KeyFile(keys_file or default_key_file())
    if no_auth and not _is_loopback(host):
        raise UsageError(f"--no-auth is allowed only on loopback, and {host} is another address")
    if not no_auth and not stored.all():
        raise UsageError(
            f"there are no API keys in {stored.path}; create one with faceprint serve keys create "
            "NAME, or give --no-auth to serve only this machine"
        )
    doors = tuple(dict.fromkeys(compat or ()))
    if "immich" in doors and not no_auth and not compat_open:
        raise UsageError(
            "Immich sends no key: serve it on loopback with --no-auth, or give everybody who can "
            "reach this address faces and embeddings with --compat-open"
        )
    if "immich" not in doors and (compat_open or forward is not None):
        raise UsageError("--compat-open and --forward are for --compat immich")
    threads = RuntimeOptions(threads=models.threads).thread_count()
    options = ServiceOptions(
        gallery=gallery,
        album=None if album is None else album_file(album),
        gallery_key=None if key_file is None else read_key_file(key_file),
        keys=None if no_auth else stored,
        rate=rate,
        body_bytes=max_body,
        requests=max_requests,
        workers=threads,
        doors=doors,
        forward=forward,
        open_doors=compat_open,
    )
    one_arena()
    shared = replace(models, threads=threads, processes=_processes(models, threads))
    analyzer = shared.load() if gallery is None else load_for(gallery, shared)
    run(analyzer, options, host=host, port=port, announce=note)
    return DONE


def _processes(models: ModelOptions, threads: int) -> int | None:
    """The number of worker processes; None for the usual one.

    With fewer than four cores, where other commands have none, there is one per core: requests are
    answered by Python code, which runs on one thread at a time and would wait for the photographs.
    """
    asked = models.processes or settings.processes()
    on_cpu = (models.device or settings.default_device()) == "cpu"
    return threads if asked is None and on_cpu and threads < _MANY_CORES else asked


@keys.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            help="read, identify, write, embed; repeatable. [read, identify]",
            autocompletion=completion.choices("read", "identify", "write", "embed"),
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="DATE", help="2027-01-31, or 90d from now. [never]"),
    ] = None,
    keys_file: KeysFile = None,
    as_json: Json = False,
) -> int:
    """Create a key and show it once.

    Scopes: read for models, subjects and metrics; identify to detect, compare and search; write to
    enroll and remove; embed to get embeddings. JSON: id, name, scopes, expires, key.
    """
    from faceprint.server.keys import KeyFile, default_key_file

    end = None if expires is None else _end(expires)
    stored = KeyFile(keys_file or default_key_file())
    secret, key = stored.create(name, scope or ["read", "identify"], end)
    if as_json:
        shown = {"id": key.id, "name": key.name, "scopes": list(key.scopes)}
        print_json(shown | {"expires": key.expires, "key": secret})
    else:
        say(secret)
        note(f"key {key.id}, scopes {', '.join(key.scopes)}; it can't be shown again")
    return DONE


@keys.command("list")
def list_keys(keys_file: KeysFile = None, as_json: Json = False) -> int:
    """List the keys, without their secrets. JSON: keys[]: id, name, scopes, created, expires."""
    from faceprint.server.keys import KeyFile, default_key_file

    stored = KeyFile(keys_file or default_key_file())
    found = stored.all()
    now = datetime.now(UTC)
    if as_json:
        print_json(
            {
                "keys": [
                    {
                        "id": key.id,
                        "name": key.name,
                        "scopes": list(key.scopes),
                        "created": key.created,
                        "expires": key.expires,
                    }
                    for key in found
                ]
            }
        )
        return DONE
    rows = [
        (
            key.id,
            key.name,
            " ".join(key.scopes),
            key.created,
            key.expires if key.is_valid_at(now) else f"expired {key.expires}",
        )
        for key in found
    ]
    if rows:
        print_table(("id", "name", "scopes", "created", "expires"), rows)
    else:
        note(f"no keys in {stored.path}")
    return DONE


@keys.command("revoke")
def revoke(
    id: Annotated[str, typer.Argument(metavar="ID", help="As `serve keys list` shows it.")],
    keys_file: KeysFile = None,
) -> int:
    """Delete a key; a running service refuses it from now on."""
    from faceprint.server.keys import KeyFile, default_key_file

    gone = KeyFile(keys_file or default_key_file()).revoke(id)
    note(f"key {gone.id} ({gone.name}) is revoked")
    return DONE


def _end(text: str) -> datetime:
    """`90d` from now, or a date."""
    if text.strip().endswith("d") and text.strip()[:-1].isdecimal():
        ago = moment(text)
        return datetime.now(UTC) + (datetime.now(UTC) - ago)
    return moment(text)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
