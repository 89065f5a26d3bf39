"""The index file beside a gallery: a cache that is read only if this user wrote it.

usearch reads its graph with native code that does not check it, so a file that came with somebody
else's gallery must never reach that code. The cache therefore has a MAC under a secret of this user
(`index.key` in FACEPRINT_HOME). On another machine the index is built again.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from faceprint import settings
from faceprint._files import atomic_write, replacing
from faceprint.errors import GalleryCorruptError

__all__ = ["CacheNote", "drop", "load", "store"]

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class CacheNote:
    """What a cached index was built from."""

    gallery: str
    epoch: int
    generation: int
    count: int
    parameters: str
    format: int = _FORMAT


def note_path(path: Path) -> Path:
    """`people.db.index.json` for `people.db.index`."""
    return path.with_name(path.name + ".json")


def drop(path: Path) -> None:
    """Delete the cache, and what an interrupted writer left."""
    for file in (path, note_path(path), *path.parent.glob(f".{glob.escape(path.name)}.*.part")):
        file.unlink(missing_ok=True)


def store(path: Path, note: CacheNote, write: Callable[[Path], None]) -> bool:
    """Write both files; give False if the disk refuses, which only costs time later."""
    try:
        with replacing(path, private=True) as temporary:
            write(temporary)
            text = json.dumps(asdict(note), sort_keys=True)
            mac = _mac(text, temporary)
        atomic_write(note_path(path), json.dumps({"note": text, "mac": mac}), private=True)
    except (OSError, RuntimeError):
        return False
    return True


def load(path: Path, read: Callable[[Path], None]) -> CacheNote | None:
    """Read the index with `read` if its MAC is ours; None if missing, foreign or damaged."""
    try:
        if note_path(path).stat().st_size > 65536:
            return None
        record = json.loads(note_path(path).read_text(encoding="utf-8"))
        text, mac = record["note"], record["mac"]
        if not hmac.compare_digest(str(mac), _mac(str(text), path)):
            return None
        note = CacheNote(**json.loads(text))
        if note.format != _FORMAT:
            return None
        read(path)
    except (OSError, ValueError, TypeError, KeyError, GalleryCorruptError):
        return None
    return note


def _mac(text: str, file: Path) -> str:
    with file.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").digest()
    return hmac.new(_secret(), text.encode() + b"\0" + digest, hashlib.sha256).hexdigest()


def _secret() -> bytes:
    path = settings.home() / "index.key"
    with contextlib.suppress(FileNotFoundError):
        held = path.read_bytes()
        if len(held) == 32:
            return held
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".index.key.{secrets.token_hex(6)}")
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(secrets.token_bytes(32))
    with contextlib.suppress(FileExistsError):
        os.link(temporary, path)
    temporary.unlink()
    return path.read_bytes()
