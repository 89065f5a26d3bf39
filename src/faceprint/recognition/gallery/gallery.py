"""The gallery: subjects and their templates, enrolled, searched and maintained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from faceprint.errors import NoFaceError, UsageError
from faceprint.recognition.gallery import factory, migration, subjects
from faceprint.recognition.gallery.analyzer import Analyzer, operating_point
from faceprint.recognition.gallery.context import GalleryContext
from faceprint.recognition.gallery.crypto import Key
from faceprint.recognition.gallery.enrollment import EnrollOptions, enroll
from faceprint.recognition.gallery.face_choice import FaceChoice
from faceprint.recognition.gallery.housekeeping import Housekeeping
from faceprint.recognition.gallery.records import (
    Consent,
    Fusion,
    Header,
    ModelPin,
    Outcome,
    Policy,
)
from faceprint.recognition.gallery.search import IndexKind
from faceprint.recognition.thresholds.min_quality import objection, usable_quality
from faceprint.types import Embedding, Face, Identification, OperatingPoint

__all__ = ["Gallery"]


class Gallery(Housekeeping):
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
        """Enroll a stream of (subject, photograph); yield each outcome once it is durable.

        A `FaceAt` instead of a photograph says which of its faces is meant.
        """
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

    def _require_analyzer(self) -> Analyzer:
        if self._analyzer is None:
            raise UsageError("this gallery was opened without models: Gallery.open(path, load())")
        return self._analyzer
