"""What `to_dict` gives in Python is what `--json` prints."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest
from command_line import CommandLine

import faceprint

SAMPLES = Path(str(resources.files("faceprint") / "samples"))
OBAMA, OTHER, COLLINS = (str(SAMPLES / f"{n}.jpg") for n in ("obama", "obama2", "collins"))


@pytest.fixture(scope="module")
def analyzer() -> faceprint.FaceAnalyzer:
    return faceprint.load(threads=1)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(capsys)


def test_verify(analyzer: faceprint.FaceAnalyzer, cli: CommandLine) -> None:
    answer = faceprint.verify(OBAMA, OTHER, analyzer=analyzer)
    printed = cli("verify", OBAMA, OTHER, "--json", "--threads", 1).json
    assert answer.to_dict() == printed
    assert list(printed)[:3] == ["similarity", "threshold", "match"]
    assert printed["faces"][0].items() >= answer.faces[0].to_dict().items()


def test_detect(analyzer: faceprint.FaceAnalyzer, cli: CommandLine, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff no picture")
    sources = [OBAMA, str(broken)]
    printed = cli("detect", *sources, "--json", "--threads", 1, code=3).lines
    assert [image.to_dict() for image in analyzer.analyze_many(sources, embed=False)] == printed
    assert "error" in printed[1] and "error" not in printed[0]


def test_identify(analyzer: faceprint.FaceAnalyzer, cli: CommandLine, tmp_path: Path) -> None:
    place = tmp_path / "people.db"
    with faceprint.Gallery.open(place, analyzer) as gallery:
        gallery.enroll("obama", OBAMA)
        answers = [gallery.identify(probe, threshold=0.9) for probe in (OTHER, COLLINS)]
    words = ("--threshold", 0.9, "--json", "--threads", 1)
    printed = cli("identify", place, OTHER, COLLINS, *words).lines
    for answer, line in zip(answers, printed, strict=True):
        assert {"source", "box", *answer.to_dict()} == set(line)
        assert json.loads(json.dumps(answer.to_dict())).items() <= line.items()
    assert [line["subject"] for line in printed] == ["obama", None]


def test_cluster(analyzer: faceprint.FaceAnalyzer, cli: CommandLine) -> None:
    sources = [OBAMA, OTHER, COLLINS]
    album = faceprint.cluster(analyzer.analyze_many(sources), threshold=0.93)
    printed = cli("cluster", *sources, "--threshold", 0.93, "--json", "--threads", 1).json
    assert album.to_dict().items() <= printed.items()
    assert [len(person["faces"]) for person in printed["people"]] == [2, 1]
