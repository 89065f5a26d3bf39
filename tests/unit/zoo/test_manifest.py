"""An onnx.hub manifest as a source of files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from faceprint.errors import CardError, UnknownModelError
from faceprint.zoo import catalog
from faceprint.zoo.manifest import DEFAULT_BASE, card_of, find_entry, read_manifest

SHA = "ab" * 32


def row(path: str = "vision/net/model/net-8.onnx", **changes: Any) -> dict[str, Any]:
    """As the ONNX Model Zoo's manifest writes an entry."""
    metadata = {
        "model_sha": SHA,
        "model_bytes": 123,
    }
    found = {"model": "Net", "model_path": path, "opset_version": 8, "metadata": metadata}
    metadata.update(changes.pop("metadata", {}))
    return {**found, **changes}


def write(folder: Path, *rows: object) -> Path:
    path = folder / "ONNX_HUB_MANIFEST.json"
    path.write_text(json.dumps(list(rows)), "utf-8")
    return path


def test_an_entry(tmp_path: Path) -> None:
    (entry,) = read_manifest(write(tmp_path, row()))
    assert (entry.name, entry.sha256, entry.size, entry.opset) == ("Net", SHA, 123, 8)
    file = entry.file("https://example.org/zoo/")
    assert file.name == "net-8.onnx"
    assert file.urls == ("https://example.org/zoo/vision/net/model/net-8.onnx",)
    assert (file.sha256, file.size) == (SHA, 123)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../net.onnx",
        "a/../../net.onnx",
        "C:\\net.onnx",
        "a/.hidden",
        "a/ n.onnx",
        "",
    ],
)
def test_paths_that_lead_elsewhere_are_left_out(tmp_path: Path, path: str) -> None:
    assert read_manifest(write(tmp_path, row(path))) == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": {"model_sha": "xyz"}},
        {"metadata": {"model_sha": None}},
        {"model_path": 5},
    ],
)
def test_entries_without_a_path_or_hash_are_left_out(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    assert read_manifest(write(tmp_path, row(**changes))) == ()


@pytest.mark.parametrize("text", ["{}", "[1]", "not json", "[" * 100_000])
def test_no_manifest(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.json"
    path.write_text(text, "utf-8")
    with pytest.raises(CardError, match=r"m\.json"):
        read_manifest(path)
    with pytest.raises(CardError, match="cannot be read"):
        read_manifest(tmp_path / "none.json")


def test_find(tmp_path: Path) -> None:
    rows = [row(), row("vision/net/model/net-11.onnx", opset_version=11), row("other.onnx")]
    entries = read_manifest(write(tmp_path, *rows[:2], {**rows[2], "model": "Other"}))
    assert find_entry(entries, "net").opset == 11
    assert find_entry(entries, "net-8.onnx").opset == 8
    assert find_entry(entries, "NET-8").opset == 8
    assert find_entry(entries, "vision/net/model/net-8.onnx").opset == 8
    with pytest.raises(UnknownModelError, match="'nothing'"):
        find_entry(entries, "nothing")


def test_a_known_file_gives_its_card_another_address(tmp_path: Path) -> None:
    known = catalog.get_card("arcface-r100")
    path = "elsewhere/arcfaceresnet100-8.onnx"
    sha256 = known.files[0].sha256
    (entry,) = read_manifest(write(tmp_path, row(path, metadata={"model_sha": sha256})))
    card = card_of(entry, catalog.all_cards())
    assert card is not None
    assert card.id == "arcface-r100"
    assert card.files[0].urls == (*known.files[0].urls, DEFAULT_BASE + path)
    (unknown,) = read_manifest(write(tmp_path, row()))
    assert card_of(unknown, catalog.all_cards()) is None
