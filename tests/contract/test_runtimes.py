"""One suite that every runtime passes; skipped, with the reason, where one is not installed."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import threading
from pathlib import Path

import numpy as np
import pytest
from onnx_graphs import Style, iresnet, save

import faceprint
from faceprint.errors import (
    CardError,
    ChecksumError,
    ModelError,
    ModelMissingError,
    RuntimeUnavailableError,
    UsageError,
)
from faceprint.runtime.mxnet import environment
from faceprint.runtime.parity import ParityInput, compare, make_blob
from faceprint.runtime.session import RUNTIMES, RuntimeOptions, Session, open_session

# Looked up before the fixtures give each test a home of its own.
_MXNET = os.environ.get("FACEPRINT_MXNET_PYTHON") or environment.python()
_MODULES = {"openvino": "openvino", "pytorch": "torch", "opencv": "cv2", "mxnet": "onnx"}
_WEIGHTS = Path(faceprint.__file__).parent / "zoo" / "weights"

# Real graphs, and what they are fed.
_IMAGENET = ParityInput(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
REAL = {
    "w600k_mbf_dequant.onnx": ParityInput(),
    "mobilefacenet_foamliu.onnx": _IMAGENET,
    "edgeface_xs_dequant.onnx": ParityInput(),
}


def _options(runtime: str, threads: int = 1) -> RuntimeOptions:
    extra = {"python": str(_MXNET)} if runtime == "mxnet" else {}
    return RuntimeOptions(threads=threads, extra=extra)


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    module = _MODULES.get(name)
    if module and importlib.util.find_spec(module) is None:
        pytest.skip(f"the runtime {name} needs {module}, which is not installed")
    if name == "mxnet" and not _MXNET:
        pytest.skip("the environment of the mxnet runtime has not been made")
    return name


def _open(model: Path, runtime: str) -> Session:
    return open_session(model, runtime=runtime, options=_options(runtime))


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(iresnet(), tmp_path_factory.mktemp("graphs") / "small.onnx")


@pytest.fixture(scope="module")
def blob() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (5, 3, 16, 16)).astype(np.float32)


def _lowest_cosine(a: np.ndarray, b: np.ndarray) -> float:
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(axis=1) / lengths).min())


def test_info_says_what_runs(runtime: str, graph: Path) -> None:
    info = _open(graph, runtime).info
    assert info.runtime == runtime
    assert re.match(r"\d+\.\d+", info.version)
    assert info.device == "cpu"
    assert [(spec.name, spec.shape) for spec in info.inputs] == [("data", (None, 3, 16, 16))]
    assert [spec.name for spec in info.outputs] == ["fc1"]


def test_any_batch_gives_the_same_rows(runtime: str, graph: Path, blob: np.ndarray) -> None:
    session = _open(graph, runtime)
    wanted = open_session(graph, runtime="onnxruntime").run(blob)[0]
    for rows in (5, 1, 3, 5):
        (found,) = session.run(blob[:rows])
        assert found.shape == (rows, 24)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted[:rows], rtol=1e-4, atol=1e-4)


def test_no_rows(runtime: str, graph: Path) -> None:
    (found,) = _open(graph, runtime).run(np.zeros((0, 3, 16, 16), np.float32))
    assert found.shape == (0, 24)


def test_fixed_batch_is_run_row_by_row(
    runtime: str, graph: Path, blob: np.ndarray, tmp_path: Path
) -> None:
    wanted = open_session(graph, runtime="onnxruntime").run(blob)[0]
    for batch in (1, 2):
        style = Style(batch=batch, flatten="Reshape")
        fixed = save(iresnet(style), tmp_path / f"fixed{batch}.onnx")
        found = _open(fixed, runtime).run(blob)[0]
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_results_outlive_the_next_call(runtime: str, graph: Path, blob: np.ndarray) -> None:
    session = _open(graph, runtime)
    (first,) = session.run(blob[:1])
    kept = first.copy()
    session.run(blob[1:2])
    np.testing.assert_array_equal(first, kept)


def test_input_is_not_changed_and_may_be_read_only(
    runtime: str, graph: Path, blob: np.ndarray
) -> None:
    given = blob.copy()[:, ::-1]
    given.flags.writeable = False
    before = given.copy()
    found = _open(graph, runtime).run(given)[0]
    np.testing.assert_array_equal(given, before)
    wanted = open_session(graph, runtime="onnxruntime").run(np.ascontiguousarray(before))[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 3, 17, 16), (1, 1, 16, 16), (3, 16, 16)])
def test_wrong_shape(runtime: str, graph: Path, shape: tuple[int, ...]) -> None:
    session = _open(graph, runtime)
    with pytest.raises(CardError, match=r"'data' takes \(batch, 3, 16, 16\)"):
        session.run(np.zeros(shape, np.float32))


def test_missing_file(runtime: str, tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match=r"none\.onnx"):
        _open(tmp_path / "none.onnx", runtime)


@pytest.mark.parametrize("content", [b"", b"\xff" * 300, b"not a graph" * 30])
def test_garbage_file(runtime: str, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "garbage.onnx"
    path.write_bytes(content)
    with pytest.raises(ChecksumError, match=r"garbage\.onnx"):
        _open(path, runtime)


def test_truncated_file(runtime: str, graph: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    path.write_bytes(graph.read_bytes()[: graph.stat().st_size // 2])
    with pytest.raises(ChecksumError, match=r"half\.onnx"):
        _open(path, runtime)


def test_unknown_operator(runtime: str, tmp_path: Path) -> None:
    model = iresnet()
    model.graph.node[5].op_type = "NoSuchOperator"
    with pytest.raises(CardError, match=r"odd\.onnx"):
        _open(save(model, tmp_path / "odd.onnx"), runtime)


def test_unknown_device(runtime: str, graph: Path) -> None:
    extra = _options(runtime).extra
    with pytest.raises(RuntimeUnavailableError, match="abacus"):
        open_session(graph, runtime=runtime, options=RuntimeOptions(device="abacus", extra=extra))


def test_several_threads_at_once(runtime: str, graph: Path, blob: np.ndarray) -> None:
    session = _open(graph, runtime)
    wanted = [session.run(row[None])[0] for row in blob]
    found: dict[int, np.ndarray] = {}

    def work(index: int) -> None:
        for _ in range(10):
            found[index] = session.run(blob[index : index + 1])[0]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(blob))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, value in enumerate(wanted):
        np.testing.assert_allclose(found[index], value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", REAL)
def test_real_embedders_agree(runtime: str, name: str, shared_models: Path) -> None:
    path = shared_models / name
    blob = make_blob(path, REAL[name], count=4)
    wanted = open_session(path, runtime="onnxruntime").run(blob)[0]
    found = _open(path, runtime).run(blob)[0]
    assert found.shape == wanted.shape
    assert _lowest_cosine(found, wanted) >= 0.9999


@pytest.mark.parametrize("path", sorted(_WEIGHTS.glob("*.onnx")), ids=lambda path: path.stem)
def test_starter_models_agree(runtime: str, path: Path) -> None:
    blob = make_blob(path, ParityInput(height=60, width=48), count=3)
    wanted = open_session(path, runtime="onnxruntime").run(blob)
    found = _open(path, runtime).run(blob)
    assert [part.shape for part in found] == [part.shape for part in wanted]
    for a, b in zip(found, wanted, strict=True):
        assert _lowest_cosine(a.reshape(3, -1), b.reshape(3, -1)) >= 0.9999


def test_mxnet_process_that_dies_is_named(graph: Path, tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho no such library >&2\nexit 3\n")
    script.chmod(0o755)
    options = RuntimeOptions(extra={"python": str(script)})
    pytest.importorskip("onnx")
    with pytest.raises(RuntimeUnavailableError, match="no such library"):
        open_session(graph, runtime="mxnet", options=options)


def test_mxnet_that_was_never_installed_says_how(graph: Path) -> None:
    pytest.importorskip("onnx")
    with pytest.raises(RuntimeUnavailableError, match="models parity"):
        open_session(graph, runtime="mxnet")


def test_mxnet_is_not_installed_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPRINT_OFFLINE", "1")
    with pytest.raises(RuntimeUnavailableError, match="FACEPRINT_OFFLINE"):
        environment.create()


def test_unknown_runtime(graph: Path) -> None:
    with pytest.raises(UsageError, match="abacus"):
        open_session(graph, runtime="abacus")


def test_every_error_of_onnxruntime_is_mapped() -> None:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    from faceprint.runtime import onnxruntime

    theirs = {
        name
        for name, value in vars(state).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert theirs <= set(onnxruntime._MEANING)
    assert all(issubclass(kind, ModelError) for kind in onnxruntime._MEANING.values())


def test_parity_names_the_one_that_disagrees(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from faceprint.runtime import parity

    measure = parity._measure

    def crooked(model: Path, runtime: str, *rest: object) -> object:
        found, outputs = measure(model, "onnxruntime", *rest)  # type: ignore[arg-type]
        return found, [part + 0.05 for part in outputs] if runtime == "opencv" else outputs

    monkeypatch.setattr(parity, "_measure", crooked)
    given = ParityInput(mean=(0, 0, 0), std=(1, 1, 1))
    rows = list(compare(graph, ["opencv", "onnxruntime"], _options(""), given, seconds=0))
    assert [(row.runtime, row.state) for row in rows] == [
        ("onnxruntime", "agrees"),
        ("opencv", "disagrees"),
    ]
    assert rows[0].min_cosine == pytest.approx(1, abs=1e-12)
    assert rows[1].max_difference == pytest.approx(0.05, abs=1e-4)
    assert rows[0].peak_mb > 20


def _parity(arguments: list[str]) -> tuple[int, str]:
    import typer
    from typer.testing import CliRunner

    from faceprint.cli.parity import parity

    app = typer.Typer()
    app.callback()(lambda: None)
    app.command()(parity)
    result = CliRunner().invoke(app, ["parity", *arguments], standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.return_value, result.stdout


def test_parity_command(graph: Path) -> None:
    code, text = _parity([str(graph), "--runtimes", "opencv", "--threads", "1", "--json"])
    document = json.loads(text)
    assert (code, document["ok"], document["threads"]) == (0, True, 1)
    (row,) = document["files"][0]["runtimes"]
    assert (row["runtime"], row["state"]) == ("opencv", "agrees")
    assert row["min_cosine"] >= 0.9999
    assert row["ms_batch16"] > 0


def test_parity_of_a_named_runtime_that_is_not_installed(graph: Path) -> None:
    with pytest.raises(RuntimeUnavailableError, match="--yes"):
        _parity([str(graph), "--runtimes", "mxnet"])


def test_parity_of_nothing() -> None:
    with pytest.raises(ModelMissingError, match="no such file"):
        _parity(["none.onnx"])


def test_parity_of_a_device_that_no_runtime_has(graph: Path) -> None:
    with pytest.raises(RuntimeUnavailableError, match="abacus"):
        _parity([str(graph), "--device", "abacus"])


def test_parity_on_a_device_is_compared_with_the_cpu(
    graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from faceprint.runtime import parity

    measure = parity._measure

    def there(model: Path, name: str, options: RuntimeOptions, *rest: object) -> object:
        found, outputs = measure(model, name, _options(""), *rest)  # type: ignore[arg-type]
        if options.device == "cpu":
            return found, outputs
        return found | {"nodes": [9, 12]}, [part + 1e-6 for part in outputs]

    monkeypatch.setattr(parity, "_measure", there)
    options = RuntimeOptions(threads=1, device="cuda")
    rows = list(compare(graph, ["onnxruntime"], options, ParityInput(), seconds=0))
    assert [(row.device, row.nodes, row.state) for row in rows] == [
        ("cpu", None, "agrees"),
        ("cuda", (9, 12), "agrees"),
    ]
    assert 0 < rows[1].max_difference < 1e-4
