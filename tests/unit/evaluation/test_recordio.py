"""RecordIO packs: of a writer of our own, and of MXNet itself where it is installed."""

from __future__ import annotations

import os
import struct
import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from faceprint.errors import DatasetError
from faceprint.evaluation.recordio import RecordFile, open_record_pack

# Read here since tests see no FACEPRINT_ variable: an interpreter that has MXNet 1.9.1.
MXNET = os.environ.get("FACEPRINT_MXNET_PYTHON", "")
MAGIC = struct.pack("<I", 0xCED7230A)


def frame(content: bytes) -> bytes:
    """One record as dmlc-core writes it: cut where the magic number stands at a multiple of 4."""
    cuts = [k for k in range(0, len(content) // 4 * 4, 4) if content[k : k + 4] == MAGIC]
    starts, ends = [0, *(k + 4 for k in cuts)], [*cuts, len(content)]
    out = b""
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        flag = 0 if not cuts else 1 if i == 0 else 3 if i == len(cuts) else 2
        out += MAGIC + struct.pack("<I", flag << 29 | (end - start)) + content[start:end]
        out += b"\0" * (-(end - start) % 4)
    return out


def content(data: bytes, *labels: float, flag: int | None = None, number: int = 0) -> bytes:
    flag = len(labels) if flag is None else flag
    one = labels[0] if flag == 0 else 0.0
    head = struct.pack("<IfQQ", flag, one, number, 0)
    return head + (struct.pack(f"<{flag}f", *labels) if flag else b"") + data


def write(folder: Path, records: dict[int, bytes], people: int) -> Path:
    folder.mkdir(exist_ok=True)
    offsets, body = {}, b""
    for key, value in records.items():
        offsets[key] = len(body)
        body += frame(value)
    (folder / "train.rec").write_bytes(body)
    (folder / "train.idx").write_text("".join(f"{k}\t{at}\n" for k, at in offsets.items()))
    (folder / "property").write_text(f"{people},112,112")
    return folder


def faces(folder: Path) -> Path:
    """Three people with 2, 1 and 3 pictures, laid out as faces_ms1m_112x112 is."""
    records = {0: content(b"", 7.0, 10.0)}
    owners = [0, 0, 1, 2, 2, 2]
    for key, owner in enumerate(owners, start=1):
        records[key] = content(b"picture %d" % key, float(owner), 0.0, number=key)
    for person, (start, end) in enumerate([(1, 3), (3, 4), (4, 7)]):
        records[7 + person] = content(b"", float(start), float(end))
    return write(folder, records, 3)


def test_a_pack_of_faces(tmp_path: Path) -> None:
    pack = open_record_pack(faces(tmp_path / "faces"))
    assert pack.aligned
    assert pack.names == ("0", "1", "2")
    assert pack.subjects.tolist() == [0, 0, 1, 2, 2, 2]
    assert [p.read() for p, _ in pack] == [b"picture %d" % k for k in range(1, 7)]
    assert [p.name for p in pack.pictures[4:]] == ["train-5", "train-6"]


def test_a_plain_pack_without_an_index(tmp_path: Path) -> None:
    body = b"".join(frame(content(b"x" * k, float(k % 2), flag=0)) for k in range(5))
    (tmp_path / "mine.rec").write_bytes(body)
    pack = open_record_pack(tmp_path / "mine.rec")
    assert pack.subjects.tolist() == [0, 1, 0, 1, 0]
    assert [len(p.read()) for p, _ in pack] == [0, 1, 2, 3, 4]


@given(st.lists(st.sampled_from([MAGIC, b"a", b"bc", b"defg", MAGIC[:2]]), max_size=12))
def test_the_magic_number_inside_the_data(parts: list[bytes]) -> None:
    from tempfile import TemporaryDirectory

    data = b"".join(parts)
    with TemporaryDirectory() as folder:
        rec = Path(folder) / "x.rec"
        rec.write_bytes(frame(content(data, 4.0, flag=0)) + frame(content(b"next", 5.0, flag=0)))
        records = RecordFile.open(rec)
        assert len(records) == 2
        assert records.read(0).data == data
        assert records.read(1).data == b"next"


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda rec, idx: rec.write_bytes(rec.read_bytes()[:-90]), "may be cut off"),
        (
            lambda rec, idx: (idx.unlink(), rec.write_bytes(b"PK\3\4" * 9)),
            "no record starts at byte 0",
        ),
        (lambda rec, idx: idx.write_text("0\t0\n1 x\n"), "train.idx, line 2"),
        (lambda rec, idx: idx.write_text("0\t4\n"), "no record starts at byte 4"),
        (lambda rec, idx: idx.write_text("0\t0\n"), "names 3 people among 1 records"),
        (
            lambda rec, idx: rec.write_bytes(MAGIC + struct.pack("<I", 1 << 28) + b"x" * 900),
            "claims",
        ),
        (lambda rec, idx: (rec.parent / "property").write_text("2,112,112"), "2 people; train.rec"),
        (lambda rec, idx: (rec.parent / "property").write_text("many"), "property, line 1"),
    ],
)
def test_damage_is_named(tmp_path: Path, damage: object, told: str) -> None:
    folder = faces(tmp_path / "faces")
    damage(folder / "train.rec", folder / "train.idx")  # type: ignore[operator]
    with pytest.raises(DatasetError, match=told):
        open_record_pack(folder)


def test_records_that_do_not_hold_together(tmp_path: Path) -> None:
    rec = tmp_path / "x.rec"
    bad = {
        "ends inside the record": frame(content(b"x" * 40, 1.0, flag=0))[:50],
        "parts out of order": MAGIC + struct.pack("<I", 1 << 29 | 4) + b"abcd" + frame(b"y" * 30),
        "too short for its header": frame(b"abc"),
        "labels do not fit": frame(struct.pack("<IfQQ", 99, 0, 0, 0)),
    }
    for told, body in bad.items():
        rec.write_bytes(body)
        with pytest.raises(DatasetError, match=told):
            RecordFile(rec, np.asarray([0]), np.asarray([0])).read(0)
    with pytest.raises(DatasetError, match="there is no record 5"):
        RecordFile(rec, np.asarray([0]), np.asarray([0])).read(5)
    with pytest.raises(DatasetError, match="no such file"):
        open_record_pack(tmp_path / "none")
    (tmp_path / "y.rec").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"holds 2 \.rec files"):
        open_record_pack(tmp_path)
    with pytest.raises(DatasetError, match="holds no record"):
        open_record_pack(tmp_path / "y.rec")


WRITER = """
import sys
import mxnet as mx
import numpy as np

folder = sys.argv[1]
header = mx.recordio.IRHeader
io = mx.recordio.MXIndexedRecordIO(folder + "/train.idx", folder + "/train.rec", "w")
io.write_idx(0, mx.recordio.pack(header(2, np.float32([7, 9]), 0, 0), b""))
for k in range(6):
    with open(folder + "/%d.png" % k, "rb") as file:
        label = header(2, np.float32([k // 4, 0]), k + 1, 0)
        io.write_idx(k + 1, mx.recordio.pack(label, file.read()))
io.write_idx(7, mx.recordio.pack(header(2, np.float32([1, 5]), 7, 0), b""))
io.write_idx(8, mx.recordio.pack(header(2, np.float32([5, 7]), 8, 0), b""))
io.close()
io = mx.recordio.MXIndexedRecordIO(folder + "/train.idx", folder + "/train.rec", "r")
decoded = [mx.image.imdecode(mx.recordio.unpack(io.read_idx(k + 1))[1]) for k in range(6)]
np.save(folder + "/decoded.npy", np.stack([picture.asnumpy() for picture in decoded]))
magic = b"\\x0a\\x23\\xd7\\xce"
io = mx.recordio.MXRecordIO(folder + "/parts.rec", "w")
for data in (magic * 3 + b"abc", b"a" + magic, b"abcd" + magic + b"efgh" + magic, magic):
    io.write(mx.recordio.pack(header(0, 3.0, 1, 0), data))
io.close()
"""


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.skipif(
    not MXNET, reason="FACEPRINT_MXNET_PYTHON names no interpreter with MXNet 1.9.1"
)
def test_a_pack_by_mxnet_itself_is_read_pixel_for_pixel(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 112, 112, 3), dtype=np.uint8)
    for k in range(6):
        Image.fromarray(pixels[k]).save(tmp_path / f"{k}.png")
    (tmp_path / "property").write_text("2,112,112")
    subprocess.run([MXNET, "-c", WRITER, str(tmp_path)], check=True, timeout=300)
    pack = open_record_pack(tmp_path / "train.rec")
    assert pack.subjects.tolist() == [0, 0, 0, 0, 1, 1]
    found = [np.asarray(Image.open(BytesIO(picture.read()))) for picture, _ in pack]
    np.testing.assert_array_equal(found, pixels)
    np.testing.assert_array_equal(found, np.load(tmp_path / "decoded.npy"))
    parts = RecordFile.open(tmp_path / "parts.rec")
    assert [parts.read(k).data for k in range(4)] == [
        MAGIC * 3 + b"abc",
        b"a" + MAGIC,
        b"abcd" + MAGIC + b"efgh" + MAGIC,
        MAGIC,
    ]
    # Our own writer, which the other tests rest on, makes the same bytes.
    ours = [MAGIC * 3 + b"abc", b"a" + MAGIC, b"abcd" + MAGIC + b"efgh" + MAGIC, MAGIC]
    written = b"".join(frame(content(data, 3.0, flag=0, number=1)) for data in ours)
    assert (tmp_path / "parts.rec").read_bytes() == written
