"""The gallery: subjects and their templates, enrolled, searched and maintained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from faceprint.errors import NoFaceError, UsageError
from faceprint.recognition.gallery import factory, integrity, migration, privacy, subjects, transfer
from faceprint.recognition.gallery.analyzer import Analyzer, operating_point
from faceprint.recognition.gallery.audit import AuditReport
from faceprint.recognition.gallery.context import GalleryContext
from faceprint.recognition.gallery.crypto import Key
from faceprint.recognition.gallery.enrollment import EnrollOptions, FaceChoice, enroll
from faceprint.recognition.gallery.records import (
    AuditEntry,
    Consent,
    Fusion,
    Header,
    ModelPin,
    Outcome,
    Policy,
    Subject,
    TemplateRow,
)
from faceprint.recognition.gallery.search import IndexKind
from faceprint.recognition.thresholds.min_quality import objection, usable_quality
from faceprint.types import Array, Embedding, Face, Identification, OperatingPoint

__all__ = ["Gallery"]


class Gallery:
    """Subjects and templates in one store, for one embedder. Safe across threads."""

    def __init__(
        self, context: GalleryContext, analyzer: Analyzer | None, notices: tuple[str, ...] = ()
    ) -> None:
        self._context, self._analyzer = context, analyzer
        self.notices = notices  # what the user should know about the opening

    @classmethod
    def open(
        cls,
        location: str | Path,
        analyzer: Analyzer | None = None,
        *,
        model: ModelPin | None = None,
        fusion: Fusion | None = None,
        policy: Policy | None = None,
        key: Key | None = None,
        index: IndexKind = "auto",
        actor: str | None = None,
    ) -> Gallery:
        """Open a gallery, or create one if an analyzer or `model` says for which embedder.

        Args:
            location: a file, or `postgresql://...` (`?schema=NAME` for several in one database).
            analyzer: from `faceprint.load`; needed to enroll and to identify photographs.
            model: instead of an analyzer, for a new gallery that is filled by `import_`.
            fusion: how a new gallery combines a subject's templates: `max` (default) or `mean`.
            policy: of a new gallery; `set_policy` changes it later.
            key: None for that of the environment. A new gallery is encrypted if there is a key.
            index: `exact`, `signs` (binary LSH), `usearch`, or `auto`, which chooses by size.
            actor: named in the audit log; None for the user of the process.

        Raises:
            ModelMismatchError: the gallery belongs to another embedder.
            GalleryLockedError: it is encrypted, and the key is missing or wrong.
            GalleryCorruptError: not a gallery, damaged, or hostile.
            UsageError: `fusion`, `policy` or `key` contradict the existing gallery.
        """
        context, notices = factory.open_context(
            str(location), analyzer, model, fusion, policy, key, index, actor
        )
        return cls(context, analyzer, notices)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close files and connections."""
        self._context.store.raw.close()

    @property
    def location(self) -> str:
        """Path or address, without a password."""
        return self._context.location

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written; it can still be searched."""
        return self._context.store.raw.read_only

    @property
    def header(self) -> Header:
        """Model, fusion, policy and generation, as they are now."""
        return self._context.store.header()

    def enroll(
        self,
        subject: str,
        *images: Any,
        metadata: Mapping[str, Any] | None = None,
        consent: Consent | None = None,
        faces: FaceChoice = "largest",
        min_quality: float | None = None,
    ) -> list[Outcome]:
        """Enroll photographs of one person; each gives `Enrolled`, or `Skipped` with the reason.

        A photograph that is enrolled already gives the template it has. See `EnrollOptions` for
        the options. Raises UsageError for a name or metadata that can't be stored.
        """
        name = subjects.check_name(subject)
        options = EnrollOptions(faces, min_quality, metadata, consent)
        return list(self.enroll_many(((name, image) for image in images), options))

    def enroll_many(
        self, pairs: Iterable[tuple[str, Any]], options: EnrollOptions | None = None
    ) -> Iterator[Outcome]:
        """Enroll a stream of (subject, photograph); yield each outcome once it is durable."""
        return enroll(self._context, self._require_analyzer(), pairs, options or EnrollOptions())

    def operating_point(
        self,
        *,
        fpir: float | None = None,
        threshold: float | None = None,
        points: Sequence[OperatingPoint] | None = None,
    ) -> OperatingPoint:
        """The threshold for the number of templates enrolled now (`analyzer.operating_point`)."""
        index, _ = self._context.search.ready(self.header)
        return operating_point(self._require_analyzer(), len(index), fpir, threshold, points)

    def identify(
        self,
        image: Any,
        *,
        top: int = 5,
        fpir: float | None = None,
        threshold: float | None = None,
        min_quality: float | None = None,
    ) -> Identification:
        """Identify the largest face of a photograph.

        Below `min_quality` (by default the least that the embedder's card supports; 0 for none)
        `decidable` is False, `subject` is None and `reason` explains. `top` is the number of
        candidates. See `operating_point` for `fpir` and `threshold`. NoFaceError: no face.
        """
        faces = self._require_analyzer().analyze(image)
        if not faces or faces[0].embedding is None:
            raise NoFaceError("no face found to identify")
        point = self.operating_point(fpir=fpir, threshold=threshold)
        return self.identify_faces(faces[:1], point, top=top, min_quality=min_quality)[0]

    def identify_faces(
        self,
        faces: Sequence[Face],
        point: OperatingPoint,
        *,
        top: int = 5,
        min_quality: float | None = None,
    ) -> list[Identification]:
        """Identify embedded faces, in their order; `min_quality` as in `identify`."""
        least = usable_quality(self._require_analyzer().embedder_card, min_quality)
        probes = [face.embedding for face in faces if face.embedding is not None]
        if len(probes) != len(faces):
            raise UsageError("a face without embedding; analyze with embed=True")
        return [
            replace(answer, reason=objection(face.quality, least))
            for face, answer in zip(faces, self.identify_many(probes, point, top=top), strict=True)
        ]

    def identify_many(
        self, probes: Sequence[Embedding], point: OperatingPoint, *, top: int = 5
    ) -> list[Identification]:
        """Identify embeddings, in their order, whatever the quality of their faces."""
        return self._context.search.identify(probes, point, top)

    def __len__(self) -> int:
        """Number of templates."""
        return len(self._context.store.raw.keys()[0])

    def counts(self) -> dict[str, int]:
        """Number of `subjects` and `templates`."""
        return {"subjects": sum(1 for _ in self.subjects()), "templates": len(self)}

    def subjects(self) -> Iterator[Subject]:
        """All subjects, by name."""
        return self._context.store.subjects()

    def show(self, subject: str) -> tuple[Subject, list[TemplateRow]]:
        """A subject and its templates; vectors may be sealed (`vectors` opens them)."""
        return subjects.subject_templates(self._context, subject)

    def vectors(self, subject: str) -> Array:
        """(n, d) vectors of a subject's templates, in their order."""
        return subjects.subject_vectors(self._context, subject)

    def person_data(self, subject: str) -> dict[str, Any]:
        """All data about one person, for that person, as JSON values; logged."""
        return privacy.person_data(self._context, subjects.check_name(subject))

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
        """Rename a subject. UsageError: another subject has the new name."""
        return subjects.rename_subject(self._context, subject, new)

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

    @property
    def forgotten(self) -> frozenset[bytes]:
        """SHA-256 of the photographs whose templates this object removed."""
        return frozenset(self._context.deleted_images)

    def set_policy(self, policy: Policy) -> None:
        """Change the policy for future enrollments."""
        privacy.set_policy(self._context, policy)

    def migrate(
        self,
        analyzer: Analyzer,
        *,
        drop_missing: bool = False,
        progress: migration.Progress | None = None,
    ) -> migration.Migration:
        """Re-embed with another embedder, from kept crops or photographs (`migration.migrate`)."""
        done = migration.migrate(self._context, analyzer, drop_missing, progress)
        self._analyzer = analyzer
        return done

    def rekey(self, key: Key | None, progress: migration.Progress | None = None) -> int:
        """Encrypt all records, with another key or for the first time; None decrypts them."""
        return migration.rekey(self._context, key, progress)

    def export(self, path: str | Path) -> int:
        """Write all templates, unencrypted, as JSON lines or Parquet by the suffix; count them."""
        return transfer.export(self._context, Path(path))

    def import_(self, path: str | Path) -> transfer.Imported:
        """Import what `export` wrote from a gallery of the same model; all or nothing."""
        return transfer.import_(self._context, Path(path))

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

    def _require_analyzer(self) -> Analyzer:
        if self._analyzer is None:
            raise UsageError("this gallery was opened without models: Gallery.open(path, load())")
        return self._analyzer
