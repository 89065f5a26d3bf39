"""Readers of pairs and folders: what they give, and the line they name when something is wrong."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

import numpy as np
import pytest

from faceprint.errors import DatasetError, MissingExtraError
from faceprint.evaluation.datasets import Picture
from faceprint.evaluation.folders import open_folder
from faceprint.evaluation.groups import read_groups
from faceprint.evaluation.pairs import open_lfw, open_pair_table
from faceprint.recognition.albums.corrections_file import read_corrections


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ada has three pictures, Bob two and Cyd one; each file holds its own name."""
    folder = tmp_path / "set"
    for name, count in {"Ada_L": 3, "Bob": 2, "Cyd": 1}.items():
        (folder / name).mkdir(parents=True)
        for k in range(1, count + 1):
            path = folder / name / f"{name}_{k:04d}.{'png' if name == 'Cyd' else 'jpg'}"
            path.write_text(path.name)
    return folder


def listed(tmp_path: Path, text: str, name: str = "pairs.txt") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


LFW = "2\t1\nAda_L\t1\t2\nAda_L\t1\tBob\t1\nBob\t1\t2\nBob\t2\tCyd\t1\n"


def test_lfw_pairs(root: Path, tmp_path: Path) -> None:
    pairs = open_lfw(root, listed(tmp_path, LFW))
    assert pairs.mated.tolist() == [True, False, True, False]
    assert pairs.folds is not None
    assert pairs.folds.tolist() == [0, 0, 1, 1]
    told = [(p.a.read().decode(), p.b.read().decode(), p.fold) for p in pairs]
    assert told[1] == ("Ada_L_0001.jpg", "Bob_0001.jpg", 0)
    assert told[3] == ("Bob_0002.jpg", "Cyd_0001.png", 1)
    # Each picture once, however many pairs it is in.
    assert len(pairs.pictures) == len({p.name for p in pairs.pictures}) == 5
    names = [p.name.split("/")[0] for p in pairs.pictures]
    assert len(set(zip(names, pairs.people.tolist(), strict=True))) == 3


def test_lfw_with_one_number_has_no_folds(root: Path, tmp_path: Path) -> None:
    text = "2\nAda_L 1 2\nBob 1 2\nAda_L 1 Bob 1\nBob 1 Cyd 1\n\n"
    pairs = open_lfw(root, listed(tmp_path, text))
    assert pairs.folds is None
    assert pairs.mated.tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("2\t1\n", "", r"pairs.txt, line 1: expected the number of folds"),
        ("2\t1\n", "2\t2\n", r"line 1 promises 2 x 2 x 2 = 8 pairs, 4 follow"),
        ("Bob\t1\t2", "Bob\t1\t9", r"line 4: there is no picture .*Bob_0009.jpg"),
        ("Bob\t1\t2", "Bob\t1\tCyd\t1", r"line 4: expected name i j \(one person\)"),
        ("Bob\t2\tCyd\t1", "Bob\t1\t2", r"line 5: expected name i name j"),
        ("Bob\t2\tCyd\t1", "Bob\t2\tBob\t1", r"line 5: Bob is on both sides"),
        ("Bob\t1\t2", "Bob\tx\t2", r"line 4: 'x' is not the number"),
        ("Bob\t1\t2", "../set/Bob\t1\t2", r"line 4: '../set/Bob' is not a person's name"),
        ("Bob\t1\t2", "..\t1\t2", r"line 4: '..' is not a person's name"),
    ],
)
def test_lfw_names_the_line(root: Path, tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in LFW
    with pytest.raises(DatasetError, match=told):
        open_lfw(root, listed(tmp_path, LFW.replace(old, new)))


def test_files_that_are_no_text_or_not_there(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="No such file"):
        open_lfw(root, tmp_path / "none.txt")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="line 1: expected the number of folds"):
        open_lfw(root, tmp_path / "b.txt")
    with pytest.raises(DatasetError, match="No such file"):
        Picture("x", tmp_path / "x.jpg").read()


def test_the_official_list_of_five_folds(shared_faces: Path) -> None:
    pairs = open_lfw(shared_faces / "lfw", shared_faces / "lfw_pairs.txt")
    assert (len(pairs), int(pairs.mated.sum())) == (3000, 1500)
    assert pairs.folds is not None
    assert np.bincount(pairs.folds).tolist() == [600] * 5
    first, last = pairs[0], pairs[2999]
    assert (first.a.name, first.b.name) == (
        "Abel_Pacheco/Abel_Pacheco_0001.jpg",
        "Abel_Pacheco/Abel_Pacheco_0004.jpg",
    )
    assert not last.mated
    assert len({p.name for p in pairs.pictures}) == len(pairs.pictures)
    same = pairs.people[pairs.left] == pairs.people[pairs.right]
    np.testing.assert_array_equal(same, pairs.mated)


TABLE = (
    "\ufeffa,b,label,group,fold\n"
    "Ada_L/Ada_L_0001.jpg,Ada_L/Ada_L_0002.jpg,1,x,0\n"
    'Ada_L/Ada_L_0001.jpg,Bob/Bob_0001.jpg,different,"y, z",1\n'
)


def test_a_table_of_pairs(root: Path) -> None:
    table = listed(root, TABLE, "mine.csv")
    pairs = open_pair_table(table, aligned=True)
    assert pairs.aligned
    assert pairs.groups == ("x", "y, z")
    assert pairs.folds is not None
    assert pairs.folds.tolist() == [0, 1]
    assert pairs.mated.tolist() == [True, False]
    assert pairs.subjects is None
    # Without names, pictures of a mated pair are one person.
    assert pairs.people[0] == pairs.people[1] != pairs.people[2]
    assert pairs[1].b.read() == b"Bob_0001.jpg"


def test_a_table_with_people(root: Path) -> None:
    text = "a,b,label,subject_a,subject_b\nBob/Bob_0001.jpg,Cyd/Cyd_0001.png,0,bob,cyd\n"
    pairs = open_pair_table(listed(root, text, "mine.csv"))
    assert pairs.subjects is not None
    assert pairs.subjects.tolist() == [0, 1]
    with pytest.raises(DatasetError, match="line 2: the label contradicts"):
        open_pair_table(listed(root, text.replace(",0,", ",1,"), "bad.csv"))
    more = text + "Bob/Bob_0001.jpg,Cyd/Cyd_0001.png,0,eve,cyd\n"
    with pytest.raises(DatasetError, match=r"line 3: Bob/Bob_0001\.jpg is another person here"):
        open_pair_table(listed(root, more, "bad.csv"))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("label", "same", "line 1: no column label; .* found a, b, same, group, fold"),
        (",1,x,", ",maybe,x,", "line 2: the label 'maybe'"),
        (",x,0", ",x,first", "line 2: the fold 'first'"),
        (",x,0", ",x", "line 2: 4 values for 5 columns"),
        ("Bob_0001", "Bob_0007", "line 3: there is no picture 'Bob/Bob_0007.jpg'"),
    ],
)
def test_a_table_names_the_line(root: Path, old: str, new: str, told: str) -> None:
    assert old in TABLE
    with pytest.raises(DatasetError, match=told):
        open_pair_table(listed(root, TABLE.replace(old, new), "mine.csv"))


def test_an_empty_table(root: Path) -> None:
    for text in ("", "a,b,label\n"):
        with pytest.raises(DatasetError, match="holds no pairs"):
            open_pair_table(listed(root, text, "mine.csv"))


def test_a_parquet_table(root: Path) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        with pytest.raises(MissingExtraError, match=r"faceprint\[bulk\]"):
            open_pair_table(root / "mine.parquet")
        pytest.skip("pyarrow is not installed")
    rows = {
        "a": ["Ada_L/Ada_L_0001.jpg", "Bob/Bob_0001.jpg"],
        "b": ["Ada_L/Ada_L_0002.jpg", "Cyd/Cyd_0001.png"],
        "label": [True, False],
        "fold": [0, 1],
    }
    pq.write_table(pa.table(rows), root / "mine.parquet")
    pairs = open_pair_table(root / "mine.parquet")
    assert pairs.mated.tolist() == [True, False]
    assert pairs.folds is not None
    assert pairs.folds.tolist() == [0, 1]
    (root / "bad.parquet").write_bytes(b"no")
    with pytest.raises(DatasetError, match="not a readable Parquet"):
        open_pair_table(root / "bad.parquet")


def test_a_folder_a_person(root: Path) -> None:
    (root / "Bob" / "notes.txt").write_text("no picture")
    (root / ".cache").mkdir()
    (root / ".cache" / "x.jpg").write_text("hidden")
    (root / "Empty").mkdir()
    everybody = open_folder(root)
    assert everybody.names == ("Ada_L", "Bob", "Cyd")
    assert everybody.subjects.tolist() == [0, 0, 0, 1, 1, 2]
    assert [p.name for p, who in everybody if who == 1] == ["Bob/Bob_0001.jpg", "Bob/Bob_0002.jpg"]
    assert open_folder(root, minimum=2).names == ("Ada_L", "Bob")
    with pytest.raises(DatasetError, match="at least two people"):
        open_folder(root, minimum=3)
    with pytest.raises(DatasetError, match="not a folder"):
        open_folder(root / "nobody")


@pytest.mark.parametrize("name", [b"caf\xe9.jpg", "a\u2028b\x0b.jpg".encode(), b"plain.jpg"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_of_pairs_name_any_file(name: bytes, encoding: str, tmp_path: Path) -> None:
    if encoding == "utf-16" and name == b"caf\xe9.jpg":
        pytest.skip("UTF-16 holds no bytes that are not text")
    (tmp_path / os.fsdecode(name)).touch()
    (tmp_path / "b.jpg").touch()
    text = b"a,b,label\n" + name + b",b.jpg,1\n"
    if encoding == "utf-8-sig":
        text = codecs.BOM_UTF8 + text
    if encoding == "utf-16":
        text = text.decode().encode("utf-16")
    (tmp_path / "p.csv").write_bytes(text)
    pairs = open_pair_table(tmp_path / "p.csv")
    assert pairs.pictures[0].source == tmp_path / os.fsdecode(name)
    pairs.pictures[0].name.encode()


def test_groups_and_corrections_name_any_file(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b"Jos\xe9,men\n")
    assert read_groups(path) == {"Jos\\xe9": "men"}
    path.write_bytes(b"source_a,box_a,source_b,box_b\n\xe9.jpg,1 2 3 4,b.jpg,5 6 7 8\n")
    ((face, other),) = read_corrections(path, "must_link").must_link
    assert (face.source, other.source) == ("\\xe9.jpg", "b.jpg")
