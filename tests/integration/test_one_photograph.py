"""What one photograph does to the work on it costs that photograph alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

import faceprint
from faceprint.bulk.local import LocalEngine
from faceprint.bulk.run import Summary, embed_table
from faceprint.embedding_table.reader import read_groups
from faceprint.embedding_table.schema import COLUMNS
from faceprint.errors import InputError, NotFiniteError
from faceprint.types import Array
from faceprint.vision.analyzer import FaceAnalyzer
from faceprint.vision.detect.cascade_batching import BlockRunner
from faceprint.vision.embed import VectorEmbedder
from faceprint.vision.streaming import worker

SAMPLES = sorted(Path(str(resources.files("faceprint") / "samples")).glob("*.jpg"))


class Session:
    """A session that answers NaN for rows that `spoiled` picks."""

    def __init__(self, session: Any, spoiled: Callable[[Array], Any]) -> None:
        self.info, self._session, self._spoiled = session.info, session, spoiled

    def run(self, blob: Array) -> tuple[Array, ...]:
        outputs = tuple(np.array(part) for part in self._session.run(blob))
        outputs[0][self._spoiled(blob)] = np.nan
        return outputs


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    """Four with faces, no two alike."""
    made = []
    for index in range(4):
        with PIL.Image.open(SAMPLES[index % len(SAMPLES)]) as opened:
            photo = opened.convert("RGB")
        photo.thumbnail((300, 300))
        if index:
            photo = photo.point([value * (10 - index) // 10 for value in range(256)] * 3)
        made.append(tmp_path / f"{index}.png")
        photo.save(made[-1])
    return made


def fed(fp: FaceAnalyzer, photograph: Path) -> set[bytes]:
    """What the embedder is fed of a photograph's faces."""
    rows: set[bytes] = set()

    def note(blob: Array) -> list[int]:
        rows.update(row.tobytes() for row in blob)
        return []

    plain, fp.embedder._session = fp.embedder._session, Session(fp.embedder._session, note)
    assert fp.analyze(photograph)
    fp.embedder._session = plain
    return rows


def test_nan_from_the_embedder_is_the_error_of_its_photograph(photographs: list[Path]) -> None:
    fp = faceprint.load(threads=1)
    third = fed(fp, photographs[2])
    expected = list(fp.analyze_many(photographs))
    fp.embedder._session = Session(
        fp.embedder._session, lambda blob: [row.tobytes() in third for row in blob]
    )
    found = list(fp.analyze_many(photographs))
    assert [type(result.error) for result in found] == [
        type(None), type(None), NotFiniteError, type(None),
    ]  # fmt: skip
    for one, other in zip(found, expected, strict=True):
        for face, same in zip(one.faces, other.faces, strict=False):
            assert face.embedding is not None
            assert same.embedding is not None
            np.testing.assert_array_equal(face.embedding.vector, same.embedding.vector)
    with pytest.raises(NotFiniteError, match="NaN or infinity"):
        fp.analyze(photographs[2])


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_a_crop_without_numbers_leaves_the_others_to_the_bit(value: float) -> None:
    fp = faceprint.load(threads=1)
    side = fp.embedder.card.input.height
    crops = np.random.default_rng(0).integers(0, 256, (5, side, side, 3), dtype=np.uint8)

    class Spoiling(Session):
        def run(self, blob: Array) -> tuple[Array, ...]:
            (output,) = self._session.run(blob)
            output = np.array(output)
            output[[row for row in range(len(blob)) if self._spoiled(blob[row])]] = value
            return (output,)

    first = []

    def is_second(row: Array) -> bool:
        first.append(row)
        return len(first) == 2

    embedder = VectorEmbedder(Spoiling(fp.embedder._session, is_second), fp.embedder.card)
    found = embedder.embed_each(crops)
    assert [embedding is None for embedding in found] == [False, True, False, False, False]
    one_by_one = VectorEmbedder(fp.embedder._session, fp.embedder.card).embed(crops)
    for index in (0, 2, 3, 4):
        embedding = found[index]
        assert embedding is not None
        np.testing.assert_array_equal(embedding.vector, one_by_one[index].vector)
    first.clear()
    with pytest.raises(NotFiniteError):
        embedder.embed(crops)


def test_nan_from_mtcnns_networks_does_not_look_like_no_face() -> None:
    class Nothing:
        def run(self, blob: Array) -> tuple[Array, ...]:
            return np.full((len(blob), 2), np.nan, np.float32), np.zeros((len(blob), 4), np.float32)

    with pytest.raises(NotFiniteError):
        BlockRunner().crops(Nothing(), np.zeros((3, 24, 24, 3), np.uint8), 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [MemoryError(), cv2.error("no memory"), NotFiniteError("NaN")])
def test_an_error_of_the_detector_is_that_of_its_photograph(
    error: Exception, photographs: list[Path]
) -> None:
    fp = faceprint.load(threads=1)
    detect = fp.detector.detect

    calls: list[int] = []

    def counting(images: Any) -> Any:
        calls.append(len(images))
        if len(images) > 1 or len(calls) == 4:
            raise error
        return detect(images)

    fp.detector.detect = counting  # type: ignore[method-assign]
    found = list(fp.analyze_groups([photographs]))
    assert calls == [4, 1, 1, 1, 1]
    assert [result.error is None for result in found] == [True, True, False, True]
    assert isinstance(found[2].error, (InputError, NotFiniteError))


class _Watch:
    def begin(self, total: int) -> None: ...
    def advance(self, number: int) -> None: ...
    def stopped(self) -> bool:
        return False


class _Killed(LocalEngine):
    """Ends as a killed process does, with a part begun."""

    def outcomes(self, parts: Iterator[Any], seen: Any) -> Iterator[Any]:
        next(parts)
        raise KeyboardInterrupt
        yield


def embedded(photographs: list[Path], out: Path, engine: type[LocalEngine], **how: bool) -> Summary:
    fp = faceprint.load(threads=1)
    names = [str(path) for path in photographs]
    return embed_table(lambda: names, out, fp, engine(fp, 2), _Watch(), part=3, **how)


def test_what_killed_a_run_is_a_row_with_an_error_of_the_resumed_one(
    photographs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole.npz", tmp_path / "killed.npz"
    embedded(photographs, whole, LocalEngine)
    with pytest.raises(KeyboardInterrupt):
        embedded(photographs, out, _Killed)
    # Whatever analyses the third photograph dies, as for want of memory.
    deadly = (
        "import os; from faceprint.vision import images as i; f = i.decode_scaled; "
        "i.decode_scaled = lambda s, e: os._exit(9) if str(s).endswith('2.png') else f(s, e); "
    )
    start = worker.START.replace("from faceprint", deadly + "from faceprint", 1)
    monkeypatch.setattr(worker, "START", start)
    summary = embedded(photographs, out, LocalEngine, resume=True)
    assert (summary.images, summary.failed, summary.finished) == (4, 1, True)
    assert list(summary.reasons) == ["the process that analyzed it died"]
    (found,), (expected,) = read_groups(out), read_groups(whole)
    sound = [error is None for error in found["error"]]
    kept = [source != str(photographs[2]) for source in expected["source"]]
    for name in COLUMNS:
        np.testing.assert_array_equal(found[name][sound], expected[name][kept], err_msg=name)


def test_a_resumed_run_whose_photographs_are_sound_is_the_undisturbed_one(
    photographs: list[Path], tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole.npz", tmp_path / "killed.npz"
    embedded(photographs, whole, LocalEngine)
    with pytest.raises(KeyboardInterrupt):
        embedded(photographs, out, _Killed)
    assert embedded(photographs, out, LocalEngine, resume=True).failed == 0
    (found,), (expected,) = read_groups(out), read_groups(whole)
    for name in COLUMNS:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_a_batch_gives_what_a_stream_does_with_the_error_of_each(photographs: list[Path]) -> None:
    analyzer = faceprint.load(threads=1)
    sources = [photographs[0], b"no photograph", photographs[1]]
    batch = analyzer.analyze_batch(sources)
    stream = list(analyzer.analyze_many(sources))
    assert [bool(result.error) for result in batch] == [False, True, False]
    for found, expected in zip(batch, stream, strict=True):
        assert len(found.faces) == len(expected.faces)
        for face, other in zip(found.faces, expected.faces, strict=True):
            np.testing.assert_allclose(face.box, other.box, atol=1e-2)
            assert face.embedding is not None and other.embedding is not None
            assert face.embedding.vector @ other.embedding.vector > 0.9999
    assert analyzer.analyze_batch([]) == []
