"""The gallery: subjects, their templates, and the questions asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from faceprint.errors import GalleryError, NoFaceError, UsageError
from faceprint.recognition.gallery import migration, privacy, tagging
from faceprint.recognition.gallery.analyzer import Analyzer, check_pin, pin_of
from faceprint.recognition.gallery.answering import identify
from faceprint.recognition.gallery.core import Core, check_name
from faceprint.recognition.gallery.crypto import Key, key_from_environment
from faceprint.recognition.gallery.enrollment import EnrollOptions, FaceChoice, enroll
from faceprint.recognition.gallery.factory import (
    check_options,
    log_creation,
    new_header,
    open_store,
    user,
)
from faceprint.recognition.gallery.keeping import Keeping
from faceprint.recognition.gallery.records import (
    Consent,
    Fusion,
    ModelPin,
    Outcome,
    Policy,
)
from faceprint.recognition.gallery.searching import IndexKind, Search
from faceprint.recognition.thresholds.default_threshold import given_point, search_points
from faceprint.recognition.thresholds.fpir import fpir_point, search_point
from faceprint.recognition.thresholds.min_quality import objection, usable_quality
from faceprint.types import Embedding, Face, Identification, OperatingPoint

__all__ = ["Gallery"]


class Gallery(Keeping):
    """Subjects and templates in one store, pinned to one embedder. Safe across threads."""

    def __init__(self, core: Core, analyzer: Analyzer | None, index: IndexKind = "auto") -> None:
        super().__init__(core, Search(core, index))
        self._analyzer = analyzer
        self.notices: tuple[str, ...] = ()
        """What opening did, or could not do, that its user should know."""

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
        """Open a gallery, or make one where there is none and an analyzer says for which model.

        Args:
            location: a file, or `postgresql://...` (`?schema=NAME` for several in one database).
            analyzer: what `faceprint.load` gave; without it nothing can be enrolled or identified
                from photographs.
            model: instead of an analyzer, for a gallery that is filled by `import_`.
            fusion: of several templates a subject, `max` (the default) or `mean`; fixed when the
                gallery is made.
            policy: of a new gallery; `set_policy` changes an old one's.
            key: None looks at the environment. A new gallery is encrypted when there is a key.
            index: `exact`, `exact-i8`, `signs`, `usearch`, or `auto`, which goes by size.
            actor: who is named in the audit log; None for the user of the process.

        Raises:
            ModelMismatchError: the gallery belongs to another embedder.
            GalleryLockedError: it is encrypted, and there is no key or another one.
            GalleryCorruptError: not a gallery, damaged, or of hostile origin.
            UsageError: `fusion`, `policy` or `key` contradict the gallery that is there.
        """
        held = key or key_from_environment()
        pin = model if analyzer is None else pin_of(analyzer)
        made = None if pin is None else new_header(pin, fusion, policy, held)
        core = Core(open_store(str(location), made, held), actor or user())
        try:
            header = core.store.header()
            if pin is not None:
                check_pin(core.location, header.model, pin)
            check_options(core.location, header, fusion, policy, held)
            core.sealer(header)
            if analyzer is not None:
                migration.check_owners(core.location, core.store)
            upgraded = tagging.upgrade(core)
            log_creation(core.store, core.actor)
            gallery = cls(core, analyzer, index)
            gallery.notices = _tidied(gallery, upgraded)
        except BaseException:
            core.store.close()
            raise
        return gallery

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written at its place: it can be searched and shown."""
        return self._core.store.raw.read_only

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of files, connections and the index."""
        self._core.store.close()

    # Enrollment

    def enroll(
        self,
        subject: str,
        *images: Any,
        metadata: Mapping[str, Any] | None = None,
        consent: Consent | None = None,
        faces: FaceChoice = "largest",
        min_quality: float | None = None,
    ) -> list[Outcome]:
        """Enroll photographs of one person.

        The same photograph twice gives the template it gave before. Every photograph is answered
        for: `Enrolled`, or `Skipped` with the reason.

        Args:
            min_quality: skip faces below this `quality.value`; None for the least that the
                embedder's card supports, 0 takes all.

        Raises:
            UsageError: no analyzer, or a name or metadata that can't be kept.
        """
        name = check_name(subject)
        options = EnrollOptions(faces, min_quality, metadata, consent)
        return list(self.enroll_many(((name, image) for image in images), options))

    def enroll_many(
        self, pairs: Iterable[tuple[str, Any]], options: EnrollOptions | None = None
    ) -> Iterator[Outcome]:
        """Enroll a stream of (subject, photograph); an outcome each, once it is durable."""
        return enroll(self._core, self._needs_analyzer(), pairs, options or EnrollOptions())

    # Questions

    def operating_point(
        self,
        *,
        fpir: float | None = None,
        threshold: float | None = None,
        points: Sequence[OperatingPoint] | None = None,
    ) -> OperatingPoint:
        """What decides among the templates enrolled now (`recognition.fpir.fpir_point`).

        Args:
            fpir: the share of strangers that may be taken for somebody; 1e-2 when neither rule is
                given.
            points: measured ones, such as a calibration's; None for what is known of these models
                (`default_threshold.search_points`). Of a published threshold nobody knows
                the FPIR: it decides where `fpir` is None, and says so.

        Raises:
            UsageError: both rules are given, or nothing was measured that supports the FPIR.
        """
        analyzer = self._needs_analyzer()
        if threshold is not None:
            if fpir is not None:
                raise UsageError("give fpir or threshold, not both")
            return given_point(threshold)
        index, _ = self._search.ready(self.header)
        if points is not None:
            return fpir_point(points, len(index), fpir, model=analyzer.embedder_card.id)
        return search_point(search_points(analyzer), len(index), fpir)

    def identify(
        self,
        image: Any,
        *,
        top: int = 5,
        fpir: float | None = None,
        threshold: float | None = None,
        min_quality: float | None = None,
    ) -> Identification:
        """Who is the largest face of a photograph?

        Where it is too poor for the model's error rates to hold, `decidable` is False, `reason`
        says why, and `subject` is None.

        Args:
            top: candidates to report.
            fpir: the share of strangers that may be taken for somebody; 1e-2 when neither is given.
            threshold: a cosine similarity to decide by instead.
            min_quality: the least `quality.value` that decides; None for what the embedder's card
                supports, 0 to decide whatever the quality.

        Raises:
            NoFaceError: there is no face.
            UsageError: no measured operating point supports that FPIR for this many templates.
        """
        faces = self._needs_analyzer().analyze(image)
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
        """Answers for faces that are embedded, in their order; `min_quality` as in `identify`.

        Raises:
            ModelMismatchError: an embedding of another model.
            UsageError: a face without embedding, or `min_quality` is not within 0..1.
        """
        least = usable_quality(self._needs_analyzer().embedder_card, min_quality)
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
        """Answers for a batch of embeddings, in their order, whatever their faces' quality.

        Raises:
            ModelMismatchError: an embedding of another model.
        """
        return identify(self._core, self._search, probes, point, top)

    def migrate(
        self,
        analyzer: Analyzer,
        *,
        drop_missing: bool = False,
        progress: migration.Progress | None = None,
    ) -> migration.Migration:
        """Move to another embedder from kept crops or photographs; names and numbers stay.

        Raises:
            GalleryError: templates that can't be embedded again, unless `drop_missing`.
        """
        done = migration.migrate(
            self._core, self._search, analyzer, drop_missing=drop_missing, progress=progress
        )
        self._analyzer = analyzer
        return done

    def _needs_analyzer(self) -> Analyzer:
        if self._analyzer is None:
            raise UsageError(
                "this gallery was opened without models: Gallery.open(path, load(...))"
            )
        return self._analyzer


def _tidied(gallery: Gallery, upgraded: bool) -> tuple[str, ...]:
    """Finish what an earlier change left to be overwritten; what its user should know."""
    core, notices = gallery._core, []
    if upgraded:
        notices.append(
            f"{core.location} was made by an older faceprint: every row now has a checksum"
            + (
                ", and names, metadata and paths are sealed too"
                if core.store.header().key_id
                else ""
            )
            + ". Older versions of faceprint can't open it any more"
        )
    if core.store.header().scrub:
        try:
            privacy.scrub(core, gallery._search, thorough=True)
        except GalleryError as error:
            notices.append(str(error))
    return tuple(notices)
