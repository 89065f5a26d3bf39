"""One person's data on request."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Any

from faceprint.recognition.gallery.context import GalleryContext
from faceprint.recognition.gallery.records import now
from faceprint.recognition.gallery.vectors import unpack

__all__ = ["person_data"]


def person_data(context: GalleryContext, name: str) -> dict[str, Any]:
    """All data about one person, opened, as plain JSON values; logged."""
    with context.change() as change:
        subject = change.writer.require_subject(name)
        header, sealer = change.header, context.store.sealer(change.header)
        templates = []
        for row in change.writer.templates(subject_key=subject.key, crops=True):
            blob, crop = sealer.open_template(row, subject.uid)
            vector = unpack([blob], header.model.dim, context.location)[0]
            templates.append(
                {
                    "template": row.id,
                    "source": row.source,
                    "content_sha256": row.image_sha256.hex(),
                    "box": row.box,
                    "quality": row.quality,
                    "norm": row.norm,
                    "created": row.created,
                    "vector": [float(value) for value in vector],
                    "crop_png": None if crop is None else base64.b64encode(crop).decode(),
                }
            )
        change.log("person-export", subject.uid)
    log = [asdict(entry) for entry in context.store.raw.audit() if entry.subject == subject.uid]
    return {
        "subject": subject.name,
        "metadata": dict(subject.metadata),
        "consent": None if subject.consent is None else asdict(subject.consent),
        "created": subject.created,
        "embedder": header.model.id,
        "exported": now(),
        "templates": templates,
        "audit": log,
    }
