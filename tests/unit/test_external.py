"""External data is found wherever a graph can name it, without loading the graph."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from faceprint.zoo.external import external_locations, outside_location


def external_tensor(name: str, location: str) -> onnx.TensorProto:
    tensor = onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT, dims=[2])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("offset", "0"), ("location", location), ("length", "8")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def model_with(*tensors: onnx.TensorProto, attribute: onnx.TensorProto | None = None) -> bytes:
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    if attribute is not None:
        nodes.append(helper.make_node("Constant", [], ["c"], value=attribute))
    value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2])
    other = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2])
    inner = numpy_helper.from_array(np.arange(4, dtype=np.float32), "inner")
    graph = helper.make_graph(nodes, "g", [value], [other], [inner, *tensors])
    return bytes(helper.make_model(graph).SerializeToString())


def write(folder: Path, content: bytes) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(content)
    return path


def test_a_graph_without(tmp_path: Path) -> None:
    path = write(tmp_path, model_with())
    assert external_locations(path) == ()
    assert outside_location(path) == ""


def test_finds_initializers_attributes_and_subgraphs(tmp_path: Path) -> None:
    branch = helper.make_graph([], "b", [], [], [external_tensor("w", "branch.bin")])
    node = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    function = helper.make_function(
        "mine",
        "f",
        ["x"],
        ["y"],
        [helper.make_node("Constant", [], ["y"], value=external_tensor("k", "function.bin"))],
        [helper.make_opsetid("", 17)],
    )
    model = onnx.load_from_string(
        model_with(external_tensor("a", "plain.bin"), attribute=external_tensor("b", "attr.bin"))
    )
    model.graph.node.append(node)
    model.functions.append(function)
    path = write(tmp_path, model.SerializeToString())
    assert external_locations(path) == ("attr.bin", "branch.bin", "function.bin", "plain.bin")


@pytest.mark.parametrize(
    "location, outside",
    [
        ("weights.bin", False),
        ("data/weights.bin", False),
        ("./weights.bin", False),
        ("../weights.bin", True),
        ("data/../../weights.bin", True),
        ("/etc/passwd", True),
        ("C:\\weights.bin", True),
        ("\\\\server\\share", True),
        ("..\\weights.bin", True),
    ],
)
def test_what_leads_outside(tmp_path: Path, location: str, outside: bool) -> None:
    path = write(tmp_path, model_with(external_tensor("w", location)))
    assert bool(outside_location(path)) is outside


def test_a_link_that_leads_outside(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"12345678")
    (folder / "weights.bin").symlink_to(tmp_path / "secret")
    assert outside_location(write(folder, model_with(external_tensor("w", "weights.bin"))))


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), content)
        with contextlib.suppress(ValueError):
            assert isinstance(external_locations(path), tuple)


def test_a_truncated_graph_is_refused(tmp_path: Path) -> None:
    content = model_with(external_tensor("w", "weights.bin"))
    with pytest.raises(ValueError, match="not an ONNX file"):
        external_locations(write(tmp_path, content[:-3]))
