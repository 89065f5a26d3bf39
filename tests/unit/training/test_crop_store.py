"""The crop store on disk: what is kept, what an interruption leaves, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faceprint.errors import DatasetError
from faceprint.training.crop_store import SIZE, CropStore, StoredPhoto

MADE_BY = {"detector": "yunet", "embedder": "sface"}


def _photo(number: int) -> StoredPhoto:
    crop = np.full((SIZE, SIZE, 3), number, np.uint8)
    return StoredPhoto(bytes([number]) * 32, 1, crop=crop, vector=np.eye(4, dtype=np.float32)[0])


def _store(folder: Path) -> CropStore:
    return CropStore(folder, MADE_BY, 4)


def test_photographs_are_found_again_by_their_hash(tmp_path: Path) -> None:
    store = _store(tmp_path / "store")
    store.add([_photo(1), StoredPhoto(b"\2" * 32, 0, "no face"), _photo(3)])
    store.add([_photo(4)])
    again = _store(tmp_path / "store")
    assert again.count == store.count == 3
    assert [again.row(bytes([n]) * 32) for n in (1, 2, 3, 4)] == [0, None, 1, 2]
    assert again.reason(b"\2" * 32) == "no face"
    assert again.crops().shape == (3, SIZE, SIZE, 3)
    assert again.crops()[:, 0, 0, 0].tolist() == [1, 3, 4]
    assert again.vectors()[2].tolist() == [1, 0, 0, 0]
    assert b"\5" * 32 not in again


def test_what_an_interruption_left_is_cut_off(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    _store(folder).add([_photo(1)])
    with (folder / "crops.u8").open("ab") as file:
        file.write(b"half a crop")
    with (folder / "vectors.f32").open("ab") as file:
        file.write(b"\0" * 16)
    with (folder / "photos.jsonl").open("ab") as file:
        file.write(b'{"sha256": "02')
    store = _store(folder)
    assert store.count == 1
    store.add([_photo(2)])
    assert _store(folder).crops()[:, 0, 0, 0].tolist() == [1, 2]


def test_an_empty_store_has_no_rows(tmp_path: Path) -> None:
    store = _store(tmp_path)
    assert store.crops().shape == (0, SIZE, SIZE, 3)
    assert store.vectors().shape == (0, 4)


def test_a_store_of_other_models_is_refused(tmp_path: Path) -> None:
    _store(tmp_path)
    with pytest.raises(DatasetError, match=r"other settings \(detector\)"):
        CropStore(tmp_path, {**MADE_BY, "detector": "mtcnn"}, 4)


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DatasetError, match="neither empty nor a crop store"):
        _store(tmp_path)


@pytest.mark.parametrize("name", ["crops.u8", "vectors.f32"])
def test_missing_rows_are_refused(tmp_path: Path, name: str) -> None:
    _store(tmp_path).add([_photo(1)])
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DatasetError, match="shorter"):
        _store(tmp_path)


def test_a_damaged_line_is_refused(tmp_path: Path) -> None:
    _store(tmp_path).add([_photo(1)])
    (tmp_path / "photos.jsonl").write_text("[]\n")
    with pytest.raises(DatasetError, match="damaged"):
        _store(tmp_path)
