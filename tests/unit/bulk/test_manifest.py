"""The manifest, and the run that it steers, with an engine that needs no models."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from faceprint.bulk import run, work
from faceprint.bulk.local import Part
from faceprint.bulk.manifest import Manifest
from faceprint.bulk.run import embed_table
from faceprint.bulk.work import CHANGED, Advance, Content, Outcome
from faceprint.embedding_table.reader import read_groups
from faceprint.embedding_table.schema import EmbeddingTable
from faceprint.errors import DatasetError, ModelMismatchError, UsageError

OPTIONS = {"embedder": "toy 1", "part": "4"}


def outcome(names: list[bytes]) -> Outcome:
    """As many faces as the first byte says, each marked with the second; 9 is a failure."""
    numbers = [0 if name[0] == 9 else name[0] for name in names]
    marks = np.concatenate([np.full(n, name[1]) for n, name in zip(numbers, names, strict=True)])
    n = len(marks)
    faces = EmbeddingTable(
        ("",) * n,
        np.zeros((n, 4), np.float32),
        np.zeros(n, np.float32),
        np.zeros((n, 4), np.float32),
        np.repeat(marks[:, None], 2, axis=1).astype(np.float32),
        "toy",
        (None,) * n,
        landmarks=np.zeros((n, 5, 2), np.float32),
    )
    errors = tuple("damaged: 12 bytes" if name[0] == 9 else None for name in names)
    return Outcome(faces, tuple(numbers), errors)


class ToyEngine:
    """Reads files of two bytes; counts what it does; stops with an error after some parts."""

    batch_size = 1

    def __init__(self, fail_after: int = 1000) -> None:
        self.done: list[str] = []
        self.parts: list[int] = []
        self._fail_after = fail_after

    def contents(
        self, inputs: Iterator[tuple[int, str, Content | None]]
    ) -> Generator[tuple[int, str, Content], None, None]:
        for position, source, known in inputs:
            yield position, source, work.content_of(source, known)

    def outcomes(self, parts: Iterator[Part], advance: Advance) -> Iterator[tuple[Part, Outcome]]:
        for part in parts:
            if len(self.parts) == self._fail_after:
                raise OSError(errno.ENOSPC, "No space left on device", "part")
            self.parts.append(len(part.sources))
            self.done += [Path(source).name for source in part.sources]
            advance(len(part.sources))
            yield part, outcome([Path(source).read_bytes() for source in part.sources])


class Quiet:
    total = done = 0

    def begin(self, total: int) -> None:
        self.total = total

    def advance(self, number: int) -> None:
        self.done += number

    def stopped(self) -> bool:
        return False


@pytest.fixture
def fp(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(run, "options_of", lambda fp, engine, part: {"part": str(part)})
    return SimpleNamespace(
        embedder=SimpleNamespace(model="toy"), embedder_card=SimpleNamespace(dim=2)
    )


@pytest.fixture
def album(tmp_path: Path) -> list[str]:
    """Ten files: one or two faces, one without, one failure, one copy."""
    names = []
    for index in range(10):
        path = tmp_path / f"{index}.jpg"
        faces = {4: 0, 6: 9}.get(index, 1 + index % 2)
        path.write_bytes(bytes([faces, 7 if index in (2, 8) else 10 + index]))
        names.append(str(path))
    return names


def go(album: list[str], out: Path, fp: Any, engine: ToyEngine, **how: Any) -> Any:
    watch = Quiet()
    summary = embed_table(lambda: album, out, fp, engine, watch, part=4, **how)
    assert watch.done == watch.total == len(album)
    return summary


def marks(out: Path) -> list[tuple[str, int, float]]:
    rows = [row for group in read_groups(out) for row in zip(
        group["source"], group["face"], np.nan_to_num(group["embedding"][:, 0]), strict=True
    )]  # fmt: skip
    return [(Path(source).stem, int(face), float(mark)) for source, face, mark in rows]


EXPECTED = [
    ("0", 0, 10), ("1", 0, 11), ("1", 1, 11), ("2", 0, 7), ("3", 0, 13), ("3", 1, 13),
    ("4", -1, 0), ("5", 0, 15), ("5", 1, 15), ("6", -1, 0), ("7", 0, 17), ("7", 1, 17),
    ("8", 0, 7), ("9", 0, 19), ("9", 1, 19),
]  # fmt: skip


def test_each_content_is_done_once_and_each_photograph_has_its_rows(
    tmp_path: Path, album: list[str], fp: Any
) -> None:
    engine = ToyEngine()
    summary = go(album, tmp_path / "t.npz", fp, engine)
    assert marks(tmp_path / "t.npz") == EXPECTED
    assert engine.done == [f"{i}.jpg" for i in range(10) if i != 8]
    assert engine.parts == [4, 4, 1]
    assert (summary.images, summary.faces, summary.failed) == (10, 13, 1)
    assert (summary.faceless, summary.duplicates, summary.skipped) == (1, 1, 0)
    assert summary.reasons == {"damaged": 1}


def test_after_a_full_disk_it_goes_on_where_it_was(
    tmp_path: Path, album: list[str], fp: Any
) -> None:
    out = tmp_path / "t.npz"
    first, second = ToyEngine(fail_after=1), ToyEngine()
    with pytest.raises(OSError, match="No space left"):
        go(album, out, fp, first)
    assert not out.exists()
    with pytest.raises(UsageError, match="unfinished run"):
        go(album, out, fp, ToyEngine())
    summary = go(album, out, fp, second, resume=True)
    assert summary.skipped == 4
    assert not set(first.done) & set(second.done)
    assert second.parts == [4, 1], "parts are cut where the undisturbed run cuts them"
    assert marks(out) == EXPECTED


def test_other_order_new_names_and_new_files_do_only_what_is_new(
    tmp_path: Path, album: list[str], fp: Any
) -> None:
    out = tmp_path / "t.npz"
    with pytest.raises(OSError, match="No space"):
        go(album, out, fp, ToyEngine(fail_after=2))
    moved = tmp_path / "moved.jpg"
    Path(album[1]).rename(moved)
    Path(album[0]).write_bytes(bytes([1, 99]))
    engine = ToyEngine()
    go([*album[:1:-1], str(moved), album[0]], out, fp, engine, resume=True)
    assert engine.done == ["9.jpg", "0.jpg"]
    assert marks(out)[-3:] == [("moved", 0, 11), ("moved", 1, 11), ("0", 0, 99)]


def test_a_finished_table_is_left_alone_by_resume_and_replaced_on_request(
    tmp_path: Path, album: list[str], fp: Any
) -> None:
    out = tmp_path / "t.npz"
    go(album, out, fp, ToyEngine())
    with pytest.raises(UsageError, match="exists"):
        go(album, out, fp, ToyEngine())
    idle = ToyEngine()
    kept = embed_table(lambda: album, out, fp, idle, Quiet(), part=4, resume=True)
    assert (idle.done, kept.images, kept.faces, kept.skipped) == ([], 10, 13, 8)
    assert not (tmp_path / "t.npz.parts").exists()
    Path(album[3]).write_bytes(bytes([1, 55]))
    assert go(album, out, fp, ToyEngine(), resume=True).faces == 12
    again = ToyEngine()
    before = out.stat().st_mtime_ns
    go(album, out, fp, again, overwrite=True)
    assert len(again.done) == 9
    assert out.stat().st_mtime_ns != before


def test_other_options_and_a_second_writer_are_refused(tmp_path: Path) -> None:
    with Manifest(tmp_path, OPTIONS) as manifest:
        manifest.list_inputs(["a.jpg"])
        with pytest.raises(UsageError, match="another run"):
            Manifest(tmp_path, OPTIONS)
    with pytest.raises(ModelMismatchError, match=r"embedder toy 1 \(now toy 2\)"):
        Manifest(tmp_path, OPTIONS | {"embedder": "toy 2"})
    (tmp_path / "manifest.sqlite").write_bytes(b"x" * 4096)
    with pytest.raises(DatasetError, match="damaged"):
        Manifest(tmp_path, OPTIONS)


def test_what_was_not_recorded_is_not_done(tmp_path: Path) -> None:
    content = Content("stamp", 2, b"d" * 32)
    for _ in range(2):
        manifest = Manifest(tmp_path, OPTIONS)
        manifest.list_inputs(["a.jpg"])
        assert manifest.record_content(1, "a.jpg", content) == "new"
        manifest.close()  # as a kill would, in the middle of a transaction
    with Manifest(tmp_path, OPTIONS) as manifest:
        manifest.list_inputs(["a.jpg", "b.jpg", os.fsdecode(b"\xff.jpg")])
        assert [source for _, source, _ in manifest.inputs()][2].encode(
            "utf-8", "surrogateescape"
        ) == b"\xff.jpg"
        manifest.record_content(1, "a.jpg", content)
        assert manifest.record_content(2, "b.jpg", content) == "duplicate"
        manifest.record(1, [content.digest or b""], outcome([b"\1\1"]))
        manifest.list_inputs(["b.jpg"])
        assert manifest.record_content(1, "b.jpg", content) == "done"


def test_a_file_that_changes_while_it_is_read_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"one")
    before = work.content_of(str(path))
    assert work.content_of(str(path), before._replace(digest=b"believed")).digest == b"believed"
    path.write_bytes(b"other")
    assert work.content_of(str(path), before).digest != before.digest
    fp: Any = SimpleNamespace(
        embedder_card=SimpleNamespace(dim=2),
        analyze_groups=lambda groups, batch_size: (
            SimpleNamespace(error=None, faces=[]) for sources in groups for _ in sources
        ),
    )
    assert work.embed(fp, [str(path)], [before.stamp], 1).errors == (CHANGED,)


def test_reasons_are_kinds_not_figures() -> None:
    assert work.reason("file of 12,345 bytes, over the limit") == "file of N bytes"
    assert work.reason("damaged or truncated: broken data stream") == "damaged or truncated"


def test_an_address_is_read_through_its_store() -> None:
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe_file("/bulk-work/a.jpg", b"bytes")
    found = work.content_of("memory://bulk-work/a.jpg")
    assert found.size == 5
    assert found.error is None
    assert work.content_of("memory://bulk-work/gone.jpg").error == "no such file"
