"""Old graphs: every variant against its modern twin and against numpy; the cache; the refusals."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_graphs import MODERN, ZOO, Style, iresnet, save

from faceprint import _optional
from faceprint._onnx_reader import scan
from faceprint.errors import CardError, MissingExtraError, ModelMissingError
from faceprint.runtime.session import open_session
from faceprint.zoo import graph_editing, legacy
from faceprint.zoo.graph_traits import legacy_traits

VARIANTS = [
    Style(8, 3, spatial, flat, True, batch, dropout, flatten)
    for spatial, flat, batch, dropout, flatten in itertools.product(
        (None, 0, 1), (False, True), (None, 1), (False, True), ("Flatten", "Reshape")
    )
]


def _can_be_rewritten(path: Path) -> bool:
    return legacy_traits(scan(path)).can_be_rewritten


def _name(style: Style) -> str:
    slopes = "C" if style.flat_slopes else "C11"
    return f"s{style.spatial}-{slopes}-b{style.batch}-d{int(style.dropout)}-{style.flatten}"


@pytest.fixture
def blob() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (5, 3, 16, 16)).astype(np.float32)


@pytest.fixture
def twin(tmp_path: Path, blob: np.ndarray) -> np.ndarray:
    return open_session(save(iresnet(MODERN), tmp_path / "twin.onnx")).run(blob)[0]


@pytest.mark.parametrize("style", VARIANTS, ids=_name)
def test_every_variant_equals_its_modern_twin(
    style: Style, tmp_path: Path, blob: np.ndarray, twin: np.ndarray
) -> None:
    original = save(iresnet(style), tmp_path / "old.onnx")
    before = original.read_bytes()
    prepared = legacy.prepare(original, tmp_path / "cache")
    session = open_session(prepared)
    assert session.info.inputs[0].shape == (None, 3, 16, 16)
    assert np.abs(session.run(blob)[0] - twin).max() < 1e-5
    assert np.abs(twin).max() > 1
    assert original.read_bytes() == before
    old = style.spatial == 0 or style.flat_slopes or style.batch == 1
    assert (prepared != original) == old == _can_be_rewritten(original)


def test_zoo_shape_comes_out_modern(tmp_path: Path) -> None:
    original = save(iresnet(ZOO), tmp_path / "old.onnx")
    sketch = scan(legacy.prepare(original, tmp_path))
    ops = {node.op for node in sketch.nodes}
    assert (sketch.ir_version, sketch.opset) == (8, 17)
    assert [name for name, _ in sketch.inputs] == ["data"]
    assert "Dropout" not in ops
    assert not any("spatial" in node.integers for node in sketch.nodes)
    assert sketch.outputs == (("fc1", (None, 24)),)


def test_modern_graph_is_left_alone(tmp_path: Path) -> None:
    original = save(iresnet(), tmp_path / "new.onnx")
    assert legacy.prepare(original, tmp_path / "cache") == original
    assert not (tmp_path / "cache").exists()


def test_weights_listed_in_a_newer_ir_are_delisted(tmp_path: Path, blob: np.ndarray) -> None:
    original = save(iresnet(Style(listed=True)), tmp_path / "listed.onnx")
    prepared = legacy.prepare(original, tmp_path)
    assert len(onnx.load(original).graph.input) > 1
    assert len(onnx.load(prepared).graph.input) == 1
    plain = open_session(save(iresnet(), tmp_path / "plain.onnx")).run(blob)[0]
    np.testing.assert_array_equal(open_session(prepared).run(blob)[0], plain)


def test_statistics_for_each_pixel_keep_the_old_standards_meaning(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    c, h, w = 2, 3, 4
    gamma, beta, mean = (random.standard_normal((c, h, w)).astype(np.float32) for _ in range(3))
    variance = random.uniform(0.5, 2, (c, h, w)).astype(np.float32)
    weights = dict(zip("gbmv", (gamma, beta, mean, variance), strict=True))
    names = ["x", *weights]
    graph = helper.make_graph(
        [
            helper.make_node("BatchNormalization", names, ["y"], epsilon=1e-3, spatial=0),
            helper.make_node("Flatten", ["y"], ["z"]),
        ],
        "pixels",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", c, h, w])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", c * h * w])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, ir_version=4, opset_imports=[helper.make_opsetid("", 8)])
    prepared = legacy.prepare(save(model, tmp_path / "pixels.onnx"), tmp_path)
    x = random.standard_normal((5, c, h, w)).astype(np.float32)
    wanted = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(
        open_session(prepared).run(x)[0], wanted.reshape(5, -1), rtol=1e-5, atol=1e-5
    )


def test_slopes_of_a_dense_layer_stay_flat(tmp_path: Path) -> None:
    weight, slope = np.eye(3, dtype=np.float32), np.array([0.1, 0.2, 0.3], np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["h"]),
            helper.make_node("PRelu", ["h", "s"], ["y"]),
        ],
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(slope, "s")],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    assert not _can_be_rewritten(save(model, tmp_path / "dense.onnx"))


def test_batch_of_a_detector_is_left_alone(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "detector",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 8, 8])],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    assert not _can_be_rewritten(save(model, tmp_path / "detector.onnx"))


def test_rewriting_is_kept_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = save(iresnet(ZOO), tmp_path / "old.onnx")
    first = legacy.prepare(original, tmp_path / "cache")

    def never(*_: object) -> bytes:
        raise AssertionError("rewritten a second time")

    monkeypatch.setattr(graph_editing, "rewrite", never)
    assert legacy.prepare(original, tmp_path / "cache") == first
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [first.name]


def test_damaged_cache_is_made_again(tmp_path: Path, blob: np.ndarray, twin: np.ndarray) -> None:
    original = save(iresnet(ZOO), tmp_path / "old.onnx")
    first = legacy.prepare(original, tmp_path / "cache")
    whole = first.read_bytes()
    first.write_bytes(whole[: len(whole) // 2])
    again = legacy.prepare(original, tmp_path / "cache")
    assert again.read_bytes() == whole
    assert np.abs(open_session(again).run(blob)[0] - twin).max() < 1e-5


def test_another_file_of_the_same_name_is_another_graph(tmp_path: Path) -> None:
    original = save(iresnet(ZOO, seed=1), tmp_path / "old.onnx")
    first = legacy.prepare(original, tmp_path / "cache")
    save(iresnet(ZOO, seed=2), original)
    assert legacy.prepare(original, tmp_path / "cache").name != first.name


def _without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(module: str, *, extra: str) -> object:
        raise MissingExtraError(f"{module} is not installed; pip install 'faceprint[{extra}]'")

    monkeypatch.setattr(graph_editing, "require", refuse)


def test_needed_but_onnx_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_onnx(monkeypatch)
    original = save(iresnet(ZOO), tmp_path / "old.onnx")
    with pytest.raises(MissingExtraError, match=r"faceprint\[onnx\]"):
        legacy.prepare(original, tmp_path)


def test_only_slower_without_onnx_runs_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_onnx(monkeypatch)
    original = save(iresnet(Style(batch=1)), tmp_path / "one.onnx")
    assert legacy.prepare(original, tmp_path) == original


def test_scan_does_not_need_onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = save(iresnet(ZOO), tmp_path / "old.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert _can_be_rewritten(original)
    with pytest.raises(MissingExtraError):
        _optional.require("onnx", extra="onnx")


def test_cache_that_cannot_be_written(tmp_path: Path) -> None:
    original = save(iresnet(ZOO), tmp_path / "old.onnx")
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(ModelMissingError, match="FACEPRINT_HOME"):
        legacy.prepare(original, blocked / "cache")


def test_garbage(tmp_path: Path) -> None:
    path = tmp_path / "garbage.onnx"
    path.write_bytes(b"\xff" * 300)
    assert legacy.prepare(path, tmp_path) == path
    with pytest.raises(ValueError, match="not an ONNX file"):
        _can_be_rewritten(path)
    with pytest.raises(CardError):
        legacy.modernize(path, tmp_path)


def test_sketch_agrees_with_the_onnx_package(tmp_path: Path) -> None:
    model = iresnet(ZOO)
    sketch = scan(save(model, tmp_path / "old.onnx"))
    assert sketch.dims == {item.name: tuple(item.dims) for item in model.graph.initializer}
    assert [node.op for node in sketch.nodes] == [node.op_type for node in model.graph.node]
    assert [node.inputs for node in sketch.nodes] == [tuple(n.input) for n in model.graph.node]
    assert sketch.inputs[0] == ("data", (1, 3, 16, 16))
