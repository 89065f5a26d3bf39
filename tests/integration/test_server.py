"""The service over HTTP, with the real models: answers, refusals and what never leaves it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from PIL import Image
from starlette.routing import BaseRoute
from starlette.testclient import TestClient

import faceprint
from faceprint.server import keys
from faceprint.server.access import SCOPE_FIELD
from faceprint.server.app import ServiceOptions, create_app
from faceprint.server.keys import SCOPES, KeyFile
from faceprint.server.routes import ROUTERS
from tests.command_line import CommandLine

SAMPLES = Path(faceprint.__file__).parent / "samples"
OPEN = {"/", "/healthz", "/readyz"}


def sample(name: str) -> tuple[str, bytes]:
    return name, (SAMPLES / name).read_bytes()


def gray(width: int = 64, height: int = 64) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (90, 90, 90)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def analyzer() -> faceprint.FaceAnalyzer:
    return faceprint.load(threads=1)


@pytest.fixture
def stored(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.json")


@pytest.fixture
def client(
    tmp_path: Path, analyzer: faceprint.FaceAnalyzer, stored: KeyFile
) -> Iterator[TestClient]:
    secret, _ = stored.create("everything", SCOPES)
    options = ServiceOptions(gallery=str(tmp_path / "people.db"), keys=stored, workers=2)
    with TestClient(create_app(analyzer, options), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {secret}"
        yield client


def enroll(client: TestClient, name: str, photograph: str, **fields: str) -> dict[str, Any]:
    answer = client.post(
        "/v1/subjects", data={"name": name, **fields}, files=[("images", sample(photograph))]
    )
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_verify_answers_as_the_command_line_does(
    client: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = client.post("/v1/verify", files={"a": sample("obama.jpg"), "b": sample("obama2.jpg")})
    run = CommandLine(capsys)
    expected = run("verify", SAMPLES / "obama.jpg", SAMPLES / "obama2.jpg", "--json").json
    found = answer.json()
    for face in found["faces"]:
        assert [face.pop(name) for name in ("embedding", "norm", "crop")] == [None] * 3
    assert found == expected


def test_faces_and_their_crops(client: TestClient) -> None:
    answer = client.post("/v1/faces?crops=true", files={"image": sample("obama.jpg")}).json()
    (face,) = answer["faces"]
    assert face["crop"].startswith("data:image/png;base64,")
    assert face["embedding"] is None
    assert (answer["width"], answer["height"]) == (640, 800)


def test_a_gallery_is_filled_searched_and_emptied(client: TestClient) -> None:
    made = enroll(client, "obama", "obama.jpg", consent='{"basis": "written"}', metadata='{"a": 1}')
    subject = made["subject"]
    assert subject["templates"] == 1 and subject["metadata"] == {"a": 1}
    again = enroll(client, "obama", "obama.jpg")
    assert [result["new"] for result in again["results"]] == [False]
    enroll(client, "collins", "collins.jpg")
    (found,) = client.post("/v1/identify", files={"image": sample("obama2.jpg")}).json()["faces"]
    assert found["subject"] == "obama"
    (other,) = client.post("/v1/identify", files={"image": sample("biden.jpg")}).json()["faces"]
    assert other["subject"] is None
    assert len(other["candidates"]) == 2

    address = f"/v1/subjects/{subject['id']}"
    changed = client.patch(address, json={"metadata": {"b": 2}}).json()
    assert changed["metadata"] == {"b": 2} and changed["consent"]["basis"] == "written"
    more = client.post(f"{address}/templates", files=[("images", sample("obama2.jpg"))]).json()
    assert more["subject"]["templates"] == 2
    first, second = (item["id"] for item in client.get(address).json()["items"])
    assert client.delete(f"{address}/templates/{first}").status_code == 204
    assert client.delete(f"{address}/templates/{first}").status_code == 404
    assert [item["id"] for item in client.get(address).json()["items"]] == [second]
    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == 404
    names = [entry["name"] for entry in client.get("/v1/subjects").json()["subjects"]]
    assert names == ["collins"]


def test_somebody_is_renamed_unless_the_name_is_taken(client: TestClient) -> None:
    subject = enroll(client, "obama", "obama.jpg")["subject"]
    enroll(client, "collins", "collins.jpg")
    address = f"/v1/subjects/{subject['id']}"
    renamed = client.patch(address, json={"name": "barack", "metadata": {"a": 1}}).json()
    assert (renamed["id"], renamed["name"]) == (subject["id"], "barack")
    assert renamed["metadata"] == {"a": 1}
    (found,) = client.post("/v1/identify", files={"image": sample("obama2.jpg")}).json()["faces"]
    assert found["subject"] == "barack"
    refused = client.patch(address, json={"name": "collins"})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/conflict")
    assert client.patch(address, json={"name": "barack"}).json()["metadata"] == {"a": 1}
    assert client.patch(address, json={"name": ""}).status_code == 422


def test_a_template_of_somebody_else_is_not_removed(client: TestClient) -> None:
    one = enroll(client, "obama", "obama.jpg")
    other = enroll(client, "collins", "collins.jpg")
    template = other["results"][0]["template"]
    answer = client.delete(f"/v1/subjects/{one['subject']['id']}/templates/{template}")
    assert answer.status_code == 404
    assert client.get(f"/v1/subjects/{other['subject']['id']}").json()["templates"] == 1


def test_photographs_that_cannot_be_enrolled_are_answered_for(client: TestClient) -> None:
    files = [("images", ("gray.png", gray())), ("images", sample("obama.jpg"))]
    answer = client.post("/v1/subjects", data={"name": "obama"}, files=files).json()
    bad, good = answer["results"]
    assert (bad["source"], bad["template"]) == ("gray.png", None) and bad["reason"]
    assert good["template"] is not None


def test_photographs_are_sorted_into_people(client: TestClient) -> None:
    names = ("obama.jpg", "biden.jpg", "obama2.jpg")
    files = [("images", sample(name)) for name in names] + [("images", ("x.jpg", b"no"))]
    answer = client.post("/v1/cluster", files=files).json()
    people = [{face["source"] for face in person["faces"]} for person in answer["people"]]
    assert people == [{"obama.jpg", "obama2.jpg"}, {"biden.jpg"}]
    assert [entry["source"] for entry in answer["failed"]] == ["x.jpg"]
    assert answer["failed"][0]["error"].startswith("image: ")


@pytest.mark.parametrize(
    "content, status, type",
    [
        (gray(), 422, "no-face"),
        (b"hello", 422, "unusable-image"),
        (b"", 422, "unusable-image"),
        (sample("obama.jpg")[1][:2000], 422, "unusable-image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422, "unusable-image"),
    ],
)
def test_images_that_cannot_be_used(
    content: bytes, status: int, type: str, client: TestClient
) -> None:
    files = {"a": ("a", content), "b": sample("obama.jpg")}
    answer = client.post("/v1/verify", files=files)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{type}")
    assert answer.headers["content-type"] == "application/problem+json"


def test_pixels_beyond_the_limit_are_413(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEPRINT_MAX_PIXELS", "1000")
    answer = client.post("/v1/faces", files={"image": ("a.png", gray())})
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/image-too-large")


@pytest.mark.parametrize(
    "method, path, body, status",
    [
        ("POST", "/v1/verify", {}, 422),
        ("POST", "/v1/verify?fmr=2", {"files": True}, 422),
        ("POST", "/v1/verify?fmr=0.123", {"files": True}, 400),
        ("POST", "/v1/verify?fmr=0.001&threshold=0.5", {"files": True}, 400),
        ("POST", "/v1/verify?faces=none", {"files": True}, 422),
        ("GET", "/v1/subjects/nobody", {}, 404),
        ("GET", "/v1/nothing", {}, 404),
        ("PUT", "/v1/verify", {}, 405),
    ],
)
def test_requests_that_are_wrong(
    method: str, path: str, body: dict[str, Any], status: int, client: TestClient
) -> None:
    both = {"a": sample("obama.jpg"), "b": sample("obama2.jpg")}
    answer = client.request(method, path, files=both if body else None)
    assert answer.status_code == status, answer.text
    assert answer.json()["status"] == status


@pytest.mark.parametrize("field", ["metadata", "consent"])
@pytest.mark.parametrize("text", ["[]", "{", '{"basis": 1}', '{"basis": "x", "given": "soon"}'])
def test_fields_that_are_no_objects_store_nothing(
    field: str, text: str, client: TestClient
) -> None:
    if field == "metadata" and text.startswith('{"'):
        return  # metadata may be any object
    data = {"name": "obama", field: text}
    answer = client.post("/v1/subjects", data=data, files=[("images", sample("obama.jpg"))])
    assert answer.status_code == 400
    assert client.get("/v1/subjects").json()["subjects"] == []


# Keys


def guarded_routes() -> list[tuple[str, str, str]]:
    """(method, path, scope) of every route that is not open to everybody."""
    found = []
    for route in (route for router in ROUTERS for route in router.routes):
        assert isinstance(route, APIRoute)
        if route.path in OPEN:
            continue
        scope = (route.openapi_extra or {})[SCOPE_FIELD]
        found += [(method, route.path, scope) for method in sorted(route.methods or ())]
    return found


def served_paths(routes: Iterable[BaseRoute]) -> Iterator[str]:
    """The paths of an application's routes, those of included routers too."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is None:
            yield route.path  # type: ignore[attr-defined]
        else:
            yield from served_paths(included.routes)


def test_the_application_serves_the_listed_routes_alone(analyzer: faceprint.FaceAnalyzer) -> None:
    app = create_app(analyzer, ServiceOptions())
    guarded = {path for _, path, _ in guarded_routes()}
    assert set(served_paths(app.routes)) == guarded | OPEN | {"/openapi.json", "/static"}


def test_every_route_is_listed_with_its_scope() -> None:
    assert sorted(guarded_routes()) == sorted(
        [
            ("GET", "/metrics", "read"),
            ("GET", "/v1/models", "read"),
            ("POST", "/v1/faces", "identify"),
            ("POST", "/v1/verify", "identify"),
            ("POST", "/v1/identify", "identify"),
            ("POST", "/v1/cluster", "identify"),
            ("GET", "/v1/subjects", "read"),
            ("POST", "/v1/subjects", "write"),
            ("GET", "/v1/subjects/{id}", "read"),
            ("PATCH", "/v1/subjects/{id}", "write"),
            ("DELETE", "/v1/subjects/{id}", "write"),
            ("POST", "/v1/subjects/{id}/templates", "write"),
            ("DELETE", "/v1/subjects/{id}/templates/{template}", "write"),
            ("GET", "/v1/album", "read"),
            ("GET", "/v1/album/thumbnails", "read"),
            ("GET", "/v1/album/faces/{face}/photograph", "read"),
            ("POST", "/v1/album/corrections", "write"),
            ("DELETE", "/v1/album/corrections/last", "write"),
        ]
    )


@pytest.mark.parametrize("method, path, scope", guarded_routes())
def test_keys_open_what_their_scopes_say(
    method: str, path: str, scope: str, client: TestClient, stored: KeyFile,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    now = datetime.now(UTC)
    expired, _ = stored.create("expired", SCOPES, now + timedelta(days=1))
    revoked, key = stored.create("revoked", SCOPES)
    stored.revoke(key.id)
    lesser, _ = stored.create("lesser", [other for other in SCOPES if other != scope])
    right, _ = stored.create("right", [scope])

    def status(secret: str | None) -> int:
        headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        client.headers.pop("Authorization", None)
        return client.request(method, path, headers=headers).status_code

    assert status(None) == 401
    assert status("fp_aaaaaaaa_" + "a" * 52) == 401
    assert status(right[:-1]) == 401
    assert status(revoked) == 401
    assert status(lesser) == 403
    assert status(right) not in (401, 403, 500)

    class Later(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return now + timedelta(days=2)

    monkeypatch.setattr(keys, "datetime", Later)
    assert status(expired) == 401


def test_embeddings_need_a_scope_of_their_own(client: TestClient, stored: KeyFile) -> None:
    def ask(secret: str) -> Any:
        return client.post(
            "/v1/faces?embed=true",
            files={"image": sample("obama.jpg")},
            headers={"Authorization": f"Bearer {secret}"},
        )

    assert ask(stored.create("a", ["identify"])[0]).status_code == 403
    answer = ask(stored.create("b", ["identify", "embed"])[0]).json()
    vector = answer["faces"][0]["embedding"]
    assert sum(value * value for value in vector) == pytest.approx(1, abs=1e-5)


def test_wrong_keys_are_slowed_down(client: TestClient) -> None:
    headers = {"Authorization": "Bearer fp_aaaaaaaa_wrong"}
    answers = [client.get("/v1/models", headers=headers) for _ in range(30)]
    assert {answer.status_code for answer in answers[:20]} == {401}
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1


def test_a_key_has_its_rate(tmp_path: Path, analyzer: faceprint.FaceAnalyzer) -> None:
    stored = KeyFile(tmp_path / "keys.json")
    secret, _ = stored.create("slow", ["read"])
    other, _ = stored.create("other", ["read"])
    with TestClient(create_app(analyzer, ServiceOptions(keys=stored, rate="2/minute"))) as client:

        def ask(key: str) -> int:
            headers = {"Authorization": f"Bearer {key}"}
            return client.get("/v1/models", headers=headers).status_code

        assert [ask(secret) for _ in range(3)] == [200, 200, 429]
        assert ask(other) == 200


@pytest.mark.parametrize("path", ["/", "/openapi.json", "/healthz", "/readyz"])
def test_open_addresses_leak_nothing(path: str, client: TestClient) -> None:
    enroll(client, "Somebody Secret", "obama.jpg")
    client.headers.pop("Authorization")
    answer = client.get(path)
    assert answer.status_code == 200
    for word in ("Somebody Secret", "people.db", "keys.json"):
        assert word not in answer.text


def test_without_keys_pages_from_elsewhere_are_refused(
    analyzer: faceprint.FaceAnalyzer,
) -> None:
    with TestClient(
        create_app(analyzer, ServiceOptions()), base_url="http://127.0.0.1:8000"
    ) as client:
        assert client.get("/v1/models").status_code == 200
        own = {"Origin": "http://127.0.0.1:8000"}
        assert client.get("/v1/models", headers=own).status_code == 200
        for headers in ({"Origin": "https://example.com"}, {"Host": "example.com"},
                        {"Origin": "null"}):  # fmt: skip
            assert client.get("/v1/models", headers=headers).status_code == 403, headers


# Limits, logs, headers


def test_bodies_beyond_the_limit_are_413_whether_or_not_they_say_so(
    analyzer: faceprint.FaceAnalyzer,
) -> None:
    options = ServiceOptions(body_bytes=10_000)
    with TestClient(create_app(analyzer, options), base_url="http://localhost") as client:
        big = client.post("/v1/faces", files={"image": ("a", b"x" * 20_000)})
        assert (big.status_code, big.json()["type"]) == (413, "/problems/body-too-large")
        parts = (b"x" * 5_000 for _ in range(4))
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        chunked = client.post("/v1/faces", content=parts, headers=kind)
        assert chunked.status_code == 413
        lying = client.post("/v1/faces", content=b"x", headers=kind | {"Content-Length": "-1"})
        assert lying.status_code == 400


def test_an_address_that_does_not_take_a_method_says_which_it_takes(client: TestClient) -> None:
    answer = client.put("/v1/subjects/x")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, PATCH")


def test_answers_carry_the_security_headers(client: TestClient) -> None:
    for path in ("/", "/v1/models", "/nothing"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_the_log_holds_no_name_key_image_or_vector(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    secret = client.headers["Authorization"].removeprefix("Bearer ")
    with caplog.at_level(logging.DEBUG, "faceprint.server"):
        made = enroll(client, "Ada Lovelace", "obama.jpg", metadata='{"diagnosis": "secret"}')
        client.get(f"/v1/subjects/{made['subject']['id']}?after=Ada")
        client.post("/v1/identify", files={"image": sample("obama2.jpg")})
        client.post("/v1/faces", files={"image": ("Ada Lovelace.jpg", b"no")})
    lines = [json.loads(record.message) for record in caplog.records]
    assert [line["status"] for line in lines] == [201, 200, 200, 422]
    assert [line["route"] for line in lines[1:3]] == ["/v1/subjects/{id}", "/v1/identify"]
    text = caplog.text
    for word in ("Ada", "Lovelace", "diagnosis", secret, secret.rpartition("_")[2],
                 made["subject"]["id"]):  # fmt: skip
        assert word not in text


def test_metrics_count_answers_and_stages(client: TestClient) -> None:
    client.post("/v1/faces", files={"image": sample("obama.jpg")})
    client.get("/healthz")
    client.get("/invented/address")
    text = client.get("/metrics").text
    assert 'faceprint_requests_total{method="GET",route="/healthz",status="200"} 1.0' in text
    assert 'faceprint_requests_total{method="GET",route="other",status="404"} 1.0' in text
    assert 'faceprint_requests_total{method="POST",route="/v1/faces",status="200"} 1.0' in text
    assert 'faceprint_stage_seconds_count{stage="analyze"} 1.0' in text
    assert "faceprint_batch_photographs_count 1.0" in text
    assert "faceprint_queue_photographs 0.0" in text
    assert "faceprint_uploads 0.0" in text


def test_methods_that_clients_invent_are_counted_together(client: TestClient) -> None:
    for number in range(3):
        assert client.request(f"INVENT{number}", "/v1/models").status_code == 405
    text = client.get("/metrics").text
    assert "INVENT" not in text
    assert 'faceprint_requests_total{method="other",route="/v1/models",status="405"} 3.0' in text


def test_without_a_gallery_there_are_no_subjects(analyzer: faceprint.FaceAnalyzer) -> None:
    with TestClient(create_app(analyzer, ServiceOptions()), base_url="http://[::1]") as client:
        answer = client.get("/v1/subjects")
        assert answer.status_code == 404 and "--gallery" in answer.json()["detail"]
