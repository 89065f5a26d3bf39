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
from faceprint.recognition.gallery.authentication import RowAuthenticator
from faceprint.recognition.gallery.privacy import _CHUNK, _contains
from faceprint.recognition.gallery.records import Header, ModelPin, Policy
from faceprint.recognition.gallery.sql.rows import SubjectRow, TemplateColumns

SECRET = bytes(range(32))
HEADER = Header("u" * 32, ModelPin("m", "h" * 64, 4, "a"), "max", Policy(), created="2025")
ROW = TemplateColumns(1, 2, b"c" * 32, b"v" * 16, "/a.jpg", "[0.0]", 0.5, 1.0, "2025", b"", b"")
PERSON = SubjectRow("ada", "u1", "{}", None, "2025", 1)


def derived(purpose: bytes) -> bytes:
    return hmac.new(SECRET, b"faceprint gallery " + purpose, hashlib.sha256).digest()


@pytest.fixture
def rows() -> RowAuthenticator:
    pytest.importorskip("cryptography", reason="encryption needs the extra 'crypto'")
    key = Key(SECRET)
    return RowAuthenticator(key, replace(HEADER, key_id=key.id), legacy=False)


def test_the_digest_is_the_masked_sum_of_the_tags_hmacs(rows: RowAuthenticator) -> None:
    tags = [bytes([n]) * 32 for n in range(50)]
    each = [
        int.from_bytes(hmac.new(derived(b"set"), tag, hashlib.sha256).digest(), "big")
        for tag in tags
    ]
    assert rows.elements(tags) == sum(each) % 2**256
    digest = rows.digest(sum(each))
    mask = hmac.new(derived(b"mask"), digest[:16], hashlib.sha256).digest()
    held = int.from_bytes(digest[16:], "big")
    assert (held - int.from_bytes(mask, "big")) % 2**256 == sum(each) % 2**256
    assert rows.total(digest) == sum(each) % 2**256 and rows.total(digest[1:]) is None
    # The sum in the open would let whoever sees two of them take a row away.
    assert rows.digest(sum(each))[16:] != digest[16:]


def test_what_is_added_and_taken_away_in_any_order_gives_the_same_sum(
    rows: RowAuthenticator,
) -> None:
    tags = [random.Random(n).randbytes(32) for n in range(20)]
    rest = rows.elements(tags) - rows.elements(tags[5:9])
    assert rest % 2**256 == rows.elements(reversed(tags[:5] + tags[9:]))


@pytest.mark.parametrize("place", range(10))
def test_each_column_of_a_template_is_under_its_tag(rows: RowAuthenticator, place: int) -> None:
    other = (3, 3, b"d" * 32, b"w" * 16, "/b.jpg", None, None, 2.0, "2026", b"t")[place]
    changed = TemplateColumns(*ROW[:place], other, *ROW[place + 1 :])
    assert rows.template_tag(changed) != rows.template_tag(ROW)


def test_text_can_not_move_from_one_column_to_the_next(rows: RowAuthenticator) -> None:
    moved = ROW._replace(source="/a.jpg[0.0]", box="")
    assert rows.template_tag(moved) != rows.template_tag(ROW)
    one, two = PERSON._replace(name="ab", metadata="c"), PERSON._replace(name="a", metadata="bc")
    assert rows.subject_tag(one) != rows.subject_tag(two)


def test_a_sealed_person_is_found_by_name_and_opens_as_they_were(rows: RowAuthenticator) -> None:
    sealed = rows.seal_subject(PERSON)
    assert "ada" not in sealed.name and rows.stored_name("ada") == sealed.name
    assert rows.stored_name("ada") != rows.stored_name("bob")
    assert rows.open_subject(sealed, "here")._replace(tag=b"") == PERSON
    other = RowAuthenticator(
        Key(b"\1" * 32), replace(HEADER, key_id=Key(b"\1" * 32).id), legacy=False
    )
    assert other.stored_name("ada") != sealed.name


def test_a_vector_that_lies_across_two_parts_of_a_file_is_seen(tmp_path: Path) -> None:
    file, needle = tmp_path / "file", bytes(range(1, 129))
    for start in (0, _CHUNK - 128, _CHUNK - 60, _CHUNK - 1, _CHUNK, _CHUNK + 100):
        file.write_bytes(bytes(start) + needle + bytes(200))
        assert _contains(file, [b"\xff" * 40, needle])
    file.write_bytes(bytes(_CHUNK) + needle[:-1] + bytes(200))
    assert not _contains(file, [needle])


def test_a_large_gallery_is_written_anew_without_a_copy_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faceprint.recognition.gallery.sql.sqlite._MAX_IN_MEMORY", 0)
    with Gallery.open(tmp_path / "g.db", FakeAnalyzer()) as gallery:
        gallery.enroll("ada lovelace", b"ada/1")
        gallery.enroll("bob", b"bob/1")
        gallery.remove("ada lovelace")
        assert not any(b"lovelace" in file.read_bytes() for file in tmp_path.iterdir())
        assert gallery.verify() == []
