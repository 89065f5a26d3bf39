"""What is enrolled of a photograph already, and whether another face of it can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from faceprint.recognition.gallery.authenticated_reader import AuthenticatedReader
from faceprint.recognition.gallery.face_choice import Box, same_box
from faceprint.recognition.gallery.records import Enrolled, Outcome, Skipped
from faceprint.types import Face

__all__ = ["Item", "find_known", "known_outcome", "outcome_of_another"]


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A photograph to enroll.

    Attributes:
        name: of the subject.
        label: the photograph's name for messages.
        digest: SHA-256 of the photograph's bytes.
        box: of the face that is meant.
        chosen: a face of the photograph is meant, not just the photograph.
    """

    name: str
    source: Any
    label: str
    digest: bytes
    box: Box | None
    chosen: bool


def find_known(store: AuthenticatedReader, digests: list[bytes]) -> dict[bytes, dict[str, int]]:
    """For each photograph that is enrolled: the templates by subject."""
    templates = store.raw.find_images(digests)
    owners = store.subjects_by_key(sorted({template.subject_key for template in templates}))
    known: dict[bytes, dict[str, int]] = {}
    for template in templates:
        # Skips templates of a subject that was removed between the two queries.
        owner = owners.get(template.subject_key)
        if owner is not None:
            known.setdefault(template.image_sha256, {})[owner.name] = template.key
    return known


def known_outcome(item: Item, places: Mapping[str, int]) -> Outcome:
    """For a photograph with templates, by subject."""
    if item.name in places:
        return Enrolled(item.name, str(places[item.name]), item.label, new=False)
    whose = ", ".join(map(repr, places))
    return Skipped(
        item.name,
        item.label,
        f"the same photograph is enrolled for {whose}; --face N (faces=N) enrolls another face",
    )


def outcome_of_another(
    store: AuthenticatedReader, item: Item, face: Face, places: Mapping[str, int]
) -> Outcome | None:
    """For one face of a photograph with templates: None if that face has none."""
    boxes = {row.key: row.box for row in store.templates_by_key(list(places.values()))}
    same = [name for name, key in places.items() if same_box(boxes.get(key), face)]
    if item.name in same:
        return Enrolled(item.name, str(places[item.name]), item.label, new=False)
    if same:
        whose = ", ".join(map(repr, same))
        return Skipped(item.name, item.label, f"the same face is enrolled for {whose}")
    if item.name in places:
        number = places[item.name]
        return Skipped(
            item.name,
            item.label,
            f"template {number} is of another face of this photograph; remove it first: "
            f"gallery remove --template {number}",
        )
    return None
