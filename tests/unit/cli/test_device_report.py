"""What `doctor` says about devices: those that run, and what is missing for the others."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from command_line import CommandLine

from faceprint.cli import device_report
from faceprint.errors import RuntimeUnavailableError
from faceprint.runtime import devices
from faceprint.runtime.session import SessionInfo


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without accelerators or plugins, whatever this one has."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name.startswith("onnxruntime_ep") else find_spec(name),
    )
    monkeypatch.setattr(devices, "listed", lambda runtime: [])
    monkeypatch.setattr(device_report, "_nvidia_driver", lambda: False)


def details() -> dict[str, str]:
    return {line["device"]: line["detail"] for line in device_report.device_report()}


def test_a_machine_with_nothing_but_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_report.sys, "platform", "linux")
    found = details()
    assert list(found) == ["cpu", "cuda", "tensorrt-rtx", "openvino", "webgpu"]
    assert found["cuda"] == "no NVIDIA driver here"
    assert found["webgpu"] == "not installed; pip install onnxruntime-ep-webgpu"


def test_a_driver_without_onnxruntime_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_report, "_nvidia_driver", lambda: True)
    monkeypatch.setattr(device_report, "_installed", lambda name: name == "onnxruntime")
    assert "pip install 'faceprint[cuda]' && pip uninstall -y onnxruntime" in details()["cuda"]
    monkeypatch.setattr(device_report, "_installed", lambda name: True)
    assert "one over the other" in details()["cuda"]


def test_devices_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(device: str, runtime: str, probe: Path) -> SessionInfo:
        if runtime == "onnxruntime":
            return SessionInfo(runtime, "1", device, (), (), (84, 85))
        raise RuntimeUnavailableError("all of it", "no memory")

    monkeypatch.setattr(devices, "check", check)
    monkeypatch.setattr(
        devices,
        "listed",
        lambda runtime: {"onnxruntime": ["cuda"], "openvino": ["gpu"]}.get(runtime, []),
    )
    found = {line["device"]: line for line in device_report.device_report()}
    assert found["cuda"]["ready"] is True
    assert found["cuda"]["detail"] == "84 of 85 nodes of the packaged embedder, agrees with the CPU"
    if "gpu" in found:  # the runtime openvino is installed
        assert (found["gpu"]["ready"], found["gpu"]["detail"]) == (False, "no memory")


def test_doctor_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    cli = CommandLine(capsys)
    assert "-   cuda             onnxruntime: no NVIDIA driver here" in cli("doctor").out
    assert cli("doctor", "--json").json["devices"][0]["ready"] is True
