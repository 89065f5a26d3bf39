"""`gallery import --embedder`: embeddings that other programs stored."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import CommandLine

from faceprint import Gallery, errors, load
from faceprint.recognition.gallery.transfer import pin_in

NAMES = ["ada", "ada", "grace"]
VECTORS = np.random.default_rng(0).normal(size=(3, 128)).astype(np.float32)


def write(folder: Path, form: str) -> Path:
    """The same three faces in one of the forms."""
    rows, path = VECTORS.tolist(), folder / f"faces.{form.partition('-')[0]}"
    people: dict[str, Any] = {"ada": rows[:2], "grace": rows[2]}
    documents: dict[str, Any] = {
        "json-people": people,
        "json-rows": [{"name": n, "encoding": v} for n, v in zip(NAMES, rows, strict=True)],
        "json-columns": {"names": NAMES, "encodings": rows},
    }
    if form in documents:
        path.write_text(json.dumps(documents[form]), "utf-8")
    elif form == "npz-people":
        np.savez(path, ada=VECTORS[:2], grace=VECTORS[2])
    elif form == "npz-columns":
        np.savez(path, names=np.array(NAMES), embeddings=VECTORS.astype(np.float64))
    elif form == "npy":
        np.save(path, VECTORS)
        path.with_suffix(".txt").write_text("\n".join(NAMES) + "\n", "utf-8")
    else:
        pa: Any = pytest.importorskip("pyarrow")
        pq: Any = pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.table({"name": NAMES, "embedding": rows}), path)
    return path


@pytest.mark.parametrize(
    "form",
    ["json-people", "json-rows", "json-columns", "npz-people", "npz-columns", "npy", "parquet"],
)
def test_each_form_gives_the_same_gallery(form: str, tmp_path: Path) -> None:
    path = write(tmp_path, form)
    pin = pin_in(path, "dlib-resnet")
    with Gallery.open(tmp_path / "people.db", model=pin) as gallery:
        done = gallery.import_(path, embedder="dlib-resnet")
        assert (done.templates, done.known, done.subjects) == (3, 0, 2)
        again = gallery.import_(path, embedder="dlib-resnet")
        assert (again.templates, again.known) == (0, 3)
    with Gallery.open(tmp_path / "people.db", load()) as gallery:
        names, found = [], []
        gallery.export(tmp_path / "out.jsonl")
        lines = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
        for line in map(json.loads, lines[1:]):
            names.append(line["subject"])
            found.append(line["norm"])
        assert json.loads(lines[0])["model"]["id"] == "dlib-resnet"
        assert sorted(names) == NAMES
        assert np.allclose(sorted(found), sorted(np.linalg.norm(VECTORS, axis=1)))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.json", b"{", "after 0 faces"),
        ("a.json", b"3", "neither"),
        ("a.json", b'{"encodings": [[1, 2]]}', "one is needed"),
        ("a.json", b'{"identity": ["a.jpg"], "embedding": [[1, 2]]}', "deepface"),
        ("a.json", b'{"ada": [1, 2]}', "128"),
        ("a.json", b'[["ada", [1]]]', "belong"),
        ("a.json", b'[{"name": "ada", "vector": [1]}]', "one is needed"),
        ("a.json", json.dumps({"names": ["ada"], "encodings": []}).encode(), "1 names for 0"),
        ("a.json", json.dumps({"ada": [0] * 128}).encode(), "zero or not finite"),
        ("a.json", b'{"ada": [' + b"NaN, " * 127 + b"1]}", "zero or not finite"),
        ("a.json", json.dumps([{"name": 3, "encoding": [1] * 128}]).encode(), "not text"),
        ("a.json", json.dumps({"": [1] * 128}).encode(), "name"),
        ("a.json", b"[" * 100_000, "after 0 faces"),
        ("a.npz", b"damaged", "after 0 faces"),
        ("a.npy", b"damaged", "one per line"),
    ],
)
def test_files_with_errors_are_refused_whole(
    name: str, content: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with Gallery.open(tmp_path / "people.db", load()) as gallery:
        with pytest.raises(errors.DatasetError, match=reason):
            gallery.import_(path, embedder="dlib-resnet")
        assert list(gallery.subjects()) == []


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    class Touch:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "executed",)

    hostile = np.array([Touch()], object)
    np.save(tmp_path / "a.npy", hostile, allow_pickle=True)
    (tmp_path / "a.txt").write_text("ada\n", "utf-8")
    np.savez(tmp_path / "a.npz", allow_pickle=True, names=np.array(["ada"]), embeddings=hostile)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(Touch()))
    with Gallery.open(tmp_path / "people.db", load()) as gallery:
        for name in ("a.npy", "a.npz", "a.pkl"):
            with pytest.raises((errors.DatasetError, errors.UsageError)):
                gallery.import_(tmp_path / name, embedder="dlib-resnet")
    assert not (tmp_path / "executed").exists()


def test_another_network_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "json-people")
    with Gallery.open(tmp_path / "people.db", load()) as gallery:
        with pytest.raises(errors.ModelMismatchError, match="sface"):
            gallery.import_(path, embedder="sface")
        with pytest.raises(errors.UnknownModelError):
            gallery.import_(path, embedder="facenet")
        with pytest.raises(errors.UsageError, match="'embed'"):
            gallery.import_(path, embedder="mtcnn")


def test_the_command_creates_the_gallery(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, gallery = write(tmp_path, "npz-people"), str(tmp_path / "people.db")
    arguments = ["gallery", "import", gallery, str(path), "--embedder", "dlib-resnet", "--json"]
    run = CommandLine(capsys)
    assert run(*arguments).json == {
        "file": str(path), "templates": 3, "known": 0, "subjects": 2,
    }  # fmt: skip
    assert run(*arguments).json["known"] == 3
