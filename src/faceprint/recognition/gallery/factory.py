"""Open a gallery's store, or create it."""

from __future__ import annotations

import getpass
import re
import secrets
from dataclasses import replace

from faceprint import settings
from faceprint.errors import GalleryError, UsageError
from faceprint.recognition.gallery import integrity, privacy
from faceprint.recognition.gallery.analyzer import Analyzer, check_pin, pin_of
from faceprint.recognition.gallery.audit import next_entry
from faceprint.recognition.gallery.authenticated_store import AuthenticatedStore
from faceprint.recognition.gallery.authentication import RowAuthenticator
from faceprint.recognition.gallery.context import GalleryContext
from faceprint.recognition.gallery.crypto import Key, key_from_environment
from faceprint.recognition.gallery.records import Fusion, Header, ModelPin, Policy, now
from faceprint.recognition.gallery.search import IndexKind, Search
from faceprint.recognition.gallery.sql.store import GalleryStore

__all__ = ["embedder_of", "is_postgres", "open_context", "open_store"]


def is_postgres(location: str) -> bool:
    """Whether a location is a PostgreSQL address rather than a file."""
    return location.lower().startswith(("postgresql://", "postgres://"))


def open_context(
    location: str,
    analyzer: Analyzer | None,
    model: ModelPin | None,
    fusion: Fusion | None,
    policy: Policy | None,
    key: Key | None,
    index: IndexKind,
    actor: str | None,
) -> tuple[GalleryContext, tuple[str, ...]]:
    """Open or create a gallery (`Gallery.open`); give it, and what its user should know."""
    key = key or key_from_environment()
    pin = model if analyzer is None else pin_of(analyzer)
    new = None if pin is None else new_header(pin, fusion, policy, key)
    store = open_store(location, new, key)
    try:
        header = store.header()
        if pin is not None:
            check_pin(store.location, header.model, pin)
        check_options(store.location, header, fusion, policy, key)
        store.sealer(header)
        if analyzer is not None:
            store.check_orphans()
        context = GalleryContext(store, Search(store, index), actor or current_user())
        upgraded = integrity.upgrade(context)
        log_creation(store, context.actor)
        return context, _finish_changes(context, upgraded)
    except BaseException:
        store.raw.close()
        raise


def _finish_changes(context: GalleryContext, upgraded: bool) -> tuple[str, ...]:
    """Overwrite what an earlier change left behind; give the notices of the opening."""
    notices = []
    if upgraded:
        encrypted = context.store.header().key_id
        sealed = ", and names, metadata and paths are sealed too" if encrypted else ""
        notices.append(
            f"{context.location} was made by an older faceprint: every row now has a checksum"
            f"{sealed}. Older versions of faceprint can't open it any more"
        )
    if context.store.header().scrub:
        try:
            privacy.scrub(context, thorough=True)
        except GalleryError as error:
            notices.append(str(error))
    return tuple(notices)


def embedder_of(location: str) -> str:
    """The id of the embedder that a gallery belongs to; needs no key, and checks nothing.

    Raises:
        GalleryError: there is no gallery, or it can't be opened.
    """
    store = open_store(location, None)
    try:
        return store.raw.header().model.id
    finally:
        store.raw.close()


def new_header(
    pin: ModelPin, fusion: Fusion | None, policy: Policy | None, key: Key | None
) -> Header:
    """The header of a new gallery."""
    if fusion not in (None, "max", "mean"):
        raise UsageError(f"fusion is {fusion!r}; choose max or mean")
    return Header(
        uid=secrets.token_hex(16),
        model=pin,
        fusion=fusion or "max",
        policy=policy or Policy(),
        key_id="" if key is None else key.id,
        created=now(),
    )


def open_store(location: str, header: Header | None, key: Key | None = None) -> AuthenticatedStore:
    """Open a gallery's store.

    Args:
        header: of the gallery to create if there is none; None if it must exist.
        key: of an encrypted gallery.

    Raises:
        GalleryError: there is none, and `header` is None.
        GalleryCorruptError: something else is there.
    """
    if header is not None:
        header = RowAuthenticator(key, header, legacy=False).sign(header, 0)
    return AuthenticatedStore(_open_database(location, header), key)


def _open_database(location: str, header: Header | None) -> GalleryStore:
    if is_postgres(location):
        from faceprint.recognition.gallery.sql.postgres import PostgresStore

        return PostgresStore.open(location, header)
    from faceprint.recognition.gallery.sql.sqlite import SqliteStore

    _check_path(location)
    path = settings.expanded(location)
    if not path.exists():
        if header is None:
            raise GalleryError(
                f"there is no gallery at {location}; create one with: "
                f"faceprint enroll {location} NAME PHOTO"
            )
        SqliteStore.create(path, header)
    return SqliteStore(path)


def _check_path(location: str) -> None:
    """Refuse what is not a path, without repeating a password that it may contain."""
    if re.match(r"[A-Za-z][\w+.-]+:/", location) or re.search(r"password\s*=", location):
        raise UsageError(
            "the location is neither a file nor the address of a database; write a database as "
            "postgresql://user@host/database?schema=name"
        )
    if "\0" in location:
        raise UsageError("a file's name can't contain a zero byte")


def log_creation(store: AuthenticatedStore, actor: str) -> None:
    """Write the first line of the audit log, once."""
    if store.header().audit_seq or store.raw.read_only:
        return
    with store.write() as writer:
        header = writer.header()
        if header.audit_seq == 0:
            entry = next_entry((0, ""), now(), actor, "create", "", header.model.id)
            writer.raw.put_audit(entry)
            writer.put_header(replace(header, audit_seq=1, audit_hash=entry.hash))


def check_options(
    location: str, header: Header, fusion: Fusion | None, policy: Policy | None, key: Key | None
) -> None:
    """Refuse options that contradict the gallery that is there.

    Whoever gives a key expects an encrypted gallery. An unencrypted one at that place may have been
    put there by somebody else.

    Raises:
        UsageError: another fusion or policy, or a key for an unencrypted gallery.
    """
    if fusion is not None and header.fusion != fusion:
        raise UsageError(f"{location} was created with fusion {header.fusion}, not {fusion}")
    if policy is not None and header.policy != policy:
        raise UsageError(f"{location} has another policy; change it with Gallery.set_policy")
    if key is not None and not header.key_id:
        raise UsageError(
            f"{location} is not encrypted, but a key is given (--key-file, FACEPRINT_KEY_FILE, "
            "FACEPRINT_KEY or FACEPRINT_KEY_COMMAND). If it was encrypted before, somebody "
            "replaced it. If it never was, leave the key out, or encrypt it: without the key, "
            "faceprint gallery rekey --new-key-file FILE"
        )


def current_user() -> str:
    """The user of this process, for the audit log."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
