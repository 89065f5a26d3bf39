"""insightface's single models, which are not covered."""

from __future__ import annotations

from typing import NoReturn

from faceprint.errors import UsageError

__all__ = ["get_model"]


def get_model(name: str, **_: object) -> NoReturn:
    """Raise.

    Raises:
        UsageError: always; it says what to call.
    """
    raise UsageError(
        f"get_model({name!r}) is not covered. FaceAnalysis(...).models has a pack's 'detection' "
        "and 'recognition'; faceprint.load(detector=..., embedder=...) takes any two cards; "
        "swapping faces is not done here"
    )
