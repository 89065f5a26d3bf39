"""Tables that unfold to more than their file can honestly hold, or lie in their headers."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from mutations_tables import npz_unfolding, parquet_unfolding

from faceprint.embedding_table.npz import read_npz
from faceprint.embedding_table.reader import read_groups, read_metadata, read_table
from faceprint.errors import DatasetError

VECTORS = np.eye(3, 128, dtype=np.float32)


def refuse(path: Path, says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        list(read_groups(path))
    with pytest.raises(DatasetError, match=says):
        read_table(path)


def test_columns_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    np.savez_compressed(path, embedding=VECTORS, source=np.array(["a", "b", "c"]), other=np.ones(9))
    found = read_npz(path, ("embedding", "source", "face"))
    assert sorted(found) == ["embedding", "source"]
    np.testing.assert_array_equal(found["embedding"], VECTORS)
    assert found["source"].tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["source", "face", "error", "box", "score", "quality"])
@pytest.mark.parametrize("column", [np.array(5), np.ones((3, 2, 3)), np.ones(2)])
def test_a_column_of_another_shape_is_refused(
    name: str, column: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "t.npz"
    names = np.array(["a", "b", "c"])
    np.savez(path, **({"embedding": VECTORS, "source": names} | {name: column}))
    with pytest.raises(DatasetError, match=r"t\.npz"):
        read_table(path)


@pytest.mark.parametrize("name", ["source", "face", "error"])
def test_rows_of_numbers_where_a_value_belongs_are_refused(name: str, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    columns = {"source": ["a", "b", "c"], "embedding": VECTORS.tolist(), name: [[1.0]] * 3}
    pq.write_table(pa.table(columns), path)
    with pytest.raises(DatasetError, match=f"{name} is not one value per row"):
        read_table(path)


def test_two_megabytes_do_not_become_two_gigabytes(tmp_path: Path) -> None:
    from random import Random

    path = tmp_path / "t.npz"
    path.write_bytes(npz_unfolding(b"", Random(3)))
    assert path.stat().st_size < 4 << 20
    with pytest.raises(ValueError, match=r"its columns take 2,147,483,\d{3} bytes"):
        read_npz(path)


def npy(header: bytes, body: bytes = b"") -> bytes:
    """A column as the format describes it: magic, version 1.0, length of the header, header."""
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + body


@pytest.mark.parametrize(
    "header",
    [
        b"{",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (",
        b"[" * 150,
        b"{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 128), }",
        b"{'descr': 'nonsense', 'fortran_order': False, 'shape': (3,), }",
        b"__import__('os')",
    ],
)
def test_a_column_whose_header_lies_is_damage(header: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("embedding", "source", "head", "face"):
            archive.writestr(f"{name}.npy", npy(header, bytes(48)))
    assert read_metadata(path) is None
    refuse(path, r"t\.npz")


def test_a_column_whose_compressed_bytes_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    out = io.BytesIO()
    np.savez_compressed(
        out, embedding=VECTORS, source=np.array(["a", "b", "c"]), head=np.array("{}")
    )
    data = bytearray(out.getvalue())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for item in archive.infolist():
            # Past the local header; a deflate block of type 3 does not exist (RFC 1951, 3.2.3).
            data[item.header_offset + 30 + len(item.filename) + 20] = 0xFF
    path.write_bytes(data)
    with pytest.raises((zipfile.BadZipFile, zlib.error)), np.load(path) as columns:
        columns["embedding"]
    with pytest.raises(ValueError):
        read_npz(path)
    refuse(path, r"t\.npz")


@pytest.mark.parametrize("column", ["source", "embedder", "error"])
def test_one_long_text_in_fifty_thousand_rows_is_refused(column: str, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    rows = 50_000
    text = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array(["x" * 100_000]))
    plain = {"source": pa.array(["a"] * rows), "embedder": pa.array(["m"] * rows)}
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(rows * 2, np.float32)), 2)
    columns = plain | {"embedding": vectors, column: text}
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(columns), path, store_schema=False, compression="zstd")
    assert path.stat().st_size < 1 << 20
    with pytest.raises(DatasetError, match="more text than a table of its size holds"):
        read_table(path)


def test_a_run_of_one_number_does_not_become_gigabytes(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    width, rows = 100_000, 200
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(width * rows, np.float32)), width)
    schema = pa.schema([("embedding", vectors.type), ("source", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for _ in range(8):
            writer.write_table(pa.table([vectors, ["a"] * rows], schema=schema))
    assert path.stat().st_size < 1 << 20
    refuse(path, r"it holds 160,001,600 values")


def test_the_mutator_for_parquet_makes_what_is_refused(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    from random import Random

    out = io.BytesIO()
    pq.write_table(pa.table({"source": ["a"], "embedding": [[1.0, 2.0]]}), out)
    path = tmp_path / "t.parquet"
    path.write_bytes(parquet_unfolding(out.getvalue(), Random(1)))
    with pytest.raises(DatasetError, match="more text"):
        read_table(path)


def test_any_program_may_write_a_quality(tmp_path: Path) -> None:
    """A value alone, JSON, or a struct that lacks fields; a face without box has box 0."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    nan = np.nan
    for quality, expected in (
        ([0.5, None, 0.25], [[nan, nan, nan, 0.5], [nan] * 4, [nan, nan, nan, 0.25]]),
        (
            ["0.5", '{"size": 40, "yaw": null}', "[1, 2, 3, 4]"],
            [[nan, nan, nan, 0.5], [40, nan, nan, nan], [1, 2, 3, 4]],
        ),
        (
            [{"value": 0.5}, None, {"value": None}],
            [[nan, nan, nan, 0.5], [nan] * 4, [nan] * 4],
        ),
    ):
        path = tmp_path / "t.parquet"
        columns = {"source": ["a", "b", "c"], "embedding": VECTORS.tolist(), "quality": quality}
        pq.write_table(pa.table(columns), path)
        table = read_table(path)
        np.testing.assert_array_equal(table.quality, np.float32(expected))
        np.testing.assert_array_equal(table.boxes, np.zeros((3, 4)))
        np.testing.assert_array_equal(table.scores, np.zeros(3))


def test_a_face_without_embedding_or_number_is_no_face(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    vectors = [None, *VECTORS[1:].tolist()]
    columns = {
        "source": ["a", "b", "c"],
        "face": [0.0, nan := float("nan"), 1.0],
        "error": pa.array([nan] * 3, pa.float64(), from_pandas=False),
    }
    pq.write_table(pa.table(columns | {"embedding": vectors}), path)
    table = read_table(path)
    assert table.sources == ("c",)
    assert table.failed == ()
    (group,) = read_groups(path)
    assert group["face"].tolist() == [-1, -1, 1]
    assert group["duplicate_of"].tolist() == [None] * 3


def test_numbers_that_are_none_read_as_unknown(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    nan, inf = np.nan, np.inf
    np.savez(
        path,
        source=np.asarray(["a", "b", "c"]),
        embedding=VECTORS,
        box=np.asarray([[nan] * 4, [0, -inf, inf, 9], [1, 2, 3, 4]]),
        score=np.asarray([nan, inf, 0.5]),
        quality=np.asarray([inf, nan, 0.5]),
    )
    table = read_table(path)
    assert table.boxes.tolist() == [[0] * 4, [0, 0, 0, 9], [1, 2, 3, 4]]
    assert table.scores.tolist() == [0, 0, 0.5]
    np.testing.assert_array_equal(table.quality[:, 3], [nan, nan, 0.5])
