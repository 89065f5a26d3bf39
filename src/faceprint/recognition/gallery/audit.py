"""The audit log: append-only lines, each with the hash of the line before.

The chain shows that a line was changed, moved or removed from the middle. By itself it can't show
that the last lines were cut off, or that somebody with write access recomputed the whole chain. The
gallery also stores the head of the chain, which reveals a careless cut. Against somebody who may
write the file, only an anchor kept elsewhere helps: `AuditReport.anchor`, which `gallery audit
--verify` prints and a later one takes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from faceprint.errors import UsageError
from faceprint.recognition.gallery.records import AuditEntry

__all__ = ["GENESIS", "AuditReport", "chain_hash", "next_entry", "verify_chain"]

GENESIS = "0" * 64
_MOST_PROBLEMS = 20


def chain_hash(entry: AuditEntry) -> str:
    """SHA-256 over every field except the hash, in an unambiguous encoding."""
    fields = [entry.seq, entry.time, entry.actor, entry.action, entry.subject, entry.detail]
    text = json.dumps([*fields, entry.prev], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def next_entry(
    head: tuple[int, str], time: str, actor: str, action: str, subject: str, detail: str
) -> AuditEntry:
    """The line after `head`, the number and hash of the last one."""
    seq, prev = head[0] + 1, head[1] or GENESIS
    bare = AuditEntry(seq, time, actor, action, subject, detail, prev, "")
    return AuditEntry(seq, time, actor, action, subject, detail, prev, chain_hash(bare))


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The result of a verification. `anchor` is `number:hash` of the last line."""

    entries: int
    anchor: str
    problems: tuple[str, ...]

    @property
    def intact(self) -> bool:
        """Whether no problem was found."""
        return not self.problems


def parse_anchor(anchor: str) -> tuple[int, str]:
    """`number:hash`; raises UsageError for anything else."""
    seq, _, digest = anchor.partition(":")
    if not re.fullmatch(r"[0-9]{1,18}", seq) or not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
        raise UsageError(
            f"anchor {anchor!r} is not NUMBER:HASH as gallery audit --verify prints it"
        )
    return int(seq), digest.lower()


def verify_chain(
    entries: Iterable[AuditEntry], head: tuple[int, str], anchor: str | None = None
) -> AuditReport:
    """Verify the whole log.

    Args:
        entries: in the order of their numbers.
        head: number and hash of the last line, as the gallery stores them.
        anchor: `number:hash` from an earlier verification.
    """
    problems: list[str] = []
    wanted = parse_anchor(anchor) if anchor else None
    met_anchor = wanted is None or wanted[0] == 0
    seq, prev, count = 0, GENESIS, 0
    for entry in entries:
        count += 1
        if entry.seq != seq + 1:
            problems.append(f"line {seq + 1} is missing: after {seq} comes {entry.seq}")
        elif entry.prev != prev:
            problems.append(f"line {entry.seq} does not follow line {seq}: changed or moved")
        if chain_hash(entry) != entry.hash:
            problems.append(f"line {entry.seq} was changed")
        if wanted is not None and entry.seq == wanted[0]:
            met_anchor = True
            if entry.hash != wanted[1]:
                problems.append(
                    f"line {entry.seq} is not the one that the anchor names: the log was rewritten"
                )
        seq, prev = entry.seq, entry.hash
    if (seq, prev) != (head[0], head[1] or GENESIS):
        problems.append(
            f"the log ends with line {seq}, but the gallery's head names line {head[0]}"
        )
    if not met_anchor and wanted is not None:
        problems.append(f"line {wanted[0]}, which the anchor names, is missing: the log was cut")
    return AuditReport(count, f"{seq}:{prev}", tuple(problems[:_MOST_PROBLEMS]))
