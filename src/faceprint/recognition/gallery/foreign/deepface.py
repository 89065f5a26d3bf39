"""deepface's faces: the pickle that its `find` keeps, and what its names mean here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from faceprint._files import read_bounded
from faceprint._plain_pickle import Dialect, read_plain_pickle
from faceprint.errors import DatasetError, ModelMismatchError
from faceprint.recognition.gallery.foreign.faces import ForeignFace, float32
from faceprint.recognition.gallery.foreign.numpy_pickle import NUMPY_CALLS

__all__ = [
    "CARDS",
    "NOTE",
    "card_of",
    "cards_in_words",
    "check_model",
    "model_in",
    "named_by_folder",
    "read_pickle",
]

CARDS = {"dlib": "dlib-resnet", "sface": "sface", "buffalol": "w600k-r50"}
"""The card with the very network of a model of deepface's, by its name without - and _."""

NOTE = (
    "deepface aligns faces by the eyes alone: photographs that faceprint embeds miss more of these "
    "people than with templates of its own (docs/migrating.md has the numbers). Where you have the "
    "photographs, enroll them instead: faceprint enroll GALLERY --from FOLDER"
)

_MOST_BYTES = 128 << 20
_DIALECT = Dialect(
    "deepface's pickles hold paths, numbers and embeddings", records=True, calls=NUMPY_CALLS
)
_FILE_NAMES = (
    re.compile(r"ds_model_(.+)_detector_.+\.pkl"),
    re.compile(r"ds_(.+)_[^_]+_v2\.pkl"),
    re.compile(r"representations_(.+)\.pkl"),
)


def model_in(path: Path) -> str:
    """deepface's model, from the name of its pickle.

    Raises:
        DatasetError: the name is none that deepface gives.
    """
    for form in _FILE_NAMES:
        if found := form.fullmatch(path.name.lower()):
            return found[1]
    raise DatasetError(
        f"{path}: the name does not say which model made it; deepface's own name does, such as "
        "ds_model_dlib_detector_mtcnn_aligned_normalization_base_expand_0.pkl"
    )


def card_of(model: str) -> str | None:
    """The card with the network of a model of deepface's, however its name is written."""
    return CARDS.get(re.sub("[-_]", "", model.lower()))


def cards_in_words() -> str:
    """Which of deepface's models have a card."""
    known = ", ".join(f"{name} ({card})" for name, card in CARDS.items())
    return f"Of deepface's models, these are the networks of cards: {known}"


def check_model(path: Path, embedder: str) -> None:
    """Check that the card has the network that made a pickle, by the pickle's name.

    Raises:
        DatasetError: the name is none that deepface gives.
        ModelMismatchError: another card has it, or none.
    """
    model = model_in(path)
    if card_of(model) != embedder:
        raise ModelMismatchError(
            f"{path}: made by deepface's model {model}, which is not the network of {embedder}. "
            f"{cards_in_words()}. Enroll the photographs instead: faceprint enroll GALLERY --from "
            "FOLDER"
        )


def read_pickle(path: Path) -> Iterator[ForeignFace]:
    """The faces of a pickle, without executing anything in it.

    A list of dictionaries with `identity` (the path of a photograph) and `embedding`; before
    version 0.0.87 of deepface, lists of the two.

    Raises:
        DatasetError: not such a pickle.
        OSError: larger than 128 MiB, or not readable.
    """
    rows = read_plain_pickle(read_bounded(path, _MOST_BYTES), str(path), _DIALECT)
    if not isinstance(rows, list):
        raise DatasetError(f"{path}: a {type(rows).__name__}, not deepface's list of photographs")
    for face in named_by_folder(str(path), [_identity(path, row) for row in rows]):
        vector = None if face.vectors is None else float32(face.vectors)
        if vector is not None and vector.ndim != 1:
            raise DatasetError(f"{path}: an embedding of {vector.ndim} dimensions")
        yield face._replace(vectors=vector)


def _identity(path: Path, row: object) -> tuple[str, Any]:
    if isinstance(row, dict):
        identity, vector = row.get("identity"), row.get("embedding")
    elif isinstance(row, list) and len(row) == 2:
        identity, vector = row
    else:
        identity = vector = None
    if not isinstance(identity, str):
        raise DatasetError(f"{path}: an entry without the path of a photograph")
    return identity, vector


def named_by_folder(label: str, faces: list[tuple[str, Any]]) -> Iterator[ForeignFace]:
    """Faces with the names of the folders that their photographs lie in.

    A photograph directly in the folder that the others lie below has no such folder.

    Args:
        faces: paths of photographs, and their vectors.

    Raises:
        DatasetError: all photographs lie in one folder.
    """
    parents = [_parent(identity) for identity, _ in faces]
    folders = set(parents)
    if len(folders) == 1:
        raise DatasetError(
            f"{label}: all photographs lie in one folder, {str(parents[0])!r}, so nothing says who "
            "is who; a folder per person is needed"
        )
    above = {other for folder in folders for other in folder.parents}
    for (identity, vector), folder in zip(faces, parents, strict=True):
        name = None if folder in above else folder.name or None
        yield ForeignFace(name, vector, identity)


def _parent(identity: str) -> PurePosixPath | PureWindowsPath:
    windows = "\\" in identity and "/" not in identity
    return (PureWindowsPath if windows else PurePosixPath)(identity).parent
