"""The album over HTTP: people, pictures, corrections, and what is never served."""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

import faceprint
from faceprint.errors import UsageError
from faceprint.recognition.albums.corrections import Corrections
from faceprint.recognition.albums.editor import AlbumEditor
from faceprint.recognition.albums.store import AlbumFile
from faceprint.recognition.cluster import ClusterOptions, cluster_album
from faceprint.server.album_thread import album_file
from faceprint.server.app import ServiceOptions, create_app
from tests.album_kit import cluster_photographs, make_photographs


@pytest.fixture(scope="module")
def analyzer() -> faceprint.FaceAnalyzer:
    return faceprint.load(threads=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("album")
    cluster_photographs(make_photographs(folder / "photographs"), folder / "out")
    return folder


@pytest.fixture
def file(made: Path, tmp_path: Path) -> Path:
    """A copy of the album file; its photographs are where they were."""
    return Path(shutil.copy(made / "out" / "album.db", tmp_path))


@pytest.fixture
def client(file: Path, analyzer: faceprint.FaceAnalyzer) -> Iterator[TestClient]:
    with serve(file, analyzer) as client:
        yield client


def serve(file: Path | None, analyzer: faceprint.FaceAnalyzer) -> TestClient:
    """A service without keys."""
    app = create_app(analyzer, ServiceOptions(album=file, workers=1))
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


def people(client: TestClient) -> dict[str, set[str]]:
    """The photographs of each person, by name, else by the first of them; "": of nobody."""
    answer = client.get("/v1/album")
    assert answer.status_code == 200, answer.text
    document = answer.json()
    found = {"": {face["photograph"] for face in document["unassigned"]}}
    for person in document["people"]:
        photographs = {face["photograph"] for face in person["faces"]}
        found[person["name"] or min(photographs)] = photographs
    return found


def faces(client: TestClient) -> dict[str, int]:
    """The id of the face in each photograph."""
    document = client.get("/v1/album").json()
    groups = [document["unassigned"], *(person["faces"] for person in document["people"])]
    return {face["photograph"]: face["id"] for group in groups for face in group}


def person_with(client: TestClient, photograph: str) -> int:
    for person in client.get("/v1/album").json()["people"]:
        if photograph in {face["photograph"] for face in person["faces"]}:
            return int(person["id"])
    raise AssertionError(photograph)


def correct(client: TestClient, **correction: Any) -> dict[str, Any]:
    answer = client.post("/v1/album/corrections", json=correction)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def picture(url: str) -> Image.Image:
    kind, _, data = url.partition(",")
    assert kind == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


START = {
    "": {"far away.jpg"},
    "biden.jpg": {"biden.jpg"},
    "collins.jpg": {"collins.jpg"},
    "obama.jpg": {"obama.jpg"},
    "obama2.jpg": {"obama2.jpg"},
}


def test_the_people_are_those_of_the_command(client: TestClient) -> None:
    assert people(client) == START
    document = client.get("/v1/album").json()
    assert document["unassigned"][0]["reason"] == "too small"
    assert document["undo"] is None and document["missing"] == 0
    assert document["embedder"]


def test_thumbnails_of_many_faces_come_in_one_answer(client: TestClient) -> None:
    ids = list(faces(client).values())
    query = "&".join(f"face={key}" for key in [*ids, 999])
    answer = client.get(f"/v1/album/thumbnails?{query}").json()["thumbnails"]
    assert set(answer) == {str(key) for key in ids}
    assert all(max(picture(url).size) == 96 for url in answer.values())
    assert client.get("/v1/album/thumbnails").status_code == 422
    assert client.get("/v1/album/thumbnails?" + "face=1&" * 201).status_code == 422
    assert client.get(f"/v1/album/thumbnails?face={1 << 63}").status_code == 422


def test_a_face_leads_to_its_photograph(client: TestClient) -> None:
    answer = client.get(f"/v1/album/faces/{faces(client)['obama.jpg']}/photograph").json()
    assert (answer["name"], answer["width"], answer["height"]) == ("obama.jpg", 640, 800)
    assert picture(answer["image"]).size == (640, 800)
    x1, y1, x2, y2 = answer["box"]
    assert 0 < x1 < x2 < 640 and 0 < y1 < y2 < 800
    assert client.get("/v1/album/faces/999/photograph").status_code == 404


def test_corrections_are_stored_at_once_and_the_command_keeps_them(
    made: Path, file: Path, client: TestClient, analyzer: faceprint.FaceAnalyzer
) -> None:
    key = faces(client)
    obama = person_with(client, "obama.jpg")
    assert correct(client, kind="name", person=obama, name="Barack")["done"] is not None
    words = correct(client, kind="merge", people=[obama, person_with(client, "obama2.jpg")])
    assert words["done"] == words["undo"] and words["done"].startswith("merge Barack with person")
    correct(client, kind="give", faces=[key["far away.jpg"]], name="Eileen")
    correct(client, kind="give", faces=[key["biden.jpg"]], name="Eileen")
    correct(client, kind="not_this_person", faces=[key["biden.jpg"]])
    expected = {
        "": {"biden.jpg"},
        "Barack": {"obama.jpg", "obama2.jpg"},
        "Eileen": {"far away.jpg"},
        "collins.jpg": {"collins.jpg"},
    }
    assert people(client) == expected
    with serve(file, analyzer) as another:  # as after a restart
        assert people(another) == expected
        assert another.get("/v1/album").json()["undo"] is None
    shutil.copy(file, made / "out" / "corrected.db")
    with AlbumFile(made / "out" / "corrected.db") as opened:
        album = cluster_album(opened, Corrections(), ClusterOptions(threshold=0.98))
    found = {p.name: {Path(face.source).name for face in p.faces} for p in album.people if p.name}
    assert found == {name: expected[name] for name in ("Barack", "Eileen")}


def test_corrections_are_undone_one_by_one(client: TestClient) -> None:
    one, other = person_with(client, "obama.jpg"), person_with(client, "obama2.jpg")
    correct(client, kind="merge", people=[one, other])
    correct(client, kind="name", person=one, name="Barack")
    assert correct(client, kind="name", person=one, name="Barack")["done"] is None
    last = client.delete("/v1/album/corrections/last").json()
    assert last["done"] == f"name person {one} Barack"
    assert last["undo"] == f"merge person {one} with person {other}"
    assert client.delete("/v1/album/corrections/last").json()["undo"] is None
    assert people(client) == START
    refused = client.delete("/v1/album/corrections/last")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/conflict")


def test_what_another_program_changed_is_shown(file: Path, client: TestClient) -> None:
    assert people(client) == START
    one, other = person_with(client, "obama.jpg"), person_with(client, "obama2.jpg")
    with AlbumFile(file) as opened:
        AlbumEditor(opened).merge([one, other])
    assert people(client)["obama.jpg"] == {"obama.jpg", "obama2.jpg"}


@pytest.mark.parametrize(
    "correction, status",
    [
        ({"kind": "name", "person": 999, "name": "Ada"}, 400),
        ({"kind": "name", "person": 1, "name": "a" * 201}, 422),
        ({"kind": "merge", "people": [1]}, 422),
        ({"kind": "merge", "people": [1, 1]}, 400),
        ({"kind": "not_this_person", "faces": []}, 422),
        ({"kind": "not_this_person", "faces": [1 << 64]}, 422),
        ({"kind": "give", "faces": [1]}, 400),
        ({"kind": "give", "faces": [1], "person": 1, "name": "Ada"}, 400),
        ({"kind": "give", "faces": [999], "name": "Ada"}, 400),
        ({"kind": "other"}, 422),
        ({"kind": "merge", "people": [1, 2], "more": 1}, 422),
    ],
)
def test_what_makes_no_sense_is_refused(
    correction: dict[str, Any], status: int, client: TestClient
) -> None:
    answer = client.post("/v1/album/corrections", json=correction)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert people(client) == START


def test_only_what_was_analyzed_is_served(
    tmp_path: Path, file: Path, analyzer: faceprint.FaceAnalyzer
) -> None:
    """Whatever an album says, no other file is answered, nor one whose content is another now."""
    secret = tmp_path / "secret.txt"
    secret.write_text("a password", "utf-8")
    other = Path(faceprint.__file__).parent / "samples" / "biden.jpg"
    digest = hashlib.sha256(secret.read_bytes()).digest()
    cases: list[tuple[str, str, tuple[object, ...], int]] = [
        ("another photograph", "source = ?", (str(other),), 404),
        ("a text", "source = ?", (str(secret),), 404),
        ("a text with its digest", "source = ?, digest = ?", (str(secret), digest), 422),
        ("a device", "source = ?", ("/dev/zero",), 404),
        ("a folder", "source = ?", (str(tmp_path),), 404),
        ("gone", "source = ?", (str(tmp_path / "gone.jpg"),), 404),
        ("no name", "source = ?", ("a\0b",), 404),
        ("no digest", "digest = NULL", (), 404),
    ]
    for what, sets, values, status in cases:
        copy = tmp_path / "changed.db"
        shutil.copy(file, copy)
        with sqlite3.connect(copy) as connection:
            connection.execute(f"UPDATE photos SET {sets} WHERE name LIKE '%obama.jpg'", values)
            sql = "SELECT faces.key FROM faces JOIN photos ON photos.key = photo WHERE name LIKE ?"
            ((face,),) = connection.execute(sql, ("%obama.jpg",)).fetchall()
        connection.close()
        with serve(copy, analyzer) as client:
            answer = client.get(f"/v1/album/faces/{face}/photograph")
        assert answer.status_code == status, what
        assert "password" not in answer.text
        assert str(tmp_path) not in answer.text


def test_a_photograph_is_shown_upright_and_without_what_its_file_says(
    tmp_path: Path, analyzer: faceprint.FaceAnalyzer
) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    with Image.open(Path(faceprint.__file__).parent / "samples" / "obama.jpg") as image:
        exif = image.getexif()
        exif[0x0112], exif[0x010E] = 8, "at home"  # turned, and a description
        image.rotate(-90, expand=True).save(folder / "turned.jpg", exif=exif)
    cluster_photographs(folder, tmp_path / "out")
    with serve(tmp_path / "out" / "album.db", analyzer) as client:
        (face,) = faces(client).values()
        answer = client.get(f"/v1/album/faces/{face}/photograph").json()
    assert (answer["width"], answer["height"]) == (640, 800)
    assert not picture(answer["image"]).getexif()


def test_without_an_album_there_is_none(analyzer: faceprint.FaceAnalyzer) -> None:
    with serve(None, analyzer) as client:
        for answer in (
            client.get("/v1/album"),
            client.get("/v1/album/thumbnails?face=1"),
            client.get("/v1/album/faces/1/photograph"),
            client.post("/v1/album/corrections", json={"kind": "merge", "people": [1, 2]}),
            client.delete("/v1/album/corrections/last"),
        ):
            assert answer.status_code == 404
            assert "no album" in answer.json()["detail"]


def test_an_album_is_a_file_or_the_folder_of_one(tmp_path: Path, file: Path) -> None:
    assert album_file(file) == file
    file.rename(tmp_path / "album.db")
    assert album_file(tmp_path) == tmp_path / "album.db"
    (tmp_path / "empty").mkdir()
    for nothing in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(UsageError, match="no album"):
            album_file(nothing)
