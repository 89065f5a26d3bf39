"""The well-formed files that a fuzz run damages, made anew in a folder, and what damages each."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np
import PIL.Image
from gallery_kit import FakeAnalyzer
from mutations import Mutator
from mutations_pictures import PICTURES, tiff_made
from mutations_protobuf import PROTOBUF
from mutations_sqlite import SQLITE
from mutations_tables import NPZ, PARQUET
from mutations_texts import JSON_LINES, TOML

__all__ = ["KEY", "MAKERS", "Original"]

PACKAGE = Path(str(resources.files("faceprint")))
KEY = b"0123456789abcdef0123456789abcdef"
"""Of the sealed gallery."""


@dataclass(frozen=True, slots=True)
class Original:
    """A well-formed file: its name as the uses need it, its bytes, and its own mutators."""

    name: str
    data: bytes
    mutators: tuple[Mutator, ...]


def photographs(folder: Path) -> list[Original]:
    """A small picture of a face in every format and mode that is read."""
    with PIL.Image.open(PACKAGE / "samples" / "obama.jpg") as sample:
        whole = sample.convert("RGB")
    face = whole.resize((120, round(120 * whole.height / whole.width)))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "maker"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
    deep = PIL.Image.fromarray(np.asarray(face.convert("L")).astype(np.uint16) * 257)
    clear = face.convert("RGBA")
    clear.putalpha(128)
    forms: list[tuple[str, PIL.Image.Image, str, dict[str, Any]]] = [
        ("plain.jpg", face, "jpeg", {}),
        ("exif.jpg", face, "jpeg", {"exif": exif, "subsampling": 0}),
        ("progressive.jpg", face, "jpeg", {"progressive": True, "exif": exif}),
        ("gray.jpg", face.convert("L"), "jpeg", {}),
        ("cmyk.jpg", face.convert("CMYK"), "jpeg", {}),
        ("large.jpg", whole.resize((1600, 1200)), "jpeg", {"quality": 40}),
        ("restarts.jpg", face, "jpeg", {"restart_marker_blocks": 3}),
        ("plain.png", face, "png", {}),
        ("clear.png", clear, "png", {"exif": exif}),
        ("palette.png", face.quantize(16), "png", {"transparency": 3}),
        ("deep.png", deep, "png", {}),
        ("bits.png", face.convert("1"), "png", {}),
        ("plain.tif", face, "tiff", {}),
        ("lzw.tif", face, "tiff", {"compression": "tiff_lzw"}),
        ("deflate.tif", clear, "tiff", {"compression": "tiff_adobe_deflate"}),
        ("jpeg.tif", face, "tiff", {"compression": "jpeg"}),
        ("fax.tif", face.convert("1"), "tiff", {"compression": "group4"}),
        ("cmyk.tif", face.convert("CMYK"), "tiff", {"compression": "packbits"}),
        ("deep.tif", deep, "tiff", {}),
        ("two.tif", face, "tiff", {"save_all": True, "append_images": [face]}),
        ("lossy.webp", face, "webp", {"exif": exif}),
        ("lossless.webp", clear, "webp", {"lossless": True}),
        ("moving.webp", face, "webp", {"save_all": True, "append_images": [clear.convert("RGB")]}),
        ("plain.bmp", face, "bmp", {}),
        ("palette.bmp", face.quantize(200), "bmp", {}),
        ("mpo.jpg", face, "mpo", {"save_all": True, "append_images": [face]}),
    ]
    made = []
    for name, picture, form, more in forms:
        out = io.BytesIO()
        picture.save(out, form, **more)
        kind = "jpeg" if form == "mpo" else form
        made.append(Original(name, out.getvalue(), PICTURES[kind]))
    # EXIF as a TIFF of its own: the same reader, without the pixels in the way.
    made.append(Original("made.tif", tiff_made(Random(0)), PICTURES["tiff"]))
    return made


@contextlib.contextmanager
def _repeatable() -> Iterator[None]:
    """The same salts, uids, keys and moments in every run, so that a case can be made again."""
    from faceprint.recognition.gallery import records

    drawn = Random(5)

    class Moment(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Moment:
            return cls(2025, 1, 31, 12, tzinfo=tz or UTC)

    with (
        mock.patch("secrets.token_bytes", lambda n=32: drawn.randbytes(n)),
        mock.patch("secrets.token_hex", lambda n=32: drawn.randbytes(n).hex()),
        mock.patch("os.urandom", drawn.randbytes),
        mock.patch.object(records, "datetime", Moment),
    ):
        yield


def _gallery(path: Path, *, sealed: bool) -> None:
    from faceprint.recognition.gallery import Gallery
    from faceprint.recognition.gallery.crypto import Key
    from faceprint.recognition.gallery.records import Consent, Policy

    key = Key(KEY) if sealed else None
    policy = Policy(keep_crops=True, retention_days=3000)
    with Gallery.open(path, FakeAnalyzer(), key=key, policy=policy, actor="fuzz") as gallery:
        for person in range(6):
            pictures = [f"p{person}/{shot}".encode() for shot in range(3)]
            consent = (
                Consent("contract", "2025-01-01", "2099-01-01", "drawer") if person % 2 else None
            )
            gallery.enroll(f"p{person}", *pictures, metadata={"room": person}, consent=consent)
        gallery.remove("p5")


def galleries(folder: Path) -> list[Original]:
    """A gallery in clear, a sealed one, and an album."""
    made = []
    with _repeatable():
        for name in ("plain.db", "sealed.db"):
            _gallery(folder / name, sealed=name == "sealed.db")
            made.append(_database(folder / name))
        made.append(_database(_album(folder / "album.db")))
    return made


def _database(path: Path) -> Original:
    """Its bytes, with what is still in a write-ahead log moved in."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return Original(path.name, path.read_bytes(), SQLITE)


def _album(path: Path) -> Path:
    from fuzz_uses import command

    table = path.with_name("album.npz")
    table.write_bytes(_npz())
    words = ("cluster", "--from", table, "--state", path, "--threshold", "0.5", "--json")
    code, said = command(*words)
    if code:
        raise AssertionError(said)
    return path


def _columns() -> dict[str, np.ndarray[Any, Any]]:
    n, drawn = 24, np.random.default_rng(3)
    people = drawn.standard_normal((4, 128))
    vectors = people[np.arange(n) % 4] + 0.3 * drawn.standard_normal((n, 128))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    box = np.tile(np.array([10, 10, 90, 90], np.float32), (n, 1))
    return {
        "source": np.array([f"photos/{i // 2}.jpg" for i in range(n)]),
        "face": (np.arange(n) % 2).astype(np.int32),
        "box": box + np.arange(n, dtype=np.float32)[:, None],
        "score": np.linspace(0.5, 1, n).astype(np.float32),
        "quality": drawn.random((n, 4)).astype(np.float32),
        "embedding": vectors.astype(np.float32),
        "embedder": np.array(["dlib-resnet"] * n),
        "error": np.array([""] * n),
    }


def _npz() -> bytes:
    out = io.BytesIO()
    np.savez(out, **_columns())
    return out.getvalue()


def tables(folder: Path) -> list[Original]:
    """Embedding tables: of numpy, of pyarrow, and of `faceprint embed` in both forms."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = _columns()
    out = io.BytesIO()
    pq.write_table(pa.table({name: list(column) for name, column in columns.items()}), out)
    made = [Original("own.npz", _npz(), NPZ), Original("own.parquet", out.getvalue(), PARQUET)]
    for suffix, mutators in ((".npz", NPZ), (".parquet", PARQUET)):
        path = folder / f"embedded{suffix}"
        _embedded(path, columns)
        made.append(Original(path.name, path.read_bytes(), mutators))
    return made


def _embedded(path: Path, columns: dict[str, np.ndarray[Any, Any]]) -> None:
    from faceprint.embedding_table.schema import COLUMNS
    from faceprint.embedding_table.writer import TableSize, write_table

    n = len(columns["source"])
    whole = columns | {
        "landmarks": np.ones((n, 5, 2), np.float32),
        "duplicate_of": np.full(n, None, object),
        "source": columns["source"].astype(object),
        "embedder": columns["embedder"].astype(object),
        "error": np.full(n, None, object),
    }
    write_table(
        path,
        TableSize(n, 128, 20, 1),
        {"format": 1, "embedder": "dlib-resnet"},
        lambda names: iter([{name: whole[name] for name in names or COLUMNS}]),
    )


def imports(folder: Path) -> list[Original]:
    """A gallery's exports."""
    from faceprint.recognition.gallery import Gallery

    made = []
    with _repeatable():
        _gallery(folder / "exported.db", sealed=False)
        with Gallery.open(folder / "exported.db", actor="fuzz") as gallery:
            for suffix, mutators in ((".jsonl", JSON_LINES), (".parquet", PARQUET)):
                path = folder / f"export{suffix}"
                gallery.export(path)
                made.append(Original(path.name, path.read_bytes(), mutators))
    return made


def cards(folder: Path) -> list[Original]:
    """Cards of the package, a user's, and the JSON files that lie beside them."""
    from example_card import CARD

    names = (
        "mtcnn",
        "dlib-resnet",
        "scrfd-500m",
        "yunet-2023mar",
        "w600k-mbf",
        "ultraface-rfb-320",
    )
    files = [(PACKAGE / "zoo" / "cards" / f"{name}.toml").read_bytes() for name in names]
    made = [Original(f"{name}.toml", data, TOML) for name, data in zip(names, files, strict=True)]
    made.append(Original("user.toml", CARD.encode(), TOML))
    entry = {
        "model": "ArcFace", "model_path": "vision/arc/model/arcface-8.onnx", "opset_version": 8,
        "metadata": {"model_sha": "ab" * 32, "model_bytes": 9, "tags": ["face"], "io_ports": {
            "inputs": [{"name": "data", "shape": [1, 3, 112, 112]}], "outputs": []}},
    }  # fmt: skip
    lines = ",\n".join(json.dumps(entry) for _ in range(2))
    made.append(Original("manifest.json", f"[\n{lines}\n]".encode(), JSON_LINES))
    made.append(Original("calibration.json", _calibration(folder), JSON_LINES))
    return made


def _calibration(folder: Path) -> bytes:
    from faceprint.recognition.thresholds.calibration_file import CalibrationFile, save_calibration
    from faceprint.recognition.thresholds.score_map import Reliability, ScoreMap, Tail
    from faceprint.types import OperatingPoint

    points = tuple(
        OperatingPoint(threshold, fmr, fmr / 2, fmr * 2, 0.1, source="office")
        for fmr, threshold in ((1e-2, 0.4), (1e-3, 0.5))
    )
    save_calibration(
        CalibrationFile(
            "office",
            "starter",
            {"dlib-resnet": "0123"},
            points,
            ("too few",),
            ("said",),
            ScoreMap("isotonic", (0.1, 0.5), (0.2, 0.9), 0.5),
            Tail((0.1, 0.5), (10.0, 1000.0)),
            Reliability((0.1, 0.9), (0.2, 0.8), (10, 20), 0.1),
            {"date": "2025-01-31", "machine": {"cores": 2}},
        ),
        folder / "calibration.json",
    )
    return json.dumps(json.loads((folder / "calibration.json").read_text())).encode()


def graphs(folder: Path) -> list[Original]:
    """Small embedders, written as today and as of 2018, with a loop's branch and external data."""
    from onnx_graphs import MODERN, ZOO, iresnet

    made = []
    for name, style in (("modern.onnx", MODERN), ("zoo.onnx", ZOO)):
        model = iresnet(style)
        made.append(Original(name, model.SerializeToString(), PROTOBUF))
    return [
        *made,
        Original("external.onnx", _external(), PROTOBUF),
        Original("if.onnx", _branch(), PROTOBUF),
    ]


def _external() -> bytes:
    from onnx import TensorProto, helper

    weight = TensorProto(name="w", data_type=1, dims=[3, 4], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", "48")):
        weight.external_data.add(key=key, value=value)
    return _model([helper.make_node("MatMul", ["x", "w"], ["y"])], [weight])


def _branch() -> bytes:
    from onnx import TensorProto, helper

    value = helper.make_tensor("v", TensorProto.FLOAT, [1, 4], [1, 2, 3, 4])
    inner = [helper.make_node("Constant", [], ["c"], value=value)]
    out = [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1, 4])]
    branch = helper.make_graph(inner, "branch", [], out)
    flag = helper.make_tensor("flag", TensorProto.BOOL, [], [True])
    nodes = [
        helper.make_node("Constant", [], ["t"], value=flag),
        helper.make_node("If", ["t"], ["y"], then_branch=branch, else_branch=branch),
    ]
    return _model(nodes, [])


def _model(nodes: list[Any], weights: list[Any]) -> bytes:
    from onnx import TensorProto, helper

    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])
    found = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph(nodes, "small", [given], [found], weights)
    opsets = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


MAKERS: dict[str, Callable[[Path], list[Original]]] = {
    "photographs": photographs,
    "galleries": galleries,
    "cards": cards,
    "graphs": graphs,
    "imports": imports,
    "tables": tables,
}
"""By the kind of a case."""
