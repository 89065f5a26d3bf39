"""`faceprint embed`: one table whatever happens on the way there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from processes import descendants
from waiting import until

import faceprint
from faceprint.bulk import run as bulk_run
from faceprint.bulk.local import LocalEngine
from faceprint.embedding_table.reader import read_groups, read_table
from faceprint.embedding_table.schema import COLUMNS

SAMPLES = Path(str(resources.files("faceprint") / "samples"))


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "faceprint", "embed", *map(str, words)]


def run(
    *words: object, code: int = 0, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command(*words), capture_output=True, text=True, input=stdin, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def table(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    groups = list(read_groups(path))
    return {name: np.concatenate([group[name] for group in groups]) for name in COLUMNS}


def assert_same(one: Path, other: Path) -> None:
    """Row for row and bit for bit."""
    a, b = table(one), table(other)
    for name in COLUMNS:
        if a[name].dtype == object:
            assert a[name].tolist() == b[name].tolist(), name
        else:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def vary(originals: list[Path], folder: Path, number: int) -> Path:
    """As many photographs, all of distinct bytes."""
    folder.mkdir()
    for index in range(number):
        with PIL.Image.open(originals[index % len(originals)]) as opened:
            photo = opened.convert("RGB")
            photo.thumbnail((250, 250))
            photo.save(folder / f"{index:05d}.jpg", quality=95 - index // len(originals))
    return folder


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 photographs with faces, a copy of one, an empty sky and a file that is no photograph."""
    folder = tmp_path_factory.mktemp("few") / "album"
    vary(sorted(SAMPLES.glob("*.jpg")), folder, 12)
    shutil.copy(folder / "00003.jpg", folder / "copy.jpg")
    PIL.Image.new("RGB", (200, 160), (120, 160, 220)).save(folder / "sky.png")
    (folder / "bad.jpg").write_text("not a photograph")
    (folder / "notes.doc").write_text("left out: no photograph's suffix")
    return folder


@pytest.mark.parametrize("suffix", ["parquet", "npz"])
def test_every_photograph_has_its_row(few: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"table.{suffix}"
    summary = json.loads(run(few, tmp_path / "gone.jpg", "--out", out, "--json").stdout)
    rows = table(out)
    expected = [*sorted(str(path) for path in few.iterdir() if path.suffix != ".doc")]
    expected.append(str(tmp_path / "gone.jpg"))
    assert list(dict.fromkeys(rows["source"])) == expected
    assert summary["images"] == 16
    assert (summary["failed"], summary["faceless"], summary["duplicates"]) == (2, 1, 1)
    assert summary["reasons"] == {"no such file": 1, "not an image": 1}
    assert summary["faces"] == (rows["face"] >= 0).sum()
    fp = faceprint.load("starter")
    for source in expected[:3]:
        mine = rows["source"] == source
        faces = fp.analyze(source)
        assert rows["face"][mine].tolist() == list(range(len(faces)))
        for index, face in zip(np.flatnonzero(mine), faces, strict=True):
            assert face.embedding is not None
            assert face.quality is not None
            np.testing.assert_allclose(rows["box"][index], face.box, atol=0.01)
            np.testing.assert_allclose(rows["landmarks"][index], face.landmarks, atol=0.01)
            assert rows["score"][index] == pytest.approx(face.score, abs=1e-4)
            assert rows["quality"][index, 3] == pytest.approx(face.quality.value, abs=1e-3)
            assert rows["embedding"][index] @ face.embedding.vector > 0.99999
            assert rows["embedder"][index] == "dlib-resnet"
    copy, first = (rows["source"] == str(few / name) for name in ("copy.jpg", "00003.jpg"))
    assert set(rows["duplicate_of"][copy]) == {str(few / "00003.jpg")}
    np.testing.assert_array_equal(rows["embedding"][copy], rows["embedding"][first])
    sky = np.flatnonzero(rows["source"] == str(few / "sky.png"))
    assert (rows["face"][sky].tolist(), rows["error"][sky].tolist()) == ([-1], [None])
    bad = np.flatnonzero(rows["source"] == str(few / "bad.jpg"))
    assert rows["error"][bad][0].startswith("not an image")
    assert not Path(f"{out}.parts").exists()
    assert len(read_table(out)) == summary["faces"], "cluster --from reads it"


def test_names_from_stdin_lists_and_globs_are_the_same_table(few: Path, tmp_path: Path) -> None:
    names = [str(few / f"{index:05d}.jpg") for index in range(4)]
    run("-", "--out", tmp_path / "stdin.npz", stdin="\n".join(names) + "\n")
    (tmp_path / "list.txt").write_text("\n".join(names))
    run(tmp_path / "list.txt", "--out", tmp_path / "list.npz")
    run(few / "0000[0-3].jpg", "--out", tmp_path / "glob.npz")
    assert_same(tmp_path / "stdin.npz", tmp_path / "list.npz")
    assert_same(tmp_path / "stdin.npz", tmp_path / "glob.npz")


def test_exit_codes_of_runs_without_a_result(few: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.npz"
    assert "no face" not in run(few / "sky.png", "--out", out, code=1).stderr
    run(few / "bad.jpg", "--out", out, "--overwrite", code=3)
    (tmp_path / "empty").mkdir()
    assert "no photographs" in run(tmp_path / "empty", "--out", tmp_path / "e.npz", code=2).stderr
    # A slip leaves nothing that stands in the way of the next try.
    run(few / "sky.png", "--out", tmp_path / "e.npz", code=1)
    assert "exists" in run(few / "sky.png", "--out", out, code=2).stderr
    assert ".parquet or .npz" in run(few, "--out", tmp_path / "t.csv", code=2).stderr


@pytest.mark.parametrize(
    ("name", "value", "words", "code"),
    [
        ("FACEPRINT_PROCESSES", "x", (), 2),
        ("FACEPRINT_THREADS", "x", (), 2),
        ("FACEPRINT_OFFLINE", "1", ("--embedder", "w600k-mbf"), 4),
    ],
)
def test_a_run_that_could_not_begin_does_not_hinder_the_next(
    few: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    words: tuple[str, ...],
    code: int,
) -> None:
    out = tmp_path / "t.npz"
    with monkeypatch.context() as slip:
        slip.setenv(name, value)
        run(few / "00000.jpg", "--out", out, *words, code=code)
    run(few / "00000.jpg", "--out", out)


def test_a_photograph_that_failed_is_named(few: Path, tmp_path: Path) -> None:
    gone = [tmp_path / "gone.jpg", tmp_path / "lost.jpg"]
    done = run(few / "bad.jpg", *gone, few / "00000.jpg", "--out", tmp_path / "t.npz", "--json")
    assert f"failed: 2 x no such file ({gone[0]}, ...)" in done.stderr
    assert f"failed: 1 x not an image ({few / 'bad.jpg'})" in done.stderr
    assert json.loads(done.stdout)["examples"]["no such file"] == str(gone[0])


def kill_after_parts(words: list[str], folder: Path, parts: int) -> None:
    """Start a run and SIGKILL it when it has written that many more parts."""
    before = len(list(folder.glob("part-*.npz"))) if folder.exists() else 0
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: len(list(folder.glob("part-*.npz"))) >= before + parts, process)
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_killed_three_times_and_resumed_it_is_the_same_table(
    tmp_path: Path, shared_faces: Path
) -> None:
    album = vary(sorted((shared_faces / "lfw").rglob("*.jpg"))[:100], tmp_path / "album", 200)
    whole, out = tmp_path / "whole.parquet", tmp_path / "killed.parquet"
    run(album, "--out", whole, "--part", 16)
    folder = Path(f"{out}.parts")
    words = command(album, "--out", out, "--part", 16, "--resume")
    for _ in range(3):
        kill_after_parts(words, folder, 3)
    left = json.loads(run(album, "--out", out, "--part", 16, "--resume", "--json").stdout)
    assert 9 * 16 - 16 <= left["skipped"] < 200
    assert_same(whole, out)
    assert len(set(table(out)["source"])) == 200


KILLS_A_WORKER = """
import os, signal, sys
from faceprint.cli.app import main
from faceprint.vision.streaming import process_pool
from faceprint.vision.streaming.worker import WorkerProcess

process_pool._MIN_PHOTOGRAPHS = 1
send, requests, killed = WorkerProcess._send, {}, []

def send_and_kill(self, message):
    # The first thing that a worker is sent is its models, the second is work.
    requests[self] = requests.get(self, 0) + 1
    first = requests[self] == 2 and not killed
    if first:
        killed.append(self.pid)
        os.kill(self.pid, signal.SIGSTOP)  # it can't be done before it is killed
    send(self, message)
    if first:
        os.kill(self.pid, signal.SIGKILL)

WorkerProcess._send = send_and_kill
try:
    sys.exit(main())
finally:
    print("killed", len(killed), file=sys.stderr)
"""


def test_worker_processes_make_the_same_table_though_one_is_killed(
    few: Path, tmp_path: Path
) -> None:
    if not hasattr(signal, "SIGSTOP"):
        pytest.skip("processes can't be stopped here")
    album = vary(sorted(few.glob("0*.jpg")), tmp_path / "album", 60)
    run(album, "--out", tmp_path / "whole.npz", "--part", 7)
    words = [*command(album, "--out", tmp_path / "t.npz", "--part", 7, "--threads", 2)]
    words[1:3] = ["-c", KILLS_A_WORKER]
    done = subprocess.run([*words, "--processes", "2"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "killed 1" in done.stderr, "a worker was given work, and killed with it"
    assert "Traceback" not in done.stderr
    assert_same(tmp_path / "whole.npz", tmp_path / "t.npz")


def test_a_changed_file_is_done_again_and_the_rest_is_not(few: Path, tmp_path: Path) -> None:
    album = tmp_path / "album"
    shutil.copytree(few, album)
    out = tmp_path / "t.npz"
    words = command(album, "--out", out, "--part", 4)
    kill_after_parts(words, Path(f"{out}.parts"), 2)
    (album / "00000.jpg").write_bytes((few / "00001.jpg").read_bytes() + b"\0")
    summary = json.loads(run(album, "--out", out, "--part", 4, "--resume", "--json").stdout)
    # At least the first part was noted, less the file that changed; the kill may fall between the
    # second part's file and its note.
    assert 3 <= summary["skipped"] <= 11
    rows = table(out)
    changed, like = (rows["source"] == str(album / name) for name in ("00000.jpg", "00001.jpg"))
    np.testing.assert_allclose(rows["embedding"][changed], rows["embedding"][like], atol=1e-4)


def test_another_model_does_not_go_on_with_it(few: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.npz"
    kill_after_parts(command(few, "--out", out, "--part", 2), Path(f"{out}.parts"), 1)
    assert "--resume" in run(few, "--out", out, code=2).stderr
    said = run(few, "--out", out, "--part", 3, "--resume", code=4).stderr
    assert "part 2 (now 3)" in said
    assert "--overwrite" in said
    run(few, "--out", out, "--part", 3, "--overwrite")


def test_ctrl_c_finishes_the_part_and_says_how_to_go_on(few: Path, tmp_path: Path) -> None:
    out, whole = tmp_path / "t.npz", tmp_path / "whole.npz"
    folder = Path(f"{out}.parts")
    process = subprocess.Popen(
        command(few, "--out", out, "--part", 1, "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: list(folder.glob("part-*.npz")), process)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate()
    assert process.returncode == 130, stderr
    assert "--resume" in stderr
    assert "Traceback" not in stderr
    assert json.loads(stdout)["finished"] is False
    run(few, "--out", out, "--part", 1, "--resume")
    run(few, "--out", whole, "--part", 1)
    assert_same(out, whole)


@pytest.mark.slow
def test_a_ray_worker_is_killed_and_the_table_is_the_local_one(
    tmp_path: Path, shared_faces: Path
) -> None:
    if find_spec("ray") is None:
        pytest.skip("ray is not installed (extra `ray`)")
    if not Path("/proc").is_dir():
        pytest.skip("workers are found through /proc")
    album = vary(sorted((shared_faces / "lfw").rglob("*.jpg"))[:100], tmp_path / "album", 200)
    local, out = tmp_path / "local.parquet", tmp_path / "ray.parquet"
    run(album, "--out", local, "--part", 10)
    folder, log = Path(f"{out}.parts"), tmp_path / "ray.log"
    words = command(album, "--out", out, "--part", 10, "--engine", "ray", "--workers", 2)
    with log.open("w") as file:
        process = subprocess.Popen(words, stdout=file, stderr=file)
    until(lambda: list(folder.glob("part-*.npz")), process)
    victims = descendants(process.pid, b"_Worker")
    assert len(victims) == 2
    os.kill(victims[0], signal.SIGKILL)
    assert process.wait() == 0, log.read_text()
    assert_same(local, out)


def test_rows_depend_on_what_faceprint_makes_of_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    fp = faceprint.load()
    engine = LocalEngine(fp, 32)
    before = bulk_run.options_of(fp, engine, 512)
    assert bulk_run.options_of(fp, engine, 512) == before
    monkeypatch.setattr(bulk_run, "EMBEDDING_VERSION", 99)
    after = bulk_run.options_of(fp, engine, 512)
    assert {name for name in before if before[name] != after[name]} == {"embedding"}
