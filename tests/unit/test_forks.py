"""Threads that a stream has used are gone from the system when the stream ends."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from faceprint.vision.streaming.ordered_map import ordered_map


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_no_thread_of_a_stream_is_left() -> None:
    before = {path.name for path in Path("/proc/self/task").iterdir()}
    for _ in range(50):
        stream = iter([[number] for number in range(8)])
        assert list(ordered_map(list, stream, workers=4)) == list(range(8))
        assert {path.name for path in Path("/proc/self/task").iterdir()} <= before
