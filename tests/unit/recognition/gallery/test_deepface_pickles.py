"""deepface's pickles: read without executing anything, pinned to a card, named by folders."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import CommandLine

from faceprint import Gallery, errors, load
from faceprint.recognition.gallery.foreign import deepface
from faceprint.recognition.gallery.transfer import pin_in

NAME = "ds_model_dlib_detector_mtcnn_aligned_normalization_base_expand_0.pkl"
VECTORS = np.random.default_rng(5).normal(size=(3, 128))
PATHS = ["people/ada/1.jpg", "people/ada/2.jpg", "people/grace/1.jpg"]


def rows(vector: Any = list, number: Any = int) -> list[dict[str, Any]]:
    """The three faces, with vectors and numbers of these types."""
    return [
        {"identity": path, "hash": "0" * 40, "embedding": vector(values.tolist())}
        | {name: number(at) for at, name in enumerate(("target_x", "target_y", "target_w"))}
        for path, values in zip(PATHS, VECTORS, strict=True)
    ]


def imported(path: Path, embedder: str = "dlib-resnet") -> tuple[dict[str, int], Any]:
    """Templates of each subject, and what the import says."""
    with Gallery.open(path.parent / "people.db", model=pin_in(path, embedder)) as gallery:
        done = gallery.import_(path, embedder)
        return {subject.name: subject.templates for subject in gallery.subjects()}, done


def refused(path: Path, reason: str, embedder: str = "dlib-resnet") -> None:
    with Gallery.open(path.parent / "people.db", load()) as gallery:
        with pytest.raises(errors.FaceprintError, match=reason):
            gallery.import_(path, embedder)
        assert list(gallery.subjects()) == []


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("vector", [list, np.asarray, np.float32], ids=["list", "f8", "f4"])
def test_each_protocol_and_type_gives_the_same_gallery(
    protocol: int, vector: Any, tmp_path: Path
) -> None:
    number = int if vector is list else np.int64
    (tmp_path / NAME).write_bytes(pickle.dumps(rows(vector, number), protocol=protocol))
    people, done = imported(tmp_path / NAME)
    assert people == {"ada": 2, "grace": 1}
    assert (done.templates, done.known, done.subjects) == (3, 0, 2)
    assert "by the eyes alone" in done.notes[0]
    with Gallery.open(tmp_path / "people.db", load()) as gallery:
        gallery.export(tmp_path / "out.jsonl")
        assert '"source": "people/ada/1.jpg"' in (tmp_path / "out.jsonl").read_text("utf-8")
    assert imported(tmp_path / NAME)[1].known == 3


def test_lists_of_lists_of_old_versions(tmp_path: Path) -> None:
    path = tmp_path / "representations_dlib.pkl"
    path.write_bytes(pickle.dumps([[row["identity"], row["embedding"]] for row in rows()]))
    assert imported(path)[0] == {"ada": 2, "grace": 1}


def test_photographs_without_a_face_or_a_folder_are_left_out(tmp_path: Path) -> None:
    more = [*rows(), rows()[0] | {"identity": "people/unknown.jpg"}]
    more += [{"identity": "people/ada/3.jpg", "embedding": None}]
    (tmp_path / NAME).write_bytes(pickle.dumps(more))
    people, done = imported(tmp_path / NAME)
    assert people == {"ada": 2, "grace": 1}
    assert (done.unnamed, done.faceless) == (1, 1)


def test_one_folder_names_nobody(tmp_path: Path) -> None:
    flat = [row | {"identity": f"people/{at}.jpg"} for at, row in enumerate(rows())]
    (tmp_path / NAME).write_bytes(pickle.dumps(flat))
    refused(tmp_path / NAME, "one folder")
    folders = [row | {"identity": rf"C:\people\p{at}\1.jpg"} for at, row in enumerate(rows())]
    (tmp_path / NAME).write_bytes(pickle.dumps(folders))
    assert set(imported(tmp_path / NAME)[0]) == {"p0", "p1", "p2"}


@pytest.mark.parametrize(
    ("name", "embedder", "reason"),
    [
        ("ds_model_vggface_detector_opencv_aligned.pkl", "dlib-resnet", "vggface.*not the network"),
        ("ds_model_facenet512_detector_opencv_aligned.pkl", "w600k-r50", "facenet512"),
        ("ds_model_arcface_detector_opencv_aligned.pkl", "arcface-r100", "arcface"),
        ("ds_model_dlib_detector_opencv_aligned.pkl", "sface", "dlib-resnet"),
        ("ds_sface_opencv_v2.pkl", "dlib-resnet", r"sface \(sface\)"),
        ("ds_model_buffalo_l_detector_yunet_aligned.pkl", "dlib-resnet", "w600k-r50"),
        ("representations_vgg_face.pkl", "dlib-resnet", "vgg_face"),
        ("faces.pkl", "dlib-resnet", "does not say which model"),
    ],
)
def test_another_network_is_refused_by_the_name(
    name: str, embedder: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(rows()))
    with pytest.raises((errors.ModelMismatchError, errors.DatasetError), match=reason):
        pin_in(tmp_path / name, embedder)
    assert list(tmp_path.glob("*.db*")) == []


def test_the_models_are_those_of_the_drop_in() -> None:
    from faceprint.compat.deepface.models import MODELS

    assert {deepface.card_of(name) for name in MODELS} == {each.card for each in MODELS.values()}
    assert len(MODELS) == len(deepface.CARDS)


class Touch:
    target = ""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {Touch.target}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_executed(
    protocol: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Touch.target = str(tmp_path / "executed")
    path = tmp_path / NAME
    path.write_bytes(pickle.dumps([*rows(), Touch()], protocol=protocol))
    refused(path, r"carries a call to (posix|nt)\.system")
    run = CommandLine(capsys)
    done = run(
        "gallery", "import", str(tmp_path / "p.db"), str(path), "--embedder", "dlib-resnet", code=3
    )
    assert "carries a call" in done.err
    assert not (tmp_path / "p.db").exists(), "a refused import leaves no gallery behind"
    assert not Path(Touch.target).exists()


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04cnumpy\nload\n(S'a.npy'\ntR.",
        b"\x80\x04cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n)R.",
        b"\x80\x04cnumpy\ndtype\n(VO8\ntR.",
        b"\x80\x04cnumpy\ndtype\n(Vf8\ntR}b.",
        b"\x80\x04cnumpy\ndtype\n(Vf8\ntR(K\x03V<\ntb2.",
        b"\x80\x04cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(Vf8\ntR\x8a\x06\0\0\0\0\0\x01tR.",
        b"\x80\x04cbuiltins\neval\n(V1\ntR.",
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",
        b"\x80\x04]\x8c\x011\x85R.",
        b"\x80\x04)R.",
        b"\x80\x04R.",
        b"\x80\x04}b.",
        b"\x80\x04}))s.",
        b"\x80\x04}]]s.",
        b"\x80\x04}(K\x01u.",
        b"\x80\x04\x93.",
        b"]" * 1000 + b"a" * 999 + b".",
        pickle.dumps({"identity": ["a"]}),
        pickle.dumps([1]),
        pickle.dumps([{"identity": b"a/b/c.jpg", "embedding": [1.0]}]),
        pickle.dumps([{"identity": 3, "embedding": [1.0]}]),
        pickle.dumps([{"identity": f"a/{c}/b.jpg", "embedding": [[1.0]]} for c in "bc"]),
        pickle.dumps([{"identity": "a/b.jpg", "embedding": "x"}, {"identity": "c/d.jpg"}]),
        pickle.dumps([{"identity": "a/b.jpg", "embedding": [1.0]}, {"identity": "c/d.jpg"}]),
        b"",
    ],
)
def test_damage_and_tricks_are_errors(data: bytes, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(data)
    refused(tmp_path / NAME, ".")


@pytest.mark.parametrize(
    "bomb",
    [
        b"(" + b"]" * 500_000 + b"l.",
        b"(" + b"]\x94" * 300_000 + b"l.",
        b"\x80\x04(" + b"M\x00\x01" * 200_000 + b"l.",
        b"(" * 500_000 + b".",
        b"\x80\x02]r\xff\xff\xff\xff.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
    ],
    ids=["lists", "memo", "numbers", "marks", "index", "length"],
)
def test_bombs_end_early(bomb: bytes, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(bomb)
    refused(tmp_path / NAME, "more values than|memo index|cut off")


@pytest.mark.parametrize("name", [NAME, "faces.pkl", "faces.npz", "dump.sql"])
def test_a_file_that_is_not_there_is_said_to_be_missing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["gallery", "import", str(tmp_path / "p.db"), str(tmp_path / name)]
    done = CommandLine(capsys)(*words, "--embedder", "dlib-resnet", code=3)
    assert f"{name}: no such file" in done.err
