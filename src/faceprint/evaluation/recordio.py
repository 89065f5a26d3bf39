"""MXNet's RecordIO packs (`train.rec` with `train.idx` and `property`), without MXNet.

A record: the magic number, three bits for its part and 29 for its length, the data, padding to
four bytes (dmlc-core's recordio.h). Where the data holds the magic number at a multiple of four, it
is cut there into several parts and the number left out. Data: a header of flag, label, id and id2,
then `flag` more labels, then an encoded picture (mxnet.recordio.IRHeader). In packs of faces record
0, with flag 2, holds the range of further index records, one for each person, of which each holds
the range of that person's pictures.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, overload

import numpy as np
from numpy.typing import NDArray

from faceprint.errors import DatasetError
from faceprint.evaluation.datasets import LabeledSet, Picture

__all__ = ["Record", "RecordFile", "RecordPictures", "open_record_pack"]

_MAGIC = 0xCED7230A
_MAGIC_BYTES = struct.pack("<I", _MAGIC)
_HEADER = struct.Struct("<IfQQ")
_MAX_RECORD = 64 << 20


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its labels (one, or `flag` of them), id and content."""

    flag: int
    labels: tuple[float, ...]
    id: int
    data: bytes


@dataclass(frozen=True, slots=True, eq=False)
class RecordFile:
    """A .rec file with the places of its records.

    Attributes:
        keys: (n,) int64 rising, as in the .idx file, or 0, 1, ... without one.
        offsets: (n,) int64 byte offset of each.
    """

    path: Path
    keys: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @classmethod
    def open(cls, rec: Path) -> RecordFile:
        """Open with the .idx file of the same name, or by scanning the records.

        Raises:
            DatasetError: a file that cannot be read, or is not such a file.
        """
        index = rec.with_suffix(".idx")
        try:
            if not index.is_file():
                with rec.open("rb") as file:
                    starts = np.fromiter(_walk(file, rec), np.int64)
                return cls(rec, np.arange(len(starts)), starts)
            keys, offsets = _read_index(index, rec.stat().st_size)
        except OSError as error:
            raise DatasetError(f"{rec}: {error.strerror or error}") from error
        order = np.argsort(keys, kind="stable")
        return cls(rec, keys[order], offsets[order])

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, key: int, file: BinaryIO | None = None) -> Record:
        """The record of that key.

        Raises:
            DatasetError: no such key, or a record that is cut off or malformed.
        """
        place = int(np.searchsorted(self.keys, key))
        if place == len(self.keys) or self.keys[place] != key:
            raise DatasetError(f"{self.path}: there is no record {key}")
        if file is None:
            with self.path.open("rb") as opened:
                return self.read(key, opened)
        offset = int(self.offsets[place])
        file.seek(offset)
        return _unpack(_content(file, self.path), f"{self.path}, byte {offset}")


def _read_index(index: Path, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    keys: list[int] = []
    offsets: list[int] = []
    with index.open(encoding="ascii", errors="replace") as lines:
        for k, line in enumerate(lines):
            words = line.split()
            if not words:
                continue
            if len(words) != 2 or not all(word.isdecimal() and len(word) < 19 for word in words):
                raise DatasetError(f"{index}, line {k + 1}: expected a key and an offset")
            if int(words[1]) >= size:
                raise DatasetError(
                    f"{index}, line {k + 1}: offset {words[1]} lies behind the end of the .rec "
                    f"file ({size:,} bytes); the download may be cut off"
                )
            keys.append(int(words[0]))
            offsets.append(int(words[1]))
    return np.asarray(keys, np.int64), np.asarray(offsets, np.int64)


def _part_head(file: BinaryIO, path: Path) -> tuple[int, int] | None:
    at = file.tell()
    head = file.read(8)
    if not head:
        return None
    if len(head) < 8:
        raise DatasetError(f"{path}: is cut off at byte {at}")
    magic, word = struct.unpack("<II", head)
    if magic != _MAGIC:
        raise DatasetError(
            f"{path}: no record starts at byte {at}; not a RecordIO file, or damaged"
        )
    length = word & ((1 << 29) - 1)
    if length > _MAX_RECORD:
        raise DatasetError(f"{path}: the record at byte {at} claims {length:,} bytes; refused")
    return word >> 29, length


def _walk(file: BinaryIO, path: Path) -> Iterator[int]:
    while True:
        start = file.tell()
        head = _part_head(file, path)
        if head is None:
            return
        if head[0] in (0, 1):
            yield start
        file.seek(head[1] + -head[1] % 4, 1)


def _content(file: BinaryIO, path: Path) -> bytes:
    start, total = file.tell(), 0
    parts: list[bytes] = []
    while True:
        head = _part_head(file, path)
        if head is None:
            raise DatasetError(f"{path}: ends inside the record at byte {start}")
        part, length = head
        # 0 is a whole record; 1, 2 and 3 are the first, a middle and the last part of one.
        if (part in (0, 1)) != (not parts) or part > 3:
            raise DatasetError(f"{path}: the record at byte {start} has its parts out of order")
        data = file.read(length)
        if len(data) != length:
            raise DatasetError(f"{path}: ends inside the record at byte {start}")
        file.seek(-length % 4, 1)
        total += length
        if total > _MAX_RECORD:
            raise DatasetError(f"{path}: the record at byte {start} is too large; refused")
        parts.append(data)
        if part in (0, 3):
            return _MAGIC_BYTES.join(parts)


def _unpack(content: bytes, where: str) -> Record:
    if len(content) < _HEADER.size:
        raise DatasetError(f"{where}: a record too short for its header")
    flag, label, number, _ = _HEADER.unpack_from(content)
    if flag == 0:
        return Record(0, (label,), number, content[_HEADER.size :])
    if _HEADER.size + 4 * flag > len(content):
        raise DatasetError(f"{where}: {flag} labels do not fit the record")
    labels = struct.unpack_from(f"<{flag}f", content, _HEADER.size)
    return Record(flag, labels, number, content[_HEADER.size + 4 * flag :])


@dataclass(frozen=True, slots=True, eq=False)
class RecordPictures(Sequence[Picture]):
    """Pictures of a pack, each read when it is used; only keys and offsets are held."""

    file: RecordFile
    keys: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.keys)

    def name(self, i: int) -> str:
        """The name of one picture, which is not read."""
        return f"{self.file.path.stem}-{int(self.keys[i])}"

    @overload
    def __getitem__(self, i: int) -> Picture: ...
    @overload
    def __getitem__(self, i: slice) -> RecordPictures: ...
    def __getitem__(self, i: int | slice) -> Picture | RecordPictures:
        """One picture with its bytes, or a part of the pack."""
        if isinstance(i, slice):
            return RecordPictures(self.file, self.keys[i])
        return Picture(self.name(i), self.file.read(int(self.keys[i])).data)


def open_record_pack(source: Path, *, aligned: bool = True) -> LabeledSet:
    """A pack of labeled faces, as `faces_ms1m_112x112`.

    Args:
        source: the .rec file, or a folder with `train.rec` or one .rec file.

    Raises:
        DatasetError: not such a pack; the message names the file and the byte or line.
    """
    rec = _rec_of(source)
    records = RecordFile.open(rec)
    if not len(records):
        raise DatasetError(f"{rec}: holds no record")
    with rec.open("rb") as file:
        first = records.read(int(records.keys[0]), file)
        if first.flag == 2 and not first.data:
            keys, subjects = _ranges(records, first, file)
        else:
            keys = records.keys
            subjects = np.asarray([int(records.read(int(key), file).labels[0]) for key in keys])
    numbers, subjects = np.unique(subjects, return_inverse=True)
    _check_property(rec, len(numbers))
    names = tuple(str(number) for number in numbers.tolist())
    pictures = RecordPictures(records, keys)
    return LabeledSet(rec.parent.name or rec.stem, pictures, subjects, names, aligned)


def _ranges(
    records: RecordFile, first: Record, file: BinaryIO
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    people = range(int(first.labels[0]), int(first.labels[1]))
    if not 0 < len(people) <= len(records):
        raise DatasetError(
            f"{records.path}: record 0 names {len(people)} people among {len(records)} records"
        )
    keys: list[NDArray[np.int64]] = []
    counts: list[int] = []
    for key in people:
        entry = records.read(key, file)
        if entry.flag < 2:
            raise DatasetError(f"{records.path}: record {key} should hold a person's range")
        start, end = int(entry.labels[0]), int(entry.labels[1])
        if not 0 <= start <= end or end > people.start:
            raise DatasetError(f"{records.path}: record {key} holds the range {start} to {end}")
        keys.append(np.arange(start, end))
        counts.append(end - start)
    return np.concatenate(keys), np.repeat(np.arange(len(people)), counts)


def _rec_of(source: Path) -> Path:
    if source.is_dir():
        found = sorted(source.glob("*.rec"))
        named = [path for path in found if path.name == "train.rec"] or found
        if len(named) != 1:
            raise DatasetError(f"{source} holds {len(found)} .rec files; name one of them")
        return named[0]
    if not source.is_file():
        raise DatasetError(f"{source}: there is no such file or folder")
    return source


def _check_property(rec: Path, people: int) -> None:
    path = rec.parent / "property"
    if not path.is_file():
        return
    words = path.read_text(encoding="ascii", errors="replace").strip().split(",")
    if len(words) != 3 or not all(word.strip().isdecimal() and len(word) < 19 for word in words):
        raise DatasetError(f"{path}, line 1: expected people,height,width, got {words!r:.80}")
    if int(words[0]) < people:
        raise DatasetError(f"{path}, line 1: {words[0]} people; {rec.name} holds {people}")
