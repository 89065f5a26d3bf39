"""Fixtures that every test may use: real models and photographs, where they are present."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# ONNX Runtime 1.31 ends the process when usearch was imported before it, as `importorskip` does.
import faceprint._onnxruntime  # noqa: F401

# Hypothesis judges how fast a test draws and runs, which depends on what else the machine does.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

SHARED = Path(
    os.environ.get("FACEPRINT_SHARED", Path(__file__).resolve().parents[2] / "shared")
).resolve()


def _shared(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"the folder shared/{name} is not here (models and photographs for tests)")
    return folder


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """Real weights, described in MODELS.toml."""
    return _shared("models")


@pytest.fixture(scope="session")
def shared_faces() -> Path:
    """Labeled photographs."""
    return _shared("faces")


@pytest.fixture(scope="session")
def shared_samples() -> Path:
    """Four photographs in the public domain."""
    return _shared("samples")


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the caller's settings or cache, or leaves anything in them."""
    for name in [name for name in os.environ if name.startswith("FACEPRINT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path_factory.getbasetemp() / "home"))
