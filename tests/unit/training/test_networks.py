"""The networks against their papers, published graphs, and arcface_torch's names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="faceprint[train] is not installed")

from faceprint.errors import CardError, UsageError  # noqa: E402
from faceprint.training.network_names import NETWORKS  # noqa: E402
from faceprint.training.networks import build, load_weights, parameter_count  # noqa: E402


def _on_meta(name: str, **options: Any) -> Any:
    """The network without memory for its weights."""
    with torch.device("meta"):
        return build(name, **options)


@pytest.mark.parametrize(
    ("name", "millions"),
    # LResNet100E-IR: the zoo's README of 2018 says 65.2 M; the others as insightface lists them.
    [("iresnet100", 65.2), ("iresnet50", 43.6), ("iresnet34", 34.1), ("iresnet18", 24.0)],
)
def test_iresnets_have_the_published_number_of_parameters(name: str, millions: float) -> None:
    assert parameter_count(_on_meta(name)) / 1e6 == pytest.approx(millions, abs=0.06)


def test_mobilefacenet_has_the_papers_number_of_parameters() -> None:
    # "MobileFaceNets", section 3.2: 0.99 million with 128 dimensions.
    assert parameter_count(_on_meta("mobilefacenet", dim=128)) / 1e6 == pytest.approx(
        0.99, abs=0.02
    )


def _layers_of_lresnet100e_ir() -> Iterator[tuple[str, tuple[int, ...]]]:
    """As the model's MXNet symbol lists its weighted layers, shortcuts after their blocks."""

    def norm(channels: int) -> tuple[str, tuple[int, ...]]:
        return "BatchNorm", (channels,)

    yield "Convolution", (64, 3, 3, 3)
    yield norm(64)
    yield "PReLU", (64,)
    before = 64
    for units, channels in ((3, 64), (13, 128), (30, 256), (3, 512)):
        for unit in range(units):
            yield norm(before)
            yield "Convolution", (channels, before, 3, 3)
            yield norm(channels)
            yield "PReLU", (channels,)
            yield "Convolution", (channels, channels, 3, 3)
            yield norm(channels)
            if unit == 0:
                yield "Convolution", (channels, before, 1, 1)
                yield norm(channels)
            before = channels
    yield norm(512)
    yield "FullyConnected", (512, 512 * 7 * 7)
    yield norm(512)


_KINDS = {
    "Conv2d": "Convolution",
    "BatchNorm2d": "BatchNorm",
    "BatchNorm1d": "BatchNorm",
    "PReLU": "PReLU",
    "Linear": "FullyConnected",
}


def test_iresnet100_has_the_layers_of_lresnet100e_ir() -> None:
    network = _on_meta("iresnet100")
    layers = [
        (_KINDS[type(module).__name__], tuple(module.weight.shape))
        for module in network.modules()
        if type(module).__name__ in _KINDS
    ]
    assert layers == list(_layers_of_lresnet100e_ir())
    strides = [
        module.stride[0]
        for module in network.modules()
        if isinstance(module, torch.nn.Conv2d) and module.kernel_size == (3, 3)
    ]
    assert [place for place, stride in enumerate(strides) if stride == 2] == [2, 8, 34, 94]
    assert network(torch.empty(2, 3, 112, 112, device="meta")).shape == (2, 512)


def test_iresnet_names_its_parameters_as_arcface_torch_does() -> None:
    keys = list(_on_meta("iresnet18").state_dict())
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    block = [f"bn1.{key}" for key in norm] + ["conv1.weight"]
    block += [f"bn2.{key}" for key in norm] + ["prelu.weight", "conv2.weight"]
    block += [f"bn3.{key}" for key in norm]
    short = ["downsample.0.weight"] + [f"downsample.1.{key}" for key in norm]
    expected = ["conv1.weight"] + [f"bn1.{key}" for key in norm] + ["prelu.weight"]
    for stage in (1, 2, 3, 4):
        expected += [f"layer{stage}.0.{key}" for key in block + short]
        expected += [f"layer{stage}.1.{key}" for key in block]
    expected += [f"bn2.{key}" for key in norm] + ["fc.weight", "fc.bias"]
    expected += [f"features.{key}" for key in norm]
    assert keys == expected


def test_mbf_has_the_body_of_insightfaces_w600k_mbf(shared_models: Path) -> None:
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(shared_models / "w600k_mbf_dequant.onnx").graph
    shapes = {item.name: tuple(item.dims) for item in graph.initializer}
    theirs = []
    for node in graph.node:
        if node.op_type == "Conv":
            named = {item.name: item for item in node.attribute}
            stride = named["strides"].ints[0]
            theirs.append((shapes[node.input[1]], named["group"].i, stride))
    ours = [
        (tuple(module.weight.shape), module.groups, module.stride[0])
        for module in _on_meta("mbf").modules()
        if isinstance(module, torch.nn.Conv2d)
    ]
    # Their last convolution is the head, which differs: 1x1 to 64 channels and a dense layer.
    assert ours[:-1] == theirs[:-1]
    keys = _on_meta("mbf").state_dict()
    assert keys["layers.3.layers.3.layers.1.layers.0.weight"].shape == (128, 1, 3, 3)
    assert keys["conv_sep.layers.2.weight"].shape == (512,)
    assert keys["features.layers.2.weight"].shape == (512, 512)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_gives_embeddings_of_the_asked_length(name: str) -> None:
    crops = torch.empty(2, 3, 112, 112, device="meta")
    assert _on_meta(name, dim=24, width=0.25)(crops).shape == (2, 24)


def test_a_checkpoint_loads_also_from_several_devices(tmp_path: Path) -> None:
    source = build("mobilefacenet", dim=8, width=0.125)
    state = {f"module.{key}": value for key, value in source.state_dict().items()}
    torch.save(state, tmp_path / "backbone.pth")
    network = build("mobilefacenet", dim=8, width=0.125)
    load_weights(network, tmp_path / "backbone.pth")
    for key, value in source.state_dict().items():
        assert torch.equal(network.state_dict()[key], value)


def test_a_checkpoint_of_another_network_is_refused_with_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "backbone.pth"
    torch.save(build("mobilefacenet", dim=8, width=0.125).state_dict(), path)
    with pytest.raises(CardError, match=r"another network: .* is \(8, 64\), the network's is \(16"):
        load_weights(build("mobilefacenet", dim=16, width=0.125), path)
    path.write_bytes(b"no archive")
    with pytest.raises(CardError, match="not a PyTorch state dict"):
        load_weights(build("mobilefacenet", dim=8, width=0.125), path)


def test_wrong_names_and_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match="no network 'resnet'"):
        build("resnet")
    with pytest.raises(UsageError, match="width"):
        build("iresnet18", width=0)
