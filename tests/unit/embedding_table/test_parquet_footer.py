"""Numbers that are read from a Parquet file's footer without pyarrow, which can end the process."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from faceprint.embedding_table.parquet_footer import count_values
from faceprint.embedding_table.reader import read_table
from faceprint.errors import DatasetError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "t.parquet"
    vectors = pa.array(np.eye(40, 2).tolist(), pa.list_(pa.float32(), 2))
    quality = pa.array([{"value": 0.5, "blur": None}] * 40)
    columns = {"source": ["a"] * 40, "embedding": vectors, "quality": quality}
    pq.write_table(pa.table(columns), path, row_group_size=20)
    return path


def footer_of(path: Path) -> range:
    data = path.read_bytes()
    end = len(data) - 8
    return range(end - int.from_bytes(data[-8:-4], "little"), end)


def test_values_are_those_that_pyarrow_counts(table: Path) -> None:
    metadata = pq.read_metadata(table)
    groups = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
    expected = sum(group.column(at).num_values for group in groups for at in range(4))
    assert count_values(table) == expected == 40 * 5


def test_a_list_whose_length_lies_does_not_end_the_process(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    vectors = pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2))
    pq.write_table(pa.table({"source": ["a", "b"], "embedding": vectors}), path)
    sound = path.read_bytes()
    # One of them counts the definition levels of a column: of 2 levels, 3 counts.
    lists = [at for at in footer_of(path) if sound[at] == 0x26]
    assert lists
    for at in lists:
        path.write_bytes(sound[:at] + b"\x36" + sound[at + 1 :])
        with contextlib.suppress(DatasetError):
            read_table(path)


def test_a_damaged_footer_is_a_value_error_or_a_number(table: Path) -> None:
    sound = table.read_bytes()
    for at in footer_of(table)[::3]:
        for byte in (0x00, 0x0F, 0x19, 0x80, 0xFF, 0xFC):
            with table.open("r+b") as file:
                file.seek(at)
                file.write(bytes([byte]))
            with contextlib.suppress(ValueError):
                assert count_values(table) >= 0
        table.write_bytes(sound)


@pytest.mark.parametrize(
    ("footer", "says"),
    [
        (b"\x19" * 5000, "nested too deeply"),
        (b"\x1c" * 5000, "nested too deeply"),
        (b"\x19\xf9" + b"\xff" * 4, "ends too early"),
        (b"\x16" + b"\xff" * 12, "more than 64 bits"),
        (b"\x1d\x00", "unknown type 13"),
        (b"\x49\x1c\x19\x1c\x3c\x56\x01\x00\x00\x00\x00", "less than no values"),
        (b"", "ends too early"),
    ],
)
def test_what_is_wrong_with_a_footer_is_said(footer: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(ValueError, match=says):
        count_values(path)


@pytest.mark.parametrize("data", [b"", b"PAR1", bytes(range(64)), b"PAR1\xff\xff\xff\x7fPAR1"])
def test_a_file_that_is_not_parquet_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="no footer"):
        count_values(path)
