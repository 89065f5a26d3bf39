"""What a gallery can do without a model: show, remove, export, check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from faceprint.errors import UsageError
from faceprint.recognition.gallery import checking, migration, privacy, tagging, transfer
from faceprint.recognition.gallery.audit import AuditReport
from faceprint.recognition.gallery.core import Core, check_name
from faceprint.recognition.gallery.crypto import Key
from faceprint.recognition.gallery.records import (
    AuditEntry,
    Consent,
    Header,
    Policy,
    Subject,
    TemplateRow,
)
from faceprint.recognition.gallery.searching import Search
from faceprint.recognition.gallery.vectors import unpack
from faceprint.types import Array

__all__ = ["Keeping"]

_MOST_DAYS = 36_525


class Keeping:
    """The housekeeping half of `Gallery`."""

    def __init__(self, core: Core, search: Search) -> None:
        self._core, self._search = core, search

    @property
    def location(self) -> str:
        """Path or address, without a password."""
        return self._core.location

    @property
    def header(self) -> Header:
        """Model, fusion, policy, generation: as they are now."""
        return self._core.store.header()

    def __len__(self) -> int:
        """Templates."""
        return len(self._core.store.keys()[0])

    def counts(self) -> dict[str, int]:
        """How many `subjects` and `templates`."""
        subjects = sum(1 for _ in self._core.store.subjects())
        return {"subjects": subjects, "templates": len(self)}

    def subjects(self) -> Iterator[Subject]:
        """Everybody, by name."""
        return self._core.store.subjects()

    def show(self, subject: str) -> tuple[Subject, list[TemplateRow]]:
        """A person and their templates; vectors may be sealed (`vectors` opens them)."""
        found = self._core.require_subject(check_name(subject))
        return found, list(self._core.store.templates(subject_key=found.key))

    def vectors(self, subject: str) -> Array:
        """(n, d) vectors of a person's templates, in their order."""
        header = self.header
        sealer = self._core.sealer(header)
        found, rows = self.show(subject)
        blobs = [self._core.open_vector(sealer, found.uid, row) for row in rows]
        return unpack(blobs, header.model.dim, self.location)

    def person_data(self, subject: str) -> dict[str, Any]:
        """All that is held about one person, for that person, as JSON values; logged."""
        return privacy.person_data(self._core, check_name(subject))

    def remove(self, *subjects: str) -> int:
        """Remove people and every byte of their templates, all or none; how many templates.

        Raises:
            UnknownSubjectError: somebody is not there; nobody was removed.
            GalleryError: another process hindered the overwriting; the rows are gone all the same.
        """
        return privacy.remove_subjects(self._core, self._search, [check_name(s) for s in subjects])

    def remove_template(self, template: str) -> None:
        """Remove one template."""
        privacy.remove_template(self._core, self._search, template)

    def remove_older_than(self, moment: datetime) -> int:
        """Remove templates made before `moment`, and subjects left with none; how many."""
        return privacy.remove_older(self._core, self._search, moment)

    def expire(self, moment: datetime | None = None) -> int:
        """Remove what retention and consents no longer cover; how many templates."""
        return privacy.expire(self._core, self._search, moment)

    def update(
        self,
        subject: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        consent: Consent | None = None,
    ) -> Subject:
        """Replace a person's metadata or consent."""
        return privacy.update(self._core, check_name(subject), metadata, consent)

    def add_subject(self, subject: str) -> Subject:
        """Add a person who has no template yet; one who is there stays as they are."""
        return privacy.add_subject(self._core, check_name(subject))

    def rename(self, subject: str, new: str) -> Subject:
        """Give a person another name.

        Raises:
            UnknownSubjectError: nobody is called that.
            UsageError: somebody has the new name.
        """
        return privacy.rename(self._core, check_name(subject), check_name(new))

    def set_policy(self, policy: Policy) -> None:
        """Ask this of enrollments from now on."""
        if policy.retention_days is not None and policy.retention_days > _MOST_DAYS:
            raise UsageError(
                f"retention_days is {policy.retention_days}; at most {_MOST_DAYS} (a hundred years)"
            )
        with self._core.change() as change:
            change.header = replace(change.header, policy=policy)
            change.log("policy", policy=policy.to_json())

    def rekey(self, key: Key | None, progress: migration.Progress | None = None) -> int:
        """Seal every record with another key, for the first time, or (None) not at all."""
        return migration.rekey(self._core, self._search, key, progress)

    def export(self, path: str | Path) -> int:
        """Write every template, opened, as JSON lines or Parquet by the suffix; how many."""
        return transfer.export(self._core, Path(path))

    def import_(self, path: str | Path) -> transfer.Imported:
        """Take in what `export` wrote, from a gallery of the same model; all or nothing."""
        return transfer.import_(self._core, Path(path))

    def verify(self) -> list[str]:
        """Read everything and check it; problems in words, none when it is sound."""
        return checking.verify(self._core, self._search)

    def accept(self) -> int:
        """Take all rows as they are for right, after they were looked at; how many were wrong."""
        return tagging.accept(self._core)

    def backup(self, path: str | Path) -> None:
        """Copy a gallery in a file, whole and consistent though others write, into a new file."""
        self._core.store.raw.backup(Path(path))

    @property
    def forgotten(self) -> frozenset[bytes]:
        """SHA-256 of the photographs whose templates this object removed."""
        return frozenset(self._core.forgotten)

    def audit(self) -> Iterator[AuditEntry]:
        """The log, in order."""
        return self._core.store.audit()

    def verify_audit(self, anchor: str | None = None) -> AuditReport:
        """Check the log's chain (`gallery.audit` says what that can and can't find)."""
        return checking.verify_audit(self._core, anchor)
