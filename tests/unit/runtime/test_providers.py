"""Accelerators of ONNX Runtime: what really runs is checked, without a card, on fakes."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_accelerators import CPU, FakeOnnxRuntime, Options, Plugin
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

import faceprint
from faceprint.cli.app import main
from faceprint.errors import RuntimeUnavailableError
from faceprint.runtime import devices, onnxruntime, providers
from faceprint.runtime.session import RuntimeOptions, open_session
from faceprint.vision import device_choice
from faceprint.vision.device_choice import probe_graph
from faceprint.vision.load import LoadOptions

CUDA = "CUDAExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"

Install = Callable[..., FakeOnnxRuntime]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a fake in place of ONNX Runtime, for accelerators alone."""

    def put(**given: Any) -> FakeOnnxRuntime:
        fake = FakeOnnxRuntime(**given)
        find_spec = importlib.util.find_spec
        monkeypatch.setattr(providers, "ort", fake)
        monkeypatch.setattr(providers, "_REGISTERED", {})
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: fake.plugins.get(name) or find_spec(name)
        )
        for name, plugin in fake.plugins.items():
            monkeypatch.setitem(sys.modules, name, plugin)
        real = onnxruntime._session_options
        monkeypatch.setattr(
            onnxruntime,
            "_session_options",
            lambda options: real(options) if options.device == "cpu" else Options(),
        )
        device_choice._best.cache_clear()
        return fake

    yield put
    device_choice._best.cache_clear()


def opened(device: str) -> Any:
    return open_session(probe_graph(), options=RuntimeOptions(threads=1, device=device))


def with_cuda(install: Install, **given: Any) -> FakeOnnxRuntime:
    return install(listed=(CUDA, CPU), **given)


def plugins(*kinds: str, broken: bool = False) -> dict[str, Plugin]:
    return {"onnxruntime_ep_openvino": Plugin(OPENVINO, kinds, broken)}


def test_cuda_runs_without_tf32_and_without_a_way_back(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = with_cuda(install, takes=0.9)
    session = opened("cuda:1")
    ((provider, settings),) = fake.opened
    assert (provider, settings["use_tf32"], settings["device_id"]) == (CUDA, "0", "1")
    assert session.info.nodes == (90, 100)
    assert session.info.device == "cuda:1"
    assert fake.sessions[0].fallback is False
    assert capsys.readouterr().out == "", "what ONNX Runtime prints is kept off stdout"
    blob = np.ones((3, 3, 150, 150), np.float32)
    np.testing.assert_array_equal(session.run(blob)[0], opened("cpu").run(blob)[0])


def test_a_silent_fallback_is_refused(install: Install) -> None:
    with_cuda(install, falls_back=True)
    with pytest.raises(RuntimeUnavailableError, match=r"libcublas.*cuda,cudnn") as refused:
        opened("cuda")
    assert refused.value.reason.startswith(f"{CUDA} can't be created")


def test_a_provider_that_takes_no_node_is_refused(install: Install) -> None:
    with_cuda(install, takes=0)
    with pytest.raises(RuntimeUnavailableError, match="none of this graph's 100 nodes"):
        opened("cuda")


def test_cuda_that_is_not_there_says_what_to_install(install: Install) -> None:
    install()
    with pytest.raises(RuntimeUnavailableError, match=r"faceprint\[cuda\].*uninstall"):
        opened("cuda")


@pytest.mark.parametrize("device", ["cuda:x", "abacus", "openvino:tpu", "webgpu:-1"])
def test_devices_that_can_not_be(install: Install, device: str) -> None:
    install()
    with pytest.raises(RuntimeUnavailableError, match="onnxruntime has no device"):
        opened(device)


def test_a_failing_call_blames_the_device(install: Install) -> None:
    fake = with_cuda(install)
    session = opened("cuda")
    fake.fails = ort_errors.EPFail("out of memory")
    with pytest.raises(RuntimeUnavailableError, match=r"on cuda: out of memory"):
        session.run(np.ones((1, 3, 150, 150), np.float32))


def test_a_plugin_is_registered_once_and_held_to_float32(install: Install) -> None:
    fake = install(plugins=plugins("CPU", "GPU"))
    assert opened("openvino").info.nodes == (100, 100)
    opened("openvino:cpu")
    opened("openvino:0")
    assert fake.registered == [OPENVINO]
    gpu, cpu, first = (settings["load_config"] for _, settings in fake.opened)
    assert gpu == '{"GPU": {"INFERENCE_PRECISION_HINT": "f32"}}'
    assert '"CPU"' in cpu
    assert '"INFERENCE_NUM_THREADS": "1"' in cpu
    assert first == cpu
    assert providers.hardware("openvino") == "GPU, Acme"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "pip install onnxruntime-ep-openvino"),
        ({"plugins": plugins(broken=True)}, r"can't be loaded \(no such library\)"),
        ({"plugins": plugins()}, "finds no hardware here"),
    ],
)
def test_what_is_wrong_with_a_plugin_is_said(
    install: Install, given: dict[str, Any], said: str
) -> None:
    install(**given)
    with pytest.raises(RuntimeUnavailableError, match=said):
        opened("openvino:gpu" if "hardware" in said else "openvino")


def test_only_hardware_besides_the_cpu_counts(install: Install) -> None:
    install(listed=(CUDA, CPU), plugins=plugins("CPU"))
    assert providers.accelerators() == ["cuda"]
    install(plugins=plugins("CPU", "GPU"))
    assert providers.accelerators() == ["openvino:gpu"]
    assert devices.listed("opencv") == []


def test_auto_takes_what_agrees_with_the_cpu(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    with_cuda(install)
    assert faceprint.load(device="auto").runtime == "onnxruntime:cuda"
    with_cuda(install, falls_back=True)
    assert faceprint.load(device="auto").runtime == "onnxruntime"
    assert "device cuda is listed and not used" in caplog.text
    with_cuda(install, noise=0.01)
    assert faceprint.load(device="auto").runtime == "onnxruntime"
    assert "gives other embeddings: cosine 0.9" in caplog.text
    with_cuda(install, fails=ort_errors.EPFail("broken driver"))
    assert faceprint.load(device="auto").runtime == "onnxruntime"
    assert "broken driver" in caplog.text


def test_auto_goes_on_to_the_next_device(install: Install) -> None:
    fake = install(listed=(CUDA, CPU), plugins=plugins("GPU"))
    real = fake.InferenceSession

    def only_openvino(path: str, options: Any, **given: Any) -> Any:
        fake.falls_back = options.chosen is None
        return real(path, options, **given)

    fake.InferenceSession = only_openvino  # type: ignore[method-assign]
    assert devices.best("onnxruntime", probe_graph()) == "openvino:gpu"


def test_auto_without_any_accelerator_is_the_cpu(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    monkeypatch.setenv("FACEPRINT_DEVICE", "auto")
    for runtime in ("onnxruntime", "opencv", "mxnet"):
        assert device_choice.choose_device(None, runtime) == "cpu"


def test_a_stream_on_an_accelerator_gives_the_cpu_s_faces(install: Install) -> None:
    fake = with_cuda(install)
    samples = Path(faceprint.__file__).parent / "samples"
    paths = sorted(samples.glob("*.jpg")) * 3
    there = faceprint.load(device="cuda", threads=3)
    assert there._stream_executor(32)._workers == 3
    assert there._stream_executor(32)._chunk_size(32) == 32, "whole batches for the device"
    found = list(there.analyze_many(paths))
    assert {provider for provider, _ in fake.opened} == {CUDA}
    for result, usual in zip(found, faceprint.load().analyze_many(paths), strict=True):
        assert len(result.faces) == len(usual.faces) > 0
        for face, twin in zip(result.faces, usual.faces, strict=True):
            assert face.embedding is not None
            assert twin.embedding is not None
            assert face.embedding.vector @ twin.embedding.vector > 0.9999


def test_several_processes_only_where_they_are_asked_for() -> None:
    assert LoadOptions(device="cuda", threads=16, processes=None).threads_by_process() == [8]
    assert LoadOptions(device="cuda", threads=16, processes=4).threads_by_process() == [4] * 4


def test_auto_is_said_once(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    from faceprint.cli import options

    with_cuda(install)
    options._say_device.cache_clear()
    sample = Path(faceprint.__file__).parent / "samples" / "obama.jpg"
    with pytest.raises(SystemExit) as done:
        main(["detect", str(sample), "--device", "auto"])
    assert not done.value.code
    assert capsys.readouterr().err.count("device auto: cuda\n") == 1
