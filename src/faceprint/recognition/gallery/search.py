"""Search a gallery: an index that follows the store, and the subjects it finds."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from faceprint.errors import GalleryCorruptError, GalleryError, ModelMismatchError, UsageError
from faceprint.recognition.gallery import cache
from faceprint.recognition.gallery.authenticated_store import AuthenticatedStore
from faceprint.recognition.gallery.records import Header
from faceprint.recognition.gallery.sql.reader import MIN_KEY
from faceprint.recognition.gallery.sql.rows import TemplateColumns
from faceprint.recognition.gallery.vectors import unpack
from faceprint.recognition.identify import Candidate, Owners, search_subjects
from faceprint.recognition.index.base import Keys, VectorIndex
from faceprint.recognition.index.binary_lsh import BinaryLshIndex
from faceprint.recognition.index.exact import ExactIndex
from faceprint.recognition.index.usearch import UsearchIndex
from faceprint.types import Array, Embedding, Identification, Match, OperatingPoint

__all__ = ["APPROXIMATE_FROM", "IndexKind", "Search"]

IndexKind = Literal["auto", "exact", "exact-i8", "signs", "usearch"]
"""`exact-i8` is an old name of `exact`; `signs` is `BinaryLshIndex`."""

APPROXIMATE_FROM = 200_000
"""Templates from which `auto` uses the binary index (docs/scaling.md: measured)."""
_SAVE_SHARE = 0.02
_CENTER_SAMPLE = 4096
"""Templates from which the center of all is computed."""


class _LocalOwners:
    """Two sorted arrays: template keys, and their subjects' keys."""

    def __init__(self, templates: Keys, subjects: Keys) -> None:
        self.templates, self.subjects = templates, subjects
        order = np.argsort(subjects, kind="stable")
        self._sorted, self._by_subject = subjects[order], templates[order]

    def of(self, templates: Keys) -> Keys:
        if not len(self.templates):
            return np.full(len(templates), -1, np.int64)
        place = np.minimum(np.searchsorted(self.templates, templates), len(self.templates) - 1)
        return np.where(self.templates[place] == templates, self.subjects[place], -1)

    def members(self, subjects: Keys) -> list[Keys]:
        starts = np.searchsorted(self._sorted, subjects, "left")
        stops = np.searchsorted(self._sorted, subjects, "right")
        return [self._by_subject[a:b] for a, b in zip(starts, stops, strict=True)]


class Search:
    """Finds the nearest subjects.

    The index is built when it is first needed, and updated when the store's generation changes.
    """

    def __init__(self, store: AuthenticatedStore, kind: IndexKind = "auto") -> None:
        if kind not in get_args(IndexKind):
            raise UsageError(f"index is {kind!r}; choose one of {', '.join(get_args(IndexKind))}")
        self._store, self._kind = store, kind
        self._lock = threading.RLock()
        self._state: tuple[str, int, int] | None = None
        self._index: VectorIndex | None = None
        self._owners: Owners | None = None

    def identify(
        self, probes: Sequence[Embedding], point: OperatingPoint, top: int
    ) -> list[Identification]:
        """The `top` subjects for each probe, in the order of the probes.

        Raises:
            ModelMismatchError: an embedding of another model.
            UsageError: `top` is below 1.
        """
        if top < 1:
            raise UsageError(f"top is {top}, not a positive whole number")
        if not probes:
            return []
        header = self._store.header()
        self._check_model(header, probes)
        try:
            found, names = self._search(header, probes, top)
        except GalleryCorruptError:
            if self._store.header().epoch == header.epoch:
                raise
        now = self._store.header()
        if now.epoch != header.epoch:
            # Vectors were replaced while the search read them: by another key or model.
            self._check_model(now, probes)
            found, names = self._search(now, probes, top)
        answers = []
        for row in found:
            # Skips subjects that were removed since the search.
            candidates = [candidate for candidate in row if candidate.subject in names]
            matches = tuple(
                Match(names[c.subject], str(c.template), c.similarity, rank)
                for rank, c in enumerate(candidates, 1)
            )
            answers.append(Identification(matches, point.threshold, point))
        return answers

    def _search(
        self, header: Header, probes: Sequence[Embedding], top: int
    ) -> tuple[list[list[Candidate]], dict[int, str]]:
        found = self.subjects(header, np.stack([probe.vector for probe in probes]), top)
        keys = sorted({candidate.subject for row in found for candidate in row})
        return found, {key: s.name for key, s in self._store.subjects_by_key(keys).items()}

    def _check_model(self, header: Header, probes: Sequence[Embedding]) -> None:
        for probe in probes:
            if probe.model != header.model.id or probe.vector.shape != (header.model.dim,):
                raise ModelMismatchError(
                    f"the probe is an embedding of {probe.model}, but {self._store.location} "
                    f"contains vectors of {header.model.id}; embed it with that model"
                )

    def subjects(self, header: Header, probes: Array, top: int) -> list[list[Candidate]]:
        """The `top` subjects for each of (p, d) unit probes."""
        with self._lock:
            index, owners = self.ready(header)
            return search_subjects(index, owners, probes, top, header.fusion)

    def ready(self, header: Header) -> tuple[VectorIndex, Owners]:
        """The index and the owners, as of this header or later."""
        with self._lock:
            self._store.check_header(header)
            if self._kind == "auto":
                native = self._store.raw.native_search(header, self._store.check_templates)
                if native is not None:
                    return native
            wanted = (header.uid, header.epoch, header.generation)
            if header.key_id and self._state != wanted:
                self._store.check_set()
            if self._index is None or self._state is None or self._state[:2] != wanted[:2]:
                self._build(header)
            elif self._state[2] != wanted[2]:
                self._update(header, self._index)
            self._state = wanted
            assert self._index is not None and self._owners is not None
            return self._index, self._owners

    def drop_cache(self) -> None:
        """Delete the cached index, which may contain deleted vectors."""
        with self._lock:
            path = self._store.raw.cache_path()
            if path is not None:
                try:
                    cache.drop(path)
                except OSError as error:
                    raise GalleryError(
                        f"{path} can't be deleted ({error.strerror}), although it contains vectors"
                    ) from error

    def _build(self, header: Header) -> None:
        templates, subjects = self._store.raw.keys()
        self._owners = _LocalOwners(templates, subjects)
        kind = self._kind
        if kind == "auto":
            kind = "signs" if len(templates) >= APPROXIMATE_FROM else "exact"
        if kind in ("exact", "exact-i8"):
            exact = ExactIndex(header.model.dim)
            exact.reserve(len(templates))
            self._index = exact
            self._add_after(header, exact, MIN_KEY)
            return
        index = self._from_cache(header, kind)
        cached = index is not None
        if index is None:
            index = self._empty(header.model.dim, kind)
            if isinstance(index, BinaryLshIndex):
                self._center(index, templates)
        self._index = index
        before = len(index)
        self._update(header, index)
        if not cached or len(self._index) - before > _SAVE_SHARE * len(self._index):
            self._save(header, self._index)

    def _empty(self, dim: int, kind: str) -> BinaryLshIndex | UsearchIndex:
        return (BinaryLshIndex if kind == "signs" else UsearchIndex)(dim, self._fetch)

    def _center(self, index: BinaryLshIndex, templates: Keys) -> None:
        """Prepare an empty index for these templates."""
        index.reserve(len(templates))
        chosen = np.random.default_rng(0).permutation(templates)[:_CENTER_SAMPLE]
        _, vectors = self._fetch(np.sort(chosen))
        if len(vectors):
            index.center(vectors, len(templates))

    def _update(self, header: Header, index: VectorIndex) -> None:
        templates, subjects = self._store.raw.keys()
        if isinstance(index, BinaryLshIndex | UsearchIndex):
            known = np.sort(index.keys())
        else:
            assert isinstance(self._owners, _LocalOwners)
            known = self._owners.templates
        index.remove(np.setdiff1d(known, templates, assume_unique=True))
        self._owners = _LocalOwners(templates, subjects)
        self._add_after(header, index, int(known[-1]) if len(known) else MIN_KEY)
        if isinstance(index, BinaryLshIndex) and index.outgrown:
            self._index = index = BinaryLshIndex(header.model.dim, self._fetch)
            self._center(index, templates)
            self._add_after(header, index, MIN_KEY)

    def _add_after(self, header: Header, index: VectorIndex, last: int) -> None:
        owners = self._owners
        assert isinstance(owners, _LocalOwners)
        newest = int(owners.templates[-1]) if len(owners.templates) else MIN_KEY
        uids: dict[int, str] = {}
        for page in self._store.vectors(last):
            rows = [row for row in page if row.key <= newest]
            index.add(*self._open(header, rows, uids))

    def _fetch(self, keys: Keys) -> tuple[Keys, Array]:
        return self._open(self._store.header(), self._store.vectors_by_key(keys.tolist()), {})

    def _open(
        self, header: Header, rows: Sequence[TemplateColumns], uids: dict[int, str]
    ) -> tuple[Keys, Array]:
        """(n,) keys and (n, d) vectors of these rows; `uids` of subjects known so far."""
        vectors = [row.vector for row in rows]
        if header.key_id:
            missing = sorted({row.subject_key for row in rows} - uids.keys())
            found = self._store.subjects_by_key(missing)
            uids.update({key: subject.uid for key, subject in found.items()})
            sealer = self._store.sealer(header)
            vectors = [
                sealer.open(row.vector, uids.get(row.subject_key, ""), row.image_sha256, "vector")
                for row in rows
            ]
        keys = np.asarray([row.key for row in rows], np.int64)
        return keys, unpack(vectors, header.model.dim, self._store.location)

    def _from_cache(self, header: Header, kind: str) -> BinaryLshIndex | UsearchIndex | None:
        path = self._cache_path(header)
        if path is None:
            return None
        index = self._empty(header.model.dim, kind)
        note = cache.load(path, index.load)
        if (
            note is not None
            and (note.gallery, note.epoch) == (header.uid, header.epoch)
            and note.parameters == repr(index.settings)
            and note.count == len(index)
        ):
            return index
        return None

    def _cache_path(self, header: Header) -> Path | None:
        # An encrypted gallery leaves nothing unencrypted on the disk.
        return None if header.key_id else self._store.raw.cache_path()

    def _save(self, header: Header, index: VectorIndex) -> None:
        path = self._cache_path(header)
        assert isinstance(index, BinaryLshIndex | UsearchIndex)
        incomplete = isinstance(index, UsearchIndex) and index.removed
        if path is None or self._store.raw.read_only or incomplete:
            return
        note = cache.CacheNote(
            header.uid, header.epoch, header.generation, len(index), repr(index.settings)
        )
        cache.store(path, note, index.save)
        # A template that was removed while the file was written is in it.
        if self._store.header().generation != header.generation:
            cache.drop(path)
