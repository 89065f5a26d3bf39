"""deepface's `find`: the photographs of a folder that show a face."""

from __future__ import annotations

import importlib
import os
from types import ModuleType
from typing import Any

import numpy as np

from faceprint.compat.deepface.detection import check_backend
from faceprint.compat.deepface.distances import distances
from faceprint.compat.deepface.faces import Cutting, check_options, cut_faces, facial_area
from faceprint.compat.deepface.folder_table import FolderFaces, folder_faces
from faceprint.compat.deepface.models import Recognizer, embed, find_recognizer, threshold_of
from faceprint.compat.deepface.photos import load_photo
from faceprint.errors import MissingExtraError, UsageError
from faceprint.types import Array
from faceprint.zoo.card_text import card_hash
from faceprint.zoo.catalog import get_card

__all__ = ["find"]


def find(  # noqa: PLR0913 - as in the original
    img_path: Any,
    db_path: str | os.PathLike[str],
    model_name: str = "Dlib",
    distance_metric: str = "cosine",
    enforce_detection: bool = True,
    detector_backend: str = "mtcnn",
    align: bool = True,
    similarity_search: bool = False,
    k: int | None = None,
    expand_percentage: int = 0,
    threshold: float | None = None,
    normalization: str = "base",
    silent: bool = False,
    refresh_database: bool = True,
    anti_spoofing: bool = False,
    datastore_format: str = "npz",
    return_type: str | None = None,
) -> list[Any]:
    """Search the photographs of a folder for each face of a photograph.

    Embeddings of the folder are kept beside it, in a table that follows the folder's content.

    Args:
        img_path: see `verify`.
        db_path: a folder; JPEG and PNG files in it and below are searched.
        similarity_search: give all faces, not only those within the threshold.
        k: most rows for each face.
        refresh_database: False takes the table as it is.
        silent, datastore_format: accepted; the table is npz, and nothing is printed.
        return_type: `pandas` for data frames, which is the default, or `dict`.

    Returns:
        For each face of the photograph the faces found, closest first: `identity` (a path), `hash`
        (sha256), `target_x/y/w/h`, `threshold`, `source_x/y/w/h` and `distance`.

    Raises:
        MissingExtraError: data frames without pandas.
        NoFaceError, DecodeError, UsageError: see `verify`.
    """
    if return_type not in (None, "pandas", "dict"):
        raise UsageError(f"return_type is {return_type!r}, not 'pandas' or 'dict'")
    if k is not None and k < 1:
        raise UsageError(f"k is {k}, below 1")
    pandas = None if return_type == "dict" else _pandas()
    check_options(normalization=normalization, anti_spoofing=anti_spoofing)
    recognizer = find_recognizer(model_name)
    limit = threshold_of(recognizer, distance_metric, threshold)
    cutting = Cutting(detector_backend, enforce_detection, align, expand_percentage)
    image, name = load_photo(img_path)
    known = _known(os.fspath(db_path), recognizer, cutting, refresh_database)
    faces = cut_faces(image, name, cutting)
    answers = []
    for face, vector in zip(faces, embed(recognizer, [each.crop for each in faces]), strict=True):
        area = facial_area(face, image)
        found = distances(known.embeddings, vector, distance_metric)
        order = np.argsort(found, kind="stable")
        if not similarity_search:
            order = order[found[order] <= limit]
        order = order[:k]
        columns: dict[str, list[Any]] = {
            "identity": [known.identities[row] for row in order],
            "hash": [known.hashes[row] for row in order],
            **{
                f"target_{side}": [int(known.boxes[row, axis]) for row in order]
                for axis, side in enumerate("xywh")
            },
            "threshold": [limit] * len(order),
            **{f"source_{side}": [area[side]] * len(order) for side in "xywh"},
            "distance": [float(found[row]) for row in order],
        }
        if pandas is not None:
            answers.append(pandas.DataFrame(columns))
        else:
            rows = zip(*columns.values(), strict=True)
            answers.append([dict(zip(columns, row, strict=True)) for row in rows])
    return answers


def _known(folder: str, recognizer: Recognizer, cutting: Cutting, refresh: bool) -> FolderFaces:
    about: dict[str, Any] = {
        "card": recognizer.card,
        "card_hash": card_hash(get_card(recognizer.card)),
        "dim": recognizer.dim,
        "detector": cutting.backend,
        "align": cutting.align,
        "expand": cutting.expand,
        "enforce": cutting.enforce,
    }
    if cutting.backend != "skip":
        check_backend(cutting.backend)
    name = f"deepface-{recognizer.name.lower()}-{cutting.backend}"

    def embed_photo(path: str) -> tuple[Array, Array]:
        image, shown = load_photo(path)
        faces = cut_faces(image, shown, cutting)
        areas = [facial_area(face, image) for face in faces]
        boxes = np.asarray([[area[side] for side in "xywh"] for area in areas], np.float32)
        return embed(recognizer, [face.crop for face in faces]), boxes

    return folder_faces(folder, name, about, embed_photo, dim=recognizer.dim, refresh=refresh)


def _pandas() -> ModuleType:
    try:
        return importlib.import_module("pandas")
    except ImportError as error:
        raise MissingExtraError(
            "find gives pandas' data frames, and pandas is not installed; run: pip install pandas, "
            f"or pass return_type='dict' ({error})",
            name="pandas",
        ) from error
