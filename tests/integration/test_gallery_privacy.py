"""What is deleted is gone from the files; what is sealed never lay there in clear."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from gallery_kit import FakeAnalyzer, card, photograph, vector

from faceprint.errors import GalleryCorruptError, GalleryError
from faceprint.recognition.gallery import Consent, Gallery, Key, Policy


def pieces(data: bytes) -> list[bytes]:
    """Stretches of 16 bytes: even a half-overwritten vector would show."""
    return [data[start : start + 16] for start in range(0, len(data) - 15, 16)]


def files_with(folder: Path, needles: list[bytes]) -> set[str]:
    found = set()
    for file in folder.iterdir():
        content = file.read_bytes()
        if any(needle in content for needle in needles):
            found.add(file.name)
    return found


def traces(*photographs: bytes) -> list[bytes]:
    return [part for p in photographs for part in pieces(vector(p, card()).tobytes())]


@pytest.mark.parametrize("way", ["subject", "template", "age", "consent"])
def test_a_deleted_vector_is_in_no_file(tmp_path: Path, way: str) -> None:
    gone = b"ada/1"
    path = tmp_path / "people.db"
    with Gallery.open(path, FakeAnalyzer(), policy=Policy(keep_crops=True)) as gallery:
        consent = Consent("paper", "2020-01-01", "2999-01-01")
        gallery.enroll("ada", gone, metadata={"note": "a remark"}, consent=consent)
        gallery.enroll("bob", *(f"bob/{n}".encode() for n in range(50)))
        gallery.identify(b"ada/x")
        assert files_with(tmp_path, traces(gone)), "the test must be able to see it"
        moment = gallery.show("ada")[0].created
        if way == "subject":
            gallery.remove("ada")
        elif way == "template":
            gallery.remove_template("1")
        elif way == "age":
            from datetime import datetime, timedelta

            gallery.remove_older_than(datetime.fromisoformat(moment) + timedelta(milliseconds=1))
            if gallery.counts()["subjects"] > 1:  # a slow machine: made later than that
                gallery.remove("ada")
        else:
            from datetime import UTC, datetime

            gallery.expire(datetime(3000, 1, 1, tzinfo=UTC))
        # While the gallery is still open, and again when it is closed.
        assert files_with(tmp_path, traces(gone)) == set()
        if way != "template":
            assert files_with(tmp_path, [b"a remark"]) == set()
        assert files_with(tmp_path, traces(b"bob/7"))
    assert files_with(tmp_path, traces(gone)) == set()


def test_replaced_vectors_are_in_no_file_after_migration(tmp_path: Path) -> None:
    folder = tmp_path / "gallery"
    folder.mkdir()
    other = card("model-b")
    with Gallery.open(folder / "g.db", FakeAnalyzer(), policy=Policy(keep_crops=True)) as gallery:
        gallery.enroll("ada", b"ada/1", b"ada/2")
        gallery.migrate(FakeAnalyzer(other))
        assert files_with(folder, traces(b"ada/1", b"ada/2")) == set()
        assert files_with(folder, pieces(vector(b"ada/1", other).tobytes()))


def test_of_an_encrypted_gallery_nothing_lies_in_clear(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="encryption needs the extra 'crypto'")
    folder = tmp_path / "gallery"
    folder.mkdir()
    needles = [*traces(b"ada/1"), b"IHDR"]
    with Gallery.open(
        folder / "g.db", FakeAnalyzer(), key=Key(bytes(32)), policy=Policy(keep_crops=True)
    ) as gallery:
        gallery.enroll("ada", b"ada/1")
        assert gallery.identify(b"ada/x").subject == "ada"
        assert files_with(folder, needles) == set()
        gallery.rekey(None)
        assert files_with(folder, needles)
        gallery.rekey(Key(b"\2" * 32))
        assert files_with(folder, needles) == set()
    assert files_with(folder, needles) == set()


def test_a_sealed_vector_moved_to_another_person_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="encryption needs the extra 'crypto'")
    path, key = tmp_path / "g.db", Key(bytes(32))
    with Gallery.open(path, FakeAnalyzer(), key=key) as gallery:
        gallery.enroll("ada", b"ada/1")
        gallery.enroll("bob", b"bob/1")
    connection = sqlite3.connect(path)
    connection.execute(
        "UPDATE templates SET vector = (SELECT vector FROM templates WHERE key = 1) WHERE key = 2"
    )
    connection.commit()
    connection.close()
    with Gallery.open(path, FakeAnalyzer(), key=key) as gallery:
        with pytest.raises(GalleryCorruptError, match="changed without the key"):
            gallery.identify(b"ada/x")
        assert any("template 2" in problem for problem in gallery.verify())


def test_a_deletion_that_a_reader_hinders_is_finished_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "g.db"
    with Gallery.open(path, FakeAnalyzer()) as gallery:
        gallery.enroll("ada", b"ada/1")
        gallery.enroll("bob", b"bob/1")
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM templates").fetchone()
        monkeypatch.setattr("faceprint._sqlite._BUSY_MS", 200)
        with (
            Gallery.open(path) as hurried,
            pytest.raises(GalleryError, match="is reading or writing"),
        ):
            hurried.remove("ada")
        assert [s.name for s in gallery.subjects()] == ["bob"]
        assert gallery.header.scrub
        reader.close()
    with Gallery.open(path) as gallery:
        assert not gallery.header.scrub
        assert files_with(tmp_path, traces(b"ada/1")) == set()


def test_migration_keeps_names_numbers_and_everything_else(tmp_path: Path) -> None:
    first, second = FakeAnalyzer(), FakeAnalyzer(card("model-b"))
    with Gallery.open(tmp_path / "g.db", first) as gallery:
        gallery.enroll("ada", photograph(tmp_path, "ada/1"), metadata={"a": 1})
        gallery.set_policy(Policy(keep_crops=True))
        gallery.enroll("ada", b"ada/2")
        gallery.enroll("bob", photograph(tmp_path, "two:bob/1"))
        before = [(r.id, r.source, r.created, r.box) for r in gallery.show("ada")[1]]
        seen: list[tuple[int, int]] = []
        done = gallery.migrate(second, progress=lambda n, total: seen.append((n, total)))
        assert (done.from_crops, done.from_sources, done.missing) == (2, 1, ())
        assert seen[-1] == (3, 3)
        assert [(r.id, r.source, r.created, r.box) for r in gallery.show("ada")[1]] == before
        assert gallery.show("ada")[0].metadata == {"a": 1}
        assert gallery.header.model.id == "model-b"
        expected = np.stack([vector(b"ada/1", second.embedder_card)])
        assert np.array_equal(gallery.vectors("ada")[:1], expected)
        assert np.array_equal(gallery.vectors("ada")[1], vector(b"ada/2", second.embedder_card))
        assert gallery.identify(b"bob/x").subject == "bob"
        assert gallery.verify() == []
    Gallery.open(tmp_path / "g.db", second).close()


def test_migration_says_what_it_lacks_and_changes_nothing(tmp_path: Path) -> None:
    second = FakeAnalyzer(card("model-b"))
    lost, changed = photograph(tmp_path, "ada/1"), photograph(tmp_path, "bob/1")
    with Gallery.open(tmp_path / "g.db", FakeAnalyzer()) as gallery:
        gallery.enroll("ada", lost)
        gallery.enroll("bob", changed)
        gallery.enroll("eve", photograph(tmp_path, "eve/1"))
        lost.unlink()
        changed.write_bytes(b"bob/other")
        with pytest.raises(GalleryError, match="2 templates can't be embedded again"):
            gallery.migrate(second)
        assert gallery.header.model.id == "model-a"
        assert gallery.identify(b"ada/x").subject == "ada"
        done = gallery.migrate(second, drop_missing=True)
        assert [(t, s) for t, s, _ in done.missing] == [("1", "ada"), ("2", "bob")]
        assert "can't be read" in done.missing[0][2] and "was changed" in done.missing[1][2]
        assert gallery.identify(b"eve/x").subject == "eve"
        assert gallery.counts()["templates"] == 1


def test_a_crop_cut_for_another_alignment_is_not_used(tmp_path: Path) -> None:
    second = FakeAnalyzer(card("model-b", template="dlib-150"))
    with Gallery.open(tmp_path / "g.db", FakeAnalyzer(), policy=Policy(keep_crops=True)) as gallery:
        gallery.enroll("ada", photograph(tmp_path, "ada/1"))
        done = gallery.migrate(second)
        assert (done.from_crops, done.from_sources) == (0, 1)
        assert second.embedded == 0
        assert gallery.show("ada")[1][0].has_crop


@pytest.mark.parametrize("kind", ["signs", "usearch"])
def test_the_index_on_disk_goes_with_a_deletion_and_never_holds_a_sealed_gallery(
    kind: Literal["signs", "usearch"], tmp_path: Path
) -> None:
    if kind == "usearch":
        pytest.importorskip("usearch", reason="this search needs the extra 'ann'")
    path, index = tmp_path / "g.db", tmp_path / "g.db.index"
    with Gallery.open(path, FakeAnalyzer(), index=kind) as gallery:
        gallery.enroll("ada", b"ada/1")
        gallery.enroll("bob", b"bob/1")
        assert gallery.identify(b"ada/x").subject == "ada"
        assert index.exists()
        gallery.remove("ada")
        assert not index.exists()
        assert gallery.identify(b"bob/x").subject == "bob"
        assert "ada" not in [c.subject for c in gallery.identify(b"ada/x").candidates]
    with Gallery.open(path, FakeAnalyzer(), index=kind) as gallery:
        assert gallery.identify(b"bob/x").subject == "bob"
        assert index.exists()
        index.write_bytes(b"damaged")
    with Gallery.open(path, FakeAnalyzer(), index=kind) as gallery:
        assert gallery.identify(b"bob/x").subject == "bob"
    pytest.importorskip("cryptography", reason="encryption needs the extra 'crypto'")
    with Gallery.open(
        tmp_path / "sealed.db", FakeAnalyzer(), key=Key(bytes(32)), index=kind
    ) as gallery:
        gallery.enroll("ada", b"ada/1")
        assert gallery.identify(b"ada/x").subject == "ada"
    assert not list(tmp_path.glob("sealed.db.index*"))
