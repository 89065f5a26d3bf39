"""From a location to an open store, made when there is none."""

from __future__ import annotations

import getpass
import re
import secrets
from dataclasses import replace

from faceprint import settings
from faceprint.errors import GalleryError, UsageError
from faceprint.recognition.gallery.audit import next_entry
from faceprint.recognition.gallery.crypto import Key
from faceprint.recognition.gallery.guard import Guard
from faceprint.recognition.gallery.guarded_store import GuardedStore
from faceprint.recognition.gallery.records import Fusion, Header, ModelPin, Policy, now
from faceprint.recognition.gallery.store import GalleryStore, is_postgres

__all__ = ["check_options", "log_creation", "new_header", "open_store", "user"]


def new_header(
    pin: ModelPin, fusion: Fusion | None, policy: Policy | None, key: Key | None
) -> Header:
    """The first header of a gallery."""
    if fusion not in (None, "max", "mean"):
        raise UsageError(f"fusion is {fusion!r}; it is max or mean")
    return Header(
        uid=secrets.token_hex(16),
        model=pin,
        fusion=fusion or "max",
        policy=policy or Policy(),
        key_id="" if key is None else key.id,
        created=now(),
    )


def open_store(location: str, header: Header | None, key: Key | None = None) -> GuardedStore:
    """Open a gallery's store, behind its guard.

    Args:
        header: of the gallery to make when there is none; None where it must exist.
        key: of an encrypted gallery.

    Raises:
        GalleryError: there is none, and `header` is None.
        GalleryCorruptError: something else lies there.
    """
    if header is not None:
        header = Guard(key, header, legacy=False).sign(header, 0)
    return GuardedStore(_raw_store(location, header), key)


def _raw_store(location: str, header: Header | None) -> GalleryStore:
    if is_postgres(location):
        from faceprint.recognition.gallery.store_postgres import PostgresStore

        return PostgresStore.open(location, header)
    from faceprint.recognition.gallery.store_sqlite import SqliteStore

    _check_path(location)
    path = settings.expanded(location)
    if not path.exists():
        if header is None:
            raise GalleryError(
                f"there is no gallery at {location}; "
                f"faceprint enroll {location} NAME PHOTO makes one"
            )
        SqliteStore.create(path, header)
    return SqliteStore(path)


def _check_path(location: str) -> None:
    """Refuse what can't be meant as a path, without repeating a password that stands in it."""
    if re.match(r"[A-Za-z][\w+.-]+:/", location) or re.search(r"password\s*=", location):
        raise UsageError(
            "that is neither a file nor the address of a database; write a database as "
            "postgresql://user@host/database?schema=name"
        )
    if "\0" in location:
        raise UsageError("a file's name holds no zero byte")


def log_creation(store: GuardedStore, actor: str) -> None:
    """The first line of the log, once."""
    if store.header().audit_seq or store.raw.read_only:
        return
    with store.write() as writer:
        header = writer.header()
        if header.audit_seq == 0:
            entry = next_entry((0, ""), now(), actor, "create", "", header.model.id)
            writer.put_audit(entry)
            writer.put_header(replace(header, audit_seq=1, audit_hash=entry.hash))


def check_options(
    location: str, header: Header, fusion: Fusion | None, policy: Policy | None, key: Key | None
) -> None:
    """Refuse what contradicts the gallery that is there.

    A key that is given means that the gallery is sealed, whichever way the key is given: a gallery
    in clear at that place was put there by somebody else.

    Raises:
        UsageError: another fusion, policy or state of encryption.
    """
    if fusion is not None and header.fusion != fusion:
        raise UsageError(f"{location} was made with fusion {header.fusion}, not {fusion}")
    if policy is not None and header.policy != policy:
        raise UsageError(f"{location} has another policy; Gallery.set_policy changes it")
    if key is not None and not header.key_id:
        raise UsageError(
            f"{location} is not encrypted, but a key is given (--key-file, FACEPRINT_KEY_FILE, "
            "FACEPRINT_KEY or FACEPRINT_KEY_COMMAND). If it was encrypted before, somebody "
            "replaced it. If it never was, leave the key out, or encrypt it: without the key, "
            "faceprint gallery rekey --new-key-file FILE"
        )


def user() -> str:
    """Who runs this process, for the audit log."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
