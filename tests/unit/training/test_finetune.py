"""Fine-tuning an ONNX file: what is trained, the run, the graph that comes out, and its card."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_data import RUN_DATA, write_people

torch = pytest.importorskip("torch", reason="faceprint[train] is not installed")
onnx = pytest.importorskip("onnx", reason="faceprint[train] is not installed")

from command_line import CommandLine  # noqa: E402
from onnx_graphs import iresnet, save  # noqa: E402

from faceprint.errors import CardError, UsageError  # noqa: E402
from faceprint.runtime.session import open_session  # noqa: E402
from faceprint.training.crop_build import ALIGNMENT  # noqa: E402
from faceprint.training.export import Wanted, export  # noqa: E402
from faceprint.training.finetune import (  # noqa: E402
    TrainableEmbedder,
    open_original,
    trainable,
    write_graph,
)
from faceprint.training.finetune_report import finetune  # noqa: E402
from faceprint.training.finetune_table import Finetune  # noqa: E402
from faceprint.training.run_file import RunFile, read_run_file  # noqa: E402
from faceprint.training.teacher import distillation_loss, teacher_vectors  # noqa: E402
from faceprint.types import OperatingPoint  # noqa: E402
from faceprint.zoo import catalog, store  # noqa: E402
from faceprint.zoo.card import (  # noqa: E402
    CardOperatingPoint,
    InputContract,
    License,
    ModelCard,
    ModelFile,
)
from faceprint.zoo.card_io import read_card  # noqa: E402
from faceprint.zoo.card_text import card_toml  # noqa: E402

RUN = (
    RUN_DATA
    + """[finetune]
model = "small"
layers = "all"
hold_out = 0.6
[augmentation]
mask = 0.7
[schedule]
epochs = 2
batch = 8
optimizer = "adamw"
rate = 1e-2
weight_decay = 0.0
threads = 1
log_every = 1
"""
)
POINT = OperatingPoint(0.3, 0.01, 0.005, 0.02, 0.1, "fmr-0.01", "measured elsewhere")


def _write_model(folder: Path, **changes: Any) -> ModelCard:
    """A small embedder with its card beside it."""
    model = iresnet(units=(1, 1, 1, 1), widths=(4, 4, 8, 8, 16), side=112, dim=16)
    path = save(model, folder / "small.onnx")
    card = ModelCard(
        id="small",
        task="embed",
        decoder="vector",
        title="Small",
        files=(ModelFile(path.name, store.file_sha256(path), path.stat().st_size),),
        license=License("for research", "no", code="MIT", url="https://example.org/license"),
        input=InputContract(112, 112, "BGR", (100.0, 110.0, 120.0), (60.0, 50.0, 40.0)),
        dim=16,
        alignment=ALIGNMENT,
        training_data="made up",
        operating_points=(CardOperatingPoint("mtcnn", POINT),),
    )
    card = replace(card, **changes)
    path.with_suffix(".toml").write_text(card_toml(card), "utf-8")
    return card


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with people, a model and a run file; the model is in a zoo of its own."""
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPRINT_ACCEPT_LICENSE", "1")
    write_people(tmp_path / "people", people=12, each=4)
    _write_model(tmp_path)
    store.adopt(catalog.add_card(tmp_path / "small.toml"), tmp_path)
    (tmp_path / "run.toml").write_text(RUN)
    return tmp_path


@pytest.fixture
def run(place: Path) -> RunFile:
    return read_run_file(place / "run.toml")


def _crops(rows: int = 3) -> Any:
    return np.random.default_rng(0).integers(0, 256, (rows, 112, 112, 3), np.uint8)


def test_the_network_takes_the_cards_input(place: Path) -> None:
    original = open_original("small")
    crops = _crops()
    session = open_session(original.file, runtime="onnxruntime")
    expected = teacher_vectors(session, original.card, crops)
    blob = torch.from_numpy((crops.astype(np.float32) / 127.5 - 1).transpose(0, 3, 1, 2))
    with torch.no_grad():
        found = torch.nn.functional.normalize(TrainableEmbedder(original)(blob)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_file_is_found_by_its_card(place: Path, tmp_path: Path) -> None:
    assert open_original(str(place / "small.onnx")).card.id == "small"
    (place / "small.toml").unlink()  # the zoo knows it by its SHA-256
    assert open_original(str(place / "small.onnx")).card.id == "small"
    stranger = save(iresnet(units=(1,) * 4, widths=(4,) * 5, side=112, dim=8), tmp_path / "x.onnx")
    with pytest.raises(UsageError, match="no card says what this model's input and license are"):
        open_original(str(stranger))
    with pytest.raises(UsageError, match="no such file"):
        open_original("missing.onnx")


def test_models_that_cannot_be_tuned_are_refused(place: Path) -> None:
    with pytest.raises(CardError, match="an embedder can be fine-tuned"):
        open_original("mtcnn")
    with pytest.raises(CardError, match="training has crops of arcface-112"):
        open_original("dlib-resnet")


@pytest.mark.parametrize("layers", ["head", "last-stage", "lora", "all"])
def test_every_choice_of_layers_moves_towards_the_targets(place: Path, layers: str) -> None:
    network = trainable(open_original("small"), Finetune("small", layers=layers, rank=2))
    chosen = [value for value in network.parameters() if value.requires_grad]
    optimizer = torch.optim.Adam(chosen, lr=3e-3)
    blob = torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, (6, 3, 112, 112))).float()
    aims = torch.nn.functional.normalize(torch.randn(6, 16, generator=torch.manual_seed(0)))
    losses = []
    for _ in range(6):
        loss = distillation_loss(network(blob), aims)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


def test_changes_larger_than_every_weight_are_refused(place: Path) -> None:
    with pytest.raises(CardError, match=r"small: its weights are too small .* rank 9999; .*--rank"):
        trainable(open_original("small"), Finetune("small", rank=9999))


def test_a_run_resumes_exactly_and_its_report_says_what_it_saw(run: RunFile, place: Path) -> None:
    from faceprint.training.checkpoint import read_checkpoint
    from faceprint.training.run import train

    found = finetune(run)
    assert found.outcome.people == 5  # 7 of 12 are held out
    assert found.comparisons[0].people == 7
    assert [each.condition for each in found.comparisons[0].changes] == [
        "plain",
        "covered",
        "small",
    ]
    document = json.loads(found.file.read_text())
    assert document["improved"] is found.improved
    again = replace(run, out=place / "again")
    train(again, until=3)
    train(again)
    ours, theirs = (
        read_checkpoint(each.out / "checkpoint.pt").state["network"] for each in (run, again)
    )
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    chosen = run.finetune
    assert chosen is not None
    with pytest.raises(UsageError, match="a run with other finetune"):
        train(replace(run, finetune=replace(chosen, distill=2.0)))


def test_the_export_is_the_original_with_other_weights(run: RunFile, place: Path) -> None:
    from faceprint.training.run import train

    train(run, until=2)
    done = export(run, place / "tuned.onnx", Wanted("tuned", License("CC0-1.0", "yes")))
    assert done.difference < 1e-4
    before, after = (onnx.load(place / name) for name in ("small.onnx", "tuned.onnx"))
    assert before.graph.node == after.graph.node
    assert before.graph.input == after.graph.input
    changed = {
        a.name
        for a, b in zip(before.graph.initializer, after.graph.initializer, strict=True)
        if a != b
    }
    assert changed
    card = read_card(done.card_file)
    assert card.input == catalog.get_card("small").input
    # What was measured on the original does not hold for this model; its license does.
    assert card.operating_points == ()
    assert card.golden != ()
    assert card.license.commercial_use == "no"
    assert card.license.weights == "for research; the changes: CC0-1.0"
    assert "Made from small" in card.license.note
    assert card.training_data.startswith("made up; fine-tuned on people: ")


def test_weights_that_do_not_fit_are_refused(place: Path) -> None:
    original, out = place / "small.onnx", place / "out.onnx"
    name = onnx.load(original).graph.initializer[0].name
    with pytest.raises(CardError, match="has no weight other"):
        write_graph(original, {"other": np.zeros(2)}, out)
    with pytest.raises(CardError, match=f"{name} is not"):
        write_graph(original, {name: np.zeros(2)}, out)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rank = 0", "finetune.rank is below 1"),
        ("distill = 0", "nor both 0"),
        ('layers = "some"', "must be one of all, last-stage, lora, head"),
        ('aim = "all"', "must be one of covered, small, people"),
    ],
)
def test_settings_out_of_range_are_refused(place: Path, line: str, message: str) -> None:
    text = RUN.replace('layers = "all"', line)
    (place / "bad.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_run_file(place / "bad.toml")


def test_the_command_writes_its_run_file_and_goes_on(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faceprint = CommandLine(capsys)
    words = ("train", "finetune", place / "people", "--from", "small", "--out", place / "tuned")
    more = ("--aligned", "--layers", "head", "--epochs", "1", "--threads", "1", "--hold-out", "0.6")
    document = faceprint(*words, *more, "--json", code=None).json
    assert document["updates"] == 1
    assert [each["data_set"] for each in document["comparisons"]] == ["people held out"]
    run_file = place / "tuned" / "run.toml"
    again = faceprint("train", "finetune", run_file, code=None)
    assert "FNMR at FMR 0.01: people held out, 7 people" in again.out
    assert "has other settings" in faceprint(*words, "--aligned", code=2).err
    few = faceprint(*words[:-1], place / "few", "--aligned", code=2).err
    chosen = read_run_file(place / "few" / "run.toml").finetune
    assert chosen == Finetune("small"), "the command and a run file have the same defaults"
    assert "4 people held out with 16 photographs make 96 pairs of two people" in few
    assert "--from and --out are needed" in faceprint(*words[:3], code=2).err
    assert "says the model" in faceprint("train", "finetune", run_file, *words[3:], code=2).err
