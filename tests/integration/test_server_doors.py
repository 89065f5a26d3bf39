"""The doors for clients of Immich, CompreFace and DeepStack, with the real models.

CompreFace's own SDK asks a running service; requests of Immich and double-take have the form that
their source gives them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from live_server import served
from PIL import Image
from starlette.requests import Request
from starlette.testclient import TestClient

import faceprint
from faceprint.server.access import SCOPE_FIELD
from faceprint.server.app import ServiceOptions, create_app
from faceprint.server.compat.doors import NAMES, rescale
from faceprint.server.keys import SCOPES, KeyFile
from faceprint.server.routes import ROUTERS
from tests.command_line import CommandLine

SAMPLES = Path(faceprint.__file__).parent / "samples"
OBAMA, OBAMA2, COLLINS = (
    (SAMPLES / f"{name}.jpg").read_bytes() for name in ("obama", "obama2", "collins")
)


def gray() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), (90, 90, 90)).save(out, "PNG")
    return out.getvalue()


class Widened:
    """The starter models with zeros after each embedding: 512 numbers, the same similarities."""

    def __init__(self, analyzer: faceprint.FaceAnalyzer) -> None:
        self._analyzer = analyzer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._analyzer, name)

    @property
    def embedder_card(self) -> faceprint.ModelCard:
        return replace(self._analyzer.embedder_card, dim=512)

    def analyze_batch(self, images: list[bytes], **options: bool) -> list[Any]:
        results = []
        for result in self._analyzer.analyze_batch(images, **options):
            faces = []
            for face in result.faces:
                vector = np.zeros(512, np.float32)
                assert face.embedding is not None
                vector[:128] = face.embedding.vector
                faces.append(replace(face, embedding=replace(face.embedding, vector=vector)))
            results.append(replace(result, faces=faces))
        return results


@pytest.fixture(scope="module")
def analyzer() -> faceprint.FaceAnalyzer:
    return faceprint.load(threads=1)


@pytest.fixture
def stored(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.json")


def all_doors(analyzer: faceprint.FaceAnalyzer, **options: Any) -> FastAPI:
    return create_app(Widened(analyzer), ServiceOptions(doors=NAMES, **options))  # type: ignore[arg-type]


# Keys

ROUTES = sorted(
    [
        ("GET", "/ping", "read"),
        ("POST", "/predict", "embed"),
        ("POST", "/v1/vision/face/recognize", "identify"),
        ("POST", "/v1/vision/face/register", "write"),
        ("POST", "/v1/vision/face/delete", "write"),
        ("POST", "/v1/vision/face/list", "read"),
        ("POST", "/api/v1/recognition/recognize", "identify"),
        ("POST", "/api/v1/recognition/faces", "write"),
        ("GET", "/api/v1/recognition/faces", "read"),
        ("DELETE", "/api/v1/recognition/faces", "write"),
        ("DELETE", "/api/v1/recognition/faces/{image_id}", "write"),
        ("POST", "/api/v1/recognition/faces/{image_id}/verify", "identify"),
        ("GET", "/api/v1/recognition/subjects", "read"),
        ("POST", "/api/v1/recognition/subjects", "write"),
        ("DELETE", "/api/v1/recognition/subjects", "write"),
        ("PUT", "/api/v1/recognition/subjects/{subject}", "write"),
        ("DELETE", "/api/v1/recognition/subjects/{subject}", "write"),
        ("POST", "/api/v1/detection/detect", "identify"),
        ("POST", "/api/v1/verification/verify", "identify"),
    ]
)


def door_routes() -> list[APIRoute]:
    from faceprint.server.compat import compreface, deepstack, immich

    modules = (immich, compreface, deepstack)
    return [r for module in modules for r in module.api.routes if isinstance(r, APIRoute)]


def test_every_route_of_the_doors_is_listed_with_its_scope() -> None:
    found = [
        (method, route.path, (route.openapi_extra or {})[SCOPE_FIELD])
        for route in door_routes()
        for method in sorted(route.methods or ())
    ]
    assert sorted(found) == ROUTES
    own = {route.path for router in ROUTERS for route in router.routes}  # type: ignore[attr-defined]
    assert not own & {path for _, path, _ in ROUTES}


@pytest.mark.parametrize("method, path, scope", ROUTES)
def test_keys_open_what_their_scopes_say(
    method: str, path: str, scope: str, analyzer: faceprint.FaceAnalyzer, stored: KeyFile
) -> None:
    revoked, key = stored.create("revoked", SCOPES)
    stored.revoke(key.id)
    lesser, _ = stored.create("lesser", [other for other in SCOPES if other != scope])
    right, _ = stored.create("right", [scope])
    with TestClient(all_doors(analyzer, keys=stored, workers=1)) as client:

        def status(secret: str | None) -> int:
            headers, data = {}, {"x": "y"}
            if secret is not None and path.startswith("/api/v1"):
                headers = {"x-api-key": secret}
            elif secret is not None and path.startswith("/v1/vision"):
                data["api_key"] = secret
            elif secret is not None:
                headers = {"Authorization": f"Bearer {secret}"}
            form = {} if method in ("GET", "DELETE") else {"data": data}
            return int(client.request(method, path, headers=headers, **form).status_code)  # type: ignore[arg-type]

        assert status(None) == 401
        assert status("fp_aaaaaaaa_" + "a" * 52) == 401
        assert status(revoked) == 401
        assert status(lesser) == 403
        assert status(right) not in (401, 403, 500)


def test_wrong_keys_in_a_body_are_slowed_down(
    analyzer: faceprint.FaceAnalyzer, stored: KeyFile
) -> None:
    stored.create("door", SCOPES)
    with TestClient(all_doors(analyzer, keys=stored, workers=1)) as client:
        answers = [
            client.post("/v1/vision/face/list", data={"api_key": "fp_aaaaaaaa_wrong"})
            for _ in range(21)
        ]
    assert [answer.status_code for answer in answers] == [401] * 20 + [429]
    assert answers[-1].json()["success"] is False
    assert int(answers[-1].headers["retry-after"]) >= 1


# Immich


@pytest.fixture
def immich(analyzer: faceprint.FaceAnalyzer, stored: KeyFile) -> Iterator[TestClient]:
    stored.create("others", SCOPES)
    options = ServiceOptions(doors=("immich",), keys=stored, open_doors=True, workers=1)
    with TestClient(create_app(Widened(analyzer), options)) as client:  # type: ignore[arg-type]
        yield client


def entries(score: float = 0.7) -> str:
    detection = {"modelName": "buffalo_l", "options": {"minScore": score}}
    recognition = {"modelName": "buffalo_l"}
    return json.dumps({"facial-recognition": {"detection": detection, "recognition": recognition}})


def test_immich_is_answered_as_by_its_own_service(
    immich: TestClient, analyzer: faceprint.FaceAnalyzer
) -> None:
    orjson = pytest.importorskip("orjson")
    assert immich.get("/ping").text == "pong"
    # A part without a file name of its own, as its `new Blob([...])` makes it.
    answer = immich.post("/predict", data={"entries": entries()}, files={"image": ("blob", OBAMA)})
    document = answer.json()
    assert set(document) == {"facial-recognition", "imageHeight", "imageWidth"}
    assert (document["imageWidth"], document["imageHeight"]) == (640, 800)
    (face,) = document["facial-recognition"]
    (expected,) = analyzer.analyze(OBAMA)
    box = face["boundingBox"]
    assert list(box) == ["x1", "y1", "x2", "y2"]
    assert list(box.values()) == [round(float(value)) for value in expected.box]
    assert all(isinstance(value, int) for value in box.values())
    assert face["score"] == pytest.approx(expected.score)
    vector = np.zeros(512, np.float32)
    assert expected.embedding is not None
    vector[:128] = expected.embedding.vector
    np.testing.assert_array_equal(np.array(json.loads(face["embedding"]), np.float32), vector)
    # Immich writes it with orjson.
    written = orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    assert json.loads(face["embedding"]) == json.loads(written)


def test_immichs_least_score_and_photographs_without_faces(immich: TestClient) -> None:
    for score, content in ((1.1, OBAMA), (0.7, gray())):
        files = {"image": ("blob", content)}
        answer = immich.post("/predict", data={"entries": entries(score)}, files=files)
        assert answer.status_code == 200 and answer.json()["facial-recognition"] == []


def test_the_open_door_is_immichs_alone(immich: TestClient) -> None:
    assert immich.get("/v1/models").status_code == 401
    assert immich.get("/ping", headers={"Origin": "https://example.com"}).status_code == 403


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '"x"'])
def test_entries_that_are_none(text: str | None, immich: TestClient) -> None:
    data = {} if text is None else {"entries": text}
    answer = immich.post("/predict", data=data, files={"image": ("blob", OBAMA)})
    assert answer.status_code == 422 and "entries" in answer.json()["detail"]


def test_other_tasks_are_refused_without_an_address(immich: TestClient) -> None:
    clip = {"clip": {"textual": {"modelName": "ViT-B-32__openai"}}}
    answer = immich.post("/predict", data={"entries": json.dumps(clip), "text": "a dog"})
    assert answer.status_code == 422 and "--forward" in answer.json()["detail"]


def test_other_tasks_are_forwarded(analyzer: faceprint.FaceAnalyzer) -> None:
    other, seen = FastAPI(), []

    @other.post("/predict")
    async def predict(request: Request) -> dict[str, str]:
        form = await request.form()
        image = form.get("image")
        content = await image.read() if image is not None else None  # type: ignore[union-attr]
        seen.append((json.loads(str(form["entries"])), content, form.get("text")))
        return {"clip": "[1,2]"}

    clip = {"clip": {"visual": {"modelName": "ViT-B-32__openai"}}}
    with served(other) as address:
        options = ServiceOptions(doors=("immich",), forward=address, workers=1)
        app = create_app(Widened(analyzer), options)  # type: ignore[arg-type]
        with TestClient(app, base_url="http://localhost") as client:
            both = json.dumps(clip | json.loads(entries()))
            answer = client.post("/predict", data={"entries": both}, files={"image": ("b", OBAMA)})
            document = answer.json()
            text = client.post("/predict", data={"entries": json.dumps(clip), "text": "a dog"})
    assert document["clip"] == "[1,2]" and len(document["facial-recognition"]) == 1
    assert text.json() == {"clip": "[1,2]"}
    assert seen == [(clip, OBAMA, None), (clip, None, "a dog")]


def test_models_of_another_width_are_refused_before_anything_starts(
    analyzer: faceprint.FaceAnalyzer,
) -> None:
    with pytest.raises(faceprint.UsageError, match=r"512 numbers, and dlib-resnet gives 128"):
        create_app(analyzer, ServiceOptions(doors=("immich",)))


@pytest.mark.parametrize(
    "words, match",
    [
        (["--compat", "immich"], "--compat-open"),
        (["--compat", "facebox", "--no-auth"], "facebox"),
        (["--compat", "deepstack", "--forward", "http://x"], "--compat immich"),
        (["--no-auth", "--compat", "immich", "--port", "0"], "512 numbers"),
    ],
)
def test_the_command_line_says_what_a_door_needs(
    words: list[str], match: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    KeyFile(tmp_path / "keys.json").create("door", SCOPES)
    done = CommandLine(capsys)("serve", "--keys", tmp_path / "keys.json", *words, code=2)
    assert match in done.err


# CompreFace, by its own SDK


def test_comprefaces_sdk(analyzer: faceprint.FaceAnalyzer, stored: KeyFile, tmp_path: Path) -> None:
    sdk = pytest.importorskip("compreface", reason="compreface-sdk is not installed")
    secret, _ = stored.create("sdk", SCOPES)
    options = ServiceOptions(
        gallery=str(tmp_path / "people.db"), keys=stored, doors=("compreface",), workers=1
    )
    with served(create_app(analyzer, options)) as address:
        domain, _, port = address.rpartition(":")
        service = sdk.CompreFace(domain, port)
        recognition = service.init_face_recognition(secret)
        faces, subjects = recognition.get_face_collection(), recognition.get_subjects()
        stranger = recognition.recognize(OBAMA)
        assert stranger["result"][0]["subjects"] == []
        assert subjects.add("ada") == {"subject": "ada"}
        obama = faces.add(OBAMA, "Barack")
        assert obama["subject"] == "Barack"
        collins = faces.add(COLLINS, "collins")
        assert faces.list()["faces"] == [obama, collins]
        assert subjects.list() == {"subjects": ["Barack", "ada", "collins"]}

        (found,) = recognition.recognize(OBAMA2, {"prediction_count": 3})["result"]
        (best,) = found["subjects"]
        assert best["subject"] == "Barack" and best["similarity"] > 0.6
        (expected,) = analyzer.analyze(OBAMA2)
        assert found["box"]["x_min"] == round(float(expected.box[0]))
        assert set(found["box"]) == {"x_min", "y_min", "x_max", "y_max", "probability"}
        assert recognition.recognize(gray())["code"] == 28
        assert faces.add(gray(), "gray")["code"] == 28

        (same,) = faces.verify(OBAMA2, obama["image_id"])["result"]
        (other,) = faces.verify(COLLINS, obama["image_id"])["result"]
        assert same["similarity"] > 0.6 > other["similarity"]
        verification = service.init_face_verification(secret)
        (pair,) = verification.verify(OBAMA, OBAMA2)["result"]
        assert pair["face_matches"][0]["similarity"] == pytest.approx(same["similarity"], abs=0.02)
        detection = service.init_face_detection(secret)
        (face,) = detection.detect(OBAMA, {"face_plugins": "landmarks,calculator"})["result"]
        assert len(face["landmarks"]) == 5 and len(face["embedding"]) == 128

        assert subjects.update("Barack", "obama") == {"updated": True}
        assert recognition.recognize(OBAMA2)["result"][0]["subjects"][0]["subject"] == "obama"
        assert subjects.update("collins", "obama")["code"] == 26
        assert faces.delete(collins["image_id"]) == collins
        assert faces.delete(collins["image_id"])["code"] == 11
        assert faces.delete_all("obama") == {"deleted": 1}
        assert subjects.delete("obama") == {"subject": "obama"}
        assert subjects.delete("obama")["code"] == 11
        assert subjects.delete_all() == {"deleted": 2}
        wrong = service.init_face_recognition("wrong").recognize(OBAMA)
        assert wrong["code"] == 10


def test_double_takes_requests_to_compreface(
    analyzer: faceprint.FaceAnalyzer, stored: KeyFile, tmp_path: Path
) -> None:
    secret, _ = stored.create("double-take", ["identify", "write"])
    options = ServiceOptions(
        gallery=str(tmp_path / "people.db"), keys=stored, doors=("compreface",), workers=1
    )
    with TestClient(create_app(analyzer, options)) as client:
        client.headers["x-api-key"] = secret
        root, files = "/api/v1/recognition", {"file": ("a.jpg", OBAMA)}
        train = client.post(f"{root}/faces", params={"subject": "Barack O."}, files=files)
        assert train.status_code == 201
        other = {"file": ("b.jpg", OBAMA2)}
        asked = {"det_prob_threshold": 0.8}
        answer = client.post(f"{root}/recognize", params=asked, files=other).json()
        (face,) = answer["result"]
        # What it computes: a percentage, and a match from 60.
        assert round(face["subjects"][0]["similarity"] * 100, 2) >= 60
        empty = client.post(f"{root}/recognize", files={"file": ("c.png", gray())})
        assert (empty.status_code, empty.json()["code"]) == (400, 28)
        plugin = client.post(f"{root}/recognize?face_plugins=calculator", files=other)
        assert plugin.status_code == 403
        gone = client.delete(f"{root}/faces", params={"subject": "Barack O."})
        assert gone.json() == {"deleted": 1}


# DeepStack


def test_double_takes_requests_to_deepstack(
    analyzer: faceprint.FaceAnalyzer, stored: KeyFile, tmp_path: Path
) -> None:
    secret, _ = stored.create("double-take", ["read", "identify", "write"])
    options = ServiceOptions(
        gallery=str(tmp_path / "people.db"), keys=stored, doors=("deepstack",), workers=1
    )
    with TestClient(create_app(analyzer, options)) as client:

        def ask(what: str, image: bytes | None = None, **fields: str) -> Any:
            files = None if image is None else {"image": ("a.jpg", image)}
            data = fields | {"api_key": secret}
            return client.post(f"/v1/vision/face/{what}", data=data, files=files)

        (stranger,) = ask("recognize", OBAMA).json()["predictions"]
        assert (stranger["userid"], stranger["confidence"]) == ("unknown", 0)
        assert ask("register", OBAMA, userid="Barack").json() == {
            "success": True,
            "message": "face added",
        }
        assert ask("register", OBAMA2, userid="Barack").json()["message"] == "face updated"
        assert ask("register", COLLINS, userid="collins").json()["success"] is True
        assert ask("list").json() == {"success": True, "faces": ["Barack", "collins"]}
        (found,) = ask("recognize", OBAMA).json()["predictions"]
        assert found["userid"] == "Barack" and found["confidence"] >= 0.67
        (expected,) = analyzer.analyze(OBAMA)
        assert found["x_min"] == int(expected.box[0])
        biden = (SAMPLES / "biden.jpg").read_bytes()
        (nobody,) = ask("recognize", biden).json()["predictions"]
        assert nobody["userid"] == "unknown"
        (loose,) = ask("recognize", biden, min_confidence="0.1").json()["predictions"]
        assert loose["userid"] != "unknown" and 0.1 <= loose["confidence"] < 0.67
        assert ask("recognize", gray()).json() == {"success": True, "predictions": []}
        assert ask("delete", userid="Barack").json() == {"success": True}
        assert ask("delete", userid="Barack").json() == {"success": True}
        assert ask("list").json()["faces"] == ["collins"]
        for answer in (
            ask("register", gray(), userid="gray"),
            ask("register", OBAMA),
            ask("register", userid="ada"),
            ask("recognize", b"no photograph"),
            ask("recognize", OBAMA, min_confidence="2"),
        ):
            assert answer.status_code == 400
            assert answer.json()["success"] is False and answer.json()["error"]


# The scale


@pytest.mark.parametrize("threshold", [-0.5, 0.0, 0.3, 0.93])
def test_scores_keep_their_order_and_the_threshold_its_place(threshold: float) -> None:
    similarities = [*np.linspace(-1, 1, 40).tolist(), threshold]
    scores = {s: rescale(s, threshold, 0.6) for s in similarities}
    ordered = [scores[s] for s in sorted(scores)]
    assert ordered == sorted(ordered) and len(set(ordered)) == len(ordered)
    assert (scores[-1.0], scores[1.0]) == (0, 1)
    assert scores[threshold] == pytest.approx(0.6)
    assert 0 <= rescale(1.0, 1.0, 0.6) <= 1 and rescale(-1.0, -1.0, 0.6) == 0.6
