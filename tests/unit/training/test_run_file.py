"""Run files: defaults, paths, and what is refused with a hint."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from faceprint.errors import UsageError
from faceprint.training.run_file import read_run_file

LEAST = 'out = "run"\n[data]\nfolder = "photos"\nstore = "/crops"\n'


def _file(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, "utf-8")
    return path


def test_the_least_file_has_the_papers_defaults(tmp_path: Path) -> None:
    run = read_run_file(_file(tmp_path, LEAST))
    assert run.out == tmp_path / "run"
    assert run.data.folder == tmp_path / "photos"
    assert run.data.store == Path("/crops")
    assert (run.network.name, run.network.dim, run.loss.name) == ("iresnet50", 512, "arcface")
    assert (run.schedule.momentum, run.schedule.weight_decay) == (0.9, 5e-4)
    assert run.validation is None


def test_every_table_is_read(tmp_path: Path) -> None:
    text = LEAST + 'against = ["lfw", "/cfp"]\n[loss]\nname = "adaface"\nscale = 32\n'
    text += '[validation]\npath = "lfw"\n[schedule]\nthreads = 3\n'
    run = read_run_file(_file(tmp_path, text))
    assert run.data.against == (tmp_path / "lfw", Path("/cfp"))
    assert run.loss.scale == 32.0
    assert isinstance(run.loss.scale, float)
    assert run.validation is not None
    assert run.validation.path == tmp_path / "lfw"
    assert run.schedule.threads == 3


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("[netwrok]\n", r"unknown key netwrok; did you mean network\?"),
        ("[schedule]\nepoch = 3\n", r"unknown key schedule.epoch; did you mean epochs\?"),
        ("[loss]\nzzz = 3\n", "unknown key loss.zzz; there are name, margin, scale, sample_rate"),
        ("[schedule]\nepochs = 1.5\n", "schedule.epochs must be a whole number"),
        ("[schedule]\nepochs = true\n", "schedule.epochs must be a whole number"),
        ("[schedule]\nrate = true\n", "schedule.rate must be a number"),
        ("[schedule]\nepochs = 0\n", "schedule.epochs is below 1"),
        ("[schedule]\nrate = nan\n", "schedule.rate must be above 0"),
        ("[schedule]\nbatch = 1\n", "batch normalization"),
        ("[schedule]\nprecision = 'half'\n", "one of float32, bfloat16"),
        ("[network]\nname = 'resnet'\n", "network.name is 'resnet'; it must be one of iresnet18"),
        ("[loss]\nname = 'triplet'\n", "one of arcface, cosface, adaface"),
        ("[loss]\nsample_rate = 0\n", "loss.sample_rate"),
        ("[augmentation]\nflip = 1.5\n", r"augmentation.flip is 1.5; a probability lies in 0..1"),
        ("[validation]\nprotocol = 'lfw'\n", "validation.path is missing"),
        ("network = 3\n", "must be a table"),
        ("[data]\n", "not a TOML file"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, more: str, message: str) -> None:
    text = more + LEAST if more.startswith("network") else LEAST + more
    with pytest.raises(UsageError, match=message):
        read_run_file(_file(tmp_path, text))


def test_missing_keys_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="data is missing"):
        read_run_file(_file(tmp_path, 'out = "run"\n'))
    with pytest.raises(UsageError, match=r"data\.store is missing"):
        read_run_file(_file(tmp_path, 'out = "run"\n[data]\nfolder = "photos"\n'))
    with pytest.raises(UsageError, match=r"none\.toml: No such file"):
        read_run_file(tmp_path / "none.toml")


def test_the_example_of_the_documentation_has_every_key_and_the_defaults(tmp_path: Path) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "training.md"
    text = page.read_text("utf-8").split("```toml\n")[1].split("```")[0]
    run = read_run_file(_file(tmp_path, text))
    least = read_run_file(_file(tmp_path, LEAST))
    assert run.network == least.network
    assert run.schedule == least.schedule
    assert run.loss == replace(least.loss, margin=0.5)
    for table in (run.data, run.loss, run.augmentation, run.schedule, run.network):
        for item in fields(table):
            assert f"{item.name} = " in text, item.name
