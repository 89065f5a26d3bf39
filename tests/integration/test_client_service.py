"""`faceprint.Client` against a running service: the answers and errors of the Python API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from live_server import served
from PIL import Image

import faceprint
from faceprint.server.app import ServiceOptions, create_app
from faceprint.server.keys import SCOPES, KeyFile

SAMPLES = Path(faceprint.__file__).parent / "samples"
OBAMA, OBAMA2 = SAMPLES / "obama.jpg", SAMPLES / "obama2.jpg"


@pytest.fixture(scope="module")
def analyzer() -> faceprint.FaceAnalyzer:
    return faceprint.load(threads=1)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    return KeyFile(tmp_path_factory.mktemp("keys") / "keys.json")


@pytest.fixture(scope="module")
def address(
    tmp_path_factory: pytest.TempPathFactory, analyzer: faceprint.FaceAnalyzer, stored: KeyFile
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("service")
    options = ServiceOptions(gallery=str(folder / "people.db"), keys=stored, workers=1)
    with served(create_app(analyzer, options)) as address:
        yield address


@pytest.fixture
def client(address: str, stored: KeyFile) -> Iterator[faceprint.Client]:
    secret, _ = stored.create("all", SCOPES)
    with faceprint.Client(address, secret) as client:
        for subject in list(client.subjects()):
            client.remove(subject.name)
        yield client


@pytest.fixture
def gray(tmp_path: Path) -> Path:
    Image.new("RGB", (64, 64), (90, 90, 90)).save(tmp_path / "gray.png")
    return tmp_path / "gray.png"


@pytest.mark.parametrize("options", [{}, {"fmr": 1e-2}, {"threshold": 0.99, "min_quality": 0}])
def test_verify_answers_as_the_library_does(
    options: dict[str, float], client: faceprint.Client, analyzer: faceprint.FaceAnalyzer
) -> None:
    expected = faceprint.verify(OBAMA, OBAMA2, analyzer=analyzer, **options)  # type: ignore[arg-type]
    found = client.verify(OBAMA, OBAMA2, **options)  # type: ignore[arg-type]
    assert found.to_dict() == expected.to_dict()
    assert found.is_match == expected.is_match
    assert found.operating_point.measured_on == expected.operating_point.measured_on


def test_faces_come_with_embeddings_and_crops_on_request_alone(
    client: faceprint.Client, analyzer: faceprint.FaceAnalyzer
) -> None:
    (plain,) = client.analyze(OBAMA)
    assert plain.embedding is None and plain.crop is None
    (expected,) = analyzer.analyze(OBAMA, keep_crops=True)
    (found,) = client.analyze(OBAMA, embed=True, keep_crops=True)
    assert found.to_dict() == expected.to_dict()
    assert found.embedding is not None and expected.embedding is not None
    np.testing.assert_array_equal(found.embedding.vector, expected.embedding.vector)
    assert found.embedding.model == expected.embedding.model
    assert found.embedding.norm == pytest.approx(expected.embedding.norm)
    np.testing.assert_array_equal(found.crop, expected.crop)


def test_every_kind_of_image_is_taken(client: faceprint.Client) -> None:
    pixels = faceprint.decode(OBAMA)
    boxes = [
        client.analyze(source)[0].box
        for source in (str(OBAMA), OBAMA.read_bytes(), Image.fromarray(pixels), pixels)
    ]
    # A JPEG may be decoded at another scale than pixels are.
    np.testing.assert_array_equal(boxes[0], boxes[1])
    np.testing.assert_array_equal(boxes[2], boxes[3])
    np.testing.assert_allclose(boxes[0], boxes[2], atol=3)
    with pytest.raises(faceprint.InvalidImageArrayError):
        client.analyze(np.zeros((4, 4), np.uint8))


def test_a_gallery_is_filled_searched_and_emptied(client: faceprint.Client, gray: Path) -> None:
    consent = faceprint.Consent("written", "2026-01-02")
    done = client.enroll("Ωbama", OBAMA, gray, metadata={"a": [1]}, consent=consent)
    good, bad = done
    assert isinstance(good, faceprint.Enrolled) and good.new and good.source == str(OBAMA)
    assert isinstance(bad, faceprint.Skipped) and bad.source == str(gray) and bad.reason
    client.enroll("collins", SAMPLES / "collins.jpg")
    people = list(client.subjects())
    assert [(p.name, p.templates) for p in people] == [("collins", 1), ("Ωbama", 1)]
    assert people[1].metadata == {"a": [1]} and people[1].consent == consent
    answer = client.identify(OBAMA2, top=2)
    assert answer.subject == "Ωbama"
    assert [match.subject for match in answer] == ["Ωbama", "collins"]
    assert answer.operating_point is not None
    assert client.identify(SAMPLES / "biden.jpg").subject is None
    ((box, same),) = client.identify_all(OBAMA2)
    assert same.to_dict()["subject"] == "Ωbama" and box[0] < box[2]
    with pytest.raises(faceprint.NoFaceError):
        client.identify(gray)
    with pytest.raises(faceprint.UnknownSubjectError, match="nobody"):
        client.remove("collins", "nobody")
    assert client.remove("collins", "Ωbama") == 2
    assert list(client.subjects()) == []


def test_photographs_are_sorted_under_their_own_names(client: faceprint.Client) -> None:
    sources = [OBAMA, SAMPLES / "biden.jpg", OBAMA2, b"no photograph"]
    album = client.cluster(sources)
    people = [{face["source"] for face in person["faces"]} for person in album["people"]]
    assert people == [{str(OBAMA), str(OBAMA2)}, {str(SAMPLES / "biden.jpg")}]
    assert [entry["source"] for entry in album["failed"]] == ["<bytes>"]


def test_models_are_named(client: faceprint.Client) -> None:
    assert client.models()["embedder"]["id"] == "dlib-resnet"


def test_errors_are_those_of_the_library(client: faceprint.Client, gray: Path) -> None:
    with pytest.raises(faceprint.NoFaceError, match="b: no face found"):
        client.verify(OBAMA, gray)
    with pytest.raises(faceprint.DecodeError):
        client.analyze(b"no photograph")
    with pytest.raises(faceprint.SourceNotFoundError, match="missing"):
        client.analyze("missing.jpg")
    with pytest.raises(faceprint.UsageError, match=r"0\.123"):
        client.verify(OBAMA, OBAMA2, fmr=0.123)
    with pytest.raises(faceprint.UsageError, match="threshold"):
        client.verify(OBAMA, OBAMA2, threshold=2)


def test_keys_are_refused_by_status(address: str, stored: KeyFile) -> None:
    lesser, _ = stored.create("lesser", ["identify"])
    with pytest.raises(faceprint.ServiceError, match="401") as error:
        faceprint.Client(address).models()
    assert error.value.status == 401
    with pytest.raises(faceprint.ServiceError, match="scope embed") as error:
        faceprint.Client(address, lesser).analyze(OBAMA, embed=True)
    assert error.value.status == 403
