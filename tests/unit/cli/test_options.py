"""The options of commands that run models, and the one value they make."""

from __future__ import annotations

import importlib
import importlib.resources
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import pytest
import typer
from command_line import CommandLine

from faceprint.cli import options
from faceprint.cli.app import _COMMANDS, app

COMMANDS = Path(str(importlib.resources.files("faceprint.cli")))


def commands(group: Any = None, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every command as typer made it, with its name."""
    group = group or typer.main.get_command(app)
    with typer.Context(group) as context:
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            if hasattr(found, "list_commands"):
                yield from commands(found, f"{prefix}{name} ")
            else:
                yield f"{prefix}{name}", found


def spellings(command: Any) -> set[str]:
    return {word for item in command.params for word in item.opts}


def test_a_device_stands_beside_every_runtime() -> None:
    found = {name: spellings(command) for name, command in commands()}
    with_runtime = {name for name, words in found.items() if words & {"--runtime", "--runtimes"}}
    assert with_runtime >= {
        *("verify", "detect", "demo", "embed", "enroll", "identify", "cluster", "evaluate"),
        *("calibrate", "doctor", "gallery migrate", "models lint", "models validate"),
    }
    assert with_runtime == {name for name, words in found.items() if "--device" in words}
    with_models = {name for name, words in found.items() if words & {"--pack", "--embedder"}}
    assert with_models - with_runtime == {"gallery import"}, "which reads embeddings"


def test_each_field_is_the_option_of_that_name() -> None:
    hints = get_type_hints(options.ModelOptions, include_extras=True)
    for name, hint in hints.items():
        assert get_args(hint)[1].default == f"--{name.replace('_', '-')}"


@pytest.mark.parametrize("by", ["option", "environment"])
def test_the_device_reaches_the_session(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    cli = CommandLine(capsys)
    sample = COMMANDS.parent / "samples" / "obama.jpg"
    words = ["--device", "abacus"] if by == "option" else []
    if by == "environment":
        monkeypatch.setenv("FACEPRINT_DEVICE", "abacus")
    done = cli("detect", sample, *words, code=4)
    assert "no device 'abacus'" in done.err
    assert cli("detect", sample, "--device", "cpu").code == 0


@pytest.mark.parametrize(
    "words",
    [
        ["verify", "A", "A"],
        ["embed", "A", "--out", "T/x.npz"],
        ["enroll", "T/g.db", "ada", "A"],
        ["cluster", "A"],
        ["find", "A", "A"],
        ["demo", "--out", "T/demo"],
        ["bench"],
        ["serve", "--no-auth", "--port", "0"],
        ["doctor"],
    ],
    ids=" ".join,
)
def test_every_command_asks_for_the_device_of_the_environment(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: list[str],
) -> None:
    monkeypatch.setenv("FACEPRINT_DEVICE", "abacus")
    sample = str(COMMANDS.parent / "samples" / "obama.jpg")
    given = [sample if word == "A" else word.replace("T/", f"{tmp_path}/") for word in words]
    done = CommandLine(capsys)(*given, code=4)
    assert "no device 'abacus'" in done.err + done.out


def test_a_command_gets_one_value() -> None:
    seen: list[options.ModelOptions] = []

    @options.with_model_options("pack", "threads")
    def look(name: Annotated[str, typer.Argument()], *, models: options.ModelOptions) -> int:
        seen.append(models)
        return len(name)

    assert look("ada", threads=3) == 3
    assert seen == [options.ModelOptions(threads=3, processes=1)]
    assert "models" not in look.__annotations__
    assert get_args(look.__annotations__["pack"])[0] == str | None


def test_the_value_can_be_sent_to_another_process() -> None:
    models = options.ModelOptions(detector="mtcnn", threads=2, processes=1)
    assert pickle.loads(pickle.dumps(models.load)).__self__ == models


def test_commands_load_the_module_they_name() -> None:
    for module, attribute in _COMMANDS.values():
        assert hasattr(importlib.import_module(module), attribute)


def test_an_unknown_command_gets_similar_ones(capsys: pytest.CaptureFixture[str]) -> None:
    said = CommandLine(capsys)("verfy", "a", "b", code=2).err
    assert "no command named 'verfy'; did you mean verify?" in said
    said = CommandLine(capsys)("compare", "a", "b", code=2).err
    assert "no command named 'compare'; there are demo, verify" in said, "cache is not similar"


def test_the_models_that_made_a_file_are_preferred_where_none_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def chosen(*made_with: str, **named: Any) -> tuple[Any, ...]:
        found = options.ModelOptions(**named).preferring(*made_with)
        return found.pack, found.detector, found.embedder

    monkeypatch.setenv("FACEPRINT_PACK", "mobileface")
    assert chosen("") == (None, None, None)
    assert chosen("dlib-resnet") == ("starter", None, None)
    assert chosen("dlib-resnet", "yunet-2023mar") == ("starter", "yunet-2023mar", None)
    assert chosen("dlib-resnet", "mtcnn", detector="sface") == ("starter", "sface", None)
    assert chosen("mine") == (None, None, "mine")
    assert chosen("dlib-resnet", pack="arcface") == ("arcface", None, None)
    assert chosen("dlib-resnet", embedder="sface") == (None, None, "sface")


def test_what_is_missing_is_said_with_the_command_that_makes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli, gallery = CommandLine(capsys), tmp_path / "g.db"
    making = f"create one with: faceprint enroll {gallery} NAME PHOTO"
    photo = COMMANDS.parent / "samples" / "obama.jpg"
    assert making in cli("identify", gallery, photo, code=2).err
    assert making in cli("gallery", "list", gallery, code=3).err
    said = cli("enroll", gallery, photo, "--as", "ada", code=2).err
    assert "not N=NAME, such as 2=ada" in said and "faceprint enroll GALLERY NAME PHOTO" in said
