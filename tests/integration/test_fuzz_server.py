"""Some cases of the fuzz run against a service (benchmarks/fuzz_server.py)."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fuzz_requests import Answer, Request, Requests, judge, send
from live_server import served

import faceprint
from faceprint.server.app import ServiceOptions, create_app
from faceprint.server.keys import SCOPES, KeyFile
from faceprint.server.problems import problem_of

CASES = 400


@pytest.mark.slow
def test_every_answer_is_a_refusal_or_right(tmp_path: Path) -> None:
    stored = KeyFile(tmp_path / "keys.json")
    secret, _ = stored.create("all", SCOPES)
    analyzer = faceprint.load(threads=1)
    options = ServiceOptions(
        gallery=str(tmp_path / "people.db"), keys=stored, rate="1000000/minute", workers=1
    )
    requests = Requests(3, secret, tmp_path)
    wrong, statuses = [], set()
    with served(create_app(analyzer, options)) as url:
        address = ("127.0.0.1", urlsplit(url).port or 0)
        for index in range(CASES):
            request = requests.case(index)
            answer = send(address, request)
            expected = None
            if request.image is not None and answer.status:
                (result,) = analyzer.analyze_many([request.image])
                boxes = [face.to_dict()["box"] for face in result.faces]
                expected = (200 if result.error is None else problem_of(result.error).status, boxes)
            if found := judge(request, answer, expected):
                wrong.append((index, request.what, found))
            statuses.add(answer.status)
    assert not wrong, "\n".join(map(str, wrong[:5]))
    assert {200, 201, 400, 413, 422} <= statuses


@pytest.mark.parametrize(
    "status, body, expected, found",
    [
        (200, b'{"faces": [{"box": [1, 2, 3, 4]}]}', (200, [[1, 2, 3, 4]]), ""),
        (200, b'{"faces": [{"box": [1, 2, 3, 4]}]}', (200, [[1, 2, 3, 9]]), "instead of"),
        (200, b'{"faces": []}', (422, []), "instead of"),
        (422, b'{"type": "/problems/no-face", "status": 422}', (422, []), ""),
        (422, b'{"type": "/problems/x", "status": 422, "detail": "/tmp/x"}', None, "tells"),
        (422, b'{"detail": "x"}', None, "not a problem"),
        (500, b"{}", None, "status 500"),
        (0, b"", None, "no answer"),
    ],
)
def test_the_judge_sees_what_is_wrong(
    status: int, body: bytes, expected: tuple[int, list[list[float]]] | None, found: str
) -> None:
    answer = Answer(status, {"content-type": "application/json"}, body)
    wrong = judge(Request("", "", b""), answer, expected)
    assert (found in wrong) and bool(found) == bool(wrong)
