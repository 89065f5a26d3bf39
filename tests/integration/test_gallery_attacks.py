"""Galleries that somebody edited with an SQLite tool, or whose disk flipped a bit."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from gallery_kit import FakeAnalyzer, card, vector

from faceprint.errors import GalleryCorruptError, GalleryError, UsageError
from faceprint.recognition.gallery import Consent, Gallery, Key, Policy

KEY = Key(bytes(range(32)))
SWAP = (
    "UPDATE subjects SET {0} = '-' || {0} WHERE key = 1",
    "UPDATE subjects SET {0} = (SELECT substr({0}, 2) FROM subjects WHERE key = 1) WHERE key = 2",
)


@pytest.fixture(params=["sealed", "clear"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Key | None]:
    if request.param == "sealed":
        pytest.importorskip("cryptography", reason="encryption needs the extra 'crypto'")
    key = KEY if request.param == "sealed" else None
    path = tmp_path / "people.db"
    policy = Policy(keep_crops=True, retention_days=30)
    with Gallery.open(path, FakeAnalyzer(), key=key, policy=policy) as gallery:
        for name in ("ada", "bob", "eve"):
            consent = Consent("paper", "2025-01-01", "2999-01-01")
            photographs = (f"{name}/{n}".encode() for n in range(2))
            gallery.enroll(name, *photographs, consent=consent, metadata={"of": name})
        assert gallery.verify() == [] and gallery.identify(b"ada/x").subject == "ada"
    return path, key


def alter(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def swap(path: Path, *columns: str) -> None:
    """Two people's values in each other's place, as `UPDATE` does it under a UNIQUE constraint."""
    connection = sqlite3.connect(path)
    chosen = ", ".join(columns)
    rows = [
        connection.execute(f"SELECT {chosen} FROM subjects WHERE key = ?", (k,)).fetchone()
        for k in (1, 2)
    ]
    marks = ", ".join("?" * len(columns))
    connection.execute("UPDATE subjects SET name = name || '-', uid = uid || '-' WHERE key < 3")
    for key, row in ((2, rows[0]), (1, rows[1])):
        sql = f"UPDATE subjects SET ({chosen}) = ({marks}) WHERE key = ?"
        connection.execute(sql, (*row, key))
    for name in {"name", "uid"} - set(columns):
        connection.execute(f"UPDATE subjects SET {name} = rtrim({name}, '-') WHERE key < 3")
    connection.commit()
    connection.close()


COLUMNS = [("name",), ("name", "metadata"), ("name", "metadata", "tag"), ("uid",), ("name", "uid")]


@pytest.mark.parametrize("columns", COLUMNS)
def test_names_that_were_swapped_are_found(
    made: tuple[Path, Key | None], columns: tuple[str, ...]
) -> None:
    path, key = made
    swap(path, *columns)
    with Gallery.open(path, FakeAnalyzer(), key=key) as gallery:
        with pytest.raises(GalleryCorruptError, match="without the key" if key else "by hand"):
            gallery.identify(b"ada/x", threshold=0.5)
        problems = gallery.verify()
    assert sum("subject" in problem for problem in problems) >= 2


@pytest.mark.parametrize(
    "statement",
    [
        'UPDATE subjects SET consent = \'{"basis": "x", "given": "2020-01-01"}\'',
        "UPDATE subjects SET metadata = '{}'",
        "UPDATE subjects SET created = '2001-01-01T00:00:00.000000Z'",
        "UPDATE templates SET created = '2999-01-01T00:00:00.000000Z'",
        "UPDATE templates SET source = '/etc/passwd'",
        "UPDATE templates SET box = '[1.0, 2.0, 3.0, 4.0]'",
        "UPDATE templates SET quality = 0.9",
        "UPDATE templates SET norm = 9.0",
        "UPDATE templates SET subject_key = 3 WHERE key = 1",
        "UPDATE templates SET key = 77 WHERE key = 1",
        "DELETE FROM templates WHERE key = 1",
        "DELETE FROM subjects WHERE key = 1",
        "DELETE FROM crops WHERE template_key = 1",
        "UPDATE crops SET data = (SELECT data FROM crops WHERE template_key = 2)",
        "UPDATE crops SET template_key = 99 WHERE template_key = 1",
        "UPDATE gallery SET policy = replace(policy, '30', '31')",
        "UPDATE gallery SET fusion = 'mean'",
        "UPDATE gallery SET generation = generation + 1",
        "UPDATE gallery SET audit_seq = audit_seq - 1",
    ],
)
def test_any_edit_is_found(made: tuple[Path, Key | None], statement: str) -> None:
    path, key = made
    alter(path, statement)
    try:
        with Gallery.open(path, FakeAnalyzer(), key=key) as gallery:
            assert gallery.verify() != []
    except GalleryCorruptError as error:
        assert "header" in str(error) or "belong" in str(error)


@pytest.mark.parametrize("table", ["templates", "subjects"])
def test_rows_that_are_missing_or_were_put_back_are_not_believed(
    made: tuple[Path, Key | None], table: str, tmp_path: Path
) -> None:
    """Each row by itself is genuine: only the digest over the set can tell."""
    path, key = made
    if key is None:
        pytest.skip("in a gallery in clear whoever edits it computes the digest as well")
    old = tmp_path / "old.db"
    old.write_bytes(path.read_bytes())
    with Gallery.open(path, FakeAnalyzer(), key=key) as gallery:
        gallery.remove("ada") if table == "subjects" else gallery.remove_template("1")
        assert gallery.identify(b"bob/x").subject == "bob"
    connection = sqlite3.connect(path)
    connection.execute("ATTACH ? AS old", (str(old),))
    for name, where in (("subjects", "key = 1"), ("templates", "subject_key = 1")):
        connection.execute(f"INSERT OR IGNORE INTO {name} SELECT * FROM old.{name} WHERE {where}")
    connection.commit()
    connection.close()
    with Gallery.open(path, FakeAnalyzer(), key=key) as gallery:
        with pytest.raises(GalleryCorruptError, match="put back"):
            gallery.identify(b"bob/x")
        assert any("put back" in problem for problem in gallery.verify())
    for statement in ("DELETE FROM templates WHERE key = 3", "DELETE FROM subjects WHERE key = 2"):
        path.write_bytes(old.read_bytes())
        alter(path, "PRAGMA foreign_keys = ON", statement)
        with Gallery.open(path, FakeAnalyzer(), key=key) as gallery:
            with pytest.raises(GalleryCorruptError, match="missing"):
                gallery.identify(b"eve/x")
            assert any("missing" in problem for problem in gallery.verify())


def test_the_digest_of_the_set_does_not_repeat_and_follows_every_change(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "g.db", FakeAnalyzer()) as gallery:
        seen = set()
        for step in range(4):
            gallery.enroll("ada", f"ada/{step}".encode())
            gallery.update("ada", metadata={"step": step})
            seen.add(gallery.header.digest)
            assert gallery.verify() == []
        gallery.remove_template("2")
        gallery.remove("ada")
        assert gallery.verify() == [] and len(seen) == 4


@pytest.mark.parametrize("bit", [0, 7, 300, 1000])
def test_a_bit_that_flipped_in_a_vector_is_found_though_its_length_stays_one(
    tmp_path: Path, bit: int
) -> None:
    path = tmp_path / "g.db"
    with Gallery.open(path, FakeAnalyzer()) as gallery:
        gallery.enroll("ada", b"ada/1")
    blob = bytearray(vector(b"ada/1", card()).tobytes())
    blob[4 * (bit // 32)] ^= 1 << (bit % 8)  # low bits of a float: its length hardly changes
    connection = sqlite3.connect(path)
    connection.execute("UPDATE templates SET vector = ?", (bytes(blob),))
    connection.commit()
    connection.close()
    assert abs(float(np.linalg.norm(np.frombuffer(bytes(blob), "<f4"))) - 1) < 1e-3
    with Gallery.open(path, FakeAnalyzer()) as gallery:
        assert any("template 1 is damaged" in problem for problem in gallery.verify())
        with pytest.raises(GalleryCorruptError, match="template 1"):
            gallery.identify(b"ada/x")


def test_its_owner_may_vouch_for_what_was_edited(made: tuple[Path, Key | None]) -> None:
    path, key = made
    alter(path, "UPDATE templates SET quality = 0.25 WHERE key = 1")
    with Gallery.open(path, FakeAnalyzer(), key=key) as gallery:
        assert gallery.verify()
        gallery.accept()
        assert gallery.verify() == []
        assert gallery.identify(b"ada/x").subject == "ada"
        assert [entry.action for entry in gallery.audit()][-1] == "accept"
        assert gallery.show("ada")[1][0].quality == 0.25


def test_a_gallery_can_not_be_made_old_to_get_rid_of_its_tags(tmp_path: Path) -> None:
    """Without tags an opening would give new ones, to edited rows as well."""
    pytest.importorskip("cryptography", reason="encryption needs the extra 'crypto'")
    path = tmp_path / "g.db"
    with Gallery.open(path, FakeAnalyzer(), key=KEY) as gallery:
        gallery.enroll("ada", b"ada/1")
    alter(path, "UPDATE gallery SET tag = x'', digest = x''", "UPDATE subjects SET name = 'admin'")
    with pytest.raises(GalleryError), Gallery.open(path, FakeAnalyzer(), key=KEY) as gallery:
        assert gallery.identify(b"ada/x").subject is None
        raise GalleryError("nobody was identified")


def test_of_a_sealed_gallery_no_text_about_a_person_lies_in_clear(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="encryption needs the extra 'crypto'")
    folder = tmp_path / "gallery"
    folder.mkdir()
    file = tmp_path / "portrait-of-lovelace.jpg"
    file.write_bytes(b"ada/1")
    texts = [b"Lovelace", b"drawer", b"reading room", b"portrait-of-lovelace"]
    with Gallery.open(folder / "g.db", FakeAnalyzer(), key=KEY) as gallery:
        consent = Consent("paper", "2025-01-01", reference="drawer 3")
        gallery.enroll("Ada Lovelace", file, metadata={"at": "reading room"}, consent=consent)
        gallery.enroll("Bob", b"bob/1")
        subject, rows = gallery.show("Ada Lovelace")
        assert (subject.metadata, subject.consent) == ({"at": "reading room"}, consent)
        assert rows[0].source == str(file)
        assert [s.name for s in gallery.subjects()] == ["Ada Lovelace", "Bob"]
        files = [path.read_bytes() for path in folder.iterdir()]
        assert not any(text in content for text in texts for content in files)
        gallery.rekey(None)
        assert gallery.show("Ada Lovelace")[1][0].source == str(file)
        assert any(b"Lovelace" in path.read_bytes() for path in folder.iterdir())


@pytest.mark.parametrize("change", ["subject_key = subject_key | 64", "key = -2"])
def test_a_template_that_belongs_to_nobody_stops_every_loop(tmp_path: Path, change: str) -> None:
    path = tmp_path / "g.db"
    with Gallery.open(path, FakeAnalyzer(), policy=Policy(keep_crops=True)) as gallery:
        gallery.enroll("ada", b"ada/1")
        gallery.enroll("bob", b"bob/1")
    alter(path, f"UPDATE templates SET {change} WHERE key = 2")
    with Gallery.open(path) as gallery:
        problems = "\n".join(gallery.verify())
        assert "belongs to no subject" in problems or "number that no gallery assigns" in problems
        with pytest.raises(GalleryCorruptError):
            gallery.migrate(FakeAnalyzer(card("model-b")), drop_missing=True)
        with pytest.raises(GalleryCorruptError):
            gallery.rekey(KEY)
        gallery.remove_template("-2" if change == "key = -2" else "2")
        if change == "key = -2":
            gallery.remove("bob")
        assert gallery.migrate(FakeAnalyzer(card("model-b")), drop_missing=True).from_crops == 1
        assert gallery.verify() == []


def test_a_gallery_with_a_template_of_nobody_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "g.db"
    with Gallery.open(path, FakeAnalyzer()) as gallery:
        gallery.enroll("ada", b"ada/1")
    alter(path, "UPDATE templates SET subject_key = 65")
    with pytest.raises(GalleryCorruptError, match="--template=1"):
        Gallery.open(path, FakeAnalyzer())


def test_one_damaged_row_is_named_and_can_be_removed(tmp_path: Path) -> None:
    path = tmp_path / "g.db"
    for value in ("[" * 50_000, '{"basis": 5, "given": "2025-01-01"}'):
        with Gallery.open(path, FakeAnalyzer()) as gallery:
            gallery.enroll("ada", b"ada/1")
            gallery.enroll("bob", b"bob/1")
        column = "metadata" if value[0] == "[" else "consent"
        connection = sqlite3.connect(path)
        connection.execute(f"UPDATE subjects SET {column} = ? WHERE name = 'ada'", (value,))
        connection.commit()
        connection.close()
        with Gallery.open(path) as gallery:
            with pytest.raises(GalleryCorruptError, match="'ada'"):
                list(gallery.subjects())
            assert any("'ada'" in problem for problem in gallery.verify())
            gallery.accept()
            assert any("'ada'" in problem for problem in gallery.verify())
            assert gallery.remove("ada") == 1
            assert gallery.verify() == []
            assert [s.name for s in gallery.subjects()] == ["bob"]


def test_values_that_no_file_can_hold_are_refused_before_they_are_stored(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "g.db", FakeAnalyzer()) as gallery:
        for metadata in ({"a": "\ud800"}, {"\ud800": 1}, json.loads("[" * 900 + "]" * 900)):
            with pytest.raises(UsageError):
                gallery.enroll("ada", b"ada/1", metadata=metadata)
        for values in ((5, "2025-01-01"), ("x", 5), ("\ud800", "2025-01-01"), ("x", "")):
            with pytest.raises(UsageError):
                Consent(*values)  # type: ignore[arg-type]
        for moment in ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"):
            with pytest.raises(UsageError, match="years 1 to 9999"):
                Consent("x", moment)
        with pytest.raises(UsageError, match="hundred years"):
            gallery.set_policy(Policy(retention_days=999_999))
        for anchor in ("²:" + "0" * 64, "1:" + "x" * 64, "9" * 40 + ":" + "0" * 64):
            with pytest.raises(UsageError, match="anchor"):
                gallery.verify_audit(anchor)


def test_a_retention_beyond_the_calendar_keeps_nothing_from_expiring(tmp_path: Path) -> None:
    with Gallery.open(
        tmp_path / "g.db", FakeAnalyzer(), policy=Policy(retention_days=999_999)
    ) as gallery:
        gallery.enroll("ended", b"a/1", consent=Consent("x", "2020-01-01", "2020-02-01"))
        gallery.enroll("kept", b"b/1")
        assert gallery.expire() == 1
        assert [s.name for s in gallery.subjects()] == ["kept"]
