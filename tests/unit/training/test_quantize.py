"""`models quantize`: the graph that comes out, the guard, and what is kept of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx_graphs import Style, iresnet, save

import faceprint
from faceprint import _cpu
from faceprint._onnx_reader import scan
from faceprint.cli.app import main
from faceprint.errors import CardError, UsageError
from faceprint.runtime.session import open_session
from faceprint.training.quantize import agreement, decide, int8_card, quantize
from faceprint.zoo import catalog, store
from faceprint.zoo.card import ModelFile
from faceprint.zoo.card_io import card_hash, read_card

Array = np.ndarray[Any, Any]
Answer = tuple[int, str, str]


def batches(count: int = 4) -> list[Array]:
    random = np.random.default_rng(5)
    return [random.uniform(0, 255, (8, 3, 16, 16)).astype(np.float32) for _ in range(count)]


def int8_weights(path: Path) -> list[Array]:
    graph = onnx.load(path).graph
    kept = [
        i for i in graph.initializer if i.data_type == onnx.TensorProto.INT8 and len(i.dims) > 1
    ]
    return [numpy_helper.to_array(item) for item in kept]


@pytest.mark.parametrize("style", [Style(), Style(opset=11)])
def test_an_iresnet_is_int8_from_end_to_end(tmp_path: Path, style: Style) -> None:
    model = save(iresnet(style), tmp_path / "net.onnx")
    small = tmp_path / "int8.onnx"
    before = model.read_bytes()
    # As this processor needs it: with 8 bits, sums overflow where there is no VNNI.
    assert quantize(model, small, batches()) is not _cpu.multiplies_int8()
    ops = [node.op for node in scan(small).nodes]
    assert not {"PRelu", "BatchNormalization"} & set(ops)
    # every layer with weights, those that stand for a PRelu or a norm included
    convolutions = sum(op == "Conv" for op in ops)
    assert len(int8_weights(small)) == convolutions + ops.count("Gemm")
    blob = batches()[0]
    ours, theirs = (open_session(path).run(blob)[0] for path in (small, model))
    near = agreement(ours, theirs)
    assert 0.98 < near.lowest <= near.mean < 1
    assert model.read_bytes() == before


def test_weights_have_seven_bits_where_the_processor_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save(iresnet(), tmp_path / "net.onnx")
    for can, largest in ((False, 64), (True, 127)):
        monkeypatch.setattr("faceprint.training.quantize.multiplies_int8", lambda can=can: can)
        target = tmp_path / f"{can}.onnx"
        assert quantize(model, target, batches(1)) is not can
        sizes = [int(np.abs(w.astype(int)).max()) for w in int8_weights(target)]
        assert largest - 1 <= max(sizes) <= largest


def test_each_output_channel_has_its_scale(tmp_path: Path) -> None:
    model, target = save(iresnet(), tmp_path / "net.onnx"), tmp_path / "int8.onnx"
    quantize(model, target, batches(1), reduce_range=False)
    for weight in int8_weights(target):
        if weight.ndim == 4:  # each filter uses the whole range, not only the largest one
            assert np.abs(weight.astype(int)).reshape(len(weight), -1).max(axis=1).min() >= 126


def test_what_cannot_be_quantized_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="calibrate"):
        quantize(save(iresnet(), tmp_path / "net.onnx"), tmp_path / "out.onnx", [])
    (tmp_path / "bad.onnx").write_bytes(b"\xff" * 40)
    with pytest.raises(CardError, match=r"bad\.onnx"):
        quantize(tmp_path / "bad.onnx", tmp_path / "out.onnx", batches(1))


@pytest.mark.parametrize(
    ("speedup", "accuracy", "kept", "said"),
    [
        (1.2, (0.995, 0.993), True, ""),
        (1.2, (0.995, 0.9929), False, "0.21 points"),
        (1.19, (0.99, 0.99), False, "1.19 x"),
        (3.0, None, True, ""),
        (0.5, (0.9, 0.95), False, "0.50 x"),
    ],
)
def test_the_rule(
    speedup: float, accuracy: tuple[float, float] | None, kept: bool, said: str
) -> None:
    decision = decide(speedup, accuracy)
    assert decision.kept == kept
    assert said in "; ".join(decision.reasons)
    assert bool(decision.reasons) != kept


def test_agreement_is_the_cosine() -> None:
    found = agreement(np.array([[2.0, 0.0], [0.0, 3.0]]), np.array([[5.0, 0.0], [4.0, 3.0]]))
    assert (found.mean, found.lowest, found.crops) == (pytest.approx(0.8), pytest.approx(0.6), 2)


def test_the_new_card_claims_nothing_of_the_old() -> None:
    old = catalog.get_card("dlib-resnet")
    new = int8_card(old, "mine", ModelFile("mine.onnx", "ab" * 32, 5))
    assert old.published and old.operating_points and old.golden
    assert not (new.published or new.operating_points or new.golden)
    assert (new.id, new.input, new.alignment, new.license) == (
        "mine",
        old.input,
        old.alignment,
        old.license,
    )
    assert card_hash(new) != card_hash(old)


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """`faceprint models quantize dlib-resnet ...` with a home of its own."""
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))

    def call(*words: object) -> Answer:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(["models", "quantize", "dlib-resnet", *map(str, words)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return int(left.value.code or 0), out, err

    return call


@pytest.fixture
def few_pairs(shared_faces: Path, tmp_path: Path) -> Path:
    """40 pairs of LFW's first fold, in two folds."""
    lines = (shared_faces / "lfw_pairs.txt").read_text("utf-8").splitlines()
    same, other = lines[1:301], lines[301:601]
    path = tmp_path / "pairs.txt"
    rows = [*same[:10], *other[:10], *same[10:20], *other[10:20]]
    path.write_text("\n".join(["2\t10", *rows]) + "\n", "utf-8")
    return path


def test_taken_then_refused(
    command: Callable[..., Answer], few_pairs: Path, shared_faces: Path, tmp_path: Path
) -> None:
    out, lfw = tmp_path / "out" / "small.onnx", shared_faces / "lfw"
    out.parent.mkdir()
    words = ("--out", out, "--on", lfw, "--pairs", few_pairs, "--photographs", 24, "--json")
    # Refused by accuracy (nothing loses less than -100 points), then by speed: nothing is kept.
    for limits, said in (
        (("--limit", -100, "--min-speedup", 0), "points"),
        (("--min-speedup", 1e6, "--limit", 100), "x as fast"),
    ):
        code, text, _ = command(*words, *limits)
        document = json.loads(text)
        assert (code, document["kept"], document["card"]) == (1, False, None)
        assert len(document["reasons"]) == 1 and said in document["reasons"][0]
        assert not list(out.parent.iterdir())
        assert "dlib-resnet-int8" not in catalog.card_ids()
    code, text, _ = command(*words, "--limit", 100, "--min-speedup", 0, "--name", "mine-8")
    document = json.loads(text)
    assert (code, document["kept"], document["name"]) == (0, True, "mine-8")
    assert document["cpu_flags"] == _cpu.cpu_flags()
    assert document["reduce_range"] == (not _cpu.multiplies_int8())
    assert document["accuracy"]["pairs"] == 40
    assert document["accuracy"]["float32"] > 0.9
    assert document["agreement"]["lowest"] > 0.99
    speed = document["speed"]
    assert speed["ratio"] == pytest.approx(speed["float32_ms"] / speed["int8_ms"])
    _holds(out)
    code, _, err = command(*words)
    assert code == 2 and "--replace" in err


def _holds(out: Path) -> None:
    """The card beside the graph is the catalog's, and embeds as another model than float32's."""
    card = read_card(out.with_suffix(".toml"))
    assert replace(catalog.get_card("mine-8"), origin="") == replace(card, origin="")
    assert store.file_sha256(out) == card.files[0].sha256
    assert card_hash(card) != card_hash(catalog.get_card("dlib-resnet"))
    crops = np.random.default_rng(0).integers(0, 256, (3, 150, 150, 3), np.uint8)
    small, full = (faceprint.load(embedder=name) for name in ("mine-8", "dlib-resnet"))
    ours, theirs = small.embed_crops(crops), full.embed_crops(crops)
    assert {item.model for item in ours} == {"mine-8"}
    cosines = [float(a.vector @ b.vector) for a, b in zip(ours, theirs, strict=True)]
    assert 0.98 < min(cosines) < max(cosines) < 1 - 1e-6


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--out", "small.txt"), "FILE.onnx"),
        (("--out", "nowhere/small.onnx"), "existing folder"),
        (("--out", "small.onnx", "--name", "mtcnn"), "--replace"),
        (("--out", "small.onnx"), "--speed-only"),
    ],
)
def test_calls_that_cannot_be_meant(
    command: Callable[..., Answer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = command(*words, "--on", tmp_path)
    assert code == 2
    assert said in " ".join(err.split())


def test_a_folder_without_faces(command: Callable[..., Answer], tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    code, _, err = command(
        "--out", tmp_path / "small.onnx", "--on", tmp_path / "photographs", "--speed-only"
    )
    assert code == 3
    assert "faces in 0 of 0 photographs" in err
