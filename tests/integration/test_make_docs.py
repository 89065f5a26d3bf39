"""tools/make_docs.py: complete, the same everywhere, and loud about a stale page."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from example_card import CARD

from faceprint.cli.app import _COMMANDS
from faceprint.zoo import catalog
from faceprint.zoo.card_io import DECODERS, TEMPLATES, parse_card

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    import make_docs

    return make_docs


@pytest.fixture
def lfw(tmp_path: Path) -> Path:
    """A measurement as benchmarks/lfw.py writes it."""
    row = {"detector": "mtcnn", "embedder": "dlib-resnet", "metric": "cosine", "missed": 3}
    rows = [
        {**row, "crops": "plain", "accuracy": 0.98625, "std": 0.0041},
        {**row, "crops": "mirrored", "accuracy": 0.988, "std": 0.003},
    ]
    result = {"pairs": 3000, "photographs": 3811, "cpu": "X", "cores": 2, "date": "2026-01-02"}
    path = tmp_path / "lfw.json"
    path.write_text(json.dumps({**result, "rows": {"faceprint": rows}}), "utf-8")
    return path


def test_every_command_and_option_is_there(tool: ModuleType) -> None:
    page = tool.cli_page()
    for name in _COMMANDS:
        assert f"\n## faceprint {name}\n" in page
    for name in ("list", "show", "pull", "verify", "licenses", "add", "lint", "parity"):
        assert f"\n### faceprint models {name}\n" in page
    assert "    faceprint verify A B [OPTIONS]" in page
    assert "    faceprint models pull [ID...] [OPTIONS]" in page
    assert "| `--accept-license` | Accept the licenses of the models. |" in page
    assert "| `--threads N` |" in page
    assert "| `--json` | Print JSON on stdout. |" in page
    assert "| `--card CARD.toml` |" in page
    assert "JSON: pulled" in page


def test_every_card_is_there_and_the_measurement(tool: ModuleType, lfw: Path) -> None:
    page = tool.models_page(lfw)
    for card in catalog.all_cards():
        assert f"\n### {card.id}\n" in page
        assert card.license.weights in page
        assert all(not file.sha256 or file.sha256 in page for file in card.files)
        assert all(figure.source in page for figure in card.published)
    assert "| dlib-resnet | mtcnn | cosine | 98.62 ± 0.41 | 98.80 ± 0.30 | 3 |" in page
    assert "2026-01-02" in page


def test_the_example_of_the_contribution_guide_is_a_card() -> None:
    text = (TOOLS.parent / "docs" / "contributing-models.md").read_text("utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    card = parse_card(example, where="contributing-models.md", origin="x")
    assert (card.id, card.dim) == ("my-net", 512)
    for decoder in (name for names in DECODERS.values() for name in names):
        assert f"`{decoder}`" in text
    for template in TEMPLATES:
        assert f"`{template}`" in text


def test_stale_pages_are_named(
    tool: ModuleType,
    lfw: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pages = {"docs/cli.md": lambda: "one\n", "docs/models.md": lambda: tool.models_page(lfw)}
    monkeypatch.setattr(tool, "PAGES", pages)
    assert tool.main(["--check"], tmp_path) == 1
    err = capsys.readouterr().err
    assert "docs/cli.md is stale" in err
    assert "docs/models.md is stale" in err
    assert not (tmp_path / "docs").exists()
    assert tool.main([], tmp_path) == 0
    assert tool.main(["--check"], tmp_path) == 0
    capsys.readouterr()
    lfw.write_text(lfw.read_text("utf-8").replace("0.98625", "0.98655"), "utf-8")
    assert tool.main(["--check"], tmp_path) == 1
    err = capsys.readouterr().err
    assert "models.md" in err
    assert "cli.md" not in err


def test_terminal_and_own_cards_make_no_difference(tmp_path: Path, lfw: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(TOOLS)!r})\n"
        "import make_docs\n"
        f"from pathlib import Path; p = make_docs.models_page(Path({str(lfw)!r}))\n"
        "sys.stdout.write(make_docs.cli_page() + p)\n"
    )
    cards = tmp_path / "home" / "cards"
    cards.mkdir(parents=True)
    (cards / "my-model.toml").write_text(CARD, "utf-8")
    pages = set()
    for columns, home in (("40", tmp_path / "empty"), ("300", tmp_path / "home")):
        environment = {**os.environ, "COLUMNS": columns, "FACEPRINT_HOME": str(home)}
        environment["PYTHONIOENCODING"] = "utf-8"
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, check=True
        )
        pages.add(done.stdout)
    assert len(pages) == 1
    assert b"my-model" not in pages.pop()
