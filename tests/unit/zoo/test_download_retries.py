"""One address: the deadline of a download, and the thread that it abandons."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from faulty_server import faulty_server

from faceprint.zoo import download_retries


def test_a_download_has_a_deadline_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download_retries, "_PATIENCE", 0.0)
    monkeypatch.setattr(download_retries, "_SLOWEST", 1_000_000)
    held = threading.Event()
    part = tmp_path / "part"
    with faulty_server() as server:
        url = server.add("drip.onnx", bytes(1000), held=held)
        try:
            with pytest.raises(download_retries.TransferError, match="too slow"):
                download_retries.download_with_retries(
                    url, part, size=1000, pinned=True, title=None
                )
        finally:
            held.set()
        # The abandoned thread receives the rest now, and must not write it.
        for thread in threading.enumerate():
            if thread.name == "faceprint-download":
                thread.join()
    assert not part.exists() or part.stat().st_size <= 1
