"""From photographs to figures, with real models: the same figure whatever holds the pictures."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from faceprint.cli.app import main
from faceprint.evaluation.bin_pack import open_bin
from faceprint.evaluation.calibrate import calibrate
from faceprint.evaluation.embeddings import EmbedOptions, embed_pictures
from faceprint.evaluation.folders import open_folder
from faceprint.evaluation.labeled_scores import all_pairs
from faceprint.evaluation.metrics import error_rates
from faceprint.evaluation.pairs import open_lfw
from faceprint.evaluation.verification import evaluate
from faceprint.types import AnalyzedImage, Image
from faceprint.vision.analyzer import FaceAnalyzer, load

FOLDS, HALF = 3, 20


@pytest.fixture
def few(tmp_path: Path, shared_faces: Path) -> tuple[Path, Path]:
    """A small pairs.txt over LFW: three folds of 2 x 20 of its pairs."""
    lines = (shared_faces / "lfw_pairs.txt").read_text().splitlines()
    kept = [f"{FOLDS}\t{HALF}"]
    for fold in range(FOLDS):
        for kind in range(2):
            start = 1 + fold * 600 + kind * 300
            kept += lines[start : start + HALF]
    (tmp_path / "pairs.txt").write_text("\n".join(kept) + "\n")
    return shared_faces / "lfw", tmp_path / "pairs.txt"


@pytest.fixture
def analyzer(shared_models: Path, monkeypatch: pytest.MonkeyPatch) -> FaceAnalyzer:
    monkeypatch.setenv("FACEPRINT_MIRROR", str(shared_models))
    return load(detector="yunet-2023mar", embedder="mobileface", accept_license=True)


def crop_of(result: AnalyzedImage) -> Image:
    """The central face's crop; each of these photographs has a face."""
    middle = np.asarray([result.width, result.height]) / 2

    def central(k: int) -> float:
        face = result.faces[k]
        away = (face.box[:2] + face.box[2:]) / 2 - middle
        return face.area - 2 * float(away @ away)

    crop = result.faces[max(range(len(result.faces)), key=central)].crop
    assert crop is not None
    return crop


def test_photographs_their_crops_and_a_pack_of_them_give_one_accuracy(
    few: tuple[Path, Path], analyzer: FaceAnalyzer, tmp_path: Path
) -> None:
    photographs = open_lfw(*few)
    central = EmbedOptions(face="central")
    of_photographs = evaluate("lfw", photographs, analyzer, options=central)
    folder, encoded = tmp_path / "crops", {}
    sources = [picture.source for picture in photographs.pictures]
    stream = analyzer.analyze_many(sources, embed=False, keep_crops=True)  # type: ignore[arg-type]
    for picture, result in zip(photographs.pictures, stream, strict=True):
        out = io.BytesIO()
        Pillow.fromarray(crop_of(result)).save(out, "PNG")
        path = (folder / picture.name).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(out.getvalue())
        encoded[picture.name] = out.getvalue()
    crops = open_lfw(folder, few[1], aligned=True)
    of_crops = evaluate("lfw", crops, analyzer)
    pairs = list(photographs)
    pack = [encoded[side.name] for pair in pairs for side in (pair.a, pair.b)]
    (tmp_path / "few.bin").write_bytes(pickle.dumps((pack, [pair.mated for pair in pairs])))
    of_pack = evaluate("bin", open_bin(tmp_path / "few.bin"), analyzer, folds=FOLDS)
    assert of_photographs.result.accuracy is not None
    assert of_photographs.result.accuracy > 0.95
    for other in (of_crops, of_pack):
        assert other.result.accuracy == of_photographs.result.accuracy
        assert other.result.fold_accuracies == of_photographs.result.fold_accuracies
        assert np.allclose(other.similarities, of_photographs.similarities, atol=1e-5)


def test_the_commands_from_photographs_to_a_decision(
    few: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, shared_models: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPRINT_MIRROR", str(shared_models))
    monkeypatch.setenv("FACEPRINT_ACCEPT_LICENSE", "1")
    models = ["--detector", "yunet-2023mar", "--embedder", "mobileface"]

    def faceprint(*words: str | Path) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            main([*map(str, words), *models])
        return int(left.value.code or 0), capsys.readouterr().out

    lfw = ("evaluate", "lfw", few[0], "--pairs", few[1], "--json")
    code, out = faceprint(*lfw, "--report", tmp_path / "report")
    first = json.loads(out)
    assert code == 0
    assert (first["folds"], first["pairs"], first["failed"]) == (FOLDS, 2 * FOLDS * HALF, 0)
    assert first["reproduce"]["models"]["embedder"]["id"] == "mobileface"
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("data:image/svg+xml") >= 3
    # The second time nothing is computed: models need not even be loaded.
    monkeypatch.setattr(FaceAnalyzer, "analyze_many", None)
    monkeypatch.setattr(FaceAnalyzer, "embed_crops", None)
    assert json.loads(faceprint(*lfw)[1]) == first
    monkeypatch.undo()
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPRINT_MIRROR", str(shared_models))
    monkeypatch.setenv("FACEPRINT_ACCEPT_LICENSE", "1")

    table = tmp_path / "pairs.csv"
    rows = [f"{p.a.name},{p.b.name},{int(p.mated)}" for p in open_lfw(*few)]
    table.write_text("a,b,label\n" + "\n".join(rows) + "\n")
    calibrated = ("calibrate", few[0], "--pairs", table, "--name", "few", "--json")
    code, out = faceprint(*calibrated, "--fmr", "0.1", "--fmr", "1e-3")
    found = json.loads(out)
    assert code == 0
    assert [point["fmr"] for point in found["points"]] == [0.1]
    assert found["points"][0]["fmr_low"] == 0  # a few false matches make a bound, not a number
    assert "too few to promise the rate" in found["points"][0]["statement"]
    assert "FMR 0.001: 60 non-mated pairs are too few" in found["refused"][0]

    pair = next(p for p in open_lfw(*few) if not p.mated)
    sides = (few[0] / pair.a.name, few[0] / pair.b.name)
    code, out = faceprint("verify", *sides, "--calibration", "few", "--json")
    decided = json.loads(out)
    assert code == int(not decided["match"])
    assert decided["threshold"] == pytest.approx(found["points"][0]["threshold"], abs=1e-6)
    assert "non-mated pairs scores this high" in decided["rarity"]
    assert 0 < decided["probability"] < 1

    code, out = faceprint("evaluate", "clustering", _people(few, tmp_path), "--json")
    clusters = json.loads(out)["clusters"]
    assert code == 0
    assert clusters["bcubed"]["f"] > 0.9
    code, out = faceprint("evaluate", "identification", tmp_path / "people", "--json")
    assert json.loads(out)["identified"]["cmc"][0] > 0.8


def _people(few: tuple[Path, Path], tmp_path: Path) -> Path:
    for pair in open_lfw(*few):
        for side in (pair.a, pair.b):
            target = tmp_path / "people" / side.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(side.read())
    return tmp_path / "people"


def test_validate_says_so_when_a_figure_does_not_hold(
    few: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def validate(*more: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            main(["models", "validate", "dlib-resnet", "--on", str(few[0]), *more])
        return int(left.value.code or 0), capsys.readouterr().out

    code, out = validate("--pairs", str(few[1]), "--json")
    found = json.loads(out)
    figure = found["figures"][0]
    assert figure["published"] == 0.9938
    assert found["agrees"] == (figure["low"] <= 0.9938 <= figure["high"])
    assert code == int(not found["agrees"])
    assert validate("--pairs", str(few[1]), "--data-set", "CFP-FP")[0] == 2


@pytest.mark.slow
def test_half_of_the_people_promise_what_the_other_half_shows(
    shared_faces: Path, analyzer: FaceAnalyzer
) -> None:
    """Twenty random halves of LFW's people, at most three photographs of each."""
    data = open_folder(shared_faces / "lfw")
    place = np.arange(len(data)) - np.searchsorted(data.subjects, data.subjects)
    chosen = np.flatnonzero(place < 3)
    pictures = [data.pictures[i] for i in chosen]
    embedded = embed_pictures(pictures, analyzer, EmbedOptions(face="central"))
    scores = all_pairs(embedded.vectors[embedded.found], data.subjects[chosen][embedded.found])
    targets = (1e-2, 1e-3)
    kept = dict.fromkeys(targets, 0)
    for split in range(20):
        half = np.random.default_rng(split).permutation(len(data.names)) % 2 == 0
        other = scores.among(~half)
        points = calibrate(scores.among(half), targets, seed=split).points
        assert [point.fmr for point in points] == list(targets)
        for point in points:
            seen = error_rates(other.similarities, other.mated, point.threshold).fmr.observed
            kept[point.fmr] += point.fmr_low <= seen <= point.fmr_high
    assert min(kept.values()) >= 18, kept
