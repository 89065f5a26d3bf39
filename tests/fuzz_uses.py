"""What a fuzz run does with a damaged file: everything that faceprint offers for its kind.

Each use is a step. A step may fail with an error of `faceprint.errors`, or as a command with an
exit code of 0 to 4; the next steps are still made.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["USES", "Step", "command"]

Step = tuple[str, Callable[[], object]]
"""A name, and what to call."""

Uses = Callable[[Path, Path], Iterator[Step]]
"""Takes the damaged file, in a folder of its own, and the folder of the originals."""


class CommandError(Exception):
    """A command that ended with another code than it may, or with a traceback."""


def command(*words: object, calls: tuple[int, ...] = (0, 1, 2, 3, 4)) -> tuple[int, str]:
    """Run a command in this process; its exit code, and what it printed on stderr.

    Raises:
        CommandError: another exit code than `calls`, or a traceback.
    """
    from faceprint.cli.app import main

    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    code: object = 0
    reason: BaseException | None = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(word) for word in words])
        except SystemExit as left:
            code, reason = left.code or 0, left.__context__
    said = err.getvalue()
    if code not in calls or "Traceback" in said:
        raise CommandError(f"exit code {code}: {said[-500:]}") from reason
    return int(str(code)), said


def _later(*words: object) -> Callable[[], object]:
    return lambda: command(*words)


_engine: list[Any] = []


def _analyzer() -> Any:
    import faceprint

    if not _engine:
        _engine.append(faceprint.load(threads=1))
    return _engine[0]


def photographs(path: Path, originals: Path) -> Iterator[Step]:
    """Decoding, the search for faces, the report's thumbnail, and what Pillow hands over."""
    from PIL import Image

    import faceprint
    from faceprint.evaluation.report import thumbnail

    data = path.read_bytes()
    yield "decode", lambda: faceprint.decode(data)
    yield "analyze", lambda: _analyzer().analyze(path, embed=False)
    yield "thumbnail", lambda: thumbnail(data)

    def from_pillow() -> None:
        with contextlib.ExitStack() as stack:
            try:
                # What Pillow itself refuses is its business, and its caller's.
                picture = stack.enter_context(Image.open(io.BytesIO(data)))
            except Exception:  # noqa: BLE001
                return
            faceprint.decode(picture)

    yield "decode of a PIL image", from_pillow


def galleries(path: Path, originals: Path) -> Iterator[Step]:
    """Every command and question of a gallery, or of an album."""
    yield from (_album if path.name.startswith("album") else _gallery)(path, originals)


def _gallery(path: Path, originals: Path) -> Iterator[Step]:
    from fuzz_originals import KEY
    from gallery_kit import POINTS, FakeAnalyzer, card

    from faceprint.recognition.gallery import Gallery
    from faceprint.recognition.gallery.crypto import Key
    from faceprint.types import Embedding

    folder = path.parent
    sealed = path.name.startswith("sealed")
    key = Key(KEY) if sealed else None
    (folder / "key").write_bytes(KEY)
    (folder / "other").write_bytes(KEY[::-1])
    with_key = ("--key-file", folder / "key") if sealed else ()
    for words in (("list",), ("show",), ("verify",), ("audit", "--verify")):
        yield (
            f"gallery {words[0]}",
            _later("gallery", words[0], path, *words[1:], *with_key, "--json"),
        )
        yield f"gallery {words[0]}, text", _later("gallery", words[0], path, *words[1:], *with_key)
    yield "gallery show p1", _later("gallery", "show", path, "p1", *with_key, "--json")

    def questions(act: Callable[[Gallery], object]) -> Callable[[], object]:
        def ask() -> object:
            with Gallery.open(path, FakeAnalyzer(), key=key) as gallery:
                return act(gallery)

        return ask

    probe = np.random.default_rng(1).standard_normal(32).astype(np.float32)
    probe /= np.linalg.norm(probe)
    yield (
        "identify",
        questions(
            lambda gallery: gallery.identify_many([Embedding(probe, "model-a", 1.0)], POINTS[0])
        ),
    )
    yield "vectors", questions(lambda gallery: [gallery.vectors(n) for n in ("p0", "p1", "p2")])
    yield "person_data", questions(lambda gallery: gallery.person_data("p1"))
    yield "enroll", questions(lambda gallery: gallery.enroll("p1", b"p1/9"))
    yield "export", _later("gallery", "export", path, folder / "out.jsonl", *with_key)
    yield "remove", _later("gallery", "remove", path, "p1", *with_key)
    yield "remove --expired", _later("gallery", "remove", path, "--expired", *with_key)
    yield (
        "migrate",
        questions(
            lambda gallery: gallery.migrate(FakeAnalyzer(card("model-b")), drop_missing=True)
        ),
    )
    yield "rekey", _later(
        "gallery", "rekey", path, *with_key, "--new-key-file", folder / "other"
    )  # fmt: skip
    for file in ("other", "key"):
        yield f"verify with {file}", _later("gallery", "verify", path, "--key-file", folder / file)


def _album(path: Path, originals: Path) -> Iterator[Step]:
    from faceprint.recognition.albums.store import AlbumFile

    def read() -> None:
        with AlbumFile(path) as album:
            album.photographs()
            album.stored()

    yield "album", read
    table = originals / "album.npz"
    album = ("--state", path, "--threshold", "0.5")
    yield "cluster --json", _later("cluster", "--from", table, *album, "--json")
    out = ("--out", path.parent / "out", "--folders", "none")
    yield "cluster --out", _later("cluster", "--from", table, *album, *out)
    forget = ("--forget", "photos/1.jpg")
    yield "cluster --forget", _later("cluster", "--from", table, *album, *forget, "--json")


def imports(path: Path, originals: Path) -> Iterator[Step]:
    """Into an empty gallery and into one of the same people; what is taken in must be sound."""
    from gallery_kit import FakeAnalyzer

    from faceprint.recognition.gallery import Gallery
    from faceprint.recognition.gallery.transfer import pin_in

    new, known = path.parent / "new.db", path.parent / "known.db"

    def made() -> None:
        Gallery.open(new, FakeAnalyzer()).close()

    yield "make", made
    shutil.copy(originals / "exported.db", known)
    yield "pin_in", lambda: pin_in(path)
    for gallery in (new, known):
        yield f"import, {gallery.stem}", _later("gallery", "import", gallery, path, "--json")
        yield (
            f"verify, {gallery.stem}",
            lambda g=gallery: command("gallery", "verify", g, calls=(0,)),
        )
        yield f"list, {gallery.stem}", lambda g=gallery: command("gallery", "list", g, calls=(0,))
        yield (
            f"export, {gallery.stem}",
            lambda g=gallery: command("gallery", "export", g, g.with_suffix(".jsonl"), calls=(0,)),
        )
    yield "import that makes", _later("gallery", "import", path.parent / "made.db", path)


def tables(path: Path, originals: Path) -> Iterator[Step]:
    """Reading by the bulk command and by the albums; people out of it."""
    from faceprint.embedding_table.reader import read_groups, read_metadata

    yield "read_metadata", lambda: read_metadata(path)
    yield "read_groups", lambda: sum(len(part["source"]) for part in read_groups(path))
    words = ("cluster", "--from", path, "--threshold", "0.5")
    yield "cluster --json", _later(*words, "--json")
    yield (
        "cluster --scratch",
        _later(*words, "--scratch", path.parent, "--out", path.parent / "p.npz"),
    )
    out = ("--out", path.parent / "album", "--folders", "none")
    yield "cluster --out", _later(*words, *out)
    source = originals / "nobody.png"
    yield "embed --resume", _later("embed", source, "--out", path, "--resume", "--threads", 1)


def cards(path: Path, originals: Path) -> Iterator[Step]:
    """Parsing and writing, adding to the catalog, and every list that then holds it."""
    from faceprint.recognition.thresholds.calibration_file import load_calibration
    from faceprint.zoo.card_io import card_hash, card_toml, parse_card, read_card
    from faceprint.zoo.catalog import remove_card

    if path.name == "calibration.json":
        yield "load_calibration", lambda: load_calibration(path)
        return
    if path.name == "manifest.json":
        words = ("models", "pull", "ArcFace", "--manifest", path, "--json")
        yield "models pull", _later(*words)
        return
    card = read_card(path)
    again = card_toml(card)

    def same() -> None:
        if card_hash(parse_card(again, where="again", origin="again")) != card_hash(card):
            raise CommandError("a card that is written and read again is another one")

    yield "card_toml", same
    yield "models lint", _later("models", "lint", originals / "modern.onnx", "--card", path)
    yield "models add", _later("models", "add", path, "--replace")
    for words in (("show", card.id), ("show", card.id, "--json"), ("list",), ("verify", card.id)):
        yield f"models {words[0]}", _later("models", *words)
    yield "models licenses", _later("models", "licenses")
    photo = originals / "face.jpg"
    which = "--detector" if card.task == "detect" else "--embedder"
    if not card.files[0].name.startswith("mine"):
        yield (
            "verify",
            _later("verify", photo, photo, which, card.id, "--threshold", "0.5", "--threads", 1),
        )
    yield "removed", lambda: remove_card(card.id)


def graphs(path: Path, originals: Path) -> Iterator[Step]:
    """Inspection, and every runtime that is installed."""
    from faceprint.runtime.session import RuntimeOptions, open_session
    from faceprint.zoo import legacy
    from faceprint.zoo.store import models_folder

    (path.parent / "weights.bin").write_bytes(bytes(48))
    yield "models lint", _later("models", "lint", path)
    yield "models lint --json", _later("models", "lint", path, "--json")
    yield "models lint --golden", _later("models", "lint", path, "--golden", "--threads", 1)
    yield "legacy", lambda: legacy.prepare(path, models_folder())

    def run(runtime: str) -> object:
        session = open_session(path, runtime=runtime, options=RuntimeOptions(threads=1))
        shape = [side or 1 for side in session.info.inputs[0].shape]
        if len(shape) > 8 or np.prod(shape, dtype=float) > 1e6:
            return None
        return session.run(np.zeros(shape, np.float32))

    yield "pytorch", lambda: run("pytorch")
    yield "onnxruntime", lambda: run("onnxruntime")
    yield "opencv", lambda: run("opencv")
    yield "openvino", lambda: run("openvino")


USES: dict[str, Uses] = {
    "photographs": photographs,
    "galleries": galleries,
    "cards": cards,
    "graphs": graphs,
    "imports": imports,
    "tables": tables,
}
"""By the kind of a case."""


def faults() -> list[Step]:
    """Steps that end as none may, to try the watch itself."""

    def unexpected() -> None:
        from unittest import mock

        with mock.patch("faceprint.cli.exit_codes._TABLE", ()):
            command("gallery", "list", "gone.db")

    def large() -> None:
        np.ones(150_000_000, np.float64).sum()

    def long() -> None:
        end = time.process_time() + 5.5
        while time.process_time() < end:
            pass

    def native() -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    return [
        ("fault", lambda: 1 // 0),
        ("command", unexpected),
        ("memory", large),
        ("time", long),
        ("native", native),
    ]


def trail(error: BaseException) -> list[str]:
    """Where an error came from, innermost last: `file:line function`."""
    if isinstance(error, CommandError) and error.__cause__ is not None:
        error = error.__cause__
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames]
