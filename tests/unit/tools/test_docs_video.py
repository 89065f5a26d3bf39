"""The blocks of docs/video.md: what they say of a result, and of one that is not there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools"))

import docs_video  # noqa: E402
from docs_results import Results  # noqa: E402


def test_identities(tmp_path: Path) -> None:
    side = {"idf1": 0.98765, "switches": 1}
    row = {"clip": "comes_back", "every": 3, "people": side, "tracks": side, "byte_track": side}
    measured = {
        "rows": [row | {"tracks_that_mix_people": 2}],
        "peer": "trackers==1",
        "date": "2026-01-01",
        "worse_on": ["comes_back, every 3"],
    }
    (tmp_path / "video_identity.json").write_text(json.dumps(measured))
    text = docs_video.identity(Results(tmp_path))
    assert "| comes back | every 3 | 0.988 (1) | 0.988 (1) | 0.988 (1) |\n" in text
    assert "Worse on: comes_back, every 3. Tracks that mix people: 2." in text


def test_what_is_not_measured_yet_says_so(tmp_path: Path) -> None:
    results = Results(tmp_path)
    assert docs_video.tracks(results) == "Not measured yet: `python benchmarks/video_tracks.py`.\n"
    assert docs_video.speed(results) == "Not measured yet: `python benchmarks/video_speed.py`.\n"


def test_speed(tmp_path: Path) -> None:
    spread = {"median": 10.0, "p95": 20.0}
    file = {
        "frames_a_second": 100.0,
        "times_real_time": 4.0,
        "mb_by_minute": [200.0, 201.0],
        "mb_grown_after_the_first_minute": 1.0,
    }
    peer = {
        "frames_a_second": 2.0,
        "times_real_time": 0.08,
        "ms": spread,
        "dropped": 1380,
        "frames": 120,
        "peak_mb": 300,
    }
    live = {"latency_ms": spread, "dropped": 3, "frames": 1497}
    sides = {"starter": {"file": file, "live": live}, "deepface": peer, "x": {"left_out": "no"}}
    measured = {"sides": sides, "video": "1 minute", "cores": 2, "cpu": "c", "date": "d"}
    (tmp_path / "video_speed.json").write_text(json.dumps(measured))
    text = docs_video.speed(Results(tmp_path))
    assert (
        "| starter | 100 (4.0 x real time) | 10 ms, 95 %: 20 | 3 of 1500 | 200, then +1 |" in text
    )
    assert (
        "| deepface's loop | 2.0 (0.08 x real time) | 10 ms, 95 %: 20 | 1380 of 1500, comp" in text
    )
    assert "| x | left out | no |" in text
