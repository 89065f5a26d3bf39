"""InsightFace's verification packs (`lfw.bin`, `cfp_fp.bin`, `agedb_30.bin`, ...).

A pickle, by Python 2 or 3, of a list of encoded pictures, two for each pair, and a list of labels.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from faceprint._files import refuse_pipes
from faceprint._plain_pickle import Dialect, encode_latin1, read_plain_pickle
from faceprint.errors import DatasetError
from faceprint.evaluation.datasets import PairSet, Picture

__all__ = ["PACK", "open_bin"]

PACK = Dialect(
    "a pack holds only bytes, lists and booleans", calls={"_codecs encode": encode_latin1}
)

MAX_FILE_BYTES = 4 << 30
MAX_PICTURE_BYTES = 32 << 20


def open_bin(pack: Path, *, aligned: bool = True) -> PairSet:
    """The pairs of a pack; pictures with the same bytes are one picture.

    A pack names no folds: the published figures cut it into ten consecutive ones. Its pictures are
    crops of 112 x 112 pixels, aligned to the ArcFace template; `aligned=False` says otherwise.

    Raises:
        DatasetError: not such a pack, or too large; nothing in the file is ever executed.
    """
    try:
        refuse_pipes(pack)
        size = pack.stat().st_size
        if size > MAX_FILE_BYTES:
            raise DatasetError(f"{pack}: {size:,} bytes; at most {MAX_FILE_BYTES:,} are read")
        value = read_plain_pickle(pack.read_bytes(), str(pack), PACK)
    except OSError as error:
        raise DatasetError(f"{pack}: {error.strerror or error}") from error
    encoded, labels = _parts(value, pack)
    number: dict[bytes, int] = {}
    pictures: list[Picture] = []
    indices = np.zeros(len(encoded), np.int64)
    for k, data in enumerate(encoded):
        key = hashlib.sha256(data).digest()
        indices[k] = number.setdefault(key, len(pictures))
        if indices[k] == len(pictures):
            pictures.append(Picture(f"{pack.stem}-{k:06d}", data))
    return PairSet(
        name=pack.stem,
        pictures=tuple(pictures),
        left=indices[0::2],
        right=indices[1::2],
        mated=np.asarray(labels, np.bool_),
        aligned=aligned,
        protocol=pack,
    )


def _parts(value: object, pack: Path) -> tuple[list[bytes], list[bool]]:
    wanted = "expected a list of pictures, two for each pair, and a list of labels"
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise DatasetError(f"{pack}: {wanted}, got {type(value).__name__}")
    pictures, labels = value
    if not isinstance(pictures, (list, tuple)) or not isinstance(labels, (list, tuple)):
        raise DatasetError(
            f"{pack}: {wanted}, got {type(pictures).__name__} and {type(labels).__name__}"
        )
    if not labels or len(pictures) != 2 * len(labels):
        raise DatasetError(
            f"{pack}: {wanted}, got {len(pictures)} pictures and {len(labels)} labels"
        )
    encoded = []
    for k, item in enumerate(pictures):
        if not isinstance(item, bytes) or not 0 < len(item) <= MAX_PICTURE_BYTES:
            found = f"{len(item):,} bytes" if isinstance(item, bytes) else type(item).__name__
            raise DatasetError(f"{pack}: picture {k} is not an encoded picture ({found})")
        encoded.append(item)
    for k, label in enumerate(labels):
        if not isinstance(label, int) or label not in (0, 1):
            raise DatasetError(f"{pack}: label {k} is {label!r:.40}, neither true nor false")
    return encoded, [bool(label) for label in labels]
