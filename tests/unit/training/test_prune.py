"""Pruning: what a smaller copy of a network keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="faceprint[train] is not installed")
onnx = pytest.importorskip("onnx", reason="faceprint[train] is not installed")

from onnx_graphs import iresnet, save  # noqa: E402

from faceprint.errors import CardError  # noqa: E402
from faceprint.runtime.graph import Graph, load_graph  # noqa: E402
from faceprint.runtime.session import open_session  # noqa: E402
from faceprint.training.export import to_onnx  # noqa: E402
from faceprint.training.networks import build  # noqa: E402
from faceprint.training.prune import _blocks, prune  # noqa: E402
from faceprint.types import Array  # noqa: E402


def _crops(count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(count, 3, 112, 112)).astype(np.float32)


def _network(path: Path) -> Path:
    torch.manual_seed(0)
    network = build("mobilefacenet", dim=32, width=0.25)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
        elif isinstance(module, torch.nn.PReLU):
            torch.nn.init.uniform_(module.weight, 0.1, 0.4)
    to_onnx(network, path)
    return path


def _doubled(path: Path) -> Path:
    """Each channel inside a block is there twice, so that half of them say nothing new."""
    model, graph = onnx.load(str(path)), load_graph(path, extra="train")
    held = {item.name: item for item in model.graph.initializer}
    for block in _blocks(graph):
        names = [name for step in block.inner for name in step.inputs[1:]]
        count = _size(graph, block)
        for name in names:
            value = graph.weights[name].copy()
            if len(value) == count:
                value[count // 2 :] = value[: count // 2]
                held[name].CopyFrom(onnx.numpy_helper.from_array(value, name))
    onnx.save(model, str(path))
    return path


def _size(graph: Graph, block: Any) -> int:
    return len(graph.weights[block.inner[0].inputs[1]])


def _lost(teacher: Path, student: Path) -> float:
    """The share of the teacher's variation over other crops that the student does not have."""
    theirs, ours = (
        open_session(path, runtime="onnxruntime").run(_crops(8, 1))[0]
        for path in (teacher, student)
    )
    return float(np.square(ours - theirs).sum() / np.square(theirs - theirs.mean(0)).sum())


def test_channels_that_say_nothing_new_go_without_a_trace(tmp_path: Path) -> None:
    teacher, student = _doubled(_network(tmp_path / "teacher.onnx")), tmp_path / "student.onnx"
    student.write_bytes(prune(teacher, 0.5, _crops(16)))
    graphs = [load_graph(path, extra="train") for path in (teacher, student)]
    sizes = [[_size(graph, block) for block in _blocks(graph)] for graph in graphs]
    assert len(sizes[0]) == 15 and sizes[1] == [count // 2 for count in sizes[0]]
    assert _lost(teacher, student) < 0.05
    onnx.checker.check_model(str(student), full_check=True)


def test_fewer_channels_are_further_from_the_teacher(tmp_path: Path) -> None:
    teacher, student, lost = _network(tmp_path / "teacher.onnx"), tmp_path / "student.onnx", []
    for width in (0.75, 0.25):
        student.write_bytes(prune(teacher, width, _crops(16)))
        lost.append(_lost(teacher, student))
    assert 0 < lost[0] < lost[1]
    assert prune(teacher, 0.25, _crops(16)) == student.read_bytes()


def test_a_graph_without_such_blocks(tmp_path: Path) -> None:
    model = save(iresnet(), tmp_path / "teacher.onnx")
    with pytest.raises(CardError, match="no block of a 1x1, a depthwise and a 1x1"):
        prune(model, 0.5, _crops(2))
