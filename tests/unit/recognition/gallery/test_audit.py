"""The audit log's chain: whatever is done to a line shows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceprint.errors import UsageError
from faceprint.recognition.gallery.audit import chain_hash, next_entry, verify_chain
from faceprint.recognition.gallery.records import AuditEntry

FIELDS = ("time", "actor", "action", "subject", "detail", "prev", "hash")


def log(length: int) -> list[AuditEntry]:
    entries: list[AuditEntry] = []
    head = (0, "")
    for number in range(length):
        entries.append(next_entry(head, f"t{number}", "me", "enroll", f"s{number}", "{}"))
        head = (entries[-1].seq, entries[-1].hash)
    return entries


def head(entries: list[AuditEntry]) -> tuple[int, str]:
    return (entries[-1].seq, entries[-1].hash) if entries else (0, "")


def test_an_untouched_log_is_intact() -> None:
    for length in (0, 1, 5):
        entries = log(length)
        report = verify_chain(entries, head(entries))
        assert report.intact and report.entries == length


@given(st.integers(0, 5), st.sampled_from(FIELDS), st.text(min_size=1))
def test_a_changed_field_shows(line: int, field: str, text: str) -> None:
    entries = log(6)
    before = getattr(entries[line], field)
    changed = replace(entries[line], **{field: before + text})
    report = verify_chain([*entries[:line], changed, *entries[line + 1 :]], head(entries))
    assert not report.intact


@given(st.integers(0, 5))
def test_a_missing_line_shows_and_is_named(line: int) -> None:
    entries = log(6)
    report = verify_chain(entries[:line] + entries[line + 1 :], head(entries))
    assert not report.intact
    if line < 5:
        assert f"line {line + 1} is missing" in report.problems[0]


def test_a_changed_line_with_its_hash_made_anew_shows_at_the_next() -> None:
    entries = log(4)
    changed = replace(entries[1], detail='{"template": 9}')
    changed = replace(changed, hash=chain_hash(changed))
    report = verify_chain([entries[0], changed, *entries[2:]], head(entries))
    assert report.problems == ("line 3 does not follow line 2: changed or moved",)


def test_lines_swapped_or_doubled_show() -> None:
    entries = log(4)
    swapped = [entries[0], entries[2], entries[1], entries[3]]
    assert not verify_chain(swapped, head(entries)).intact
    assert not verify_chain([*entries, entries[3]], head(entries)).intact


def test_an_anchor_kept_elsewhere_finds_a_log_that_was_written_anew() -> None:
    entries = log(4)
    anchor = verify_chain(entries, head(entries)).anchor
    assert verify_chain(log(4), head(entries), anchor).intact
    forged = [next_entry((0, ""), "t", "me", "enroll", "s", "{}")]
    while len(forged) < 5:
        forged.append(next_entry(head(forged), "t", "me", "enroll", "s", "{}"))
    assert verify_chain(forged, head(forged)).intact
    assert not verify_chain(forged, head(forged), anchor).intact
    cut = entries[:2]
    assert verify_chain(cut, head(cut)).intact
    assert "the log was cut" in verify_chain(cut, head(cut), anchor).problems[0]


def test_fields_can_not_be_shifted_into_one_another() -> None:
    one = AuditEntry(1, "t", "ab", "c", "", "", "", "")
    two = AuditEntry(1, "t", "a", "bc", "", "", "", "")
    assert chain_hash(one) != chain_hash(two)


@pytest.mark.parametrize("anchor", ["", "x", "5", "5:abc", ":" + "0" * 64])
def test_what_is_no_anchor_is_refused(anchor: str) -> None:
    entries = log(1)
    if not anchor:
        assert verify_chain(entries, head(entries), anchor).intact
        return
    with pytest.raises(UsageError):
        verify_chain(entries, head(entries), anchor)
