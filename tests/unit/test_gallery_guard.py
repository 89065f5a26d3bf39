"""Tags over rows and the digest over their set, against the definitions written out by hand."""

from __future__ import annotations

import hashlib
import hmac
import random
from dataclasses import replace
from pathlib import Path

import pytest
from gallery_kit import FakeAnalyzer

from faceprint.recognition.gallery import Gallery, Key
from faceprint.recognition.gallery.guard import Guard
from faceprint.recognition.gallery.privacy import _PART, _holds
from faceprint.recognition.gallery.records import Header, ModelPin, Policy, SubjectRow, VectorRow

SECRET = bytes(range(32))
HEADER = Header("u" * 32, ModelPin("m", "h" * 64, 4, "a"), "max", Policy(), created="2025")
ROW: VectorRow = (1, 2, b"c" * 32, b"v" * 16, "/a.jpg", "[0.0]", 0.5, 1.0, "2025", b"", b"")
PERSON = SubjectRow("ada", "u1", "{}", None, "2025", 1)


def derived(purpose: bytes) -> bytes:
    return hmac.new(SECRET, b"faceprint gallery " + purpose, hashlib.sha256).digest()


@pytest.fixture
def guard() -> Guard:
    pytest.importorskip("cryptography", reason="encryption needs the extra 'crypto'")
    key = Key(SECRET)
    return Guard(key, replace(HEADER, key_id=key.id), legacy=False)


def test_the_digest_is_the_masked_sum_of_the_tags_hmacs(guard: Guard) -> None:
    tags = [bytes([n]) * 32 for n in range(50)]
    each = [
        int.from_bytes(hmac.new(derived(b"set"), tag, hashlib.sha256).digest(), "big")
        for tag in tags
    ]
    assert guard.elements(tags) == sum(each) % 2**256
    digest = guard.digest(sum(each))
    mask = hmac.new(derived(b"mask"), digest[:16], hashlib.sha256).digest()
    held = int.from_bytes(digest[16:], "big")
    assert (held - int.from_bytes(mask, "big")) % 2**256 == sum(each) % 2**256
    assert guard.total(digest) == sum(each) % 2**256 and guard.total(digest[1:]) is None
    # The sum in the open would let whoever sees two of them take a row away.
    assert guard.digest(sum(each))[16:] != digest[16:]


def test_what_is_added_and_taken_away_in_any_order_gives_the_same_sum(guard: Guard) -> None:
    tags = [random.Random(n).randbytes(32) for n in range(20)]
    rest = guard.elements(tags) - guard.elements(tags[5:9])
    assert rest % 2**256 == guard.elements(reversed(tags[:5] + tags[9:]))


@pytest.mark.parametrize("place", range(10))
def test_each_column_of_a_template_is_under_its_tag(guard: Guard, place: int) -> None:
    other = (3, 3, b"d" * 32, b"w" * 16, "/b.jpg", None, None, 2.0, "2026", b"t")[place]
    changed: VectorRow = (*ROW[:place], other, *ROW[place + 1 :])  # type: ignore[assignment]
    assert guard.template_tag(changed) != guard.template_tag(ROW)


def test_text_can_not_move_from_one_column_to_the_next(guard: Guard) -> None:
    moved: VectorRow = (*ROW[:4], "/a.jpg[0.0]", "", *ROW[6:])
    assert guard.template_tag(moved) != guard.template_tag(ROW)
    one, two = replace(PERSON, name="ab", metadata="c"), replace(PERSON, name="a", metadata="bc")
    assert guard.subject_tag(one) != guard.subject_tag(two)


def test_a_sealed_person_is_found_by_name_and_opens_as_they_were(guard: Guard) -> None:
    sealed = guard.seal_subject(PERSON)
    assert "ada" not in sealed.name and guard.stored_name("ada") == sealed.name
    assert guard.stored_name("ada") != guard.stored_name("bob")
    assert replace(guard.open_subject(sealed, "here"), tag=b"") == PERSON
    other = Guard(Key(b"\1" * 32), replace(HEADER, key_id=Key(b"\1" * 32).id), legacy=False)
    assert other.stored_name("ada") != sealed.name


def test_a_vector_that_lies_across_two_parts_of_a_file_is_seen(tmp_path: Path) -> None:
    file, needle = tmp_path / "file", bytes(range(1, 129))
    for start in (0, _PART - 128, _PART - 60, _PART - 1, _PART, _PART + 100):
        file.write_bytes(bytes(start) + needle + bytes(200))
        assert _holds(file, [b"\xff" * 40, needle])
    file.write_bytes(bytes(_PART) + needle[:-1] + bytes(200))
    assert not _holds(file, [needle])


def test_a_large_gallery_is_written_anew_without_a_copy_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faceprint.recognition.gallery.store_sqlite._MOST_IN_MEMORY", 0)
    with Gallery.open(tmp_path / "g.db", FakeAnalyzer()) as gallery:
        gallery.enroll("ada lovelace", b"ada/1")
        gallery.enroll("bob", b"bob/1")
        gallery.remove("ada lovelace")
        assert not any(b"lovelace" in file.read_bytes() for file in tmp_path.iterdir())
        assert gallery.verify() == []
