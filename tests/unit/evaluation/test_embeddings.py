"""Embedding a data set: which face, what is kept, what is computed again and what is not."""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from faceprint.errors import DatasetError, NotFiniteError, UsageError
from faceprint.evaluation.datasets import FileSpan, Picture
from faceprint.evaluation.embedding_cache import FileHashes, RowCache, cache_key
from faceprint.evaluation.embeddings import EmbeddedPictures, EmbedOptions, embed_pictures
from faceprint.types import AnalyzedImage, Embedding, Face
from faceprint.vision import images
from faceprint.vision.align import align
from faceprint.zoo.catalog import get_card


class Eyes:
    """Stands in for FaceAnalyzer: faces are where it is told; an embedding is its crop's mean.

    A picture whose top left pixel is black shows no face.
    """

    name, runtime, mirror = "eyes", "onnxruntime", False
    detector_card, embedder_card = get_card("yunet-2023mar"), get_card("mobileface")

    def __init__(self, *boxes: tuple[float, float, float, float]) -> None:
        self.boxes = boxes or ((40.0, 40.0, 80.0, 80.0),)
        self.seen = self.embedded = 0

    def analyze_many(self, sources: Iterable[Any], **_: Any) -> Iterator[AnalyzedImage]:
        for source in sources:
            self.seen += 1
            try:
                image = images.decode(source)
            except images.DecodeError as error:
                yield AnalyzedImage("x", [], error=error)
                continue
            faces = [Face(np.asarray(box, np.float32), 0.9, None) for box in self.boxes]
            faces = [] if image[0, 0].max() < 20 else faces
            yield AnalyzedImage("x", faces, width=image.shape[1], height=image.shape[0])

    def embed_crops(self, crops: np.ndarray) -> list[Embedding]:
        self.embedded += len(crops)
        return [Embedding(_vector(crop), "mobileface", 1.0) for crop in crops]


def _vector(crop: np.ndarray) -> np.ndarray:
    rows = np.resize(crop.astype(np.float64).mean(axis=2).ravel()[::97] + 1, 128)
    return (rows / np.linalg.norm(rows)).astype(np.float32)


def png(seed: int, corner: int = 255, size: tuple[int, int] = (120, 120)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    pixels[0, 0] = corner
    out = io.BytesIO()
    Pillow.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def run(eyes: Eyes, pictures: list[Picture], folder: Path, **how: Any) -> EmbeddedPictures:
    options = EmbedOptions(**({"batch_size": 2} | how))
    return embed_pictures(pictures, eyes, options, folder=folder)  # type: ignore[arg-type]


def pictures(count: int = 5) -> list[Picture]:
    return [Picture(f"p{i}", png(i)) for i in range(count)]


def test_a_second_run_computes_nothing_and_says_the_same(tmp_path: Path) -> None:
    eyes = Eyes()
    first = run(eyes, pictures(), tmp_path)
    again = run(eyes, pictures()[::-1], tmp_path)
    assert (first.computed, again.computed, eyes.seen, eyes.embedded) == (5, 0, 5, 5)
    assert np.array_equal(first.vectors, again.vectors[::-1])
    assert first.found.all() and first.usable.all() and not first.failed


def test_every_row_is_the_embedding_of_its_own_face(tmp_path: Path) -> None:
    eyes = Eyes()
    found = run(eyes, pictures(), tmp_path)
    alignment = eyes.embedder_card.alignment
    assert alignment is not None
    for picture, row in zip(pictures(), found.vectors, strict=True):
        image = images.decode(picture.read())
        crop = align(image, None, np.asarray(eyes.boxes, np.float32), alignment)[0]
        assert np.array_equal(row, _vector(crop))


def test_pictures_with_the_same_bytes_are_computed_once(tmp_path: Path) -> None:
    eyes = Eyes()
    found = run(eyes, [Picture("a", png(1)), Picture("b", png(1))], tmp_path)
    assert eyes.embedded == found.computed == 1
    assert np.array_equal(found.vectors[0], found.vectors[1])


def test_a_run_that_was_cut_off_goes_on_where_it_stopped(tmp_path: Path) -> None:
    class Tired(Eyes):
        def embed_crops(self, crops: np.ndarray) -> list[Embedding]:
            if self.embedded >= 4:
                raise KeyboardInterrupt
            return super().embed_crops(crops)

    with pytest.raises(KeyboardInterrupt):
        run(Tired(), pictures(9), tmp_path)
    eyes = Eyes()
    assert run(eyes, pictures(9), tmp_path).computed == 5
    assert eyes.embedded == 5


@pytest.mark.parametrize("change", ["embedder", "detector", "mirror", "runtime", "face"])
def test_what_decides_an_embedding_is_in_its_key(tmp_path: Path, change: str) -> None:
    run(Eyes(), pictures(2), tmp_path)
    eyes, how = Eyes(), {}
    if change == "embedder":
        eyes.embedder_card = get_card("w600k-mbf")
        with pytest.raises(ValueError, match="broadcast"):  # 512 values, and Eyes gives 128
            run(eyes, pictures(2), tmp_path)
    elif change == "face":
        how = {"face": "central"}
    else:
        other = {"detector": ("detector_card", get_card("scrfd-500m")), "mirror": ("mirror", True)}
        setattr(eyes, *other.get(change, ("runtime", "openvino")))
    if change != "embedder":
        assert run(eyes, pictures(2), tmp_path, **how).computed == 2
    assert eyes.embedded == 2


def test_another_embedder_does_not_look_for_the_faces_again(tmp_path: Path) -> None:
    run(Eyes(), pictures(3), tmp_path)
    eyes = Eyes()
    eyes.mirror = True
    assert run(eyes, pictures(3), tmp_path).computed == 3
    assert (eyes.seen, eyes.embedded) == (0, 3)


def test_the_middle_stands_in_where_no_face_was_found(tmp_path: Path) -> None:
    dark = png(7, corner=0)
    found = run(Eyes(), [Picture("dark", dark), Picture("p", png(1))], tmp_path)
    assert found.found.tolist() == [False, True]
    assert found.usable.all()
    assert found.failed == 1
    half = 0.36 * 120 / 2
    box = np.asarray([[60 - half, 60 - half, 60 + half, 60 + half]], np.float32)
    alignment = Eyes.embedder_card.alignment
    assert alignment is not None
    crop = align(images.decode(dark), None, box, alignment)[0]
    assert np.allclose(found.vectors[0], _vector(crop), atol=1e-6)


def test_a_picture_that_is_none_has_no_embedding_and_stops_nothing(tmp_path: Path) -> None:
    found = run(Eyes(), [Picture("bad", b"not a picture"), Picture("p", png(1))], tmp_path)
    assert found.usable.tolist() == found.found.tolist() == [False, True]
    assert not found.vectors[0].any()
    assert found.failed == 1


def test_of_several_faces_the_rule_decides(tmp_path: Path) -> None:
    large, central = (0.0, 0.0, 50.0, 50.0), (45.0, 45.0, 75.0, 75.0)
    both = run(Eyes(large, central), pictures(1), tmp_path)
    middle = run(Eyes(large, central), pictures(1), tmp_path, face="central")
    assert np.array_equal(both.vectors, run(Eyes(large), pictures(1), tmp_path / "l").vectors)
    assert np.array_equal(middle.vectors, run(Eyes(central), pictures(1), tmp_path / "c").vectors)


def test_one_detection_serves_both_rules(tmp_path: Path) -> None:
    large, central = (0.0, 0.0, 50.0, 50.0), (45.0, 45.0, 75.0, 75.0)
    eyes = Eyes(large, central)
    run(eyes, pictures(2), tmp_path)
    assert eyes.seen == 2
    middle = run(eyes, pictures(2), tmp_path, face="central")
    assert eyes.seen == 2
    assert np.array_equal(middle.vectors, run(Eyes(central), pictures(2), tmp_path / "c").vectors)


def test_aligned_crops_are_taken_as_they_are(tmp_path: Path) -> None:
    eyes, crop = Eyes(), png(3, size=(112, 112))
    found = run(eyes, [Picture("crop", crop)], tmp_path, aligned=True)
    assert np.array_equal(found.vectors[0], _vector(images.decode(crop)))
    assert eyes.seen == 0
    with pytest.raises(DatasetError, match=r"120 x 120 pixels.*takes crops of 112 x 112"):
        run(eyes, pictures(1), tmp_path, aligned=True)


def test_pictures_come_from_files_and_parts_of_files_too(tmp_path: Path) -> None:
    one, two = png(1), png(2)
    (tmp_path / "one.png").write_bytes(one)
    (tmp_path / "pack").write_bytes(b"head" + two)
    mixed = [
        Picture("one", tmp_path / "one.png"),
        Picture("two", FileSpan(tmp_path / "pack", 4, len(two))),
    ]
    plain = [Picture("one", one), Picture("two", two)]
    found = run(Eyes(), mixed, tmp_path / "a")
    assert np.array_equal(found.vectors, run(Eyes(), plain, tmp_path / "b").vectors)
    with pytest.raises(DatasetError, match=r"gone\.png"):
        run(Eyes(), [Picture("gone", tmp_path / "gone.png")], tmp_path / "a")


def test_options_that_cannot_be_meant(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="batch_size"):
        run(Eyes(), pictures(1), tmp_path, batch_size=0)
    with pytest.raises(UsageError, match="'largest' or 'central'"):
        run(Eyes(), pictures(1), tmp_path, face="nearest")


def test_a_changed_file_is_hashed_again_and_an_old_one_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"one")
    os.utime(file, ns=(10**18, 10**18))
    hashes = FileHashes(tmp_path / "h.sqlite")
    first = hashes.of([file])
    file.write_bytes(b"two")
    os.utime(file, ns=(10**18, 10**18))
    assert hashes.of([file]) == first  # same size and time: taken from memory
    os.utime(file, ns=(10**18 + 1, 10**18 + 1))
    assert hashes.of([file]) != first
    file.write_bytes(b"six")  # just now: not to be remembered
    now = hashes.of([file])
    stamp = file.stat().st_mtime_ns
    file.write_bytes(b"ten")
    os.utime(file, ns=(stamp, stamp))
    assert hashes.of([file]) != now
    hashes.close()


def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "rows.sqlite"
    path.write_bytes(b"no database at all" * 100)
    cache = RowCache(path, "k", 3)
    cache.put({b"h": np.arange(3, dtype=np.float32)})
    cache.close()
    again = RowCache(path, "k", 3)
    assert again.get([b"h", b"i"])[b"h"].tolist() == [0, 1, 2]
    again.close()
    for key, width in (("other", 3), ("k", 4)):  # another model; a row of another length
        other = RowCache(path, key, width)
        assert other.get([b"h"]) == {}
        other.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    newer = RowCache(path, "k", 3)
    assert newer.get([b"h"]) == {}
    newer.close()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DatasetError, match="FACEPRINT_HOME"):
        RowCache(tmp_path / "file" / "rows.sqlite", "k", 3)


def test_a_key_hangs_on_facts_and_not_on_their_order() -> None:
    assert cache_key({"a": 1, "b": 2}) == cache_key({"b": 2, "a": 1}) != cache_key({"a": 1, "b": 3})


def test_a_face_that_the_network_makes_nan_of_costs_itself_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Shortsighted(Eyes):
        def embed_crops(self, crops: np.ndarray) -> list[Embedding]:
            if any(crop.mean() < 60 for crop in crops):
                raise NotFiniteError("NaN")
            return super().embed_crops(crops)

    pictures = []
    for name, level in (("a", 90), ("dark", 40), ("c", 120)):
        Pillow.new("RGB", (120, 120), (level, level, level)).save(tmp_path / f"{name}.png")
        pictures.append(Picture(name, tmp_path / f"{name}.png"))
    found = embed_pictures(pictures, Shortsighted(), folder=tmp_path / "cache")
    assert found.usable.tolist() == [True, False, True]
    assert "NaN or infinity for dark" in caplog.text
