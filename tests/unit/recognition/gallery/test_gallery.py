"""What a gallery answers and keeps, with a model of the tests' own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gallery_kit import FakeAnalyzer, card, photograph, vector

from faceprint.errors import (
    GalleryCorruptError,
    GalleryError,
    GalleryLockedError,
    ModelMismatchError,
    NoFaceError,
    UnknownSubjectError,
    UsageError,
)
from faceprint.recognition.gallery import (
    Consent,
    Enrolled,
    EnrollOptions,
    FaceAt,
    Gallery,
    Key,
    Policy,
    Skipped,
    folder_pairs,
)
from faceprint.recognition.gallery.sql.reader import SqlReader
from faceprint.recognition.gallery.sql.sqlite import SqliteDatabase
from faceprint.types import OperatingPoint

ANY = OperatingPoint(-1.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.db"


def opened(path: Path, **options: Any) -> Gallery:
    return Gallery.open(path, FakeAnalyzer(), **options)


def filled(path: Path, people: int = 5, each: int = 3, **options: Any) -> Gallery:
    gallery = opened(path, **options)
    for person in range(people):
        gallery.enroll(f"p{person}", *(f"p{person}/{n}".encode() for n in range(each)))
    return gallery


def test_a_person_is_found_again_and_a_stranger_is_not(path: Path) -> None:
    with filled(path) as gallery:
        found = gallery.identify(b"p3/another photograph")
        assert found.subject == "p3"
        assert [match.rank for match in found.candidates] == [1, 2, 3, 4, 5]
        stranger = gallery.identify(b"nobody/1")
        assert stranger.subject is None and len(stranger.candidates) == 5
        with pytest.raises(NoFaceError):
            gallery.identify(b"noface")


def test_what_was_enrolled_is_there_after_opening_again(path: Path) -> None:
    with filled(path) as gallery:
        before = [(s.name, s.templates) for s in gallery.subjects()]
        vectors = gallery.vectors("p1")
    with opened(path) as gallery:
        assert [(s.name, s.templates) for s in gallery.subjects()] == before
        assert np.array_equal(gallery.vectors("p1"), vectors)
        expected = np.stack([vector(f"p1/{n}".encode(), card()) for n in range(3)])
        assert np.array_equal(vectors, expected)
        assert gallery.verify() == []


def test_the_same_photograph_gives_the_template_it_gave(path: Path) -> None:
    with opened(path) as gallery:
        first = gallery.enroll("ada", b"ada/1", b"ada/2", b"ada/1")
        again = gallery.enroll("ada", b"ada/2", b"ada/1")
        assert [(o.template, o.new) for o in first if isinstance(o, Enrolled)] == [
            ("1", True),
            ("2", True),
            ("1", False),
        ]
        assert [(o.template, o.new) for o in again if isinstance(o, Enrolled)] == [
            ("2", False),
            ("1", False),
        ]
        assert len(gallery) == 2
        (taken,) = gallery.enroll("bob", b"ada/1")
        assert isinstance(taken, Skipped) and "enrolled for 'ada'" in taken.reason


def test_every_photograph_that_is_not_used_has_its_reason(path: Path, tmp_path: Path) -> None:
    with opened(path) as gallery:
        answers = gallery.enroll(
            "ada", b"broken", b"noface", tmp_path / "gone.jpg", tmp_path, b"ada/1", b"two:ada/2"
        )
        reasons = [a.reason if isinstance(a, Skipped) else "" for a in answers]
        for reason, word in zip(
            reasons, ("damaged", "no face", "gone.jpg", "regular"), strict=False
        ):
            assert word in reason
        assert reasons[4:] == ["", ""]
        (two,) = gallery.enroll("bob", b"two:bob/1", faces="one")
        assert isinstance(two, Skipped) and "2 faces" in two.reason
        assert [s.name for s in gallery.subjects()] == ["ada"]


def test_two_people_of_one_photograph(path: Path) -> None:
    group = b"two:ada/1"
    first, second = (0.0, 0.0, 40.0, 40.0), (0.0, 0.0, 20.0, 20.0)
    with opened(path) as gallery:
        gallery.enroll("ada", group, faces=1)
        (refused,) = gallery.enroll("bob", group)
        assert isinstance(refused, Skipped) and "enrolled for 'ada'" in refused.reason
        (same,) = gallery.enroll("bob", group, faces=1)
        assert isinstance(same, Skipped) and "same face" in same.reason
        (third,) = gallery.enroll("bob", group, faces=3)
        assert isinstance(third, Skipped) and "there is no face 3; 2 found" in third.reason
        (other,) = gallery.enroll("bob", group, faces=2, metadata={"n": 1})
        (again,) = gallery.enroll("bob", group, faces=2, metadata={"n": 2})
        assert isinstance(other, Enrolled) and other.new
        assert isinstance(again, Enrolled) and again.template == other.template and not again.new
        assert gallery.show("bob")[0].metadata == {"n": 2}
        (moved,) = gallery.enroll("ada", group, faces=2)
        assert isinstance(moved, Skipped) and "same face is enrolled for 'bob'" in moved.reason
        assert gallery.show("bob")[1][0].box == second

        by_box = gallery.enroll_many(
            [("ada", FaceAt(group, first)), ("bob", FaceAt(group, second))]
        )
        assert [isinstance(done, Enrolled) and done.new for done in by_box] == [False, False]
        far = list(gallery.enroll_many([("eve", FaceAt(group, (90.0, 90.0, 99.0, 99.0)))]))
        assert isinstance(far[0], Skipped) and "place" in far[0].reason
        gallery.remove("bob")
        (changed,) = gallery.enroll("ada", group, faces=2)
        assert isinstance(changed, Skipped) and "template 1 is of another face" in changed.reason
        assert gallery.verify() == []
        for wrong in (0, -1, True, "first"):
            with pytest.raises(UsageError):
                gallery.enroll("ada", b"ada/3", faces=wrong)  # type: ignore[arg-type]


def test_two_people_of_one_photograph_are_exported_and_migrated(path: Path, tmp_path: Path) -> None:
    group = photograph(tmp_path, "two:ada/1")
    with opened(path) as gallery:
        gallery.enroll("ada", group)
        gallery.enroll("bob", group, faces=2)
        assert gallery.export(tmp_path / "out.jsonl") == 2
        with pytest.raises(UsageError, match="same photograph"):
            gallery.merge("ada", "bob")
        with opened(tmp_path / "copy.db") as copy:
            assert copy.import_(tmp_path / "out.jsonl").templates == 2
        other = FakeAnalyzer(card("model-b"))
        gallery.migrate(other)
        expected = other.embedding(b"somebody else/1").vector
        np.testing.assert_allclose(gallery.vectors("bob")[0], expected, atol=1e-6)


def test_a_bad_name_in_a_stream_is_skipped_and_by_itself_refused(path: Path) -> None:
    with opened(path) as gallery:
        pairs = [("", b"a/1"), ("x\0y", b"b/1"), ("z" * 300, b"c/1"), ("good", b"d/1")]
        answers = list(gallery.enroll_many(pairs))
        assert [isinstance(a, Skipped) for a in answers] == [True, True, True, False]
        for name, _ in pairs[:3]:
            with pytest.raises(UsageError):
                gallery.enroll(name, b"e/1")
        gallery.enroll("Ame\u0301lie", b"f/1")
        assert gallery.show("Am\u00e9lie")[0].templates == 1


def test_a_folder_of_folders_is_enrolled(path: Path, tmp_path: Path) -> None:
    root = tmp_path / "people"
    for person in ("ada", "bob"):
        (root / person / "deeper").mkdir(parents=True)
        photograph(root / person, f"{person}/1")
        photograph(root / person / "deeper", f"{person}/2")
    (root / "ada" / "notes.txt").write_text("no photograph")
    with opened(path) as gallery:
        answers = list(gallery.enroll_many(folder_pairs(root), EnrollOptions(batch_size=3)))
        assert [(a.subject, isinstance(a, Enrolled)) for a in answers] == [
            ("ada", True),
            ("ada", True),
            ("bob", True),
            ("bob", True),
        ]
    with pytest.raises(UsageError, match="no photographs"):
        list(folder_pairs(root / "ada" / "deeper"))


@pytest.mark.parametrize("fusion", ["max", "mean"])
def test_fusion_gives_what_comparing_with_every_template_gives(path: Path, fusion: str) -> None:
    rng = np.random.default_rng(1)
    with opened(path, fusion=fusion) as gallery:
        owners, rows = [], []
        for person in range(40):
            for n in range(int(rng.integers(1, 9))):
                gallery.enroll(f"p{person:02}", f"p{person}/{n}".encode())
                owners.append(person)
                rows.append(vector(f"p{person}/{n}".encode(), card()))
        fp = FakeAnalyzer()
        probes = [fp.embedding(f"p{p}/x".encode()) for p in range(45)]
        answers = gallery.identify_many(probes, ANY, top=7)
        for probe, answer in zip(probes, answers, strict=True):
            scores = np.stack(rows) @ probe.vector
            rule = np.max if fusion == "max" else np.mean
            fused = [rule(scores[np.asarray(owners) == person]) for person in range(40)]
            best = np.argsort(fused)[::-1][:7]
            assert [c.subject for c in answer.candidates] == [f"p{p:02}" for p in best]
            similarities = [c.similarity for c in answer.candidates]
            assert similarities == pytest.approx([fused[p] for p in best], abs=1e-5)


def test_the_threshold_accounts_for_the_gallery_and_an_explicit_zero_counts(path: Path) -> None:
    with filled(path, people=2, each=1) as gallery:
        small = gallery.operating_point(fpir=0.1)
        for person in range(60):
            gallery.enroll(f"q{person}", f"q{person}/1".encode())
        large = gallery.operating_point(fpir=0.1)
        assert large.threshold > small.threshold
        assert "62 templates" in large.name
        assert gallery.operating_point(threshold=0.0).threshold == 0.0
        with pytest.raises(UsageError, match="not both"):
            gallery.operating_point(fpir=0.1, threshold=0.5)
        own = gallery.operating_point(fpir=0.999, points=[OperatingPoint(0.77, 1e-1)])
        assert own.threshold == 0.77


def test_another_model_is_refused_and_told_what_to_do(path: Path) -> None:
    filled(path).close()
    for other in (card("model-b"), card(dim=16), card(template="dlib-150")):
        with pytest.raises(ModelMismatchError, match="gallery migrate"):
            Gallery.open(path, FakeAnalyzer(other))
    mirrored = FakeAnalyzer()
    mirrored.mirror = True
    with pytest.raises(ModelMismatchError):
        Gallery.open(path, mirrored)
    with opened(path) as gallery, pytest.raises(ModelMismatchError, match="model-b"):
        gallery.identify_many([FakeAnalyzer(card("model-b")).embedding(b"p1/1")], ANY)


def test_a_gallery_opened_without_models_shows_and_removes(path: Path, tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="no gallery at"):
        Gallery.open(tmp_path / "none.db")
    filled(path).close()
    with Gallery.open(path) as gallery:
        assert len(list(gallery.subjects())) == 5
        assert gallery.remove("p0", "p1") == 6
        with pytest.raises(UnknownSubjectError):
            gallery.remove("p2", "p0")
        assert gallery.show("p2")[0].templates == 3
        with pytest.raises(UsageError, match="without models"):
            gallery.enroll("x", b"x/1")


def test_removal_is_seen_by_a_search_that_was_under_way(path: Path) -> None:
    with filled(path) as gallery, opened(path) as other:
        assert gallery.identify(b"p3/x").subject == "p3"
        other.remove("p3")
        assert gallery.identify(b"p3/x", threshold=0.5).subject is None
        template = other.show("p2")[1][0].id
        other.remove_template(template)
        assert template not in [c.template for c in gallery.identify(b"p2/0").candidates]
        other.enroll("p3", b"p3/new")
        assert gallery.identify(b"p3/x").subject == "p3"
        with pytest.raises(UnknownSubjectError):
            other.remove_template(template)
        with pytest.raises(UsageError):
            other.remove_template("1 OR 1=1")


def test_numbers_of_removed_templates_are_never_given_again(path: Path) -> None:
    with opened(path) as gallery:
        gallery.enroll("ada", b"ada/1", b"ada/2")
        gallery.remove("ada")
        (answer,) = gallery.enroll("bob", b"bob/1")
        assert isinstance(answer, Enrolled) and answer.template == "3"


def test_what_is_older_goes_with_people_who_are_left_with_nothing(path: Path) -> None:
    with opened(path) as gallery:
        gallery.enroll("old", b"old/1")
        gallery.enroll("both", b"both/1")
        middle = datetime.now(UTC)
        gallery.enroll("both", b"both/2")
        assert gallery.remove_older_than(middle) == 2
        assert [(s.name, s.templates) for s in gallery.subjects()] == [("both", 1)]
        assert gallery.remove_older_than(middle) == 0
        with pytest.raises(UsageError, match="time zone"):
            gallery.remove_older_than(datetime(2025, 1, 1))


def test_retention_and_consents_that_end_are_kept_to(path: Path) -> None:
    soon = (datetime.now(UTC) + timedelta(days=10)).isoformat()
    with opened(path, policy=Policy(retention_days=30)) as gallery:
        gallery.enroll("kept", b"kept/1")
        gallery.enroll("ends", b"ends/1", consent=Consent("paper", "2025-01-01", soon))
        assert gallery.expire() == 0
        assert gallery.expire(datetime.now(UTC) + timedelta(days=11)) == 1
        assert [s.name for s in gallery.subjects()] == ["kept"]
        assert gallery.expire(datetime.now(UTC) + timedelta(days=31)) == 1
        assert list(gallery.subjects()) == []


def test_a_policy_that_asks_for_consent_refuses_without(path: Path) -> None:
    valid, ended = Consent("paper", "2025-01-01"), Consent("paper", "2020-01-01", "2021-01-01")
    with opened(path, policy=Policy(require_consent=True)) as gallery:
        (bare,) = gallery.enroll("ada", b"ada/1")
        (late,) = gallery.enroll("ada", b"ada/1", consent=ended)
        assert isinstance(bare, Skipped) and "requires consent" in bare.reason
        assert isinstance(late, Skipped) and "expired on 2021" in late.reason
        assert list(gallery.subjects()) == []
        (good,) = gallery.enroll("ada", b"ada/1", consent=valid)
        (more,) = gallery.enroll("ada", b"ada/2")
        assert isinstance(good, Enrolled) and isinstance(more, Enrolled)
        with pytest.raises(UsageError, match="requires consent"):
            gallery.update("ada", consent=ended)
        assert gallery.show("ada")[0].consent == valid
    with pytest.raises(UsageError):
        Consent(" ", "2025-01-01")
    with pytest.raises(UsageError):
        Consent("paper", "last week")


def test_a_policy_may_limit_templates(path: Path) -> None:
    with opened(path, policy=Policy(max_templates=2)) as gallery:
        answers = gallery.enroll("ada", b"ada/1", b"ada/2", b"ada/3")
        assert [isinstance(a, Enrolled) for a in answers] == [True, True, False]


def test_metadata_is_kept_and_replaced_and_must_be_json(path: Path) -> None:
    with opened(path) as gallery:
        gallery.enroll("ada", b"ada/1", metadata={"team": "blue"})
        gallery.enroll("ada", b"ada/2")
        assert gallery.show("ada")[0].metadata == {"team": "blue"}
        gallery.update("ada", metadata={"team": "red"})
        assert gallery.show("ada")[0].metadata == {"team": "red"}
        for bad in ({"x": float("nan")}, {"x": object()}, {"x": "y" * 100_000}):
            with pytest.raises(UsageError, match="metadata"):
                gallery.enroll("ada", b"ada/3", metadata=bad)
        with pytest.raises(UnknownSubjectError):
            gallery.update("nobody", metadata={})


def test_what_contradicts_the_gallery_is_refused(path: Path) -> None:
    filled(path, fusion="mean").close()
    with pytest.raises(UsageError, match="fusion"):
        opened(path, fusion="max")
    with pytest.raises(UsageError, match="policy"):
        opened(path, policy=Policy(keep_crops=True))
    with pytest.raises(UsageError, match="not encrypted"):
        opened(path, key=Key(bytes(32)))
    with opened(path) as gallery:
        gallery.set_policy(Policy(keep_crops=True))
    opened(path, policy=Policy(keep_crops=True)).close()


def test_the_log_tells_who_did_what_without_names(path: Path) -> None:
    with opened(path, actor="eve") as gallery:
        gallery.enroll("ada lovelace", b"ada/1")
        gallery.remove("ada lovelace")
        entries = list(gallery.audit())
        assert [e.action for e in entries] == ["create", "new-subject", "enroll", "remove-subject"]
        assert {e.actor for e in entries} == {"eve"}
        assert not any("lovelace" in str(entry) for entry in entries)
        assert gallery.verify_audit().intact


def test_all_that_is_held_about_a_person_is_theirs_to_see(path: Path) -> None:
    with opened(path, policy=Policy(keep_crops=True)) as gallery:
        consent = Consent("paper", "2025-01-01", reference="drawer 3")
        gallery.enroll("ada", b"ada/1", metadata={"a": 1}, consent=consent)
        data = gallery.person_data("ada")
        assert data["subject"] == "ada" and data["metadata"] == {"a": 1}
        assert data["consent"]["reference"] == "drawer 3"
        (template,) = data["templates"]
        assert np.allclose(template["vector"], vector(b"ada/1", card()))
        assert template["crop_png"]
        assert [line["action"] for line in data["audit"]][-1] == "person-export"


def test_encrypted_galleries_answer_alike_and_stay_shut_without_the_key(path: Path) -> None:
    pytest.importorskip("cryptography", reason="encryption needs the extra 'crypto'")
    key, other = Key(bytes(32)), Key(b"\1" * 32)
    with filled(path, key=key) as gallery:
        assert gallery.identify(b"p3/x").subject == "p3"
        assert np.array_equal(gallery.vectors("p1")[0], vector(b"p1/0", card()))
        with pytest.raises(UsageError, match="already"):
            gallery.rekey(key)
        assert gallery.rekey(other) == 15
        assert gallery.identify(b"p2/x").subject == "p2"
        assert gallery.verify() == []
    for wrong in (None, key):
        with pytest.raises(GalleryLockedError):
            opened(path, key=wrong)
    with opened(path, key=other) as gallery:
        assert gallery.identify(b"p4/x").subject == "p4"
        gallery.rekey(None)
    with opened(path) as gallery:
        assert gallery.identify(b"p4/x").subject == "p4"


def test_a_writer_with_the_old_key_can_not_write_after_rotation(path: Path) -> None:
    pytest.importorskip("cryptography", reason="encryption needs the extra 'crypto'")
    with filled(path, key=Key(bytes(32))) as late, opened(path, key=Key(bytes(32))) as first:
        first.rekey(Key(b"\1" * 32))
        with pytest.raises(GalleryLockedError):
            late.enroll("p9", b"p9/1")
        assert first.verify() == []


@pytest.mark.parametrize("way", ["FACEPRINT_KEY_FILE", "FACEPRINT_KEY", "FACEPRINT_KEY_COMMAND"])
def test_a_key_means_that_the_gallery_is_sealed_however_it_is_given(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    text, file = Key(bytes(32)).text(), tmp_path / "key"
    file.write_text(text)
    given = {"FACEPRINT_KEY_FILE": str(file), "FACEPRINT_KEY_COMMAND": f"cat {file}"}
    filled(path, people=1).close()
    monkeypatch.setenv(way, given.get(way, text))
    with pytest.raises(UsageError, match="not encrypted"):
        opened(path)
    monkeypatch.delenv(way)
    with opened(path) as gallery:
        assert gallery.counts() == {"subjects": 1, "templates": 3}


@pytest.mark.parametrize("rows", ["subjects", "templates", "vectors", "tags", "audit"])
def test_rows_that_come_again_and_again_end_with_an_error(
    path: Path, rows: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path).close()
    database = SqliteDatabase(path)
    fetch, pages = database.fetch, dict[str, Any]()
    # As where a damaged file has its rows out of order: each page is the first one.
    monkeypatch.setattr(
        database, "fetch", lambda sql, values=(): pages.setdefault(sql, fetch(sql, values))
    )
    with pytest.raises(GalleryCorruptError, match="out of order"):
        for _ in getattr(SqlReader(database), rows)():
            pass


@pytest.mark.parametrize("key", [None, Key(bytes(32))], ids=["plain", "sealed"])
def test_a_subject_is_found_by_its_uid(path: Path, key: Key | None) -> None:
    if key is not None:
        pytest.importorskip("cryptography")
    with filled(path, key=key) as gallery:
        for subject in gallery.subjects():
            assert gallery.subject_by_uid(subject.uid) == subject
        with pytest.raises(UnknownSubjectError, match="no subject has the id 'nobody'"):
            gallery.subject_by_uid("nobody")
