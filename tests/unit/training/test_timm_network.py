"""Networks of timm: the wiring with a small stand-in, and real ones where timm can be imported."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="faceprint[train] is not installed")

from faceprint.errors import MissingExtraError, UsageError  # noqa: E402
from faceprint.runtime.session import open_session  # noqa: E402
from faceprint.training.export import to_onnx  # noqa: E402
from faceprint.training.networks import build, parameter_count  # noqa: E402

CROPS = np.random.default_rng(0).uniform(-1, 1, (3, 3, 112, 112)).astype(np.float32)


class Timm(ModuleType):
    """What faceprint calls of timm, with one small network and one with a map for an output."""

    def __init__(self) -> None:
        super().__init__("timm")
        self.asked: dict[str, Any] = {}

    def is_model(self, name: str) -> bool:
        return name in ("small", "fixed", "map")

    def get_pretrained_cfg(self, name: str) -> Any:
        return None if name == "map" else SimpleNamespace(fixed_input_size=name == "fixed")

    def create_model(self, name: str, pretrained: bool, num_classes: int, **more: Any) -> Any:
        self.asked = {"pretrained": pretrained, "num_classes": num_classes, **more}
        if name == "fixed" and more.get("img_size") != 112:
            raise AssertionError("Input height (112) doesn't match model (224).")
        layers = [torch.nn.Conv2d(3, 6, 8, 8), torch.nn.ReLU()]
        if name != "map":
            layers += [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
        return torch.nn.Sequential(*layers)


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> Timm:
    module = Timm()
    monkeypatch.setitem(sys.modules, "timm", module)
    return module


def _agrees_with_its_graph(network: Any, path: Path, dim: int) -> None:
    to_onnx(network, path)
    (found,) = open_session(path, runtime="onnxruntime").run(CROPS)
    with torch.no_grad():
        expected = network.eval()(torch.from_numpy(CROPS)).numpy()
    assert found.shape == (3, dim)
    assert np.allclose(found, expected, atol=1e-4 * float(np.abs(expected).max()))


def test_the_features_are_followed_by_the_embedding(timm: Timm, tmp_path: Path) -> None:
    network = build("timm:small", dim=5, dropout=0.25)
    assert timm.asked == {"pretrained": False, "num_classes": 0, "exportable": True}
    # Convolution, dense layer, and scale and shift of the normalization.
    assert parameter_count(network) == 6 * (3 * 64 + 1) + 5 * (6 + 1) + 2 * 5
    assert network.dropout.p == 0.25
    assert network.body.training
    _agrees_with_its_graph(network, tmp_path / "small.onnx", 5)


def test_a_network_of_fixed_input_is_made_for_crops(timm: Timm) -> None:
    assert build("timm:fixed", dim=5)(torch.zeros(2, 3, 112, 112)).shape == (2, 5)
    assert timm.asked["img_size"] == 112


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:none", r"timm has no network 'none'"),
        ("timm:map", r"timm's map gives \(6, 14, 14\), not one vector"),
    ],
)
def test_others_are_refused(timm: Timm, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(name)


def test_a_width_is_refused(timm: Timm) -> None:
    with pytest.raises(UsageError, match=r"timm:small has no width"):
        build("timm:small", width=0.5)


def test_without_timm_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'faceprint\[timm\]'"):
        build("timm:convnext_atto")


@pytest.mark.parametrize(
    "name", ["convnext_atto", "mobilenetv3_small_050", "resnet10t", "vit_tiny_patch16_224"]
)
def test_real_ones_train_and_export(name: str, tmp_path: Path) -> None:
    pytest.importorskip(
        "timm",
        reason="timm needs torchvision, which has no build for the CPU alone here",
        exc_type=ImportError,
    )
    torch.manual_seed(0)
    network = build(f"timm:{name}", dim=24)
    network.train()(torch.from_numpy(CROPS)).square().sum().backward()
    assert all(value.grad is not None for value in network.parameters() if value.requires_grad)
    _agrees_with_its_graph(network, tmp_path / "real.onnx", 24)
