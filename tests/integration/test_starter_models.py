"""The models inside the package: what they are, and that they agree with their originals."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "build_starter_models.py"
WEIGHTS = ROOT / "src" / "faceprint" / "zoo" / "weights"
RESNET_DAT = "dlib_face_recognition_resnet_model_v1.dat"
RESNET_DAT_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
PHOTOS = ("obama.jpg", "obama2.jpg", "biden.jpg", "astronaut.png")

SHAPES = {
    "mtcnn_pnet.onnx": (3, 37, 52),
    "mtcnn_rnet.onnx": (3, 24, 24),
    "mtcnn_onet.onnx": (3, 48, 48),
    "dlib_face_recognition_resnet_v1.onnx": (3, 150, 150),
}
LICENSES = {name: "MIT" if name.startswith("mtcnn") else "CC0-1.0" for name in SHAPES}

Floats = NDArray[np.float32]


def unavailable(reason: str) -> None:
    """Skips on a developer's machine; in CI the package index is there, so the test fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def run_tool(*arguments: str, extra_path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(extra_path or "")}
    command = [sys.executable, str(TOOL), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def outputs(name: str, batch: Floats) -> dict[str, Floats]:
    session = onnxruntime.InferenceSession(WEIGHTS / name, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, {"input": batch}), strict=True))


def largest_difference(a: Floats, b: Floats) -> float:
    assert a.shape == b.shape
    return float(np.abs(a - b).max())


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both source archives, fetched by the tool."""
    folder = tmp_path_factory.mktemp("archives")
    if (done := run_tool("--fetch", str(folder))).returncode:
        unavailable(f"pip cannot fetch the source archives: {done.stderr[-900:]}")
    return folder


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with lz4 and joblib, as far as this environment lacks them."""
    folder = tmp_path_factory.mktemp("reader")
    missing = [name for name in ("lz4", "joblib") if importlib.util.find_spec(name) is None]
    if missing:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder)]
        done = subprocess.run([*command, *missing], capture_output=True, text=True, check=False)
        if done.returncode:
            unavailable(f"pip cannot fetch {missing}: {done.stderr[-400:]}")
    return folder


@pytest.fixture(scope="session")
def resnet_dat(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dlib's own weight file, from the installed distribution or from its archive.

    The distribution is looked up and not imported: its import needs pkg_resources.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / "models" / RESNET_DAT
    else:
        (archive,) = request.getfixturevalue("archives").glob("face_recognition_models-*.tar.gz")
        path = tmp_path_factory.mktemp("dlib") / RESNET_DAT
        with tarfile.open(archive) as tar:
            member = next(m for m in tar.getmembers() if m.name.endswith(f"/{RESNET_DAT}"))
            stream = tar.extractfile(member)
            assert stream is not None
            path.write_bytes(stream.read())
    assert hashlib.sha256(path.read_bytes()).hexdigest() == RESNET_DAT_SHA256
    return path


@pytest.fixture(scope="session")
def face_crops(shared_samples: Path) -> Callable[[int], NDArray[np.uint8]]:
    """Maps a size in pixels to uint8 [n, size, size, 3]: upright RGB crops around real faces."""
    dlib: Any = pytest.importorskip("dlib")
    detector = dlib.get_frontal_face_detector()
    found = []
    for name in PHOTOS:
        image = Image.open(shared_samples / name).convert("RGB")
        image.thumbnail((640, 640))
        for box in detector(np.array(image), 0):
            edges = (box.left(), box.top(), box.right() + 1, box.bottom() + 1)
            found.append(image.crop(edges))
    assert len(found) >= len(PHOTOS)

    def resized(size: int) -> NDArray[np.uint8]:
        shape = (size, size)
        return np.stack(
            [np.asarray(crop.resize(shape, Image.Resampling.BILINEAR)) for crop in found]
        )

    return resized


def mtcnn_input(crops: NDArray[np.uint8]) -> Floats:
    return np.ascontiguousarray(crops.astype(np.float32).transpose(0, 3, 1, 2))


def dlib_input(crops: NDArray[np.uint8]) -> Floats:
    mean = np.array([122.782, 117.001, 104.298], np.float32)
    return np.ascontiguousarray(((crops.astype(np.float32) - mean) / 256).transpose(0, 3, 1, 2))


def test_committed_files_have_the_published_sums() -> None:
    lines = (WEIGHTS / "SHA256SUMS").read_text().splitlines()
    published = {name: total for total, name in (line.split("  ") for line in lines)}
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in WEIGHTS.iterdir()
        if path.name in SHAPES
    }
    assert found == published
    assert set(found) == set(SHAPES)


@pytest.mark.parametrize("name", SHAPES)
def test_file_says_where_it_comes_from(name: str) -> None:
    model = onnx.load(WEIGHTS / name)
    facts = {item.key: item.value for item in model.metadata_props}
    assert facts["license"] == LICENSES[name]
    assert facts["source_distribution"] and facts["source_version"] and facts["source_sha256"]
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)
    assert model.producer_name == "faceprint"
    assert not {"Transpose", "BatchNormalization"} & {node.op_type for node in model.graph.node}


@pytest.mark.parametrize("name", SHAPES)
def test_rows_do_not_depend_on_the_batch(name: str) -> None:
    batch = np.random.default_rng(7).uniform(-1, 1, (4, *SHAPES[name])).astype(np.float32)
    together = outputs(name, batch)
    for row in range(4):
        for key, alone in outputs(name, batch[row : row + 1]).items():
            assert largest_difference(alone, together[key][row : row + 1]) <= 1e-5


@pytest.mark.parametrize(("height", "width"), [(12, 12), (13, 12), (41, 90), (90, 41)])
def test_pnet_takes_any_size(height: int, width: int) -> None:
    found = outputs("mtcnn_pnet.onnx", np.zeros((2, 3, height, width), np.float32))
    # one value for each window of 12x12 at stride 2; at an odd edge the last window hangs over
    rows, columns = (math.ceil((size - 12) / 2) + 1 for size in (height, width))
    assert found["score"].shape == (2, rows, columns)
    assert found["offsets"].shape == (2, 4, rows, columns)


def test_landmarks_are_upright_and_mirror_with_the_image(
    face_crops: Callable[[int], NDArray[np.uint8]],
) -> None:
    crops = face_crops(48)
    found = outputs("mtcnn_onet.onnx", mtcnn_input(crops))
    sure = found["score"] > 0.9
    assert sure.sum() >= 3
    x, y = found["landmarks"][sure, :5], found["landmarks"][sure, 5:]
    assert (x[:, 0] < x[:, 2]).all() and (x[:, 2] < x[:, 1]).all()  # eye, nose, eye
    assert (x[:, 3] < x[:, 4]).all()
    assert (y[:, :2].max(axis=1) < y[:, 2]).all()  # eyes above nose above mouth
    assert (y[:, 2] < y[:, 3:].min(axis=1)).all()

    mirrored = outputs("mtcnn_onet.onnx", mtcnn_input(crops[:, :, ::-1]))["landmarks"][sure]
    swapped = [1, 0, 2, 4, 3]
    assert np.abs(1 - mirrored[:, :5][:, swapped] - x).max() < 0.1
    assert np.abs(mirrored[:, 5:][:, swapped] - y).max() < 0.1


@pytest.mark.network
def test_resnet_agrees_with_dlib(
    face_crops: Callable[[int], NDArray[np.uint8]], resnet_dat: Path
) -> None:
    dlib: Any = pytest.importorskip("dlib")
    chips = face_crops(150)
    network = dlib.face_recognition_model_v1(str(resnet_dat))
    expected = np.array([network.compute_face_descriptor(chip) for chip in chips], np.float32)
    found = outputs("dlib_face_recognition_resnet_v1.onnx", dlib_input(chips))["embedding"]
    assert largest_difference(found, expected) <= 1e-5


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["PNet", "RNet", "ONet"])
def test_mtcnn_agrees_with_facenet_pytorch(
    name: str, face_crops: Callable[[int], NDArray[np.uint8]]
) -> None:
    torch: Any = pytest.importorskip("torch")
    from torchvision_stub import install

    install()
    networks: Any = pytest.importorskip("facenet_pytorch.models.mtcnn")
    file = f"mtcnn_{name.lower()}.onnx"
    size = SHAPES[file][-1]
    noise = np.random.default_rng(3).uniform(0, 255, (8, *SHAPES[file])).astype(np.float32)
    for batch in (noise, mtcnn_input(face_crops(size))):
        with torch.no_grad():
            offsets, *points, score = (
                part.numpy()
                for part in getattr(networks, name)()(torch.from_numpy((batch - 127.5) / 128))
            )
        found = outputs(file, batch)
        assert largest_difference(found["score"], score[:, 1]) <= 1e-5
        assert largest_difference(found["offsets"], offsets) <= 1e-5
        if points:
            assert largest_difference(found["landmarks"], points[0]) <= 1e-5


@pytest.mark.slow
@pytest.mark.network
def test_rebuilding_gives_the_same_bytes(archives: Path, reader: Path, tmp_path: Path) -> None:
    done = run_tool("--source", str(archives), "--check", extra_path=reader)
    assert done.returncode == 0, done.stderr

    done = run_tool("--source", str(archives), "--output", str(tmp_path), extra_path=reader)
    assert done.returncode == 0, done.stderr
    for name in (*SHAPES, "SHA256SUMS"):
        assert (tmp_path / name).read_bytes() == (WEIGHTS / name).read_bytes(), name

    (tmp_path / "mtcnn_pnet.onnx").write_bytes(b"something else")
    done = run_tool(
        "--source", str(archives), "--output", str(tmp_path), "--check", extra_path=reader
    )
    assert done.returncode == 1
    assert "mtcnn_pnet.onnx" in done.stderr


@pytest.mark.slow
@pytest.mark.network
def test_an_altered_archive_is_refused(archives: Path, tmp_path: Path) -> None:
    for path in archives.iterdir():
        content = path.read_bytes()
        (tmp_path / path.name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    done = run_tool("--source", str(tmp_path), "--output", str(tmp_path / "weights"))
    assert done.returncode == 2
    assert "sha256" in done.stderr
    assert not (tmp_path / "weights").exists()
