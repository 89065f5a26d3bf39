"""Mutators that know npz and Parquet tables."""

from __future__ import annotations

import functools
import io
import json
import struct
import tokenize
import zipfile
import zlib
from random import Random
from typing import Any

import numpy as np
from mutations import LIES, Mutator, put

__all__ = ["NPZ", "PARQUET"]

_UNREADABLE = (
    ValueError, OSError, EOFError, LookupError, RuntimeError, MemoryError, SyntaxError, TypeError,
    AttributeError, zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError,
)  # fmt: skip
"""What a table that is damaged already may answer to whoever damages it further."""

_Columns = dict[str, np.ndarray[Any, Any]]


def _odd_column(old: np.ndarray[Any, Any], rng: Random) -> np.ndarray[Any, Any]:
    n = len(old) if old.ndim else 1
    texts = np.array(["", "x" * 300, "a\0b", "\x1b[31m", "{", "NaN", "[1, 2]"])
    choices = (
        lambda: old[: rng.randrange(n + 1)] if old.ndim else old,
        lambda: np.concatenate([old, old]) if old.ndim else old,
        lambda: np.zeros(n, rng.choice(("<f4", "<i8", "<U3", "S5", "<c8", "?", "<M8[s]"))),
        lambda: np.full(n, rng.choice((np.nan, np.inf, -1.0, 1e300))),
        lambda: np.array([rng.choice(LIES) % 2**63 for _ in range(n)]),
        lambda: np.array([texts[rng.randrange(len(texts))] for _ in range(n)]),
        lambda: np.zeros((n, 3, 2), np.float32),
        lambda: np.zeros((0, 0), np.float32),
        lambda: np.array(5),
        lambda: np.full_like(old, 0),
        lambda: old.astype(">f8") if old.dtype.kind == "f" else old[::-1] if old.ndim else old,
        lambda: old.reshape(-1) if old.ndim else old,
    )
    return np.asarray(rng.choice(choices)())


def _small(data: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as box:
            return sum(item.file_size for item in box.infolist()) < 1 << 24
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile, struct.error):
        return False


def npz_column(data: bytes, rng: Random) -> bytes:
    """A column of another type, length or shape; one missing; one more."""
    if not _small(data):
        return data
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            columns: _Columns = {name: held[name] for name in held.files}
    except _UNREADABLE:
        return data
    # Elements of no bytes: a header can say that there are a thousand million of them.
    if not columns or any(column.size > 1 << 22 for column in columns.values()):
        return data
    name = rng.choice(sorted(columns))
    if rng.random() < 0.15:
        del columns[name]
    else:
        columns[name] = _odd_column(columns[name], rng)
    out = io.BytesIO()
    np.savez(out, **columns)
    return out.getvalue()


def npz_header(data: bytes, rng: Random) -> bytes:
    """A member whose own header says another type, order or shape, in a sound archive."""
    if not _small(data):
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as box:
            members = {item.filename: box.read(item) for item in box.infolist()}
    except _UNREADABLE:
        return data
    if not members:
        return data
    name = rng.choice(sorted(members))
    body = members[name]
    shape = rng.choice(
        (f"({10**9},)", f"({2**40}, 128)", "(-1,)", "()", "(3, 3)", "('a',)", "[" * 150)
    )
    kind = rng.choice(("<f4", "|O", "<U400000000", "<f8", "|V16", "nonsense", ">i2", "<U0"))
    order = rng.choice(("True", "False", "1"))
    head = f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}"
    if rng.random() < 0.3:
        head = rng.choice(("{", "__import__('os')", "", head + " " * 60_000))
    packed = head.encode()[:65_000]
    members[name] = b"\x93NUMPY\1\0" + struct.pack("<H", len(packed)) + packed + body[128:]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as box:
        for item, content in members.items():
            box.writestr(item, content)
    return out.getvalue()


@functools.cache
def _zeros(megabytes: int) -> tuple[bytes, int]:
    """So many zeros deflated, and their checksum."""
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = engine.compress(bytes(1 << 20)) + engine.flush(zlib.Z_FULL_FLUSH)
    crc = 0
    for _ in range(megabytes):
        crc = zlib.crc32(bytes(1 << 20), crc)
    return block * megabytes + engine.flush(zlib.Z_FINISH), crc


def npz_unfolding(data: bytes, rng: Random) -> bytes:
    """A column of two gigabytes of zeros, deflated to two megabytes, in front of the others."""
    name = rng.choice(("embedding", "source", "box", "head", "quality"))
    megabytes = 2048
    kind, shape = rng.choice(
        (("<f4", f"({megabytes << 11}, 128)"), ("<U64", f"({megabytes << 12},)"))
    )
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    start = b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head.encode()
    body, _ = _zeros(megabytes)
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = engine.compress(start) + engine.flush(zlib.Z_FULL_FLUSH) + body
    crc = _joined_crc(zlib.crc32(start), megabytes)
    full = len(start) + (megabytes << 20)
    entry = f"{name}.npy".encode()
    sizes = struct.pack("<IIIHH", crc, len(packed), full, len(entry), 0)
    local = b"PK\3\4" + struct.pack("<HHHHH", 20, 0, 8, 0, 33) + sizes + entry + packed
    central = b"PK\1\2" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 33) + sizes
    central += struct.pack("<HHHII", 0, 0, 0, 0, 0) + entry
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + end


@functools.cache
def _joined_crc(start: int, megabytes: int) -> int:
    for _ in range(megabytes):
        start = zlib.crc32(bytes(1 << 20), start)
    return start


# --- Parquet -------------------------------------------------------------------------------------


def parquet_tail(data: bytes, rng: Random) -> bytes:
    """Bytes of the footer, which says where everything lies and how long it is."""
    length = min(len(data), int.from_bytes(data[-8:-4], "little") + 8) if len(data) > 12 else 0
    for _ in range(rng.choice((1, 1, 2, 8))):
        if length:
            at = len(data) - 1 - rng.randrange(length)
            data = put(
                data, at, rng.choice((bytes([rng.randrange(256)]), b"\xff\xff\xff\x7f", b"\0"))
            )
    return data


def parquet_column(data: bytes, rng: Random) -> bytes:
    """A column of another type, of nulls, renamed or missing; other metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError, ValueError, NotImplementedError):
        return data
    if not table.num_columns:
        return data
    at, n = rng.randrange(table.num_columns), table.num_rows
    what = rng.randrange(5)
    try:
        name = table.schema.names[at]  # not UTF-8 in a file that is damaged already
        if what == 0:
            table = table.remove_column(at)
        elif what == 1:
            table = table.rename_columns(
                [*table.schema.names[:at], "x", *table.schema.names[at + 1 :]]
            )
        elif what == 2:
            head = rng.choice(
                (b"", b"{", b"[]", b'{"model": 5}', b'{"model": {"dim": 1e9}}', b"\xff")
            )
            table = table.replace_schema_metadata({b"faceprint": head})
        elif what == 3:
            table = table.set_column(at, name, pa.nulls(n, table.schema.types[at]))
        else:
            table = table.set_column(at, name, _arrow(pa, n, rng))
        out = io.BytesIO()
        pq.write_table(table, out, compression=rng.choice(("none", "zstd", "snappy", "gzip")))
    except (pa.ArrowException, ValueError, NotImplementedError):
        return data
    return out.getvalue()


def _arrow(pa: Any, n: int, rng: Random) -> Any:
    choices = (
        lambda: pa.array([rng.choice(LIES) % 2**63 for _ in range(n)]),
        lambda: pa.array([float("nan")] * n),
        lambda: pa.array([[] for _ in range(n)], pa.list_(pa.float32())),
        lambda: pa.array([[1.0] * rng.randrange(5) for _ in range(n)]),
        lambda: pa.array([[float("nan")] * 128 for _ in range(n)], pa.list_(pa.float32(), 128)),
        lambda: pa.array([json.dumps({"value": "x"})] * n),
        lambda: pa.array([{"a": 1}] * n),
        lambda: pa.array([b"\xff"] * n),
        lambda: pa.array([True] * n),
        lambda: pa.array([[[1.0]]] * n),
        lambda: pa.array(["9999-12-31"] * n).dictionary_encode(),
    )
    return rng.choice(choices)()


def parquet_unfolding(data: bytes, rng: Random) -> bytes:
    """One long text in fifty thousand rows, which the file holds once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError, ValueError, NotImplementedError):
        return data
    texts = [i for i, kind in enumerate(table.schema.types) if pa.types.is_string(kind)]
    if not texts or not table.num_rows:
        return data
    at, rows = rng.choice(texts), 50_000
    table = table.take(pa.array(np.zeros(rows, np.int64)))
    column = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array(["x" * 100_000]))
    table = table.set_column(at, table.schema.names[at], column)
    out = io.BytesIO()
    pq.write_table(table, out, store_schema=False, compression="zstd")
    return out.getvalue()


NPZ: tuple[Mutator, ...] = (*(npz_column,) * 12, *(npz_header,) * 6, npz_unfolding)
PARQUET: tuple[Mutator, ...] = (*(parquet_column,) * 10, *(parquet_tail,) * 6, parquet_unfolding)
