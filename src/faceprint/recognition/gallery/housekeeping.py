"""What a gallery does without models: subjects, removal, policy, copies, checks and the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from faceprint.recognition.gallery import (
    integrity,
    merging,
    migration,
    privacy,
    subjects,
    transfer,
)
from faceprint.recognition.gallery.audit import AuditReport
from faceprint.recognition.gallery.context import GalleryContext
from faceprint.recognition.gallery.crypto import Key
from faceprint.recognition.gallery.foreign.layouts import SourceTable
from faceprint.recognition.gallery.person_data import person_data
from faceprint.recognition.gallery.records import AuditEntry, Consent, Policy, Subject, TemplateRow
from faceprint.types import Array

__all__ = ["Housekeeping"]


class Housekeeping:
    """The part of `Gallery` that needs no models."""

    _context: GalleryContext

    def __len__(self) -> int:
        """Number of templates."""
        return len(self._context.store.raw.keys()[0])

    def counts(self) -> dict[str, int]:
        """Number of `subjects` and `templates`."""
        return {"subjects": sum(1 for _ in self.subjects()), "templates": len(self)}

    def subjects(self) -> Iterator[Subject]:
        """All subjects, by name."""
        return self._context.store.subjects()

    def subject_by_uid(self, uid: str) -> Subject:
        """The subject with that `uid`. UnknownSubjectError: there is none."""
        return subjects.subject_by_uid(self._context, uid)

    def show(self, subject: str) -> tuple[Subject, list[TemplateRow]]:
        """A subject and its templates; vectors may be sealed (`vectors` opens them)."""
        return subjects.subject_templates(self._context, subject)

    def vectors(self, subject: str) -> Array:
        """(n, d) vectors of a subject's templates, in their order."""
        return subjects.subject_vectors(self._context, subject)

    def person_data(self, subject: str) -> dict[str, Any]:
        """All data about one person, for that person, as JSON values; logged."""
        return person_data(self._context, subjects.check_name(subject))

    def update(
        self,
        subject: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        consent: Consent | None = None,
    ) -> Subject:
        """Replace a subject's metadata or consent."""
        return subjects.update_subject(self._context, subject, metadata, consent)

    def add_subject(self, subject: str) -> Subject:
        """Add a subject without templates; one that exists stays as it is."""
        return subjects.add_subject(self._context, subject)

    def rename(self, subject: str, new: str) -> Subject:
        """Rename a subject. UsageError: another subject has the new name (see `merge`)."""
        return subjects.rename_subject(self._context, subject, new)

    def merge(self, into: str, *names: str) -> merging.Merged:
        """Move the templates of other subjects to `into` and remove them (`merge_subjects`)."""
        return merging.merge_subjects(self._context, into, names)

    def remove(self, *names: str) -> int:
        """Remove subjects, all or none, and overwrite the bytes of their templates; count these."""
        return privacy.remove_subjects(self._context, [subjects.check_name(name) for name in names])

    def remove_template(self, template: str) -> None:
        """Remove one template."""
        privacy.remove_template(self._context, template)

    def remove_older_than(self, moment: datetime) -> int:
        """Remove templates made before `moment`, and subjects that have none left."""
        return privacy.remove_older(self._context, moment)

    def expire(self, moment: datetime | None = None) -> int:
        """Remove what retention period and consents no longer cover; give the template count."""
        return privacy.expire(self._context, moment)

    def removable(
        self,
        *names: str,
        templates: Sequence[str] = (),
        older_than: datetime | None = None,
        expired: bool = False,
    ) -> privacy.Removable:
        """What a removal of all this would remove; nothing is changed.

        Args:
            templates: as `remove_template` takes them.
            older_than: as `remove_older_than` takes it.
            expired: with what `expire` removes.

        Raises:
            UnknownSubjectError: a subject or template does not exist.
        """
        chosen = [subjects.check_name(name) for name in names]
        return privacy.removable(self._context, chosen, templates, older_than, expired)

    @property
    def forgotten(self) -> frozenset[bytes]:
        """SHA-256 of the photographs whose templates this object removed."""
        return frozenset(self._context.deleted_images)

    def set_policy(self, policy: Policy) -> None:
        """Change the policy for future enrollments."""
        privacy.set_policy(self._context, policy)

    def rekey(self, key: Key | None, progress: migration.Progress | None = None) -> int:
        """Encrypt all records, with another key or for the first time; None decrypts them."""
        return migration.rekey(self._context, key, progress)

    def export(self, path: str | Path) -> int:
        """Write all templates, unencrypted, as JSON lines or Parquet by the suffix; count them."""
        return transfer.export(self._context, Path(path))

    def import_(
        self, path: str | Path, embedder: str | None = None, table: SourceTable | None = None
    ) -> transfer.Imported:
        """Import an export of the same model, or other programs' vectors of `embedder`.

        Args:
            path: a file, or the address of a PostgreSQL database.
            table: where the faces are in a database or its dump (.sql, .sql.gz).
        """
        return transfer.import_(self._context, path, embedder, table)

    def backup(self, path: str | Path) -> None:
        """Copy the gallery into a new file, consistent even while others write."""
        self._context.store.raw.backup(Path(path))

    def verify(self) -> list[str]:
        """Read and check everything; give the problems."""
        return integrity.verify(self._context)

    def accept(self) -> int:
        """Tag all rows as they are, after you checked them; give the number of wrong tags."""
        return integrity.accept(self._context)

    def audit(self) -> Iterator[AuditEntry]:
        """The audit log, in order."""
        return self._context.store.raw.audit()

    def verify_audit(self, anchor: str | None = None) -> AuditReport:
        """Check the log's chain (`gallery.audit` says what that can and can't find)."""
        return integrity.verify_audit(self._context, anchor)
