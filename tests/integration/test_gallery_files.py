"""The files of a gallery: moved, copied, read-only, on a full disk, readable by others, old."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gallery_kit import FakeAnalyzer, card, vector

from faceprint.cli.app import main
from faceprint.errors import GalleryError
from faceprint.evaluation.embedding_cache import FileHashes, RowCache, forget
from faceprint.recognition.gallery import Consent, Enrolled, Gallery, Key, Policy, Skipped
from faceprint.recognition.gallery.sql.sqlite_schema import GALLERY

KEY = Key(bytes(range(32)))


def made(path: Path, people: int = 3, **options: object) -> None:
    with Gallery.open(path, FakeAnalyzer(), **options) as gallery:  # type: ignore[arg-type]
        for person in range(people):
            gallery.enroll(f"p{person}", f"p{person}/1".encode())


def modes(*paths: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in paths}


# --- moved and copied --------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["moved", "replaced", "deleted"])
def test_nothing_is_acknowledged_into_a_file_that_is_gone(tmp_path: Path, how: str) -> None:
    path = tmp_path / "g.db"
    with Gallery.open(path, FakeAnalyzer()) as gallery:
        gallery.enroll("ada", b"ada/1")
        if how == "moved":
            path.rename(tmp_path / "moved.db")
        elif how == "replaced":
            made(tmp_path / "other.db")
            (tmp_path / "other.db").rename(path)
        else:
            path.unlink()
        with pytest.raises(GalleryError, match="was moved, deleted or replaced"):
            gallery.enroll("bob", b"bob/1")
        with pytest.raises(GalleryError, match="nothing of this step was stored"):
            gallery.remove("ada")
    if how == "moved":
        # With what was acknowledged before, though that lay in the log of the old name.
        with Gallery.open(tmp_path / "moved.db", FakeAnalyzer()) as gallery:
            assert [s.name for s in gallery.subjects()] == ["ada"]
            assert gallery.verify() == []


def test_a_gallery_is_found_again_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Gallery.open("g.db", FakeAnalyzer()) as gallery:
        monkeypatch.chdir("/")
        assert isinstance(gallery.enroll("ada", b"ada/1")[0], Enrolled)


def test_a_backup_of_an_open_gallery_holds_what_was_acknowledged(tmp_path: Path) -> None:
    path, copy = tmp_path / "g.db", tmp_path / "copy.db"
    with Gallery.open(path, FakeAnalyzer()) as gallery:
        gallery.enroll("ada", b"ada/1")
        gallery.backup(copy)
        gallery.enroll("bob", b"bob/1")
        with pytest.raises(GalleryError, match="never replaces"):
            gallery.backup(copy)
    assert modes(copy) == {0o600}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy.db", "g.db"]
    with Gallery.open(copy, FakeAnalyzer()) as gallery:
        assert [s.name for s in gallery.subjects()] == ["ada"]
        assert gallery.verify() == []


# --- read-only --------------------------------------------------------------------------------


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder mounted without the right to write."""
    source, place = tmp_path / "source", tmp_path / "mounted"
    source.mkdir()
    place.mkdir()
    made(source / "g.db")
    _old(source / "old.db", None)
    bind = subprocess.run(["mount", "--bind", str(source), str(place)], capture_output=True)
    again = ["mount", "-o", "remount,ro,bind", str(place)]
    if bind.returncode or subprocess.run(again, capture_output=True).returncode:
        pytest.skip("a folder can't be mounted read-only here (that needs root)")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_gallery_that_can_not_be_written_is_searched(read_only: Path, tmp_path: Path) -> None:
    path = read_only / "g.db"
    with Gallery.open(path, FakeAnalyzer(), index="signs") as gallery:
        assert gallery.read_only and gallery.identify(b"p1/x").subject == "p1"
        assert gallery.counts() == {"subjects": 3, "templates": 3}
        assert gallery.verify() == [] and gallery.verify_audit().intact
        for write in (
            lambda: gallery.enroll("ada", b"ada/1"),
            lambda: gallery.remove("p1"),
            lambda: gallery.set_policy(Policy(keep_crops=True)),
            lambda: gallery.export(tmp_path / "out.jsonl"),
        ):
            with pytest.raises(GalleryError, match="read-only"):
                write()
        # Somebody who may write does so meanwhile.
        with Gallery.open(tmp_path / "source" / "g.db", FakeAnalyzer()) as writer:
            writer.enroll("new", b"new/1")
            assert gallery.identify(b"new/x").subject == "new"
        assert gallery.identify(b"new/x").subject == "new"


def test_an_old_gallery_that_can_not_be_written_is_searched(read_only: Path) -> None:
    with Gallery.open(read_only / "old.db", FakeAnalyzer()) as gallery:
        assert gallery.identify(b"ada/x").subject == "ada"
        assert gallery.verify() == [] and gallery.notices == ()
        assert [s.name for s in gallery.subjects()] == ["ada", "bob"]


# --- of an older version -----------------------------------------------------------------------


def _sealed(plain: bytes, *place: str) -> bytes:
    """As version 1 sealed a record (NIST SP 800-38D; `crypto` says what it was bound to)."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    bound = b"".join(len(p).to_bytes(4, "big") + p.encode() for p in place)
    nonce = os.urandom(12)
    return b"\1" + nonce + AESGCM(bytes(range(32))).encrypt(nonce, plain, bound)


def _old(path: Path, key: Key | None) -> None:
    """A gallery of version 1, row by row."""
    from faceprint.zoo.card_io import card_hash

    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA application_id = {GALLERY.application_id}")
    connection.execute("PRAGMA journal_mode = WAL")
    GALLERY.migrate(connection, 0, 1)
    digest, moment = card_hash(card()), "2025-01-01T00:00:00.000000Z"
    header = ("g" * 32, "model-a", digest, 32, "arcface-112:112", "max", Policy().to_json())
    state = (key.id if key else "", 2, 0, 0, 0, "", moment)
    marks = ", ".join("?" * 15)
    connection.execute(f"INSERT INTO gallery VALUES ({marks})", (1, *header, *state))
    for number, name in enumerate(("ada", "bob"), 1):
        consent = '{"basis": "paper", "given": "2025-01-01", "expires": null, "reference": ""}'
        person = (number, f"u{number}", name, json.dumps({"of": name}), consent, moment)
        connection.execute("INSERT INTO subjects VALUES (?, ?, ?, ?, ?, ?)", person)
        photograph = f"{name}/1".encode()
        content, blob = photograph.ljust(32, b"."), vector(photograph, card()).tobytes()
        if key:
            blob = _sealed(blob, "g" * 32, digest, f"u{number}", content.hex(), "vector")
        row = (number, number, content, f"/{name}.jpg", "[0.0, 0.0, 9.0, 9.0]", None, 1.0, moment)
        connection.execute("INSERT INTO templates VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, blob))
    connection.close()


@pytest.mark.parametrize("key", [None, KEY], ids=["clear", "sealed"])
def test_an_older_gallery_is_brought_up_to_date_and_says_so(
    tmp_path: Path, key: Key | None
) -> None:
    if key:
        pytest.importorskip("cryptography", reason="encryption needs the extra 'crypto'")
    path = tmp_path / "g.db"
    _old(path, key)
    with Gallery.open(path, FakeAnalyzer(), key=key) as gallery:
        assert len(gallery.notices) == 1 and "older faceprint" in gallery.notices[0]
        assert gallery.identify(b"bob/x").subject == "bob"
        subject, (row,) = gallery.show("bob")
        assert (subject.metadata, row.source, row.box) == ({"of": "bob"}, "/bob.jpg", (0, 0, 9, 9))
        assert subject.consent == Consent("paper", "2025-01-01")
        assert np.array_equal(gallery.vectors("ada")[0], vector(b"ada/1", card()))
        assert gallery.verify() == [] and gallery.verify_audit().intact
    with Gallery.open(path, FakeAnalyzer(), key=key) as gallery:
        assert gallery.notices == () and gallery.header.tag and not gallery.header.scrub
        assert gallery.identify(b"bob/x").subject == "bob"
        gallery.enroll("eve", b"eve/1")
        assert gallery.verify() == []
    if key:
        assert not any(b"/bob.jpg" in file.read_bytes() for file in tmp_path.iterdir())


# --- a full disk -------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can't be mounted here (that needs root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("step", ["rekey", "remove", "migrate"])
def test_where_the_disk_is_full_the_message_says_what_was_stored(small: Path, step: str) -> None:
    if step == "rekey":
        pytest.importorskip("cryptography", reason="encryption needs the extra 'crypto'")
    path, ballast = small / "g.db", small / "ballast"
    with Gallery.open(path, FakeAnalyzer(), policy=Policy(keep_crops=True)) as gallery:
        for person in range(40):
            filler = {"filler": "x" * 20_000}
            gallery.enroll(f"p{person}", f"p{person}/1".encode(), metadata=filler)
    # Room for the change in the write-ahead log, not for the file once more.
    share = {"rekey": 2.0, "remove": 0.6, "migrate": 0.7}[step]
    free = os.statvfs(small).f_bavail * os.statvfs(small).f_frsize
    ballast.write_bytes(bytes(free - int(share * path.stat().st_size)))
    with Gallery.open(path) as gallery:
        with pytest.raises(GalleryError, match="The change itself is stored") as caught:
            if step == "rekey":
                gallery.rekey(KEY)
            elif step == "remove":
                gallery.remove("p1")
            else:
                gallery.migrate(FakeAnalyzer(card("model-b")))
        assert "nothing of this step was stored" not in str(caught.value)
    model = "model-b" if step == "migrate" else "model-a"
    key = KEY if step == "rekey" else None
    if step == "rekey":
        assert f"encrypted with key {KEY.id} now" in str(caught.value)
    # It opens, says what is still to be done, and does it once there is room.
    with Gallery.open(path, FakeAnalyzer(card(model)), key=key) as gallery:
        assert any("free some disk space" in notice for notice in gallery.notices)
        assert gallery.header.scrub
        assert gallery.counts()["subjects"] == (39 if step == "remove" else 40)
        ballast.unlink()
        assert gallery.verify() == [] and not gallery.header.scrub
    with Gallery.open(path, key=key) as gallery:
        assert gallery.notices == ()


# --- who may read ------------------------------------------------------------------------------


@pytest.fixture
def loose() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_what_holds_a_face_is_readable_by_its_owner_alone(tmp_path: Path, loose: None) -> None:
    path, old = tmp_path / "g.db", tmp_path / "ada.json"
    made(path)
    old.write_text("mine")
    old.chmod(0o644)
    with old.open() as reader:
        with pytest.raises(SystemExit) as ended:
            main(["gallery", "show", str(path), "p1", "--export", str(old)])
        assert not ended.value.code
        assert reader.read() == "mine", "who had the old file open must not read the new content"
    lines = tmp_path / "out.jsonl"
    lines.write_text("old")
    lines.chmod(0o644)
    with Gallery.open(path) as gallery:
        gallery.export(lines)
    cache = RowCache(tmp_path / "home" / "vectors.sqlite", "key", 4)
    cache.put({bytes(32): np.ones(4, np.float32)})
    files = [file for file in (tmp_path / "home").iterdir() if file.is_file()]
    assert modes(path, old, lines, *files) == {0o600}
    cache.close()


def test_a_cache_of_an_older_version_is_closed_to_others(tmp_path: Path, loose: None) -> None:
    path = tmp_path / "vectors.sqlite"
    RowCache(path, "key", 4).close()
    path.chmod(0o644)
    RowCache(path, "key", 4).close()
    assert modes(path) == {0o600}


def test_an_export_into_a_device_leaves_the_device(tmp_path: Path) -> None:
    made(tmp_path / "g.db")
    with pytest.raises(SystemExit):
        main(["gallery", "show", str(tmp_path / "g.db"), "p1", "--export", os.devnull])
    assert Path(os.devnull).is_char_device()


KILLED = """
import os, sys
sys.path.insert(0, sys.argv[2])
from gallery_kit import FakeAnalyzer
from faceprint.recognition.gallery import Gallery, transfer
whole = transfer._records
def cut(core, header):
    for number, record in enumerate(whole(core, header)):
        if number == 2:
            os.kill(os.getpid(), 9)
        yield record
transfer._records = cut
with Gallery.open(sys.argv[1]) as gallery:
    gallery.export(sys.argv[3])
"""


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_an_export_that_is_killed_leaves_a_line_in_the_log_and_no_file(
    tmp_path: Path, suffix: str
) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="Parquet needs the extra 'bulk'")
    path, kit = tmp_path / "g.db", Path(__file__).resolve().parents[1]
    made(path)
    words = [sys.executable, "-c", KILLED, str(path), str(kit), str(tmp_path / f"out.{suffix}")]
    assert subprocess.run(words, check=False).returncode == -9
    left = {file.name for file in tmp_path.iterdir()} - {"g.db", "g.db-wal", "g.db-shm"}
    assert left == set()
    with Gallery.open(path) as gallery:
        assert [entry.action for entry in gallery.audit()][-1] == "export"


# --- the cache of evaluations ------------------------------------------------------------------


def test_who_is_removed_is_forgotten_by_the_cache_of_evaluations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import hashlib

    home = tmp_path / "home"
    monkeypatch.setenv("FACEPRINT_HOME", str(home))
    path = tmp_path / "g.db"
    made(path)
    photographs = [f"p{n}/1".encode() for n in range(3)]
    hashes = [hashlib.sha256(photograph).digest() for photograph in photographs]
    values = [vector(photograph, card()) for photograph in photographs]
    cache = RowCache(home / "embeddings" / "vectors.sqlite", "key", 32)
    cache.put(dict(zip(hashes, values, strict=True)))
    cache.close()
    FileHashes(home / "embeddings" / "hashes.sqlite").close()
    with pytest.raises(SystemExit):
        main(["gallery", "remove", str(path), "p1", "--json"])
    assert '"cached": 1' in capsys.readouterr().out
    kept = b"".join(file.read_bytes() for file in (home / "embeddings").iterdir())
    assert hashes[1] not in kept and values[1].tobytes()[:32] not in kept
    assert hashes[2] in kept and values[2].tobytes() in kept
    assert forget(home / "nowhere", hashes) == 0
    with pytest.raises(SystemExit):
        main(["cache", "clear"])
    assert list((home / "embeddings").glob("*")) == []


# --- given again -------------------------------------------------------------------------------


def test_consent_and_metadata_that_are_given_again_are_taken(tmp_path: Path) -> None:
    first = Consent("paper", "2025-01-01", "2025-06-01")
    second = Consent("paper", "2026-01-01", "2999-01-01")
    with Gallery.open(tmp_path / "g.db", FakeAnalyzer()) as gallery:
        gallery.enroll("ada", b"ada/1", consent=first, metadata={"team": "blue"})
        (again,) = gallery.enroll("ada", b"ada/1", consent=second, metadata={"team": "red"})
        assert isinstance(again, Enrolled) and not again.new
        held = gallery.show("ada")[0]
        assert (held.consent, held.metadata) == (second, {"team": "red"})
        assert [e.action for e in gallery.audit()][-1] == "subject"
        assert gallery.expire() == 0
        before = len(list(gallery.audit()))
        gallery.enroll("ada", b"ada/1")
        assert len(list(gallery.audit())) == before
        # Not for somebody else, whose photograph it is not.
        (other,) = gallery.enroll("bob", b"ada/1", consent=first)
        assert isinstance(other, Skipped) and gallery.show("ada")[0].consent == second


def test_a_consent_that_ended_is_not_taken_for_a_known_photograph_either(tmp_path: Path) -> None:
    policy = Policy(require_consent=True)
    with Gallery.open(tmp_path / "g.db", FakeAnalyzer(), policy=policy) as gallery:
        gallery.enroll("ada", b"ada/1", consent=Consent("paper", "2025-01-01"))
        ended = Consent("paper", "2020-01-01", "2021-01-01")
        (again,) = gallery.enroll("ada", b"ada/1", consent=ended)
        assert isinstance(again, Skipped) and "2021" in again.reason
        assert gallery.show("ada")[0].consent == Consent("paper", "2025-01-01")


def test_enrolling_answers_for_whatever_it_is_given(tmp_path: Path, shared_samples: Path) -> None:
    import io

    import PIL.Image

    cut = (shared_samples / "obama2.jpg").read_bytes()[:90_000]
    huge = PIL.Image.new("1", (30_000, 30_000))
    with Gallery.open(tmp_path / "g.db", FakeAnalyzer()) as gallery:
        for source in (PIL.Image.open(io.BytesIO(cut)), "a\0b", huge):
            (answer,) = gallery.enroll("x", source)
            assert isinstance(answer, Skipped)


# --- file names --------------------------------------------------------------------------------


@pytest.mark.parametrize("sealed", [False, True])
def test_photographs_with_names_that_are_not_utf8_are_found_again(
    tmp_path: Path, sealed: bool
) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))
    try:
        odd.write_bytes(b"ada/1")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    with Gallery.open(tmp_path / "g.db", FakeAnalyzer(), key=KEY if sealed else None) as g:
        g.enroll("ada", odd)
        (row,) = g.show("ada")[1]
        assert row.source == f"{tmp_path}/caf\\xe9.jpg"
        done = g.migrate(FakeAnalyzer(card("model-b")))
        assert (done.from_sources, done.missing) == (1, ())
        assert g.verify() == []
