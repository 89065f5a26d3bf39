"""Graphs that the onnx package or a runtime stumbles over: an error of ours, never another."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from faceprint._onnx_reader import scan
from faceprint.errors import CardError, ChecksumError, ModelError
from faceprint.runtime.session import open_session
from faceprint.zoo.graph_editing import rewrite
from faceprint.zoo.graph_facts import read_graph
from faceprint.zoo.graph_traits import legacy_traits
from faceprint.zoo.legacy import prepare
from faceprint.zoo.legacy_passes import PASSES

onnx = pytest.importorskip("onnx")
FLOAT = onnx.TensorProto.FLOAT


def model(*nodes: object, weights: tuple[object, ...] = (), shape: tuple[int, ...] = (1, 3)):
    given = onnx.helper.make_tensor_value_info("x", FLOAT, shape)
    found = onnx.helper.make_tensor_value_info("y", FLOAT, [1, 4])
    graph = onnx.helper.make_graph(list(nodes), "small", [given], [found], list(weights))
    opsets = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)


def weight(**changed: object) -> object:
    made = onnx.numpy_helper.from_array(np.ones((3, 4), np.float32), "w")
    for name, value in changed.items():
        if name == "dims":
            del made.dims[:]
            made.dims.extend(value)
        else:
            setattr(made, name, value)
    return made


def product() -> object:
    return onnx.helper.make_node("MatMul", ["x", "w"], ["y"])


def no_location() -> object:
    made = onnx.TensorProto(name="w", data_type=FLOAT, dims=[3, 4])
    made.data_location = onnx.TensorProto.EXTERNAL
    made.external_data.add(key="location", value="")
    return made


def damaged() -> dict[str, bytes]:
    """Each by what is wrong with it."""
    sound = model(product(), weights=(weight(),))
    branch = onnx.helper.make_node("MatMul", ["x", "gone"], ["y"])
    whole = sound.SerializeToString()
    given = whole.replace(b"\n\x01x\x12\x0c", b"\n\x01\xb2\x12\x0c")
    given = given if given != whole else whole.replace(b"\n\x01x", b"\n\x01\xb2")
    named = sound.SerializeToString().replace(b"\n\x01w", b"\n\x01\xb2")
    assert named != sound.SerializeToString()
    return {
        "type": model(product(), weights=(weight(data_type=0),)).SerializeToString(),
        "dims": model(product(), weights=(weight(dims=[12, 12]),)).SerializeToString(),
        "location": model(product(), weights=(no_location(),)).SerializeToString(),
        "gone": model(branch).SerializeToString(),
        "twice": model(product(), product(), weights=(weight(),)).SerializeToString(),
        "left out": model(
            onnx.helper.make_node("PRelu", ["x", ""], ["y"]), weights=(weight(),)
        ).SerializeToString(),
        "no slope": model(onnx.helper.make_node("PRelu", ["x"], ["y"])).SerializeToString(),
        "circle": model(
            onnx.helper.make_node("Relu", ["a"], ["b"]),
            onnx.helper.make_node("Relu", ["b"], ["a"]),
            onnx.helper.make_node("PRelu", ["a", "w"], ["y"]),
            weights=(onnx.numpy_helper.from_array(np.ones(3, np.float32), "w"),),
        ).SerializeToString(),
        "no output": model().SerializeToString(),
        "scalar": model(product(), weights=(weight(),), shape=()).SerializeToString(),
        "two outputs": model(
            onnx.helper.make_node("MatMul", ["x", "w"], ["y", "z"]), weights=(weight(),)
        ).SerializeToString(),
        "text": named,
        "input": given,
        "wire": sound.SerializeToString() + b"\x3a\x7f",
        "negative": sound.SerializeToString() + b"\x08",
    }


@pytest.mark.parametrize("runtime", ["onnxruntime", "pytorch", "opencv", "openvino"])
@pytest.mark.parametrize("what", sorted(damaged()))
def test_every_runtime_says_what_is_wrong(what: str, runtime: str, tmp_path: Path) -> None:
    if runtime in ("pytorch", "openvino"):
        pytest.importorskip({"pytorch": "torch"}.get(runtime, runtime))
    path = tmp_path / "g.onnx"
    path.write_bytes(damaged()[what])
    with contextlib.suppress(ModelError):
        prepare(path, tmp_path)
    try:
        session = open_session(path, runtime=runtime)
        session.run(np.ones((1, 3), np.float32))
    except ModelError as error:
        assert "g.onnx" in str(error)


def _rewrite(path: Path) -> bytes:
    return rewrite(path, legacy_traits(scan(path)), PASSES)


_OPEN = """
import sys
from pathlib import Path
from faceprint.errors import CardError
from faceprint.runtime.session import open_session
try:
    open_session(Path(sys.argv[1]), runtime=sys.argv[2])
except CardError as error:
    print(error)
"""


@pytest.mark.parametrize("runtime", ["opencv", "openvino"])
@pytest.mark.parametrize("what", ["no kernel", "no operator"])
def test_graphs_that_are_not_valid_do_not_end_the_process(
    what: str, runtime: str, tmp_path: Path
) -> None:
    pytest.importorskip({"opencv": "cv2"}.get(runtime, runtime))
    conv = onnx.helper.make_node("Conv", ["w"], ["y"])
    nodes = {"no kernel": conv, "no operator": onnx.helper.make_node("", ["x"], ["y"])}
    path = tmp_path / "g.onnx"
    path.write_bytes(model(nodes[what], weights=(weight(),)).SerializeToString())
    words = [sys.executable, "-c", _OPEN, str(path), runtime]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout[:6]) == (0, "g.onnx")


def test_a_graph_that_is_trusted_is_not_read_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from faceprint.runtime import onnxruntime

    path = tmp_path / "g.onnx"
    path.write_bytes(model(product(), weights=(weight(),)).SerializeToString())
    checked: list[Path] = []
    monkeypatch.setattr(onnxruntime, "check_graph", checked.append)
    open_session(path, runtime="opencv", trusted=True)
    open_session(path, runtime="onnxruntime")
    assert checked == []
    open_session(path, runtime="opencv")
    assert checked == [path]


@pytest.mark.parametrize("what", ["wire", "negative", "input"])
@pytest.mark.parametrize("use", [read_graph, _rewrite])
def test_inspection_and_rewriting_too(
    what: str, use: Callable[[Path], object], tmp_path: Path
) -> None:
    path = tmp_path / "g.onnx"
    path.write_bytes(damaged()[what])
    with pytest.raises((CardError, ChecksumError, ValueError), match="not an ONNX"):
        use(path)


def test_weights_that_do_not_fit_their_shape_end_the_rewriting_with_a_reason(
    tmp_path: Path,
) -> None:
    numbers = onnx.numpy_helper.from_array(np.ones(8, np.float32), "w")
    del numbers.dims[:]
    node = onnx.helper.make_node("BatchNormalization", ["x", "w", "w", "w", "w"], ["y"], name="n")
    node.attribute.add(name="spatial", type=onnx.AttributeProto.INT, i=0)
    path = tmp_path / "g.onnx"
    path.write_bytes(model(node, weights=(numbers,)).SerializeToString())
    with pytest.raises(CardError, match=r"g\.onnx"):
        _rewrite(path)


def test_opencv_refuses_graphs_within_graphs_which_would_end_the_process(tmp_path: Path) -> None:
    value = onnx.helper.make_tensor("v", FLOAT, [1, 4], [1, 2, 3, 4])
    inner = [onnx.helper.make_node("Constant", [], ["c"], value=value)]
    out = [onnx.helper.make_tensor_value_info("c", FLOAT, [1, 4])]
    branch = onnx.helper.make_graph(inner, "branch", [], out)
    flag = onnx.helper.make_tensor("flag", onnx.TensorProto.BOOL, [], [True])
    path = tmp_path / "g.onnx"
    onnx.save(
        model(
            onnx.helper.make_node("Constant", [], ["t"], value=flag),
            onnx.helper.make_node("If", ["t"], ["y"], then_branch=branch, else_branch=branch),
        ),
        str(path),
    )
    onnx.checker.check_model(str(path))
    with pytest.raises(CardError, match="OpenCV DNN can't run If"):
        open_session(path, runtime="opencv")
    (found,) = open_session(path, runtime="onnxruntime").run(np.ones((1, 3), np.float32))
    np.testing.assert_array_equal(found, [[1, 2, 3, 4]])
