"""The index in memory, kept in step with the store."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np

from faceprint.errors import GalleryError, UsageError
from faceprint.recognition.gallery import cache
from faceprint.recognition.gallery.core import Core
from faceprint.recognition.gallery.records import Header
from faceprint.recognition.gallery.store import LEAST_KEY
from faceprint.recognition.gallery.vectors import unpack
from faceprint.recognition.identify import Candidate, Owners, search_subjects
from faceprint.recognition.index.base import Keys, VectorIndex
from faceprint.recognition.index.binary_lsh import BinaryLshIndex
from faceprint.recognition.index.exact import ExactIndex, ExactInt8Index
from faceprint.recognition.index.usearch import UsearchIndex
from faceprint.types import Array

__all__ = ["APPROXIMATE_FROM", "IndexKind", "Search"]

IndexKind = Literal["auto", "exact", "exact-i8", "signs", "usearch"]

APPROXIMATE_FROM = 200_000
"""Templates from which `auto` searches by signs (docs/scaling.md: measured)."""
_SAVE_SHARE = 0.02

_SAMPLED = 4096
"""Templates from which the middle of all is taken."""

_Cached: TypeAlias = BinaryLshIndex | UsearchIndex


class _LocalOwners:
    """Two growing arrays: template keys, and their subjects' keys."""

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
    """Nearest subjects; the index is made when first needed and follows the store's generation."""

    def __init__(self, core: Core, kind: IndexKind = "auto") -> None:
        if kind not in get_args(IndexKind):
            raise UsageError(f"index is {kind!r}; it is one of {', '.join(get_args(IndexKind))}")
        self._core, self._kind = core, kind
        self._lock = threading.RLock()
        self._state: tuple[str, int, int] | None = None
        self._index: VectorIndex | None = None
        self._owners: Owners | None = None

    def subjects(self, header: Header, probes: Array, top: int) -> list[list[Candidate]]:
        """The `top` subjects of each of (p, d) unit probes."""
        with self._lock:
            index, owners = self.ready(header)
            return search_subjects(index, owners, probes, top, header.fusion)

    def ready(self, header: Header) -> tuple[VectorIndex, Owners]:
        """The index and the owners, as of this header or later."""
        with self._lock:
            self._core.store.check_header(header)
            native = self._core.store.native_search(header) if self._kind == "auto" else None
            if native is not None:
                return native
            wanted = (header.uid, header.epoch, header.generation)
            if header.key_id and self._state != wanted:
                self._core.store.check_set()
            if self._index is None or self._state is None or self._state[:2] != wanted[:2]:
                self._build(header)
            elif self._state[2] != wanted[2]:
                self._catch_up(header, self._index)
            self._state = wanted
            assert self._index is not None and self._owners is not None
            return self._index, self._owners

    def drop_cache(self) -> None:
        """Delete the index's file: after deletions, whose bytes it may hold."""
        with self._lock:
            path = self._core.store.cache_path()
            if path is not None:
                try:
                    cache.drop(path)
                except OSError as error:
                    raise GalleryError(
                        f"{path} can't be deleted ({error.strerror}), though it holds vectors"
                    ) from error

    def _build(self, header: Header) -> None:
        templates, subjects = self._core.store.keys()
        self._owners = _LocalOwners(templates, subjects)
        kind = self._kind
        if kind == "auto":
            kind = "signs" if len(templates) >= APPROXIMATE_FROM else "exact"
        if kind in ("exact", "exact-i8"):
            exact = self._exact(header.model.dim, kind)
            exact.reserve(len(templates))
            self._index = exact
            self._add_after(header, exact, LEAST_KEY)
            return
        self._index, cached = self._from_cache(header, kind)
        if isinstance(self._index, BinaryLshIndex) and not cached:
            self._index = self._signs(header.model.dim, templates)
        before = len(self._index)
        self._catch_up(header, self._index)
        if not cached or len(self._index) - before > _SAVE_SHARE * len(self._index):
            self._save(header, self._index)

    def _exact(self, dim: int, kind: str) -> ExactIndex:
        return ExactInt8Index(dim, self._fetch) if kind == "exact-i8" else ExactIndex(dim)

    def _signs(self, dim: int, templates: Keys) -> BinaryLshIndex:
        """An empty index about the middle of these templates."""
        index = BinaryLshIndex(dim, self._fetch)
        index.reserve(len(templates))
        chosen = np.random.default_rng(0).permutation(templates)[:_SAMPLED]
        _, vectors = self._fetch(np.sort(chosen))
        if len(vectors):
            index.center(vectors, len(templates))
        return index

    def _catch_up(self, header: Header, index: VectorIndex) -> None:
        templates, subjects = self._core.store.keys()
        if isinstance(index, BinaryLshIndex | UsearchIndex):
            held = np.sort(index.keys())
        else:
            assert isinstance(self._owners, _LocalOwners)
            held = self._owners.templates
        index.remove(np.setdiff1d(held, templates, assume_unique=True))
        self._owners = _LocalOwners(templates, subjects)
        self._add_after(header, index, int(held[-1]) if len(held) else LEAST_KEY)
        if isinstance(index, BinaryLshIndex) and index.outgrown:
            self._index = self._signs(header.model.dim, templates)
            self._add_after(header, self._index, LEAST_KEY)

    def _add_after(self, header: Header, index: VectorIndex, last: int) -> None:
        sealer = self._core.sealer(header)
        owners, where = self._owners, self._core.location
        assert isinstance(owners, _LocalOwners)
        newest = int(owners.templates[-1]) if len(owners.templates) else LEAST_KEY
        uids: dict[int, str] = {}
        for batch in self._core.store.vectors(last):
            rows = [row for row in batch if row[0] <= newest]
            if header.key_id:
                missing = sorted({row[1] for row in rows} - set(uids))
                found = self._core.store.subjects_by_key(missing)
                uids.update({key: subject.uid for key, subject in found.items()})
            blobs = [sealer.open(row[3], uids.get(row[1], ""), row[2], "vector") for row in rows]
            keys = np.asarray([row[0] for row in rows], np.int64)
            index.add(keys, unpack(blobs, header.model.dim, where))

    def _fetch(self, keys: Keys) -> tuple[Keys, Array]:
        header = self._core.store.header()
        sealer = self._core.sealer(header)
        rows = self._core.store.vectors_by_key(keys.tolist())
        uids: dict[int, str] = {}
        if header.key_id:
            found = self._core.store.subjects_by_key(sorted({row[1] for row in rows}))
            uids = {key: subject.uid for key, subject in found.items()}
        blobs = [sealer.open(row[3], uids.get(row[1], ""), row[2], "vector") for row in rows]
        vectors = unpack(blobs, header.model.dim, self._core.location)
        return np.asarray([row[0] for row in rows], np.int64), vectors

    def _from_cache(self, header: Header, kind: str) -> tuple[_Cached, bool]:
        def empty() -> _Cached:
            made = BinaryLshIndex if kind == "signs" else UsearchIndex
            return made(header.model.dim, self._fetch)

        index = empty()
        path = self._cache_path(header)
        note = None if path is None else cache.load(path, index.load)
        if (
            note is not None
            and (note.gallery, note.epoch) == (header.uid, header.epoch)
            and note.parameters == repr(index.settings)
            and note.count == len(index)
        ):
            return index, True
        return empty(), False

    def _cache_path(self, header: Header) -> Path | None:
        # Of an encrypted gallery nothing lies on disk in clear.
        return None if header.key_id else self._core.store.cache_path()

    def _save(self, header: Header, index: _Cached) -> None:
        path = self._cache_path(header)
        if (
            path is None
            or self._core.store.raw.read_only
            or (isinstance(index, UsearchIndex) and index.removed)
        ):
            return
        note = cache.CacheNote(
            header.uid, header.epoch, header.generation, len(index), repr(index.settings)
        )
        cache.store(path, note, index.save)
        # A template removed while the file was written is in it.
        if self._core.store.header().generation != header.generation:
            cache.drop(path)
