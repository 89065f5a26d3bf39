"""docs/rest.md: its curl lines work, and it names every route."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from live_server import served

import faceprint
from faceprint.server.app import ServiceOptions, create_app
from faceprint.server.keys import SCOPES, KeyFile
from faceprint.server.routes import ROUTERS
from tests.album_kit import cluster_photographs, make_photographs

SAMPLES = Path(faceprint.__file__).parent / "samples"
PAGE = (Path(__file__).parents[2] / "docs" / "rest.md").read_text("utf-8")
LINES = [
    line for block in re.findall(r"```curl\n(.*?)```", PAGE, re.S) for line in block.splitlines()
]


def test_every_curl_line_works(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    stored = KeyFile(tmp_path / "keys.json")
    secret, _ = stored.create("docs", SCOPES)
    cluster_photographs(make_photographs(tmp_path / "photographs"), tmp_path / "people")
    options = ServiceOptions(
        gallery=str(tmp_path / "people.db"),
        album=tmp_path / "people" / "album.db",
        keys=stored,
        workers=1,
    )
    with served(create_app(faceprint.load(threads=1), options)) as address:
        known = dict(os.environ) | {"KEY": secret, "URL": address, "no_proxy": "*"}
        for line in LINES:
            done = subprocess.run(
                ["bash", "-c", line], cwd=SAMPLES, env=known, capture_output=True, text=True
            )
            assert done.returncode == 0, line
            if "/v1/subjects?limit" in line:
                known["ID"] = json.loads(done.stdout)["subjects"][0]["id"]
            elif line.endswith("/v1/album"):
                person = json.loads(done.stdout)["people"][0]
                known |= {"PERSON": str(person["id"]), "FACE": str(person["faces"][0]["id"])}
            elif line.endswith("/templates"):
                known["TEMPLATE"] = json.loads(done.stdout)["results"][0]["template"]
    assert len(LINES) > 12


def test_every_route_has_a_line() -> None:
    """Each method and path, with the names of variables in place of its fields."""
    shown = set()
    for line in LINES:
        method = re.search(r"-X (\w+)", line)
        path = re.search(r"\$URL([^\"?\s]+)", line)
        assert path is not None
        verb = method[1] if method else ("POST" if " -F " in line else "GET")
        shown.add((verb, re.sub(r"\$([A-Z]+)", lambda name: f"{{{name[1].lower()}}}", path[1])))
    expected = {
        (method, route.path)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and route.path != "/"
        for method in route.methods
    }
    assert shown == expected
