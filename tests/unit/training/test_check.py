"""`train check` on folders of crops, and with a stand-in for the detector."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import CommandLine
from PIL import Image as Pillow

from faceprint.errors import DatasetError
from faceprint.evaluation.folders import open_folder
from faceprint.training.check import CheckOptions, check_data
from faceprint.training.crop_build import build_store, people_of
from faceprint.training.people_data import open_people, picture_hashes
from faceprint.types import AnalyzedImage, Embedding, Face
from faceprint.vision import images
from faceprint.zoo.catalog import get_card

SIZE = 112


@pytest.fixture
def faceprint(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(capsys)


def _folder(root: Path, people: dict[str, int], seed: int = 0) -> Path:
    random = np.random.default_rng(seed)
    for name, count in people.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            pixels = random.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
            Pillow.fromarray(pixels).save(root / name / f"{i}.png")
    return root


class Finder:
    """Stands in for FaceAnalyzer: one face; the embedding is told by the folder's name."""

    detector_card, embedder_card = get_card("yunet-2023mar"), get_card("dlib-resnet")
    mirror = False

    def __init__(self) -> None:
        self.seen = 0

    def analyze_many(self, sources: Iterable[Any], **_: Any) -> Iterator[AnalyzedImage]:
        for source in sources:
            self.seen += 1
            try:
                image = images.decode(source)
            except images.DecodeError as error:
                yield AnalyzedImage(str(source), [], error=error)
                continue
            center = np.random.default_rng(ord(Path(source).parent.name[0])).normal(size=128)
            noise = np.random.default_rng(int(image[0, 0, 0])).normal(size=128)
            vector = (center + 0.3 * noise) / np.linalg.norm(center + 0.3 * noise)
            embedding = Embedding(vector.astype(np.float32), "dlib-resnet", 1.0)
            box = np.array([20, 20, 90, 100], np.float32)
            face = Face(box, 0.9, None, embedding=embedding)
            count = 2 if image[0, 0, 1] < 20 else 1
            yield AnalyzedImage(str(source), [face] * count, SIZE, SIZE)


def test_the_report_counts_what_is_there(tmp_path: Path, faceprint: CommandLine) -> None:
    root = _folder(tmp_path / "data", {"Ann": 3, "Bob": 1, "Cid": 2, "Dee": 4})
    (root / "Ann" / "copy.png").write_bytes((root / "Ann" / "0.png").read_bytes())
    (root / "Bob" / "hers.png").write_bytes((root / "Dee" / "3.png").read_bytes())
    (root / "Cid" / "broken.png").write_bytes(b"no picture")
    Pillow.new("RGB", (50, 60)).save(root / "Cid" / "small.png")
    report = faceprint(
        "train", "check", root, "--store", tmp_path / "s", "--aligned", "--json"
    ).json
    assert (report["people"], report["photographs"], report["crops"]) == (4, 14, 9)
    each = report["photographs_each"]
    assert (each["min"], each["median"], each["max"]) == (1, 2.5, 3)
    assert report["people_with_one"] == 1
    assert report["repeated"] == ["Ann/copy.png"]
    assert sorted(report["conflicting"]) == ["Bob/hers.png", "Dee/3.png"]
    unusable = {item["source"]: item["reason"] for item in report["unusable"]}
    assert unusable["Cid/small.png"] == "50x60 pixels, not 112x112"
    assert unusable["Cid/broken.png"].startswith("not an image")


def test_people_of_an_evaluation_set_are_refused(tmp_path: Path, faceprint: CommandLine) -> None:
    root = _folder(tmp_path / "data", {"Ann_Lee": 2, "Bob": 2, "Cid": 2})
    test = _folder(tmp_path / "test", {"ann lee": 1, "Zoe": 1, "Yan": 1}, seed=1)
    (test / "Zoe" / "x.png").write_bytes((root / "Cid" / "1.png").read_bytes())
    arguments = ("train", "check", root, "--store", tmp_path / "s", "--aligned", "--against", test)
    shared = faceprint(*arguments, "--json", code=1).json["shared"]
    assert [(s["person"], s["other"], s["why"]) for s in shared] == [
        ("Ann_Lee", "ann lee", "name"),
        ("Cid", "Zoe", "photograph"),
    ]
    assert "refused" in faceprint(*arguments, code=1).out
    assert "refused" not in faceprint(*arguments[:-2], "--exclude", "Cid").out


def test_a_second_run_looks_at_new_photographs_alone(tmp_path: Path) -> None:
    root = _folder(tmp_path / "data", {"A": 2, "B": 2})
    finder: Any = Finder()
    build_store(open_folder(root), tmp_path / "store", finder)
    (root / "A" / "0.png").rename(root / "A" / "renamed.png")
    _folder(root, {"C": 1}, seed=5)
    data = open_folder(root)
    store, hashes = build_store(data, tmp_path / "store", finder)
    assert finder.seen == 5
    people = people_of(data, store, hashes)
    assert people.names == ("A", "B", "C")
    crops = store.crops()[people.rows]
    assert crops.shape == (5, SIZE, SIZE, 3)


def test_outliers_and_duplicates_are_left_out_of_training(tmp_path: Path) -> None:
    people = dict.fromkeys("ABCDEFGH", 4)
    root = _folder(tmp_path / "data", people)
    Pillow.open(root / "B" / "2.png").save(root / "B" / "4.bmp")  # the same pixels
    finder: Any = Finder()
    report, _ = check_data(open_folder(root), tmp_path / "s", CheckOptions(finder))
    assert [report.people.pictures[b] for _, b in report.findings.duplicates] == ["B/4.bmp"]
    assert report.findings.outliers == ()
    assert report.findings.merges == ()
    assert len(report.cleaned().rows) == len(report.people.rows) - 1 == 32


def test_one_usable_person_is_not_enough(tmp_path: Path) -> None:
    root = _folder(tmp_path / "data", {"A": 1})
    (root / "B").mkdir()
    (root / "B" / "x.png").write_bytes(b"no picture")
    data = open_folder(root)
    store, hashes = build_store(data, tmp_path / "store", None)
    with pytest.raises(DatasetError, match="two people need"):
        people_of(data, store, hashes)


def _pack(folder: Path, people: Path) -> Path:
    """A RecordIO pack of the crops of a folder, without an index; people are 0, 1, ..."""
    body = b""
    for label, person in enumerate(sorted(people.iterdir())):
        for picture in sorted(person.iterdir()):
            content = struct.pack("<IfQQ", 0, float(label), 0, 0) + picture.read_bytes()
            body += struct.pack("<II", 0xCED7230A, len(content)) + content
            body += b"\0" * (-len(content) % 4)
    folder.mkdir()
    (folder / "train.rec").write_bytes(body)
    return folder


def test_a_pack_gives_the_crops_of_its_pictures(tmp_path: Path, faceprint: CommandLine) -> None:
    root = _folder(tmp_path / "data", {"A": 2, "B": 3})
    pack = _pack(tmp_path / "pack", root)
    words = ("train", "check", pack, "--store", tmp_path / "store", "--json")
    report = faceprint(*words, "--against", root, code=1).json
    assert (report["people"], report["crops"]) == (2, 5)
    assert [(s["person"], s["other"], s["why"]) for s in report["shared"]] == [
        ("0", "A", "photograph"),
        ("1", "B", "photograph"),
    ]
    assert (tmp_path / "store" / "pack-hashes.npz").is_file()
    other = _pack(tmp_path / "other", _folder(tmp_path / "more", {"C": 1, "D": 1}, seed=9))
    assert faceprint(*words, "--against", other).json["shared"] == []  # numbers are no names
    assert "not from a pack" in faceprint(*words, "--exclude", "0", code=3).err
    data = open_people(pack)
    store, hashes = build_store(data, tmp_path / "store", None)
    people = people_of(data, store, hashes)
    first = np.asarray(Pillow.open(root / "A" / "0.png"))
    assert people.pictures[0] == "train-0"
    assert np.array_equal(store.crops()[people.rows[0]], first)


def test_the_hashes_of_a_pack_that_changed_are_computed_again(tmp_path: Path) -> None:
    root = _folder(tmp_path / "data", {"A": 2, "B": 3})
    pack = _pack(tmp_path / "pack", root)
    before = picture_hashes(open_people(pack), tmp_path)
    assert picture_hashes(open_people(pack), tmp_path) == before
    (tmp_path / "pack-hashes.npz").write_bytes(b"damaged")
    assert picture_hashes(open_people(pack), tmp_path) == before
    more = _folder(tmp_path / "more", {"A": 1, "B": 1}, seed=3)
    (pack / "train.rec").write_bytes((_pack(tmp_path / "new", more) / "train.rec").read_bytes())
    after = picture_hashes(open_people(pack), tmp_path)
    assert len(after) == 2
    assert set(after).isdisjoint(before)
