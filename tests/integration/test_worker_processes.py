"""Worker processes: the same results as without them, whatever happens to them."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from live_server import serving
from processes import descendants
from waiting import until

import faceprint
from faceprint import Client, errors
from faceprint.types import AnalyzedImage
from faceprint.vision.analyzer import FaceAnalyzer
from faceprint.vision.batch import BatchAnalyzer, FaceOutputs
from faceprint.vision.load import LoadOptions
from faceprint.vision.streaming import process_pool, worker

SAMPLES = sorted(
    path for path in Path(str(resources.files("faceprint") / "samples")).iterdir()
    if path.suffix in (".jpg", ".png")
)  # fmt: skip


@pytest.fixture
def fp(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaceAnalyzer]:
    """Two worker processes of one thread each, from the first photograph on."""
    monkeypatch.setattr(process_pool, "_MIN_PHOTOGRAPHS", 1)
    loaded = faceprint.load(threads=2, processes=2)
    yield loaded
    pool_of(loaded).close()


def pool_of(fp: FaceAnalyzer) -> process_pool.ProcessPool:
    pool = fp._stream_executor(1)._pool
    assert pool is not None
    return pool


def ready(fp: FaceAnalyzer) -> process_pool.ProcessPool:
    """The pool, once both workers run and wait for work."""
    pool = pool_of(fp)
    if not pool._started:
        list(fp.analyze_many(SAMPLES[:1]))
    until(lambda: len(pool._running) == 2 and pool._idle.qsize() == 2)
    return pool


def assert_same(found: list[AnalyzedImage], expected: list[AnalyzedImage]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.source == other.source
        assert (one.width, one.height) == (other.width, other.height)
        assert (type(one.error), str(one.error)) == (type(other.error), str(other.error))
        for face, same in zip(one.faces, other.faces, strict=True):
            np.testing.assert_array_equal(face.box, same.box)
            assert face.embedding is not None
            assert same.embedding is not None
            np.testing.assert_array_equal(face.embedding.vector, same.embedding.vector)
            assert (face.crop is None) == (same.crop is None)


def sources(tmp_path: Path) -> list[Any]:
    """Everything that a photograph can be, sound and not, several times."""
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(SAMPLES[0].read_bytes()[:2000])
    pixels = np.asarray(PIL.Image.open(SAMPLES[1]).convert("RGB"))
    found: list[Any] = []
    for _ in range(4):
        found += [str(SAMPLES[0]), broken, SAMPLES[1].read_bytes(), pixels, tmp_path / "gone.jpg"]
        found += [PIL.Image.open(SAMPLES[0]), b"nothing", np.zeros((8, 8), np.uint8)]
    return found


def test_workers_and_threads_give_the_same_results(fp: FaceAnalyzer, tmp_path: Path) -> None:
    plain = faceprint.load(threads=2).analyze_many(sources(tmp_path), batch_size=1, keep_crops=True)
    expected = list(plain)
    assert_same(list(fp.analyze_many(sources(tmp_path), batch_size=1, keep_crops=True)), expected)
    ready(fp)
    assert_same(list(fp.analyze_many(sources(tmp_path), batch_size=1, keep_crops=True)), expected)


def test_workers_compute_only_the_outputs_asked_for(fp: FaceAnalyzer) -> None:
    ready(fp)
    for photo in fp.analyze_many(SAMPLES, batch_size=1, embed=False, quality=False):
        assert photo.faces
        assert all(face.embedding is face.quality is face.crop is None for face in photo.faces)


def test_workers_do_the_work(fp: FaceAnalyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    ready(fp)
    monkeypatch.setattr(BatchAnalyzer, "analyze_chunk", None)
    groups = [SAMPLES, SAMPLES[:2]]
    assert len(list(fp.analyze_groups(groups, batch_size=2))) == len(SAMPLES) + 2


def test_a_short_stream_starts_no_worker() -> None:
    loaded = faceprint.load(threads=2, processes=2)
    list(loaded.analyze_many(SAMPLES[:2]))
    assert not pool_of(loaded)._started


def test_a_worker_that_is_killed_loses_nothing(fp: FaceAnalyzer) -> None:
    given = SAMPLES * 12
    expected = list(faceprint.load(threads=2).analyze_many(given))
    pool = ready(fp)
    found = []
    for result in fp.analyze_many(given):
        if not found:
            os.kill(next(iter(pool._running)).pid, signal.SIGKILL)
        found.append(result)
    assert_same(found, expected)
    ready(fp)


def test_a_photograph_that_kills_is_a_row_with_an_error(
    fp: FaceAnalyzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A worker whose decoder dies of one name, as of a crash in native code.
    deadly = (
        "import os; from faceprint.vision import images as i; f = i.decode_scaled; "
        "i.decode_scaled = lambda s, e: os._exit(1) if s == 'deadly.jpg' else f(s, e); "
    )
    start = worker.START.replace("from faceprint", deadly + "from faceprint", 1)
    monkeypatch.setattr(worker, "START", start)
    ready(fp)
    given = [*map(str, SAMPLES), "deadly.jpg", *map(str, SAMPLES)]
    found = list(fp.analyze_many(given, batch_size=16))
    assert [result.source for result in found if result.error] == ["deadly.jpg"]
    assert "the process that analyzed it died" in str(found[len(SAMPLES)].error)
    sound = list(faceprint.load(threads=2).analyze_many(SAMPLES))
    assert [len(result.faces) for result in found[: len(SAMPLES)]] == [len(r.faces) for r in sound]
    assert isinstance(found[len(SAMPLES)].error, errors.DecodeError)
    ready(fp)


def test_where_no_worker_starts_this_process_does_the_work(
    fp: FaceAnalyzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "START", "raise SystemExit(3)")
    for _ in range(2):
        assert [result.error for result in fp.analyze_many(SAMPLES)] == [None] * len(SAMPLES)


def test_none_survives_its_parent(tmp_path: Path) -> None:
    script = (
        "import sys, faceprint\n"
        "sys.path.insert(0, sys.argv.pop())\n"
        "from waiting import until\n"
        "from faceprint.vision.streaming import process_pool\n"
        "process_pool._MIN_PHOTOGRAPHS = 1\n"
        "fp = faceprint.load(threads=2, processes=2)\n"
        "list(fp.analyze_many(sys.argv[1:]))\n"
        "until(lambda: len(fp._executor._pool._running) == 2)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(SAMPLES[0]), str(Path(__file__).parents[1])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ready\n"
    children = descendants(parent.pid, b"streaming.worker")
    assert len(children) == 2
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert parent.stdin is not None
    parent.stdin.close()
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))


def test_a_service_outlives_a_worker_and_takes_the_others_along(tmp_path: Path) -> None:
    def workers() -> list[int]:
        return descendants(process.pid, b"streaming.worker")

    words = ("--no-auth", "--threads", 2, "--processes", 2)
    with serving(tmp_path / "log", *words) as (address, process), Client(address) as client:
        until(lambda: len(workers()) == 2, process)
        alone = faceprint.load(threads=1).analyze(SAMPLES[0])
        for _ in range(3):
            answer = client.analyze(SAMPLES[0])
            assert [face.box for face in answer] == [
                pytest.approx(face.box, abs=0.01) for face in alone
            ]
            for worker_pid in workers()[:1]:  # the one in place of the last may not run yet
                os.kill(worker_pid, signal.SIGKILL)
        last = workers()
        process.send_signal(signal.SIGTERM)
        assert process.wait() in (0, -signal.SIGTERM)
        until(lambda: not any(Path(f"/proc/{child}").exists() for child in last))


@pytest.mark.parametrize(
    ("cores", "asked", "expected"),
    [
        (1, None, [1]),
        (2, None, [2]),
        (3, None, [3]),
        (4, None, [2, 2]),
        (7, None, [3, 2, 2]),
        (16, None, [2] * 8),
        (16, 1, [8]),
        (40, 2, [8, 8]),
        (5, 3, [2, 2, 1]),
        (2, 8, [1, 1]),
    ],
)
def test_cores_are_shared_out(cores: int, asked: int | None, expected: list[int]) -> None:
    assert LoadOptions(threads=cores, processes=asked).threads_by_process() == expected


def test_the_environment_chooses_where_nobody_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPRINT_PROCESSES", "3")
    assert len(LoadOptions(threads=4, processes=None).threads_by_process()) == 3
    assert len(LoadOptions(threads=4).threads_by_process()) == 1
    monkeypatch.setenv("FACEPRINT_PROCESSES", "none")
    with pytest.raises(errors.UsageError, match="FACEPRINT_PROCESSES"):
        LoadOptions(threads=4, processes=None).threads_by_process()
    with pytest.raises(errors.UsageError, match="processes is 0"):
        faceprint.load(processes=0)


def test_a_runtime_that_shares_no_session_has_one_process() -> None:
    options = LoadOptions(threads=8, processes=None, runtime="openvino")
    assert options.threads_by_process() == [8]
    with pytest.raises(errors.UsageError, match="ONNX Runtime on a CPU"):
        faceprint.load(threads=8, processes=4, runtime="openvino")


def test_every_error_can_be_sent() -> None:
    for name in errors.__all__:
        error = getattr(errors, name)("what happened")
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy)) == (type(error), str(error))


def test_where_no_process_can_be_started_the_photograph_is_not_to_blame(
    fp: FaceAnalyzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = ready(fp)
    monkeypatch.setattr(worker, "START", "raise SystemExit(3)")
    analyzed: list[Any] = []

    def analyze_chunk(chunk: list[Any], outputs: FaceOutputs) -> list[AnalyzedImage]:
        analyzed.extend(chunk)
        return [AnalyzedImage(str(source), []) for source in chunk]

    monkeypatch.setattr(pool._analyzer, "analyze_chunk", analyze_chunk)
    found = pool._one_by_one(list(SAMPLES), FaceOutputs())
    assert analyzed == SAMPLES
    assert [result.error for result in found] == [None] * len(SAMPLES)
