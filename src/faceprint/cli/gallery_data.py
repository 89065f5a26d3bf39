"""`faceprint gallery export|migrate|rekey|keygen|backup|policy`."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from faceprint._files import sync_folder
from faceprint._text import counted
from faceprint.cli import options
from faceprint.cli.exit_codes import DONE, NO
from faceprint.cli.gallery_options import KeyFile, Location, open_gallery
from faceprint.cli.output import note, print_json, say
from faceprint.cli.progress import progress
from faceprint.errors import UsageError

__all__ = ["backup", "export", "keygen", "migrate", "policy", "rekey"]

File = Annotated[Path, typer.Argument(metavar="FILE", help="Ends in .jsonl or .parquet.")]


def export(
    gallery: Location, file: File, key_file: KeyFile = None, as_json: options.Json = False
) -> int:
    """Write all templates, unencrypted. JSON: file, templates."""
    with open_gallery(gallery, key_file) as opened:
        count = opened.export(file)
    if as_json:
        print_json({"file": str(file), "templates": count})
    else:
        say(f"{file}: {counted(count, 'template', 'templates')}, unencrypted")
    return DONE


@options.with_model_options(*options.MODELS)
def migrate(
    gallery: Location,
    drop_missing: Annotated[
        bool,
        typer.Option("--drop-missing", help="Remove templates that can't be embedded again."),
    ] = False,
    key_file: KeyFile = None,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Embed all templates with another model, from kept crops or the photographs.

    JSON: model, from_crops, from_sources, missing[]: template, subject, reason.
    """
    fp = models.load()
    with open_gallery(gallery, key_file) as opened:
        done = opened.migrate(fp, drop_missing=drop_missing, progress=progress("templates"))
        model = opened.header.model.id
    lost = [{"template": t, "subject": s, "reason": r} for t, s, r in done.missing]
    if as_json:
        counts = {"from_crops": done.from_crops, "from_sources": done.from_sources}
        print_json({"model": model} | counts | {"missing": lost})
    else:
        for item in lost:
            note(f"removed: template {item['template']} of {item['subject']}: {item['reason']}")
        say(
            f"{model}: {done.from_crops} templates from crops, {done.from_sources} from photographs"
        )
    return DONE


def rekey(
    gallery: Location,
    new_key_file: Annotated[
        Path | None, typer.Option("--new-key-file", metavar="FILE", help="Encrypt with this key.")
    ] = None,
    decrypt: Annotated[bool, typer.Option("--decrypt", help="Remove the encryption.")] = False,
    key_file: KeyFile = None,
    as_json: options.Json = False,
) -> int:
    """Encrypt a gallery, change its key, or remove the encryption. JSON: templates, key."""
    from faceprint.recognition.gallery.crypto import read_key_file

    if (new_key_file is None) != decrypt:
        raise UsageError("give --new-key-file FILE or --decrypt")
    key = None if new_key_file is None else read_key_file(new_key_file)
    with open_gallery(gallery, key_file) as opened:
        count = opened.rekey(key, progress("templates"))
    if as_json:
        print_json({"templates": count, "key": None if key is None else key.id})
    else:
        how = "decrypted" if key is None else f"encrypted with key {key.id}"
        say(f"{counted(count, 'template', 'templates')} {how}")
    return DONE


def keygen(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="New file for the key.")],
) -> int:
    """Create a key. An existing file is never replaced. Without its key a gallery is lost."""
    from faceprint.recognition.gallery import new_key

    try:
        handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as out:
                out.write(new_key().text() + "\n")
                out.flush()
                # Before anything is encrypted with it.
                os.fsync(out.fileno())
        except OSError:
            file.unlink(missing_ok=True)  # half a key stands in the way of a whole one
            raise
        sync_folder(file.absolute().parent)
    except OSError as error:
        raise UsageError(f"{file} can't be created: {error.strerror}") from error
    say(f"{file}: a new key; keep a copy apart from the gallery's backups")
    return DONE


def backup(
    gallery: Location,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
    key_file: KeyFile = None,
    as_json: options.Json = False,
) -> int:
    """Copy a gallery, even while others write it; encrypted records stay encrypted.

    The copy is read and checked. Exit code 1: it has problems, as the gallery then has. A gallery
    in PostgreSQL is copied by pg_dump. JSON: file, templates; problems[] if there are any.
    """
    with open_gallery(gallery, key_file) as opened:
        opened.backup(file)
    with open_gallery(str(file), key_file) as copy:
        templates, problems = len(copy), copy.verify()
    if as_json:
        found = {"problems": problems} if problems else {}
        print_json({"file": str(file), "templates": templates} | found)
        return NO if problems else DONE
    say(f"{file}: {counted(templates, 'template', 'templates')}")
    for problem in problems:
        note(f"{file}: {problem}")
    return NO if problems else DONE


def policy(
    gallery: Location,
    require_consent: Annotated[
        bool | None, typer.Option("--require-consent/--no-require-consent")
    ] = None,
    retention_days: Annotated[
        int | None, typer.Option("--retention-days", min=0, max=365_000, help="0: forever.")
    ] = None,
    keep_crops: Annotated[bool | None, typer.Option("--keep-crops/--no-keep-crops")] = None,
    max_templates: Annotated[
        int | None,
        typer.Option("--max-templates", min=0, max=1_000_000, help="Per subject; 0: no limit."),
    ] = None,
    key_file: KeyFile = None,
    as_json: options.Json = False,
) -> int:
    """Show or change what a gallery requires of enrollments. JSON: the policy's fields."""
    with open_gallery(gallery, key_file) as opened:
        held = opened.header.policy
        wanted = held
        if require_consent is not None:
            wanted = replace(wanted, require_consent=require_consent)
        if keep_crops is not None:
            wanted = replace(wanted, keep_crops=keep_crops)
        if retention_days is not None:
            wanted = replace(wanted, retention_days=retention_days or None)
        if max_templates is not None:
            wanted = replace(wanted, max_templates=max_templates or None)
        if wanted != held:
            opened.set_policy(wanted)
    if as_json:
        print_json(asdict(wanted))
    else:
        for name, value in asdict(wanted).items():
            say(f"{name}: {value}")
    return DONE
