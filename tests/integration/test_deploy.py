"""Deployment: what `deploy/` starts exists, and two services share one gallery in PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_server import served
from postgres_server import addresses

import faceprint
from faceprint.recognition.gallery.sql.postgres_connection import parse_address
from faceprint.server.app import ServiceOptions, create_app
from tests.command_line import CommandLine

ROOT = Path(__file__).parents[2]
SAMPLES = Path(faceprint.__file__).parent / "samples"
FILES = ("Dockerfile", "compose.yaml", "faceprint.service")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    yield from addresses()


@pytest.mark.parametrize("name", FILES)
def test_options_of_serve_are_those_that_exist(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "deploy" / name).read_text("utf-8")
    (command,) = re.findall(
        r'^(?:CMD \["serve"|ExecStart=.*|    command: \["serve").*$', text, re.M
    )
    options = re.findall(r"--[a-z-]+", command)
    known = set(re.findall(r"--[a-z-]+", CommandLine(capsys)("serve", "--help").out))
    assert options and set(options) <= known


def test_the_image_installs_extras_that_exist() -> None:
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    text = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
    (wanted,) = re.findall(r"'\.\[(.*)\]'", text)
    assert set(wanted.split(",")) <= set(extras["optional-dependencies"])
    for source in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.M):
        assert all((ROOT / path).exists() for path in source.split()), source


def test_the_gallery_of_the_compose_file_is_an_address() -> None:
    text = (ROOT / "deploy" / "compose.yaml").read_text("utf-8")
    (address,) = re.findall(r"postgresql://[^\"]+", text)
    assert parse_address(address).shown == "postgresql://db/faceprint?schema=faceprint"


def test_two_services_share_one_gallery(database: str) -> None:
    analyzer = faceprint.load(threads=1)
    options = ServiceOptions(gallery=database, workers=1)
    with (
        served(create_app(analyzer, options)) as one,
        served(create_app(analyzer, options)) as two,
        faceprint.Client(one) as first,
        faceprint.Client(two) as second,
    ):
        first.enroll("obama", SAMPLES / "obama.jpg")
        assert second.identify(SAMPLES / "obama2.jpg").subject == "obama"
        second.enroll("collins", SAMPLES / "collins.jpg")
        assert [person.name for person in first.subjects()] == ["collins", "obama"]
        assert first.remove("obama") == 1
        assert second.identify(SAMPLES / "obama2.jpg").subject is None
