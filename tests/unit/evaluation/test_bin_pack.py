"""InsightFace's packs, by every protocol of both Pythons, and packs that mean harm."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceprint._plain_pickle import read_plain_pickle
from faceprint.errors import DatasetError
from faceprint.evaluation.bin_pack import PACK, open_bin

PICTURES = [b"\xff\xd8\xff\xe0" + bytes(range(256)) * 2 + b"\n'\\" + bytes([k]) for k in range(3)]
BINS = [PICTURES[0], PICTURES[1], PICTURES[0], PICTURES[2]]
LABELS = [True, False]


def check(path: Path) -> None:
    pack = open_bin(path)
    assert [p.source for p in pack.pictures] == PICTURES  # the repeated one is held once
    assert pack.left.tolist() == [0, 0]
    assert pack.right.tolist() == [1, 2]
    assert pack.mated.tolist() == LABELS
    assert pack.aligned
    assert pack.people[0] == pack.people[1] != pack.people[2]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pack_by_python_3(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "lfw.bin"
    path.write_bytes(pickle.dumps((BINS, LABELS), protocol=protocol))
    check(path)


def python_2(protocol: int) -> bytes:
    """What Python 2.7's pickle module writes for the same value, opcode by opcode."""
    binary = protocol > 0

    def string(value: bytes, memo: int) -> bytes:
        if not binary:
            text = "'" + "".join(f"\\x{b:02x}" if b > 126 or b < 32 or b in (39, 92) else chr(b)
                                 for b in value) + "'"  # fmt: skip
            return b"S" + text.encode("ascii") + b"\np%d\n" % memo
        head = (
            b"U" + bytes([len(value)]) if len(value) < 256 else b"T" + struct.pack("<i", len(value))
        )
        return head + value + b"q" + bytes([memo])

    def recall(memo: int) -> bytes:
        return b"h" + bytes([memo]) if binary else b"g%d\n" % memo

    strings = [string(PICTURES[0], 3), string(PICTURES[1], 4), recall(3), string(PICTURES[2], 5)]
    if protocol == 0:
        labels = b"".join((b"I01\n" if label else b"I00\n") + b"a" for label in LABELS)
        items = b"".join(s + b"a" for s in strings)
        return b"((lp2\n" + items + b"(lp6\n" + labels + b"tp1\n."
    flags = [b"I01\n" if label else b"I00\n" for label in LABELS]
    if protocol == 2:
        flags = [b"\x88" if label else b"\x89" for label in LABELS]
    lists = b"]q\x02(" + b"".join(strings) + b"e]q\x06(" + b"".join(flags) + b"e"
    return b"(" + lists + b"tq\x01." if protocol == 1 else b"\x80\x02" + lists + b"\x86q\x01."


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_a_pack_by_python_2(tmp_path: Path, protocol: int) -> None:
    data = python_2(protocol)
    # The fixture is a true one: the standard library reads it as Python 2 meant it.
    assert pickle.loads(data, encoding="bytes") == (BINS, LABELS)
    path = tmp_path / "lfw.bin"
    path.write_bytes(data)
    check(path)


plain = st.recursive(
    st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.binary(min_size=1, max_size=300)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=6) | st.lists(inner, max_size=6).map(tuple),
    max_leaves=30,
)


@given(plain, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_values_are_read_as_the_standard_library_reads_them(
    value: object, protocol: int
) -> None:
    data = pickle.dumps(value, protocol=protocol)
    read = read_plain_pickle(data, "x", PACK)
    assert read == value
    assert repr(read) == repr(pickle.loads(data))  # True and 1 are told apart


@given(st.binary(max_size=200))
def test_noise_is_an_error_with_a_name(data: bytes) -> None:
    try:
        read_plain_pickle(data, "x.bin", PACK)
    except DatasetError as error:
        assert "x.bin" in str(error)


@given(st.integers(0, 2000), st.integers(0, 255), st.integers(0, 5))
def test_damage_is_an_error_or_a_plain_value(at: int, byte: int, protocol: int) -> None:
    data = bytearray(pickle.dumps((BINS, LABELS), protocol=protocol))
    data[at % len(data)] = byte
    try:
        read_plain_pickle(bytes(data), "x.bin", PACK)
    except DatasetError as error:
        assert "x.bin" in str(error)


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {Hostile.target}",)

    target = ""


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_call_to_the_system_is_refused_and_not_made(tmp_path: Path, protocol: int) -> None:
    Hostile.target = str(tmp_path / "touched")
    path = tmp_path / "bad.bin"
    path.write_bytes(pickle.dumps(([*BINS[:3], Hostile()], LABELS), protocol=protocol))
    with pytest.raises(DatasetError, match=r"carries a call to (posix|nt)\.system"):
        open_bin(path)
    assert not Path(Hostile.target).exists()
    pickle.loads(path.read_bytes())  # the file is as bad as it claims
    assert Path(Hostile.target).exists()


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"(S'true'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'true'\no.",  # OBJ
        b"\x80\x02cos\nsystem\nq\x00.",
        b"c_codecs\nencode\n(V~\nVrot13\ntR.",
        b"c_codecs\ndecode\n(V~\nVlatin1\ntR.",
        b"c__builtin__\neval\n(S'1'\ntR.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"Pid\n.",
        b"\x80\x02\x82\x01.",  # EXT1
        b"}.",
        b"N.",
    ],
)
def test_nothing_but_plain_values(data: bytes) -> None:
    with pytest.raises(DatasetError, match="refused"):
        read_plain_pickle(data, "x.bin", PACK)


@pytest.mark.parametrize("put", [b"r" + struct.pack("<I", 2**32 - 1), b"p4294967295\n"])
def test_a_memo_index_allocates_nothing(put: bytes) -> None:
    """CPython 3.11's unpickler would fill an array of twice as many pointers."""
    with pytest.raises(DatasetError, match="memo index 4294967295; refused"):
        read_plain_pickle(b"\x80\x02]" + put + b".", "x.bin", PACK)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([1, 2, 3], "got list"),
        (([b"a"], 5), "got list and int"),
        (([b"a", b"b", b"c"], [True]), "3 pictures and 1 labels"),
        (([], []), "0 pictures and 0 labels"),
        (([b"a", "b"], [True]), "picture 1 is not an encoded picture"),
        (([b"a", b"b"], [7]), "label 0 is 7"),
    ],
)
def test_packs_of_another_shape(tmp_path: Path, value: object, told: str) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(pickle.dumps(value, protocol=4))
    with pytest.raises(DatasetError, match=told):
        open_bin(path)


def test_cut_off_missing_or_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(pickle.dumps((BINS, LABELS))[:-100])
    with pytest.raises(DatasetError, match="cut off"):
        open_bin(path)
    # A length that the file does not hold allocates nothing.
    with pytest.raises(DatasetError, match="cut off"):
        read_plain_pickle(b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"abc.", "x.bin", PACK)
    with pytest.raises(DatasetError, match="No such file"):
        open_bin(tmp_path / "none.bin")
    monkeypatch.setattr("faceprint.evaluation.bin_pack.MAX_FILE_BYTES", 10)
    with pytest.raises(DatasetError, match="at most 10 are read"):
        open_bin(path)


def test_twelve_thousand_pictures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    bins = [rng.bytes(200) for _ in range(12_000)]
    path = tmp_path / "big.bin"
    path.write_bytes(pickle.dumps((bins, [True] * 6000), protocol=2))
    assert len(open_bin(path)) == 6000
