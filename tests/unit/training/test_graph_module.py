"""Graphs as modules: their gradients, equality with the runtime, and which layers train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="faceprint[train] is not installed")
onnx = pytest.importorskip("onnx", reason="faceprint[train] is not installed")

from onnx_graphs import iresnet, save  # noqa: E402

from faceprint.errors import CardError  # noqa: E402
from faceprint.runtime.graph import load_graph  # noqa: E402
from faceprint.runtime.session import open_session  # noqa: E402
from faceprint.runtime.torch_call import Call  # noqa: E402
from faceprint.runtime.torch_operators import OPERATORS  # noqa: E402
from faceprint.training.graph_module import GraphModule  # noqa: E402


def _random(*shape: int, low: float = -2.0, high: float = 2.0) -> Any:
    random = np.random.default_rng(len(shape) + sum(shape))
    return torch.from_numpy(random.uniform(low, high, shape)).requires_grad_()


def _ints(*values: int) -> Any:
    return torch.tensor(values)


MAPS = (2, 3, 5, 4)
WITH_GRADIENTS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "Add": ([_random(2, 3), _random(3)], {}),
    "AveragePool": ([_random(*MAPS)], {"kernel_shape": [2, 2], "strides": [1, 2]}),
    "BatchNormalization": (
        # No gradient for the running statistics, which stay as they are.
        [
            _random(*MAPS),
            *(_random(3) for _ in "ab"),
            *(_random(3, low=0.5).detach() for _ in "mv"),
        ],
        {"epsilon": 1e-3},
    ),
    "Clip": ([_random(4, 5), torch.tensor(-1.0), torch.tensor(1.0)], {}),
    "Concat": ([_random(2, 3), _random(2, 1)], {"axis": 1}),
    "Conv": (
        [_random(2, 4, 5, 4), _random(6, 2, 3, 3), _random(6)],
        {"group": 2, "strides": [2, 1], "pads": [0, 1, 1, 1]},
    ),
    "Cos": ([_random(5)], {}),
    "CumSum": ([_random(3, 4), torch.tensor(1)], {}),
    "Div": ([_random(2, 3), _random(3, low=0.5)], {}),
    "Dropout": ([_random(3)], {}),
    "Erf": ([_random(4)], {}),
    "Exp": ([_random(4)], {}),
    "Expand": ([_random(3, 1), _ints(2, 3, 4)], {}),
    "Flatten": ([_random(*MAPS)], {}),
    "Gather": ([_random(4, 3), _ints(0, 2, 2)], {"axis": 0}),
    "Gemm": ([_random(2, 5), _random(3, 5), _random(3)], {"transB": 1, "alpha": 0.5, "beta": 2.0}),
    "GlobalAveragePool": ([_random(*MAPS)], {}),
    "Identity": ([_random(3)], {}),
    "LeakyRelu": ([_random(3, 4)], {"alpha": 0.2}),
    "MatMul": ([_random(2, 3, 4), _random(4, 5)], {}),
    "MaxPool": ([_random(*MAPS)], {"kernel_shape": [3, 2], "pads": [1, 0, 1, 0]}),
    "Mul": ([_random(2, 3), _random(2, 1)], {}),
    "PRelu": ([_random(*MAPS), _random(3, 1, 1)], {}),
    "Pad": ([_random(*MAPS), _ints(0, 0, 1, 0, 0, 0, 0, 2)], {}),
    "Pow": ([_random(4, low=0.5), torch.tensor(3.0)], {}),
    "ReduceL2": ([_random(3, 4)], {"axes": [1]}),
    "ReduceMean": ([_random(*MAPS)], {"axes": [2, 3], "keepdims": 0}),
    "Relu": ([_random(3, 4)], {}),
    "Reshape": ([_random(2, 3, 4), _ints(0, -1)], {}),
    "Resize": ([_random(*MAPS), None, torch.tensor([1.0, 1.0, 2.0, 3.0])], {"mode": b"nearest"}),
    "Sigmoid": ([_random(4)], {}),
    "Sin": ([_random(5)], {}),
    "Slice": ([_random(5, 4), _ints(1, 0), _ints(4, 3), _ints(0, 1), _ints(2, 1)], {}),
    "Softmax": ([_random(3, 4)], {"axis": -1}),
    "Split": ([_random(3, 5), _ints(2, 3)], {"axis": 1}),
    "Sqrt": ([_random(4, low=0.5)], {}),
    "Squeeze": ([_random(2, 1, 3), _ints(1)], {}),
    "Sub": ([_random(2, 3), _random(3)], {}),
    "Tanh": ([_random(4)], {}),
    "Transpose": ([_random(2, 3, 4)], {"perm": [0, 2, 1]}),
    "Unsqueeze": ([_random(2, 3), _ints(1)], {}),
    "Upsample": ([_random(*MAPS)], {"mode": b"nearest", "scales": [1.0, 1.0, 2.0, 2.0]}),
}
WITHOUT = {"Cast", "ConstantOfShape", "Not", "Shape"}
"""Integers and truth values; the copy that Cast makes is PyTorch's own."""


@pytest.mark.parametrize("op", sorted(WITH_GRADIENTS))
def test_gradients_are_finite_differences(op: str) -> None:
    inputs, attributes = WITH_GRADIENTS[op]
    places = [i for i, value in enumerate(inputs) if value is not None and value.requires_grad]

    def run(*varied: Any) -> Any:
        given = list(inputs)
        for place, value in zip(places, varied, strict=True):
            given[place] = value
        return OPERATORS[op](Call(tuple(given), attributes, 17, 2))

    assert torch.autograd.gradcheck(run, [inputs[place] for place in places])


def test_every_operator_is_checked() -> None:
    assert set(OPERATORS) == {*WITH_GRADIENTS, *WITHOUT}


@pytest.fixture
def graph_file(tmp_path: Path) -> Path:
    model = iresnet(units=(1, 1, 1, 1), widths=(8, 8, 8, 16, 16), side=112, dim=12)
    return save(model, tmp_path / "net.onnx")


@pytest.fixture
def module(graph_file: Path) -> GraphModule:
    return GraphModule(load_graph(graph_file, extra="train"), graph_file.name)


def _blob(rows: int = 2, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    return random.uniform(0, 255, (rows, 3, 112, 112)).astype(np.float32)


def test_the_module_is_the_runtime(graph_file: Path, module: GraphModule) -> None:
    expected = open_session(graph_file, runtime="pytorch").run(_blob())[0]
    with torch.no_grad():
        found = module.train()(torch.from_numpy(_blob())).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_real_embedders_are_the_runtimes(shared_models: Path, shared_samples: Path) -> None:
    from faceprint.vision.images import decode

    picture = decode(shared_samples / "obama.jpg")[:112, :112]
    blob = ((picture.astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)[None]
    for name in ("w600k_mbf_dequant.onnx", "edgeface_xs_dequant.onnx"):
        file = shared_models / name
        expected = open_session(file, runtime="pytorch").run(blob)[0]
        real = GraphModule(load_graph(file, extra="train"), name)
        with torch.no_grad():
            found = real(torch.from_numpy(np.ascontiguousarray(blob))).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())
        # The last map is 7x7 and 3x3; what follows is part of the last stage.
        assert 0 < real.last_stage(torch.from_numpy(blob)) < real.last_product()


def _trained(module: GraphModule) -> int:
    return sum(value.numel() for value in module.parameters() if value.requires_grad)


def test_layers_are_counted_from_the_output(module: GraphModule) -> None:
    assert _trained(module) == 0
    module.train_weights(module.weights_from(module.last_product()))
    head = 16 * 7 * 7 * 12 + 12 + 2 * 12  # dense layer, and the normalization after it
    assert _trained(module) == head
    start = module.last_stage(torch.from_numpy(_blob(1)))
    module.train_weights(module.weights_from(start))
    stage = _trained(module)
    assert stage > head
    module.train_weights(module.weights_from(0))
    assert _trained(module) > stage
    # Running statistics are no weights.
    values = module.changed()
    assert _trained(module) == sum(value.size for value in values.values())
    assert not any("mean" in name or "var" in name for name in values)


def test_low_rank_changes_begin_as_nothing_and_merge(module: GraphModule) -> None:
    blob = torch.from_numpy(_blob())
    with torch.no_grad():
        before = module(blob)
    module.adapt(module.products(), 2)
    assert torch.equal(module(blob).detach(), before)
    names = set(module.changed())
    assert names
    assert names <= set(module.products())
    for change in module.adapters.values():
        torch.nn.init.normal_(change.up, std=0.1)
    with torch.no_grad():
        adapted = module(blob)
    assert not torch.allclose(adapted, before)
    merged = GraphModule(module._graph, "again")
    with torch.no_grad():
        for name, value in module.changed().items():
            merged.weights[merged._keys[name]].copy_(torch.from_numpy(value))
        assert torch.equal(merged(blob), adapted)


def test_a_loss_falls(module: GraphModule) -> None:
    module.train_weights(module.weights_from(0))
    blob, aim = torch.from_numpy(_blob(4)), torch.eye(4, 12)
    chosen = [value for value in module.parameters() if value.requires_grad]
    optimizer = torch.optim.Adam(chosen, lr=1e-2)
    losses = []
    for _ in range(8):
        found = torch.nn.functional.normalize(module(blob))
        loss = (1 - (found * aim).sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


def test_two_inputs_and_unknown_operators_are_refused(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    def graph(op: str, inputs: list[str]) -> Any:
        values = [helper.make_tensor_value_info(i, TensorProto.FLOAT, [1, 2]) for i in inputs]
        output = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 2])
        node = helper.make_node(op, inputs, ["out"])
        path = tmp_path / f"{op}.onnx"
        onnx.save(helper.make_model(helper.make_graph([node], op, values, [output])), path)
        return load_graph(path, extra="train")

    with pytest.raises(CardError, match="has 2 inputs"):
        GraphModule(graph("Add", ["a", "b"]), "two.onnx")
    with pytest.raises(CardError, match="no operator Einsum"):
        GraphModule(graph("Einsum", ["a"]), "einsum.onnx")
    with pytest.raises(CardError, match="no convolution or matrix product"):
        GraphModule(graph("Relu", ["a"]), "relu.onnx").last_product()
