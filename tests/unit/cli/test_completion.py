"""Completion by the shells' own protocol: names of commands, of options, and of values."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from example_card import CARD
from gallery_kit import FakeAnalyzer, photograph

from faceprint.cli import completion
from faceprint.cli.app import _COMMANDS, main
from faceprint.recognition.gallery import new_key
from faceprint.recognition.gallery.gallery import Gallery
from faceprint.recognition.gallery.search import IndexKind
from faceprint.runtime.providers import ACCELERATORS
from faceprint.runtime.session import RUNTIMES
from faceprint.types import FaceRule
from faceprint.zoo import catalog, packs

Offered = Callable[[str], list[str]]
HEAVY = {"numpy", "onnxruntime", "cv2", "PIL", "requests", "ssl", "asyncio"}
NAMES = ("ada", "Ada Lovelace", "bob", "$(touch ran)", "a'b", "-x")


@pytest.fixture
def offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Offered:
    """What bash is given for a line; its last word is being typed."""
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def ask(line: str) -> list[str]:
        monkeypatch.setenv("_FACEPRINT_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", f"faceprint {line}".replace(" ", "\n"))
        monkeypatch.setenv("COMP_CWORD", str(1 + line.count(" ")))
        with pytest.raises(SystemExit) as ended:
            main([])
        assert ended.value.code == 0
        monkeypatch.delenv("_FACEPRINT_COMPLETE")
        return capsys.readouterr().out.split()

    return ask


def make_gallery(path: Path, key: object = None) -> None:
    with Gallery.open(path, FakeAnalyzer(), key=key) as gallery:  # type: ignore[arg-type]
        for number, name in enumerate(NAMES):
            gallery.enroll(name, photograph(path.parent, f"{number}/1"))


def test_commands_and_options(offered: Offered) -> None:
    assert offered("") == list(_COMMANDS)
    assert offered("ve") == ["verify"]
    assert offered("gallery rek") == ["rekey"]
    assert offered("verify --p") == ["--pack"]
    assert offered("verify --runtime openvino --ca") == ["--calibration"]


def test_models_and_packs(offered: Offered, tmp_path: Path) -> None:
    cards = tmp_path / "home" / "cards"
    cards.mkdir(parents=True)
    (cards / "my-model.toml").write_text(CARD)
    assert offered("verify --pack ") == [pack.name for pack in packs.all_packs()]
    known = list(catalog.valid_cards())
    for task, option in (("detect", "--detector"), ("embed", "--embedder")):
        assert offered(f"embed {option} ") == [card.id for card in known if card.task == task]
    assert "my-model" in offered("models show m")
    assert {"starter", "my-model"} <= set(offered("models pull "))


def test_choices_are_those_that_commands_take(offered: Offered) -> None:
    assert completion.RUNTIMES == RUNTIMES
    assert set(completion.DEVICES) >= {"auto", "cpu", *ACCELERATORS}
    assert set(offered("identify --index ")) == {*get_args(IndexKind)} - {"exact-i8"}
    assert tuple(offered("verify --faces ")) == ("largest", "all", "one") == get_args(FaceRule)
    for line in ("cluster --folders ", "embed --engine ", "evaluate ", "serve --compat "):
        assert len(offered(line)) > 1


def test_calibrations(offered: Offered, tmp_path: Path) -> None:
    folder = tmp_path / "home" / "calibrations"
    folder.mkdir(parents=True)
    (folder / "door.json").write_text("{}")
    assert offered("verify --calibration ") == ["door"]


def test_subjects_of_a_gallery(offered: Offered, tmp_path: Path) -> None:
    make_gallery(tmp_path / "people.db")
    before = sorted(tmp_path.iterdir())
    assert offered("gallery show people.db a") == ["ada"]
    assert offered("gallery show people.db A") == []  # bash would take the blank for the end
    assert offered("gallery merge people.db ada b") == ["bob"]
    assert offered("gallery remove people.db ada b") == ["bob"]
    assert "ada" in offered("enroll people.db ")
    dangerous = {name for name in NAMES if not name[0].isalpha() or "'" in name}
    assert not dangerous & set(offered("gallery show people.db "))
    assert sorted(tmp_path.iterdir()) == before


def test_no_subjects_of_what_cannot_be_read(offered: Offered, tmp_path: Path) -> None:
    make_gallery(tmp_path / "secret.db", new_key())
    (tmp_path / "text.db").write_text("no gallery")
    for name in ("secret.db", "text.db", "absent.db"):
        assert offered(f"gallery show {name} ") == []
    assert offered("gallery show ") == []  # the shell offers files


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are given descriptions, and names of several words."""
    make_gallery(tmp_path / "people.db")
    monkeypatch.setenv("_FACEPRINT_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    for line, expected in {
        "ver": "Compare the faces of two photographs",
        f"gallery show {tmp_path / 'people.db'} A": "Ada Lovelace",
    }.items():
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", f"faceprint {line}")
        with pytest.raises(SystemExit):
            main([])
        assert expected in capsys.readouterr().out


def test_it_is_light_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """All commands are asked for, so each one's module is imported."""
    code = (
        "import json, sys\nfrom faceprint.cli.app import main\n"
        "try: main([])\nexcept SystemExit: print(json.dumps(sorted(sys.modules)))"
    )
    environment = os.environ | {
        "_FACEPRINT_COMPLETE": "complete_bash",
        "COMP_WORDS": "faceprint ",
        "COMP_CWORD": "1",
        "HOME": str(tmp_path),
        "FACEPRINT_HOME": str(tmp_path / "home"),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert HEAVY & set(json.loads(done.stdout.splitlines()[-1])) == set()
    assert list(tmp_path.iterdir()) == []


def test_bash_completes_after_the_installation(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("faceprint")
    if shutil.which("bash") is None or not command.exists():
        pytest.skip("bash, or the command faceprint, is not installed")
    environment = os.environ | {"HOME": str(tmp_path), "PATH": f"{command.parent}:/usr/bin:/bin"}
    make_gallery(tmp_path / "people.db")
    script = """
        faceprint --install-completion >&2
        source ~/.bashrc
        ask() {
            COMP_WORDS=(faceprint "$@"); COMP_CWORD=$#; COMPREPLY=()
            _faceprint_completion faceprint
            printf '%s\\n' "${COMPREPLY[@]}"
        }
        ask verify --pack star
        ask gallery show people.db a
        complete -p faceprint
        :
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "starter",
        "ada",
        "complete -o default -F _faceprint_completion faceprint",
    ]
