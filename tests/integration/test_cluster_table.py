"""`faceprint cluster --from TABLE`: tables of any kind, larger than memory, and on a cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import descendants

from faceprint.cli.app import main
from faceprint.embedding_table.reader import read_table
from faceprint.errors import InputError, ModelMismatchError
from faceprint.recognition.clustering.knn_graph import neighbor_graph

DIM = 24


def faces(count: int = 60, each: int = 5, dim: int = DIM) -> Any:
    rng = np.random.default_rng(3)
    rows = np.tile(rng.standard_normal((count, dim)), (each, 1))
    rows += 0.4 * rng.standard_normal(rows.shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def columns(rows: Any) -> dict[str, Any]:
    n = len(rows)
    return {
        "source": [f"gone/{i // 2:04d}.jpg" for i in range(n)],
        "face": [i % 2 for i in range(n)],
        "box": np.tile(np.float32([10, 10, 90, 90]), (n, 1)) + np.arange(n)[:, None] % 2 * 100,
        "score": np.linspace(0.5, 1, n, dtype=np.float32),
        "embedding": rows,
        "embedder": ["some-model"] * n,
    }


def npz(path: Path, rows: Any) -> Path:
    np.savez(path, **{name: np.asarray(column) for name, column in columns(rows).items()})
    return path


def parquet(path: Path, rows: Any, kind: str = "fixed", **more: Any) -> Path:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table: dict[str, Any] = columns(rows) | more
    types = {"fixed": pa.list_(pa.float32(), rows.shape[1]), "list": pa.list_(pa.float64())}
    table["embedding"] = pa.array([None if r is None else list(r) for r in rows], types[kind])
    if not isinstance(table["box"], list):
        table["box"] = table["box"].tolist()
    pq.write_table(pa.table(table), path, row_group_size=100)
    return path


def run(capsys: Any, *words: object) -> tuple[int, Any, str]:
    with pytest.raises(SystemExit) as left:
        main(["cluster", *map(str, words), "--threshold", "0.6", "--json"])
    said = capsys.readouterr()
    return int(left.value.code or 0), json.loads(said.out) if said.out else None, said.err


def members(document: Any) -> list[list[tuple[str, Any]]]:
    return [
        [(face["source"], tuple(face["box"])) for face in person["faces"]]
        for person in document["people"]
    ]


@pytest.mark.parametrize("kind", ["fixed", "list"])
def test_parquet_of_any_kind_is_read_as_npz_is(tmp_path: Path, kind: str) -> None:
    rows = faces()
    one, other = read_table(npz(tmp_path / "a.npz", rows)), None
    for scratch in (None, tmp_path):
        other = read_table(parquet(tmp_path / "a.parquet", rows, kind), scratch)
        np.testing.assert_allclose(other.vectors, one.vectors, atol=1e-6)
        np.testing.assert_array_equal(other.boxes, one.boxes)
        np.testing.assert_array_equal(other.scores, one.scores)
        assert (other.sources, other.embedder) == (one.sources, one.embedder)
        assert isinstance(other.vectors, np.memmap) == (scratch is not None)
    assert np.isnan(one.quality).all()


def test_rows_without_a_face_and_with_an_error(tmp_path: Path) -> None:
    rows = faces(2, 2)
    quality = {"size": 50.0, "sharpness": None, "yaw": 0.0, "value": 0.5}
    path = parquet(tmp_path / "a.parquet", rows, face=[0, 1, None, 0],
                   error=[None, "", None, "not an image"], quality=[quality] * 4)  # fmt: skip
    table = read_table(path)
    assert len(table) == 2
    assert table.failed == (("gone/0001.jpg", "not an image"),)
    np.testing.assert_array_equal(table.quality[0], np.float32([50, np.nan, 0, 0.5]))
    everybody = read_table(parquet(tmp_path / "b.parquet", rows, face=[None] * 4))
    assert len(everybody) == 0


def test_what_is_no_such_table_is_refused(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"source": ["a"]}, InputError, "no column embedding"),
        ({"source": ["a", "b"], "embedding": [[1.0, 0.0], [1.0]]}, InputError, "rows of"),
        ({"source": ["a"], "embedding": [["x"]]}, InputError, "not numbers"),
        ({"source": ["a"], "embedding": [[float("nan")]]}, InputError, "NaN"),
        ({"source": ["a", "b"], "embedding": [[1.0]] * 2, "embedder": ["m", "n"]},
         ModelMismatchError, "m and n"),
    ]  # fmt: skip
    for table, error, words in cases:
        pq.write_table(pa.table(table), path)
        with pytest.raises(error, match=words):
            read_table(path)
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="not a table of embeddings"):
        read_table(path)


def test_from_files_and_to_a_table_it_is_the_same_people(tmp_path: Path, capsys: Any) -> None:
    path, scratch = parquet(tmp_path / "t.parquet", faces()), tmp_path / "scratch"
    code, whole, _ = run(capsys, "--from", path)
    assert code == 0
    assert len(whole["people"]) == 60
    for out in (tmp_path / "people.parquet", tmp_path / "people.npz"):
        code, document, said = run(capsys, "--from", path, "--scratch", scratch, "--out", out)
        assert code == 0
        assert str(out) in said
        assert members(document) == members(whole)
        assert list(scratch.iterdir()) == [], "nothing is left behind"
        if out.suffix == ".npz":
            with np.load(out) as table:
                people, sources = table["person"].tolist(), table["source"].tolist()
        else:
            read = pytest.importorskip("pyarrow.parquet").read_table(out)
            people, sources = (read.column(name).to_pylist() for name in ("person", "source"))
            assert read.column("box").to_pylist()[0] == list(whole["people"][0]["faces"][0]["box"])
        assert people == [p["id"] for p in whole["people"] for _ in p["faces"]]
        assert sources == [f["source"] for p in whole["people"] for f in p["faces"]]
    assert not list(tmp_path.glob("*~"))
    assert run(capsys, "--from", path, "--scratch", scratch, "--out", tmp_path / "dir")[0] == 2
    assert run(capsys, "--from", path, "--out", tmp_path / "none" / "p.npz")[0] == 3
    assert run(capsys, "--from", path, "--engine", "spark")[0] == 2
    assert run(capsys, "--from", path, "--address", "auto")[0] == 2


def test_photographs_that_are_not_there_are_no_obstacle(tmp_path: Path, capsys: Any) -> None:
    path, out = npz(tmp_path / "t.npz", faces()), tmp_path / "out"
    code, document, _ = run(capsys, "--from", path, "--out", out)
    assert code == 0
    assert len(document["people"]) == 60
    assert "gone/0000.jpg" in (out / "index.html").read_text("utf-8")
    assert not list((out / "people").rglob("*.jpg")), "no link leads nowhere"


SCRIPT = """
import sys
import numpy as np
from faceprint.bulk.ray_cluster import on_ray
from faceprint.recognition.clustering.knn_graph import neighbor_graph

rows = np.load(sys.argv[1])
on_cluster = on_ray(address=None, workers=2)

def run(function, tasks):
    for number, done in enumerate(on_cluster(function, tasks)):
        print(number, flush=True)
        yield done

edges = neighbor_graph(rows, k=16, floor=0.5, exact=False, run=run)
np.savez(sys.argv[2], a=edges.a, b=edges.b, similarity=edges.similarity)
"""


@pytest.mark.slow
def test_a_ray_worker_is_killed_and_the_edges_are_the_local_ones(tmp_path: Path) -> None:
    if find_spec("ray") is None:
        pytest.skip("ray is not installed (extra `ray`)")
    if not Path("/proc").is_dir():
        pytest.skip("workers are found through /proc")
    rows = faces(10_000, 4, dim=128)
    np.save(tmp_path / "rows.npy", rows)
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    log = tmp_path / "log"
    words = [sys.executable, str(script), str(tmp_path / "rows.npy"), str(tmp_path / "edges.npz")]
    with log.open("w") as errors:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "15":
            break
    victim = _busy_worker(process.pid)
    os.kill(victim, signal.SIGKILL)
    rest = process.stdout.read().split()
    assert process.wait() == 0, log.read_text()
    local = neighbor_graph(rows, k=16, floor=0.5, exact=False)
    assert len(local) > 40_000
    assert len(rest) > 10, "the worker was killed half way"
    with np.load(tmp_path / "edges.npz") as found:
        np.testing.assert_array_equal(found["a"], local.a)
        np.testing.assert_array_equal(found["b"], local.b)
        np.testing.assert_array_equal(found["similarity"], local.similarity)


@pytest.mark.slow
def test_people_are_the_same_on_a_cluster(tmp_path: Path, capsys: Any) -> None:
    if find_spec("ray") is None:
        pytest.skip("ray is not installed (extra `ray`)")
    path, out = npz(tmp_path / "t.npz", faces()), tmp_path / "people.npz"
    words = [sys.executable, "-m", "faceprint", "cluster", "--from", str(path), "--out", str(out),
             "--engine", "ray", "--workers", "2", "--threshold", "0.6", "--json"]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert members(json.loads(done.stdout)) == members(run(capsys, "--from", path)[1])


def _busy_worker(root: int) -> int:
    """A process that descends from `root` and is at work on a cell."""
    while True:
        for pid in descendants(root, b"ray::cell_pairs"):
            return pid
