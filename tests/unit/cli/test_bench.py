"""`faceprint bench`: the figures of a machine, and the table to post."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from command_line import CommandLine

from faceprint.cli import bench
from faceprint.errors import ModelMissingError, RuntimeUnavailableError
from faceprint.evaluation import speed
from faceprint.evaluation.speed import PackSpeed, Rate, SpeedRequest, measure, stream_rate

FOUND = PackSpeed(
    pack="starter",
    detector="mtcnn",
    embedder="dlib-resnet",
    runtime="onnxruntime",
    processes=1,
    photographs_a_second=Rate(101.2, 98.0, 110.4),
    photograph_ms=12.34,
    faces_a_second=800.6,
    search_ms=2.5,
    probes_a_second=4000.0,
    templates=1000,
    dim=128,
    memory_mb=344.4,
    open_s=0.123,
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[SpeedRequest]:
    """Nothing is measured; what was asked for."""
    seen: list[SpeedRequest] = []

    def quick(request: SpeedRequest, stage: Any) -> PackSpeed:
        stage("faces")
        seen.append(request)
        return replace(FOUND, pack=request.pack or "starter")

    monkeypatch.setattr(speed, "measure", quick)
    return seen


def test_the_starter_pack_is_really_measured(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--seconds", "0.5", "--templates", "500", "--threads", "1", "--json")
    done = CommandLine(capsys)("bench", *words)
    (pack,) = done.json["packs"]
    assert (pack["pack"], pack["runtime"], pack["templates"]) == ("starter", "onnxruntime", 500)
    rate = pack["photographs_a_second"]
    assert 0 < rate["low"] <= rate["median"] <= rate["high"]
    assert min(pack[key] for key in ("photograph_ms", "faces_a_second", "search_ms")) > 0
    assert pack["memory_mb"] is None or 50 < pack["memory_mb"] < 5000
    assert "starter: a stream of photographs" in done.err


def test_the_table_is_markdown(
    capsys: pytest.CaptureFixture[str], asked: list[SpeedRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.os, "getloadavg", lambda: (3.1, 0, 0), raising=False)
    done = CommandLine(capsys)("bench", "--threads", "2")
    lines = done.out.splitlines()
    assert lines[:3] == [
        "|  | starter |",
        "| --- | --- |",
        "| photographs a second | 101 (98 to 110) |",
    ]
    assert "2 cores, load 3.1 before, busy; onnxruntime, 1 process" in done.out
    assert "the machine is busy: load 3.1 on 2 cores" in done.err


def test_a_pack_of_choice_stands_beside_the_starter_pack(
    capsys: pytest.CaptureFixture[str],
    asked: list[SpeedRequest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("faceprint.zoo.store.ensure", lambda card, **given: {})
    done = CommandLine(capsys)("bench", "--pack", "sface", "--json")
    assert [pack["pack"] for pack in done.json["packs"]] == ["starter", "sface"]
    CommandLine(capsys)("bench", "--pack", "starter")
    assert [request.pack for request in asked] == ["starter", "sface", "starter"]


def test_a_model_that_is_not_here_is_said_before_anything_runs(
    capsys: pytest.CaptureFixture[str], asked: list[SpeedRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEPRINT_OFFLINE", "1")
    CommandLine(capsys)("bench", "--pack", "sface", code=4)
    CommandLine(capsys)("bench", "--processes", "2", "--runtime", "opencv", code=2)
    assert asked == []


def test_the_errors_of_the_process_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeUnavailableError, match="no device 'abacus'"):
        measure(SpeedRequest("starter", device="abacus"), lambda what: None)
    monkeypatch.setenv("FACEPRINT_OFFLINE", "1")
    with pytest.raises(ModelMissingError):
        measure(SpeedRequest("sface"), lambda what: None)


def test_rounds_grow_until_they_can_be_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    counts = []

    class Analyzer:
        processes = 2

        def analyze_many(self, paths: list[str]) -> list[str]:
            nonlocal now
            now += len(paths) / 100
            counts.append(len(paths))
            return paths

    monkeypatch.setattr(speed.time, "perf_counter", lambda: now)
    rate = stream_rate(Analyzer(), ["a", "b"], 5.0)  # type: ignore[arg-type, list-item]
    assert counts[:5] == [8, 16, 32, 64, 128]
    assert set(counts[5:]) == {128}, "the first round of that size may still start workers"
    assert rate.median == pytest.approx(100)
