"""Golden values: every model that is here, on every runtime, gives what its card says.

The values were written down once from ONNX Runtime; a changed file, runtime, color order or
normalization shows as a difference a thousand times the tolerance.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shared_cards import DERIVED, shared_cards

from faceprint import settings
from faceprint.errors import CardError, ModelMissingError
from faceprint.runtime.mxnet import environment
from faceprint.runtime.session import RUNTIMES, RuntimeOptions, Session, open_session
from faceprint.zoo import legacy, store
from faceprint.zoo.card import ModelCard
from faceprint.zoo.card_io import read_card
from faceprint.zoo.catalog import all_cards, get_card
from faceprint.zoo.golden import golden_values

# Looked up before the fixtures give each test a home of its own.
_MXNET = os.environ.get("FACEPRINT_MXNET_PYTHON") or environment.python()
_MODULES = {"openvino": "openvino", "pytorch": "torch", "mxnet": "onnx"}
HERE = (
    *("mtcnn", "dlib-resnet", "mobileface", "yunet-2023mar", "scrfd-500m", "scrfd-2.5g"),
    *("retinaface-mnet025", "ultraface-rfb-320"),
)
# Of the derived files, which have no packaged card.
GOLDEN = {
    "w600k-mbf-dequant": (
        *(-0.0098491, 0.000939, -0.0466219, -0.0373386),
        *(0.0140395, -0.0599668, 0.1196895, 0.0040055),
    ),
    "w600k-mbf-int8-dynamic": (
        *(-0.0101461, -0.0006134, -0.0582135, -0.0421955),
        *(0.0137193, -0.0560163, 0.1176361, -0.0008167),
    ),
    "edgeface-xs-dequant": (
        *(-0.1266244, -0.0174757, 0.0200165, -0.0204367),
        *(0.0559688, -0.0214335, 0.011746, 0.0980589),
    ),
}
# What docs/runtimes.md says that a runtime can't do, and no more than that.
REFUSED = {
    ("pytorch", "w600k-mbf-int8-dynamic"),
    ("opencv", "w600k-mbf-int8-dynamic"),
    ("mxnet", "w600k-mbf-int8-dynamic"),
    ("mxnet", "scrfd-500m"),
    ("mxnet", "scrfd-2.5g"),
}
TOLERANCE = 2e-4
# int8 arithmetic differs between the kernels of runtimes and of processors by whole steps.
INT8_COSINE = 0.99


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    module = _MODULES.get(name)
    if module and importlib.util.find_spec(module) is None:
        pytest.skip(f"the runtime {name} needs {module}, which is not installed")
    if name == "mxnet" and not _MXNET:
        pytest.skip("the environment of the mxnet runtime has not been made")
    return name


@pytest.fixture
def find(
    shared_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], ModelCard]:
    """A card by its id, with its golden values; files come from the mirror."""
    monkeypatch.setenv("FACEPRINT_MIRROR", str(shared_models))
    monkeypatch.setenv("FACEPRINT_OFFLINE", "1")
    monkeypatch.setenv("FACEPRINT_ACCEPT_LICENSE", "1")

    def get(card_id: str) -> ModelCard:
        if card_id not in DERIVED:
            return get_card(card_id)
        path = shared_cards(shared_models, tmp_path / "own")[card_id]
        return replace(read_card(path), golden=GOLDEN[card_id])

    return get


def sessions(card: ModelCard, runtime: str) -> dict[str, Session]:
    extra = {"python": str(_MXNET)} if runtime == "mxnet" else {}
    options = RuntimeOptions(threads=1, extra=extra)
    paths = {
        role: legacy.prepare(path, settings.home() / "prepared")
        for role, path in store.ensure(card).items()
    }
    return {
        role: open_session(path, runtime=runtime, options=options) for role, path in paths.items()
    }


@pytest.mark.parametrize("card_id", [*HERE, *DERIVED])
def test_golden(runtime: str, card_id: str, find: Callable[[str], ModelCard]) -> None:
    card = find(card_id)
    assert card.golden
    if (runtime, card_id) in REFUSED:
        with pytest.raises(CardError, match=card.files[0].name.split(".")[0]):
            golden_values(card, {r: s.run for r, s in sessions(card, runtime).items()})
        return
    opened = sessions(card, runtime)
    found = golden_values(card, {role: session.run for role, session in opened.items()})
    assert len(found) == len(card.golden)
    if "int8" in card_id:
        a, b = np.asarray(found), np.asarray(card.golden)
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) >= INT8_COSINE
        return
    np.testing.assert_allclose(found, card.golden, rtol=TOLERANCE, atol=TOLERANCE)


def test_every_card_whose_files_are_here_is_under_this_contract(
    find: Callable[[str], ModelCard],
) -> None:
    here = set()
    for card in all_cards():
        try:
            store.ensure(card)
        except ModelMissingError:
            assert not card.golden, f"{card.id}: golden values that nobody here can have measured"
            continue
        here.add(card.id)
    assert here == set(HERE)


def test_derived_is_what_the_folder_of_models_says(shared_models: Path) -> None:
    import tomllib

    rows = tomllib.loads((shared_models / "MODELS.toml").read_text("utf-8"))["file"]
    assert {row["name"] for row in rows if row["derived"]} == set(DERIVED.values())
    assert set(GOLDEN) == set(DERIVED)
