"""Models inside zip archives: the honest ones, and the others."""

from __future__ import annotations

import hashlib
import io
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from example_card import CARD
from faulty_server import Server, faulty_server

from faceprint.errors import ChecksumError, DownloadError, ModelMissingError
from faceprint.zoo import catalog, store
from faceprint.zoo.card import ModelCard

FIRST = np.random.default_rng(1).bytes(5000)
SECOND = np.random.default_rng(2).bytes(7000)


@pytest.fixture
def server() -> Iterator[Server]:
    with faulty_server() as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "home"


def pack(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as box:
        for name, content in members:
            box.writestr(name, content)
    return buffer.getvalue()


def add(
    tmp_path: Path, url: str, archive: bytes, name: str = "first", body: bytes = FIRST
) -> ModelCard:
    """A user's card of a member of the archive."""
    text = CARD.replace("my-model", name).replace("mine.onnx", f"{name}.onnx")
    head, _, _ = text.partition("[[files]]")
    text = f"""{head}
[[files]]
name = "{name}.onnx"
sha256 = "{hashlib.sha256(body).hexdigest()}"
size = {len(body)}
urls = ["{url}"]

[files.archive]
name = "pack.zip"
member = "pack/{name}.onnx"
sha256 = "{hashlib.sha256(archive).hexdigest()}"
size = {len(archive)}
"""
    path = tmp_path / f"{name}.toml"
    path.write_text(text, "utf-8")
    return catalog.add_card(path)


def leftovers(home: Path) -> list[str]:
    return sorted(p.name for p in (home / "models").iterdir() if not p.name.endswith(".lock"))


def test_a_member_comes_out_and_so_do_its_siblings(
    tmp_path: Path, home: Path, server: Server
) -> None:
    body = pack(("pack/first.onnx", FIRST), ("pack/second.onnx", SECOND), ("readme", b"hello"))
    url = server.add("pack.zip", body)
    first, second = add(tmp_path, url, body), add(tmp_path, url, body, "second", SECOND)
    assert store.ensure(first)["model"].read_bytes() == FIRST
    assert store.ensure(second)["model"].read_bytes() == SECOND
    assert server.count("pack.zip") == 1
    assert leftovers(home) == ["first.onnx", "second.onnx"]


def test_the_mirror_may_hold_the_member_or_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    body = pack(("pack/first.onnx", FIRST))
    mine = add(tmp_path, server.add("pack.zip", body), body)
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    monkeypatch.setenv("FACEPRINT_MIRROR", str(mirror))
    monkeypatch.setenv("FACEPRINT_OFFLINE", "1")
    with pytest.raises(ModelMissingError, match=r"member pack/first\.onnx of pack\.zip"):
        store.ensure(mine)
    (mirror / "pack.zip").write_bytes(body)
    path = store.ensure(mine)["model"]
    path.unlink()
    (mirror / "pack.zip").unlink()
    (mirror / "first.onnx").write_bytes(FIRST)
    assert store.ensure(mine)["model"].read_bytes() == FIRST
    assert server.requests == []


@pytest.mark.parametrize(
    "name",
    ["../evil", "pack/../../evil", "/evil", "..\\evil", "C:\\evil", "c:evil", "a\\..\\..\\b"],
)
def test_a_path_that_climbs_out(tmp_path: Path, home: Path, server: Server, name: str) -> None:
    info = zipfile.ZipInfo("x")
    info.filename = name
    body = pack(("pack/first.onnx", FIRST), (info, b"evil"))
    mine = add(tmp_path, server.add("pack.zip", body), body)
    with pytest.raises(DownloadError, match="leads out of its folder"):
        store.ensure(mine)
    assert leftovers(home) == []
    assert not list(tmp_path.rglob("evil"))


def test_a_bomb(tmp_path: Path, home: Path, server: Server) -> None:
    zeros = bytes(20_000_000)
    body = pack(("pack/first.onnx", zeros))
    mine = add(tmp_path, server.add("pack.zip", body), body, body=zeros)
    with pytest.raises(DownloadError, match="would unpack from"):
        store.ensure(mine)
    assert leftovers(home) == []


def test_a_member_of_another_size_or_content(tmp_path: Path, home: Path, server: Server) -> None:
    for wrong in (FIRST[:-1], FIRST[:-1] + b"\0"):
        body = pack(("pack/first.onnx", wrong))
        url = server.add("pack.zip", body)
        mine = add(tmp_path, url, body)
        with pytest.raises(ChecksumError, match="instead of"):
            store.ensure(mine)
        assert leftovers(home) == []
        catalog.remove_card("first")


def test_a_header_that_lies_about_the_size(tmp_path: Path, home: Path, server: Server) -> None:
    """The central directory says 5,000 bytes; the stream holds more."""
    body = bytearray(pack(("pack/first.onnx", FIRST + b"more" * 100)))
    real = (len(FIRST) + 400).to_bytes(4, "little")
    assert body.count(real) == 2
    body = body.replace(real, len(FIRST).to_bytes(4, "little"))
    mine = add(tmp_path, server.add("pack.zip", bytes(body)), bytes(body))
    with pytest.raises((DownloadError, ChecksumError)):
        store.ensure(mine)
    assert leftovers(home) == []


def test_a_link_as_member_is_no_link_outside(tmp_path: Path, server: Server) -> None:
    info = zipfile.ZipInfo("pack/first.onnx")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    body = pack((info, b"/etc/passwd"))
    with pytest.raises(ChecksumError):
        store.ensure(add(tmp_path, server.add("pack.zip", body), body))


def test_no_such_member_and_no_zip(tmp_path: Path, home: Path, server: Server) -> None:
    body = pack(("pack/other.onnx", FIRST))
    with pytest.raises(DownloadError, match=r"no member pack/first\.onnx; it has pack/other\.onnx"):
        store.ensure(add(tmp_path, server.add("pack.zip", body), body))
    catalog.remove_card("first")
    with pytest.raises(DownloadError, match="not a zip archive"):
        store.ensure(add(tmp_path, server.add("pack.zip", b"rubbish"), b"rubbish"))
    assert leftovers(home) == []
