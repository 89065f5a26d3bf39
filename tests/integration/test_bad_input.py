"""Bad input through the whole application: a reason, the right code, and nothing lost."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from importlib import resources
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import faceprint
from faceprint import errors
from faceprint.types import check_image

SAMPLES = Path(str(resources.files("faceprint") / "samples"))
GOOD = SAMPLES / "obama.jpg"


@pytest.fixture(scope="module")
def fp() -> faceprint.FaceAnalyzer:
    return faceprint.load()


def bomb(path: Path) -> Path:
    """A PNG of about 1 kB that claims 40,000 x 40,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(900_000), 9)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )
    assert path.stat().st_size < 1100
    return path


def make(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.jpg"
    match kind:
        case "missing":
            pass
        case "folder":
            path.mkdir()
        case "empty":
            path.touch()
        case "text":
            path.write_text("It was a bright cold day in April.")
        case "truncated":
            path.write_bytes(GOOD.read_bytes()[:20_000])
        case "bomb":
            bomb(path)
        case "one-pixel":
            PIL.Image.new("RGB", (1, 1)).save(path)
        case "no-face":
            PIL.Image.new("RGB", (400, 300), (90, 130, 60)).save(path)
    return path


@pytest.mark.parametrize(
    ("kind", "error", "says"),
    [
        ("missing", errors.SourceNotFoundError, "no such file"),
        ("folder", errors.DecodeError, "a folder"),
        ("empty", errors.DecodeError, "empty"),
        ("text", errors.DecodeError, "not an image"),
        ("truncated", errors.DecodeError, "truncated"),
        ("bomb", errors.ImageTooLargeError, "40000 x 40000"),
        ("one-pixel", errors.NoFaceError, "no face"),
        ("no-face", errors.NoFaceError, "no face"),
    ],
)
def test_python_and_command_line_say_why(
    kind: str, error: type[Exception], says: str, tmp_path: Path, fp: faceprint.FaceAnalyzer
) -> None:
    path = make(kind, tmp_path)
    with pytest.raises(error, match=says) as caught:
        faceprint.verify(path, GOOD, analyzer=fp, threshold=0.5)
    assert str(path) in str(caught.value), "the message names the photograph"
    words = [sys.executable, "-m", "faceprint", "verify", str(path), str(GOOD)]
    done = subprocess.run([*words, "--threshold", "0.5"], capture_output=True, text=True)
    assert done.returncode == 3
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_stream_goes_on_after_each_of_them(tmp_path: Path, fp: faceprint.FaceAnalyzer) -> None:
    kinds = ["missing", "folder", "empty", "text", "truncated", "bomb", "one-pixel", "no-face"]
    paths = [GOOD, *(make(kind, tmp_path) for kind in kinds), GOOD]
    results = list(fp.analyze_many(paths, batch_size=3))
    assert [result.source for result in results] == [str(path) for path in paths]
    assert [result.error is None for result in results] == [True, *[False] * 6, *[True] * 3]
    first, last = results[0].faces[0].embedding, results[-1].faces[0].embedding
    assert first is not None
    assert last is not None
    np.testing.assert_allclose(first.vector, last.vector, atol=1e-5)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.full((64, 64, 3), np.nan, np.float32), "uint8.*NaN"),
        (np.zeros((64, 64, 3), np.float64), "uint8.*float64"),
    ],
)
def test_arrays_say_what_was_expected(
    array: np.ndarray, says: str, fp: faceprint.FaceAnalyzer
) -> None:
    with pytest.raises(errors.InvalidImageArrayError, match=says):
        fp.analyze(array)


def test_bgr_cannot_be_seen_and_is_documented(fp: faceprint.FaceAnalyzer) -> None:
    # No check can tell BGR from RGB; it lowers similarities, so the docstring warns of it.
    rgb = faceprint.decode(GOOD)
    right = fp.analyze(rgb)[0].embedding
    swapped = fp.analyze(np.ascontiguousarray(rgb[..., ::-1]))[0].embedding
    assert right is not None
    assert swapped is not None
    assert float(right.vector @ swapped.vector) < 0.999
    assert "BGR" in str(check_image.__doc__)


def test_a_corrupted_weight_file_is_found_before_it_runs(tmp_path: Path) -> None:
    from faceprint.zoo import catalog

    card = catalog.get_card("dlib-resnet")
    copied = tmp_path / "package"
    script = f"""
import shutil, sys, importlib.util, pathlib
source = pathlib.Path(importlib.util.find_spec("faceprint").origin).parent
target = pathlib.Path({str(copied)!r}) / "faceprint"
shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
weights = target / "zoo" / "weights" / {card.files[0].name!r}
data = bytearray(weights.read_bytes()); data[len(data) // 2] ^= 1; weights.write_bytes(data)
sys.path.insert(0, str(target.parent))
sys.argv = ["faceprint", "verify", {str(GOOD)!r}, {str(GOOD)!r}, "--threshold", "0.5"]
from faceprint.cli.app import main
main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 4, done.stderr
    assert card.files[0].name in done.stderr
    assert "sha256" in done.stderr
