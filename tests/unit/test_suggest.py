"""What is said about names that do not exist."""

from __future__ import annotations

import pytest

from faceprint._suggest import unknown_name
from faceprint.errors import UnknownModelError, UsageError
from faceprint.runtime.session import open_session
from faceprint.zoo.catalog import get_card
from faceprint.zoo.packs import get_pack


def test_similar_names_are_suggested_and_else_all_are_told() -> None:
    known = ["starter", "sface", "Arcface"]
    assert unknown_name("pack", "startr", known) == "no pack named 'startr'; did you mean starter?"
    assert unknown_name("pack", "ARCFACE", known).endswith("did you mean Arcface or sface?")
    assert unknown_name("pack", "xyz", known) == (
        "no pack named 'xyz'; there are starter, sface, Arcface"
    )
    assert unknown_name("pack", "xyz", known, "look") == "no pack named 'xyz'; look"


def test_packs_models_and_runtimes_are_suggested(tmp_path: object) -> None:
    with pytest.raises(UnknownModelError, match=r"did you mean starter\?"):
        get_pack("startr")
    with pytest.raises(UnknownModelError, match="did you mean yunet-2023mar"):
        get_card("yunet")
    with pytest.raises(UnknownModelError, match="starter is a pack"):
        get_card("starter")
    with pytest.raises(UsageError, match="did you mean openvino"):
        open_session(None, runtime="openvno")  # type: ignore[arg-type]
