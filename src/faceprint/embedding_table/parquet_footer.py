"""How many values a Parquet file says that it holds.

pyarrow ends the process, instead of raising, when a column's part of a damaged footer is asked for.
So the numbers are taken from the footer itself: a struct in Thrift's compact protocol
(https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md) whose fields
parquet.thrift names.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["count_values"]

_BINARY, _LIST, _SET, _MAP, _STRUCT = 8, 9, 10, 11, 12
_FIXED = {3: 1, 7: 8}  # a byte; a double
_VARINTS = (4, 5, 6)
_TRUE, _FALSE = 1, 2
_NUM_VALUES = (4, 1, 3, 5)  # FileMetaData.row_groups, .columns, .meta_data, .num_values


def count_values(path: Path) -> int:
    """Add up `num_values` of all column chunks.

    Raises:
        ValueError: not a Parquet file, or its footer can't be read.
        OSError: not readable.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != b"PAR1" or length > size - 8:
            raise ValueError("it has no footer of Parquet")
        file.seek(size - 8 - length)
        footer = _Footer(file.read(length))
    try:
        footer.skip(_STRUCT, ())
    except IndexError:
        raise ValueError("its footer ends too early") from None
    except RecursionError:
        raise ValueError("its footer is nested too deeply") from None
    return footer.values


class _Footer:
    """Walks over the whole footer and adds up the values on its way."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self.values = 0

    def skip(self, kind: int, fields: tuple[int, ...]) -> None:
        """Pass over one value; `fields` are the ids of the fields that lead to it."""
        if kind == _STRUCT:
            self._skip_struct(fields)
        elif kind in _VARINTS:
            number = self._varint()
            if fields == _NUM_VALUES:
                if number & 1:
                    raise ValueError("a column says that it holds less than no values")
                self.values += number >> 1
        elif kind == _BINARY:
            length = self._varint()
            self._at += length
        elif kind in (_LIST, _SET):
            head = self._byte()
            for _ in range(self._varint() if head >> 4 == 15 else head >> 4):
                self._skip_element(head & 15, fields)
        elif kind == _MAP:
            count = self._varint()
            kinds = self._byte() if count else 0
            for _ in range(count):
                self._skip_element(kinds >> 4, fields)
                self._skip_element(kinds & 15, fields)
        elif kind in _FIXED:
            self._at += _FIXED[kind]
        elif kind not in (_TRUE, _FALSE):
            raise ValueError(f"its footer holds a value of the unknown type {kind}")

    def _skip_element(self, kind: int, fields: tuple[int, ...]) -> None:
        if kind in (_TRUE, _FALSE):  # in a field its type is its value; here it has a byte
            self._byte()
        else:
            self.skip(kind, fields)

    def _skip_struct(self, fields: tuple[int, ...]) -> None:
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else _zigzag(self._varint())
            self.skip(head & 15, (*fields, field))

    def _byte(self) -> int:
        byte = self._data[self._at]
        self._at += 1
        return byte

    def _varint(self) -> int:
        number = shift = 0
        while True:
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7
            if shift > 63:
                raise ValueError("its footer holds a number of more than 64 bits")


def _zigzag(number: int) -> int:
    return (number >> 1) ^ -(number & 1)
