"""`faceprint gallery`: list, show, verify, audit; the other commands are in the next modules."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceprint._files import atomic_write
from faceprint._text import counted, json_text, printable
from faceprint.cli import completion, gallery_data, gallery_import, gallery_subjects, options
from faceprint.cli.exit_codes import DONE, NO
from faceprint.cli.gallery_options import KeyFile, Location, open_gallery, subject_document
from faceprint.cli.output import note, print_json, print_table, say
from faceprint.errors import UsageError

if TYPE_CHECKING:
    from faceprint.recognition.gallery import Subject
    from faceprint.recognition.gallery.records import Header, TemplateRow

__all__ = ["app"]

app = typer.Typer(
    help="Maintain galleries: list, rename, merge, remove, export, migrate, encrypt, verify.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command()(gallery_subjects.update)
app.command()(gallery_subjects.rename)
app.command()(gallery_subjects.merge)
app.command()(gallery_subjects.remove)
app.command("export")(gallery_data.export)
app.command("import")(gallery_import.import_)
app.command()(gallery_data.migrate)
app.command()(gallery_data.rekey)
app.command()(gallery_data.keygen)
app.command()(gallery_data.policy)
app.command()(gallery_data.backup)


@app.command("list")
def list_subjects(
    gallery: Location, key_file: KeyFile = None, as_json: options.Json = False
) -> int:
    """List the subjects of a gallery.

    JSON: gallery, model, subjects[]: subject, templates, created, metadata, consent.
    """
    with open_gallery(gallery, key_file) as opened:
        location, header, people = opened.location, opened.header, list(opened.subjects())
    if as_json:
        document = _header(location, header) | {"subjects": [subject_document(s) for s in people]}
        print_json(document)
        return DONE
    rows = [(s.name, s.templates, s.created[:10], _consent(s), _short(s)) for s in people]
    print_table(("subject", "templates", "since", "consent", "metadata"), rows)
    templates = counted(sum(s.templates for s in people), "template", "templates")
    note(f"{counted(len(people), 'subject', 'subjects')}, {templates}")
    return DONE


@app.command()
def show(
    gallery: Location,
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="[SUBJECT]",
            help="A subject; by default the gallery itself.",
            autocompletion=completion.subjects,
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option("--export", metavar="FILE.json", help="Write all data about this person."),
    ] = None,
    key_file: KeyFile = None,
    as_json: options.Json = False,
) -> int:
    """Show a subject and its templates, or the gallery itself.

    JSON: subject, created, metadata, consent, templates[]: template, source, box, quality, created,
    crop; of a gallery: model, dim, fusion, encrypted, policy, subjects, templates.
    """
    with open_gallery(gallery, key_file) as opened:
        if subject is None:
            if export is not None:
                raise UsageError(
                    "--export needs a SUBJECT; faceprint gallery export writes the whole gallery"
                )
            document = _header(opened.location, opened.header) | opened.counts()
        elif export is not None:
            _write_private(export, opened.person_data(printable(subject)))
            note(f"{export}: all data of {opened.location} about {subject}, with vectors and crops")
            return DONE
        else:
            person, rows = opened.show(printable(subject))
            document = subject_document(person) | {"templates": [_template(row) for row in rows]}
    if as_json:
        print_json(document)
    elif subject is None:
        print_table(("", ""), [(key, _plain(value)) for key, value in document.items()])
    else:
        facts = {key: value for key, value in document.items() if key != "templates"}
        print_table(("", ""), [(key, _plain(value)) for key, value in facts.items()])
        columns = ("template", "quality", "created", "crop", "source")
        print_table(columns, [[row[c] for c in columns] for row in document["templates"]])
    return DONE


@app.command()
def verify(
    gallery: Location,
    accept: Annotated[
        bool,
        typer.Option("--accept", help="Accept all rows as they are, after you checked them."),
    ] = False,
    key_file: KeyFile = None,
    as_json: options.Json = False,
) -> int:
    """Read and check everything. Exit code 1: problems were found. JSON: ok, problems[]."""
    with open_gallery(gallery, key_file) as opened:
        if accept:
            note(f"{counted(opened.accept(), 'row', 'rows')} accepted")
        problems = opened.verify()
    if as_json:
        print_json({"ok": not problems, "problems": problems})
    else:
        for problem in problems:
            say(problem)
        say("sound" if not problems else f"{len(problems)} problems")
    return NO if problems else DONE


@app.command()
def audit(
    gallery: Location,
    check: Annotated[bool, typer.Option("--verify", help="Verify the chain of hashes.")] = False,
    anchor: Annotated[
        str | None,
        typer.Option("--anchor", metavar="N:HASH", help="Anchor that an earlier --verify printed."),
    ] = None,
    key_file: KeyFile = None,
    as_json: options.Json = False,
) -> int:
    """Show or verify the audit log. Exit code 1: with --verify, it was changed.

    JSON lines: seq, time, actor, action, subject (a random id), detail, prev, hash; with --verify
    one document: ok, entries, anchor (keep it elsewhere), problems[].
    """
    with open_gallery(gallery, key_file) as opened:
        if check or anchor is not None:
            report = opened.verify_audit(anchor)
            if as_json:
                document = {"ok": report.intact, "entries": report.entries}
                print_json(document | {"anchor": report.anchor, "problems": list(report.problems)})
            else:
                for problem in report.problems:
                    say(problem)
                say("intact" if report.intact else "CHANGED")
                say(f"{report.entries} lines; anchor {report.anchor}")
            return DONE if report.intact else NO
        if as_json:
            for entry in opened.audit():
                print_json(asdict(entry), stream=True)
            return DONE
        rows = [
            (e.seq, e.time[:19], e.actor, e.action, e.subject, e.detail) for e in opened.audit()
        ]
    print_table(("line", "time", "actor", "action", "subject", "detail"), rows)
    return DONE


def _header(gallery: str, header: Header) -> dict[str, Any]:
    return {
        "gallery": gallery,
        "model": header.model.id,
        "dim": header.model.dim,
        "fusion": header.fusion,
        "encrypted": bool(header.key_id),
        "policy": asdict(header.policy),
        "created": header.created,
    }


def _template(row: TemplateRow) -> dict[str, Any]:
    return {
        "template": row.id,
        "source": row.source,
        "box": row.box,
        "quality": None if row.quality is None else round(row.quality, 3),
        "created": row.created,
        "crop": row.has_crop,
    }


def _consent(subject: Subject) -> str:
    held = subject.consent
    if held is None:
        return ""
    return held.basis + ("" if held.expires is None else f", until {held.expires[:10]}")


def _short(subject: Subject) -> str:
    text = json.dumps(dict(subject.metadata), ensure_ascii=False)
    return "" if text == "{}" else text if len(text) <= 60 else text[:59] + "…"


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def _write_private(path: Path, document: dict[str, Any]) -> None:
    try:
        atomic_write(path, json_text(document, indent=1) + "\n", private=True)
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}") from error
