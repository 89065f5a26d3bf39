"""Faces that are too poor: refused at enrollment, and nothing is decided about them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageFilter
import pytest

import faceprint
from faceprint.cli.app import main
from faceprint.errors import UsageError

MODELS = ("--detector", "yunet-2023mar", "--embedder", "mobileface")
Run = Callable[..., tuple[int, list[dict[str, Any]], str]]


@pytest.fixture(autouse=True)
def _models(shared_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPRINT_MIRROR", str(shared_models))
    monkeypatch.setenv("FACEPRINT_ACCEPT_LICENSE", "1")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command: exit code, its JSON lines, and what it said on stderr."""

    def command(*words: object) -> tuple[int, list[dict[str, Any]], str]:
        with pytest.raises(SystemExit) as ended:
            main([*(str(word) for word in words), "--json", *MODELS])
        said = capsys.readouterr()
        documents, rest, decoder = [], said.out.strip(), json.JSONDecoder()
        while rest:
            document, end = decoder.raw_decode(rest)
            documents.append(document)
            rest = rest[end:].strip()
        return int(ended.value.code or 0), documents, said.err

    return command


@pytest.fixture(scope="module")
def far_off(shared_samples: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two people as a camera far off sees them: faces of 22 pixels, blurred, then enlarged."""
    folder = tmp_path_factory.mktemp("far")
    widths = {"obama": 270, "biden": 300}
    paths = {}
    for name, width in widths.items():
        picture = PIL.Image.open(shared_samples / f"{name}.jpg").convert("RGB")
        share = 22 / width
        size = (round(picture.width * share), round(picture.height * share))
        small = picture.resize(size, PIL.Image.Resampling.BICUBIC)
        small = small.filter(PIL.ImageFilter.GaussianBlur(1.0))
        large = small.resize((size[0] * 4, size[1] * 4), PIL.Image.Resampling.BICUBIC)
        paths[name] = folder / f"{name}.png"
        large.save(paths[name])
    return paths


def test_a_blurred_face_is_not_enrolled(run: Run, far_off: dict[str, Path], tmp_path: Path) -> None:
    db = tmp_path / "people.db"
    code, (line,), said = run("enroll", db, "obama", far_off["obama"])
    assert code == 3 and line["template"] is None
    assert "quality 0." in line["reason"] and "--min-quality 0" in line["reason"]
    assert "1 of them because of the quality of the face" in said
    code, (line,), _ = run("enroll", db, "obama", far_off["obama"], "--min-quality", 0)
    assert code == 0 and line["template"] == "1"


def test_a_folder_of_people_is_counted(
    run: Run, far_off: dict[str, Path], shared_samples: Path, tmp_path: Path
) -> None:
    for name, source in (("obama", shared_samples / "obama.jpg"), ("biden", far_off["biden"])):
        (tmp_path / "people" / name).mkdir(parents=True)
        target = tmp_path / "people" / name / source.name
        target.write_bytes(source.read_bytes())
    code, lines, said = run("enroll", tmp_path / "people.db", "--from", tmp_path / "people")
    assert code == 3
    assert {line["subject"]: line["template"] is not None for line in lines} == {
        "obama": True,
        "biden": False,
    }
    assert "1 not used, 1 of them because of the quality of the face" in said


def test_a_blurred_stranger_is_nobody(
    run: Run, far_off: dict[str, Path], shared_samples: Path, tmp_path: Path
) -> None:
    db = tmp_path / "people.db"
    run("enroll", db, "obama", far_off["obama"], "--min-quality", 0)
    code, (line,), _ = run("identify", db, far_off["biden"])
    assert code == 1 and line["subject"] is None and line["decidable"] is False
    assert "is below 0.50" in line["reason"]
    assert line["candidates"][0]["subject"] == "obama"
    # This is what the limit is there for.
    code, (line,), _ = run("identify", db, far_off["biden"], "--min-quality", 0)
    assert code == 0 and line["subject"] == "obama" and line["decidable"] is True
    code, (line,), _ = run("identify", db, shared_samples / "biden.jpg")
    assert line["decidable"] is True and line["reason"] is None


def test_verify_does_not_decide(run: Run, far_off: dict[str, Path], shared_samples: Path) -> None:
    code, (answer,), _ = run("verify", shared_samples / "obama.jpg", far_off["biden"])
    assert code == 1 and answer["match"] is False and answer["decidable"] is False
    assert answer["reason"].startswith("second photograph: quality 0.")
    assert answer["faces"][1]["quality"]["measure"] == "embedding"
    code, (answer,), _ = run("verify", *far_off.values(), "--min-quality", 0)
    assert answer["decidable"] is True and answer["reason"] is None
    code, (answer,), _ = run("verify", shared_samples / "obama.jpg", shared_samples / "obama2.jpg")
    assert code == 0 and answer["match"] is True and answer["decidable"] is True


def test_python_says_so_too(far_off: dict[str, Path], shared_samples: Path) -> None:
    fp = faceprint.load(detector="yunet-2023mar", embedder="mobileface", threads=1)
    pair = (shared_samples / "obama.jpg", far_off["obama"])
    answer = faceprint.verify(*pair, analyzer=fp)
    assert not answer.decidable and not answer.is_match and "second" in answer.reason
    free = faceprint.verify(*pair, analyzer=fp, min_quality=0)
    assert free.decidable and free.similarity == pytest.approx(answer.similarity)
    with pytest.raises(UsageError, match="min_quality"):
        faceprint.verify(*pair, analyzer=fp, min_quality=2)


def test_of_several_faces_a_good_one_decides(
    far_off: dict[str, Path], shared_samples: Path
) -> None:
    """`--faces all` leaves poor faces out where the photograph shows a better one."""
    fp = faceprint.load(detector="yunet-2023mar", embedder="mobileface", threads=1)
    sharp = PIL.Image.open(shared_samples / "biden.jpg").convert("RGB")
    poor = PIL.Image.open(far_off["obama"]).convert("RGB")
    both = PIL.Image.new("RGB", (sharp.width + poor.width, sharp.height))
    both.paste(sharp, (0, 0))
    both.paste(poor, (sharp.width, 0))
    photograph = np.asarray(both)
    assert len(fp.analyze(photograph)) == 2
    answer = faceprint.verify(shared_samples / "obama.jpg", photograph, analyzer=fp, faces="all")
    assert answer.decidable
    assert answer.faces[1].quality is not None and answer.faces[1].quality.value > 0.5
