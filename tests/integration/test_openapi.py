"""Schemathesis asks a running service what its OpenAPI document offers: no 500, no breach of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from live_server import served

import faceprint
from faceprint.server.app import ServiceOptions, create_app
from faceprint.server.keys import SCOPES, KeyFile
from tests.album_kit import cluster_photographs, make_photographs

SAMPLES = Path(faceprint.__file__).parent / "samples"
# An image is any bytes to the document, and a text any characters: the service refuses more. And
# what is no text to the document is text once it is in a form.
CONFIG = """
[[operations]]
include-method = "POST"
checks.positive_data_acceptance.enabled = false
checks.negative_data_rejection.enabled = false
[[operations]]
include-method = "PATCH"
checks.positive_data_acceptance.enabled = false
"""
PARAMETERS = """
[parameters]
"path.id" = "{id}"
"path.template" = "{template}"
"""


@pytest.mark.slow
@pytest.mark.parametrize("known", [False, True], ids=["unknown subjects", "a known subject"])
def test_the_service_keeps_to_its_document(known: bool, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("schemathesis")
    if shutil.which(program) is None:
        pytest.skip("schemathesis is not installed")
    stored = KeyFile(tmp_path / "keys.json")
    secret, _ = stored.create("all", SCOPES)
    gallery = tmp_path / "people.db"
    analyzer = faceprint.load(threads=1)
    with faceprint.Gallery.open(gallery, analyzer) as opened:
        (enrolled,) = opened.enroll("ada", SAMPLES / "obama.jpg")
        subject, _ = opened.show("ada")
    assert isinstance(enrolled, faceprint.Enrolled)
    words = ["--header", f"Authorization: Bearer {secret}", "--generation-database", "none"]
    words += ["--continue-on-failure", "--seed", "1", "--max-examples", "15"]
    parameters = PARAMETERS.format(id=subject.uid, template=enrolled.template) if known else ""
    (tmp_path / "schemathesis.toml").write_text(parameters + CONFIG)
    cluster_photographs(make_photographs(tmp_path / "photographs"), tmp_path / "out")
    options = ServiceOptions(
        gallery=str(gallery),
        album=tmp_path / "out" / "album.db",
        keys=stored,
        rate="1000000/minute",
        workers=1,
    )
    with served(create_app(analyzer, options)) as address:
        done = subprocess.run(
            [program, "run", f"{address}/openapi.json", *words],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20_000:]
    assert "20 selected / 20 total" in done.stdout
