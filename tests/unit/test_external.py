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

from faceprint._external import external_locations, outside_location, refuse_outside
from faceprint.errors import CardError, ChecksumError, ModelError
from faceprint.runtime.session import RUNTIMES, RuntimeOptions, open_session
from faceprint.zoo import legacy
from faceprint.zoo.graph_cache import fingerprint


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


GROUP = bytes([0xC3, 0x3E, 0xC4, 0x3E])
"""Field 1000, an empty group: protobuf's readers skip it."""


def secret_reader(folder: Path, name: str, *, ending: bytes = b"") -> Path:
    """A graph that adds a file outside of its folder to its input."""
    (folder / "models").mkdir(exist_ok=True)
    np.arange(2, dtype="<f4").tofile(folder / "secret.bin")
    value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 2])
    other = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 2])
    node = helper.make_node("Add", ["x", "w"], ["y"])
    graph = helper.make_graph(
        [node], "g", [value], [other], [external_tensor("w", "../secret.bin")]
    )
    opset = [helper.make_opsetid("", 17)]
    content = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    path = folder / "models" / name
    path.write_bytes(content + ending)
    return path


@pytest.mark.parametrize("name", ["plain.onnx", "suffix.bin", "suffix.ONNX", "none"])
@pytest.mark.parametrize("ending", [b"", GROUP], ids=["plain", "group"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_no_runtime_is_asked_to_read_outside(
    runtime: str, ending: bytes, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = secret_reader(tmp_path, name, ending=ending)
    asked: list[str] = []
    monkeypatch.setattr("importlib.import_module", lambda module: asked.append(module))
    with pytest.raises(ModelError, match="wire type 3" if ending else "outside its folder"):
        open_session(path, runtime=runtime, options=RuntimeOptions(threads=1))
    assert not asked


def test_what_is_nested_too_deeply_to_be_read_is_refused(tmp_path: Path) -> None:
    graph = helper.make_graph([], "g", [], [], [external_tensor("w", "../secret.bin")])
    for _ in range(20):
        node = helper.make_node("If", ["x"], ["y"], then_branch=graph)
        graph = helper.make_graph([node], "g", [], [])
    path = write(tmp_path, helper.make_model(graph).SerializeToString())
    with pytest.raises(ChecksumError, match="too deeply"):
        refuse_outside(path)


def test_what_is_read_for_training_is_looked_at(tmp_path: Path) -> None:
    model = onnx.load_from_string(model_with())
    training = model.training_info.add()
    training.algorithm.CopyFrom(
        helper.make_graph([], "t", [], [], [external_tensor("w", "../secret.bin")])
    )
    path = write(tmp_path, model.SerializeToString())
    assert outside_location(path) == "../secret.bin"


def test_nothing_outside_is_read_for_a_fingerprint_or_a_rewriting(tmp_path: Path) -> None:
    path = secret_reader(tmp_path, "model.onnx")
    (tmp_path / "secret.bin").unlink()
    with pytest.raises(CardError, match="outside its folder"):
        fingerprint(path)
    with pytest.raises(CardError, match="outside its folder"):
        legacy.modernize(path, tmp_path / "cache")


@pytest.mark.parametrize("read", [refuse_outside, open_session, fingerprint])
def test_a_git_lfs_pointer_says_so(read: object, tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n"
    with pytest.raises(ModelError, match="Git LFS pointer"):
        read(write(tmp_path, pointer))  # type: ignore[operator]
