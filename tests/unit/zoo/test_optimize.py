"""The optimizer: every rewriting against the graph as published, and when it stays away."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, load, numpy_helper
from onnx_graphs import ZOO, Style, iresnet, save

from faceprint import _cpu, _optional
from faceprint._onnx_reader import scan
from faceprint.cli.app import main
from faceprint.errors import MissingExtraError
from faceprint.runtime.session import RuntimeOptions, open_session
from faceprint.vision import load as vision_load
from faceprint.zoo import graph_editing, legacy, optimize, optimize_passes
from faceprint.zoo.catalog import get_card
from faceprint.zoo.graph_traits import has_slow_prelu, legacy_traits

Array = np.ndarray[Any, Any]
R = np.random.default_rng(3)


def opened(path: Path) -> Callable[[Array], Sequence[Array]]:
    options = RuntimeOptions(threads=1)
    return open_session(path, runtime="onnxruntime", options=options).run


def graph(nodes: list[Any], weights: dict[str, Array], *, rank: int = 4) -> Any:
    """`x` (n, 4, 6, 6) in, `y` of as many dimensions out."""
    shape = ["n", 4, 6, 6]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * rank)],
            [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()],
        ),
        ir_version=8,
        opset_imports=[helper.make_opsetid("", 17)],
    )


def operators(path: Path) -> list[str]:
    return [node.op for node in scan(path).nodes]


def after(model: Any, folder: Path, steps: Any = optimize_passes.STEPS) -> tuple[Path, Path]:
    """The graph as it is and as the steps leave it."""
    before = save(model, folder / "before.onnx")
    changed = folder / "after.onnx"
    changed.write_bytes(graph_editing.rewrite(before, legacy_traits(scan(before)), steps))
    return before, changed


def clocked(
    monkeypatch: pytest.MonkeyPatch, published: float, rewritten: float
) -> list[tuple[str, ...]]:
    """Let the measurement say what it is told, once for each call."""
    calls: list[tuple[str, ...]] = []

    def told(sides: dict[str, Callable[[], object]], **_: object) -> dict[str, list[float]]:
        calls.append(tuple(sides))
        return {"published": [published] * 3, "rewritten": [rewritten] * 3}

    monkeypatch.setattr("faceprint.zoo.interleaved_timing.time_in_turn", told)
    return calls


@pytest.mark.parametrize("steps", [optimize_passes.STEPS, optimize_passes.FOR_INT8])
@pytest.mark.parametrize("high", [0.9, 1.7])
@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 1), (1, 1, 1)])
def test_prelu_is_what_the_standard_says(
    tmp_path: Path, shape: tuple[int, ...], high: float, steps: Any
) -> None:
    slope = R.uniform(-0.5, high, shape).astype(np.float32)
    slope.flat[0] = high
    weight = R.standard_normal((4, 4, 1, 1))
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[1, 1]),
        helper.make_node("PRelu", ["c", "a"], ["y"]),
    ]
    _, changed = after(graph(nodes, {"w": weight, "a": slope}), tmp_path, steps)
    x = R.standard_normal((3, 4, 6, 6)).astype(np.float32)
    c = np.einsum("oi,nihw->nohw", weight[:, :, 0, 0].astype(np.float32), x)
    expected = np.where(c > 0, c, c * slope.reshape(-1, 1, 1))
    assert "PRelu" not in operators(changed)
    assert np.abs(opened(changed)(x)[0] - expected).max() < 1e-5


def test_prelu_over_a_dense_layer_stays(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("Gemm", ["f", "w"], ["g"]),
        helper.make_node("PRelu", ["g", "a"], ["y"]),
    ]
    weights = {"w": R.standard_normal((144, 5)), "a": R.uniform(0, 1, 5)}
    before, changed = after(graph(nodes, weights, rank=2), tmp_path)
    assert not has_slow_prelu(scan(before))
    assert "PRelu" in operators(changed)


@pytest.mark.parametrize("trans", [0, 1])
def test_norm_goes_into_the_layer_before_it(tmp_path: Path, trans: int) -> None:
    dense = R.standard_normal((144, 5))
    weights = {
        "w": R.standard_normal((4, 4, 3, 3)),
        "d": dense.T if trans else dense,
        "e": R.standard_normal(5),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3], pads=[1] * 4),
        helper.make_node("BatchNormalization", ["c", *"1234"], ["b"], epsilon=1e-3),
        helper.make_node("Flatten", ["b"], ["f"]),
        helper.make_node("Gemm", ["f", "d", "e"], ["g"], transB=trans),
        helper.make_node("BatchNormalization", ["g", *"5678"], ["y"]),
    ]
    for names, size in (("1234", 4), ("5678", 5)):
        for name in names:
            weights[name] = R.uniform(0.5, 2, size)
    before, changed = after(graph(nodes, weights, rank=2), tmp_path)
    x = R.standard_normal((3, 4, 6, 6)).astype(np.float32)
    assert operators(changed) == ["Conv", "Flatten", "Gemm"]
    np.testing.assert_allclose(opened(changed)(x)[0], opened(before)(x)[0], rtol=1e-4, atol=1e-4)


def test_norm_whose_input_others_read_stays(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[1, 1]),
        helper.make_node("BatchNormalization", ["c", *"1234"], ["b"]),
        helper.make_node("Add", ["b", "c"], ["y"]),
    ]
    weights = {"w": R.standard_normal((4, 4, 1, 1))}
    weights |= {name: R.uniform(0.5, 2, 4) for name in "1234"}
    before, changed = after(graph(nodes, weights), tmp_path)
    x = R.standard_normal((2, 4, 6, 6)).astype(np.float32)
    assert "BatchNormalization" in operators(changed)
    np.testing.assert_allclose(opened(changed)(x)[0], opened(before)(x)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("pad", "left"), [(0, []), (1, ["Sub"])])
def test_constants_go_into_the_weights_unless_the_border_tells(
    tmp_path: Path, pad: int, left: list[str]
) -> None:
    # With zeros around the picture a shift is not the same as a bias, a factor is.
    nodes = [
        helper.make_node("Sub", ["x", "m"], ["s"]),
        helper.make_node("Div", ["s", "d"], ["v"]),
        helper.make_node("Mul", ["v", "k"], ["u"]),
        helper.make_node("Conv", ["u", "w"], ["y"], kernel_shape=[3, 3], pads=[pad] * 4),
    ]
    weights = {
        "m": np.array([127.5]),
        "d": R.uniform(1, 2, (4, 1, 1)),
        "k": R.uniform(1, 2, (1, 1, 1)),
        "w": R.standard_normal((5, 4, 3, 3)),
    }
    before, changed = after(graph(nodes, weights), tmp_path)
    x = R.uniform(0, 255, (2, 4, 6, 6)).astype(np.float32)
    assert operators(changed) == [*left, "Conv"]
    np.testing.assert_allclose(opened(changed)(x)[0], opened(before)(x)[0], rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(
    ("channels", "outputs", "groups", "left"),
    [
        (64, 64, 32, 4),  # two channels a group: eight groups make a block
        (32, 64, 8, 2),  # four to eight
        (32, 32, 32, 32),  # depthwise: has a kernel of its own
        (32, 32, 2, 2),  # whole blocks already
        (24, 24, 12, 12),  # 24 channels are no whole blocks
        (36, 36, 12, 12),  # groups of three do not fill one
    ],
)
def test_narrow_groups_become_blocks(
    tmp_path: Path, channels: int, outputs: int, groups: int, left: int
) -> None:
    weight = R.standard_normal((outputs, channels // groups, 3, 3))
    expand = R.standard_normal((channels, 4, 1, 1))
    nodes = [
        helper.make_node("Conv", ["x", "e"], ["c"], kernel_shape=[1, 1]),
        helper.make_node(
            "Conv", ["c", "w"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=groups
        ),
    ]
    before, changed = after(graph(nodes, {"e": expand, "w": weight}), tmp_path)
    node = load(changed).graph.node[1]
    (found,) = (item.i for item in node.attribute if item.name == "group")
    assert found == left
    x = R.standard_normal((2, 4, 6, 6)).astype(np.float32)
    np.testing.assert_allclose(opened(changed)(x)[0], opened(before)(x)[0], atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("style", [Style(), Style(opset=11), ZOO])
def test_a_whole_network_agrees(tmp_path: Path, style: Style) -> None:
    sound = legacy.prepare(save(iresnet(style), tmp_path / "net.onnx"), tmp_path / "cache")
    x = R.uniform(0, 255, (5, 3, 16, 16)).astype(np.float32)
    expected = opened(sound)(x)[0]
    for steps in (optimize_passes.STEPS, optimize_passes.FOR_INT8):
        _, changed = after(load(sound), tmp_path, steps)
        assert "PRelu" not in operators(changed)
        assert np.abs(opened(changed)(x)[0] - expected).max() < 1e-5 * np.abs(expected).max()
    assert "BatchNormalization" not in operators(changed)


def test_kept_only_where_it_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = save(iresnet(), tmp_path / "net.onnx")
    bytes_before = model.read_bytes()
    for published, rewritten, wins in ((2.0, 1.0, True), (1.0, 2.0, False), (1.0, 1.0, False)):
        cache = tmp_path / f"cache-{published}-{rewritten}"
        calls = clocked(monkeypatch, published, rewritten)
        first = optimize.prepare(model, cache, opened, threads=1)
        again = optimize.prepare(model, cache, opened, threads=1)
        assert first == again
        assert (first != model) == wins
        assert len(calls) == 1, "the verdict of the first time is read the second time"
        verdict = json.loads(next(cache.glob("*.json")).read_text("utf-8"))
        assert verdict["kept"] == wins
        assert (verdict["published_ms"], verdict["rewritten_ms"]) == (
            published * 1e3,
            1e3 * rewritten,
        )
        assert len(list(cache.glob("*.onnx"))) == wins
        told = optimize.describe(model, cache, threads=1)
        assert told.startswith("rewritten" if wins else "as published")
        assert f"{published / rewritten:.2f} x" in told
    assert model.read_bytes() == bytes_before


def test_each_number_of_threads_has_its_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save(iresnet(), tmp_path / "net.onnx")
    clocked(monkeypatch, 2.0, 1.0)
    kept = optimize.prepare(model, tmp_path / "cache", opened, threads=1)
    clocked(monkeypatch, 1.0, 2.0)
    assert optimize.prepare(model, tmp_path / "cache", opened, threads=2) == model
    assert optimize.prepare(model, tmp_path / "cache", opened, threads=1) == kept


def test_a_rewriting_that_disagrees_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save(iresnet(), tmp_path / "net.onnx")
    clocked(monkeypatch, 2.0, 1.0)

    def off(path: Path) -> Callable[[Array], Sequence[Array]]:
        run = opened(path)
        return run if path == model else lambda blob: [part * 1.0001 for part in run(blob)]

    assert optimize.prepare(model, tmp_path / "cache", off, threads=1) == model
    assert "difference 1.0e-04" in optimize.describe(model, tmp_path / "cache", threads=1)


def test_a_damaged_cache_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, cache = save(iresnet(), tmp_path / "net.onnx"), tmp_path / "cache"
    calls = clocked(monkeypatch, 2.0, 1.0)
    kept = optimize.prepare(model, cache, opened, threads=1)
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1])
    assert optimize.prepare(model, cache, opened, threads=1).read_bytes() == whole
    next(cache.glob("*.json")).write_text("{")
    assert optimize.prepare(model, cache, opened, threads=1) == kept
    assert len(calls) == 3


def test_graphs_without_prelu_cost_a_look(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    model = save(graph(nodes, {}), tmp_path / "plain.onnx")

    def never(path: Path) -> Any:
        raise AssertionError(path)

    assert optimize.prepare(model, tmp_path / "cache", never, threads=1) == model
    assert not (tmp_path / "cache").exists()
    assert "nothing to rewrite" in optimize.describe(model, tmp_path / "cache", threads=1)


def test_packaged_models_have_nothing_to_rewrite() -> None:
    weights = Path(optimize.__file__).with_name("weights")
    files = list(weights.glob("*.onnx"))
    assert len(files) == 4
    assert not any(has_slow_prelu(scan(path)) for path in files)


def test_without_the_onnx_package_the_file_is_opened_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save(iresnet(), tmp_path / "net.onnx")

    def missing(module: str, *, extra: str) -> Any:
        raise MissingExtraError(f"{module} is not installed ({extra})", name=module)

    monkeypatch.setattr(_optional, "require", missing)
    monkeypatch.setattr(graph_editing, "require", missing)
    assert optimize.prepare(model, tmp_path / "cache", opened, threads=1) == model
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "faceprint[onnx]" in optimize.describe(model, tmp_path / "cache", threads=1)


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    model = save(iresnet(), tmp_path / "net.onnx")
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert optimize.prepare(model, tmp_path / "cache", opened, threads=1) == model


def test_what_is_no_graph_is_left_to_the_runtime(tmp_path: Path) -> None:
    for content in (b"", b"\xff" * 40):
        path = tmp_path / "bad.onnx"
        path.write_bytes(content)
        assert optimize.prepare(path, tmp_path / "cache", opened, threads=1) == path
    assert optimize.prepare(tmp_path / "gone.onnx", tmp_path, opened, threads=1).name == "gone.onnx"


@pytest.mark.parametrize(("runtime", "uses"), [("onnxruntime", True), ("openvino", False)])
def test_only_onnxruntime_on_the_cpu_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str, uses: bool
) -> None:
    model = save(iresnet(), tmp_path / "net.onnx")
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))
    clocked(monkeypatch, 2.0, 1.0)
    paths: list[Path] = []

    def opens(path: Path, **_: object) -> Any:
        paths.append(path)
        return open_session(path, runtime="onnxruntime", options=RuntimeOptions(threads=1))

    monkeypatch.setattr(vision_load, "open_session", opens)
    options = vision_load.LoadOptions(runtime=runtime, threads=1)
    vision_load._open(get_card("dlib-resnet"), model, options)
    assert (paths[-1].parent == tmp_path / "home" / "prepared") == uses
    assert (paths[-1] == model) != uses


def test_doctor_says_what_is_opened(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["doctor", "--json"])
    models = json.loads(capsys.readouterr().out)["models"]
    assert [model["graph"] for model in models] == ["as published: nothing to rewrite"] * 2


def test_the_processor_is_read_from_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    def cpuinfo(text: str) -> None:
        monkeypatch.setattr(_cpu, "_cpuinfo", lambda: tuple(text.splitlines()))

    cpuinfo("model name\t: An EPYC: 7B\nflags\t\t: fpu fma avx2 sse\n")
    assert (_cpu.cpu_name(), _cpu.cpu_flags()) == ("An EPYC: 7B", ["avx2", "fma"])
    assert not _cpu.multiplies_int8()
    cpuinfo("flags : avx512_vnni\n")
    assert _cpu.multiplies_int8()
    cpuinfo("Features : fp asimd asimddp\n")
    assert _cpu.multiplies_int8()
    cpuinfo("")
    assert _cpu.cpu_flags() == []


@pytest.mark.parametrize("name", ["w600k_mbf_dequant.onnx"])
def test_a_real_mobilefacenet_is_the_same_to_1e_5(
    shared_models: Path, tmp_path: Path, name: str
) -> None:
    published = shared_models / name
    fast = tmp_path / "fast.onnx"
    fast.write_bytes(optimize.rewrite(published))
    blob = R.uniform(-1, 1, (4, 3, 112, 112)).astype(np.float32)
    ours, theirs = (
        rows / np.linalg.norm(rows, axis=1, keepdims=True)
        for rows in (opened(fast)(blob)[0], opened(published)(blob)[0])
    )
    assert operators(published).count("PRelu") == 34
    assert "PRelu" not in operators(fast)
    assert np.abs(ours - theirs).max() < 1e-5
