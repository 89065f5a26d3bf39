"""Students without names: what they learn, that they resume exactly, and what their card says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_data import RUN_DATA, RUN_NETWORK, write_people

torch = pytest.importorskip("torch", reason="faceprint[train] is not installed")
pytest.importorskip("onnx", reason="faceprint[train] is not installed")

from command_line import CommandLine  # noqa: E402

from faceprint.errors import DatasetError, UsageError  # noqa: E402
from faceprint.evaluation.folders import open_folder  # noqa: E402
from faceprint.training.checkpoint import read_checkpoint  # noqa: E402
from faceprint.training.crop_build import ALIGNMENT, build_store  # noqa: E402
from faceprint.training.distillation import TeacherHead, inherited, prepare_faces  # noqa: E402
from faceprint.training.export import Wanted, export, to_onnx  # noqa: E402
from faceprint.training.live_embedder import INPUT  # noqa: E402
from faceprint.training.networks import build  # noqa: E402
from faceprint.training.run import train  # noqa: E402
from faceprint.training.run_file import Distill, RunFile, read_run_file  # noqa: E402
from faceprint.training.unlabeled import faces_of, open_photographs  # noqa: E402
from faceprint.types import AnalyzedImage, Embedding, Face  # noqa: E402
from faceprint.zoo import catalog, store  # noqa: E402
from faceprint.zoo.card import License, ModelCard, ModelFile  # noqa: E402
from faceprint.zoo.card_text import card_toml  # noqa: E402

RUN = (
    RUN_DATA.replace("people", "photos")
    + RUN_NETWORK
    + """[distill]
teacher = "teacher"
[schedule]
epochs = 6
batch = 12
rate = 0.1
warmup_epochs = 0.5
threads = 1
log_every = 6
"""
)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher with random weights, whose running averages fit its input."""
    path = tmp_path_factory.mktemp("teacher") / "teacher.onnx"
    torch.manual_seed(3)
    network = build("mobilefacenet", dim=16, width=0.125)
    for module in network.modules():
        if isinstance(module, torch.nn.PReLU):  # the exporter shares slopes that are the same
            torch.nn.init.uniform_(module.weight, 0.1, 0.4)
    for _ in range(20):
        network(torch.rand(8, 3, 112, 112) * 2 - 1)
    to_onnx(network, path)
    return path


def _add_teacher(graph: Path, **changes: Any) -> ModelCard:
    card = ModelCard(
        id="teacher",
        task="embed",
        decoder="vector",
        title="teacher",
        files=(ModelFile(graph.name, store.file_sha256(graph), graph.stat().st_size),),
        license=License("research only", "no"),
        input=INPUT,
        dim=16,
        alignment=ALIGNMENT,
        training_data="made-up people",
    )
    card = replace(card, **changes)
    path = graph.parent / "teacher.toml"
    path.write_text(card_toml(card))
    catalog.add_card(path, replace=True)
    store.adopt(card, graph.parent)
    return card


@pytest.fixture
def place(graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPRINT_ACCEPT_LICENSE", "1")
    _add_teacher(graph)
    write_people(tmp_path / "photos", people=8, each=6)
    (tmp_path / "run.toml").write_text(RUN)
    return tmp_path


@pytest.fixture
def run(place: Path) -> RunFile:
    return read_run_file(place / "run.toml")


def test_the_loss_is_the_cosine_and_that_of_pairs() -> None:
    random = np.random.default_rng(0)
    targets = random.normal(size=(5, 8))
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    student = random.normal(size=(3, 8))
    labels = np.array([4, 0, 2])
    unit = student / np.linalg.norm(student, axis=1, keepdims=True)
    wanted = targets[labels]
    expected = 1 - np.mean(np.sum(unit * wanted, axis=1))
    expected += 0.5 * np.mean((unit @ unit.T - wanted @ wanted.T) ** 2)
    head = TeacherHead(targets.astype(np.float32), 0.5)
    found = head(torch.from_numpy(7 * student).float(), torch.from_numpy(labels))
    assert float(found) == pytest.approx(expected, abs=1e-6)
    assert head.state_dict() == {}


def test_a_student_comes_closer_to_its_teacher(run: RunFile) -> None:
    outcome = train(run)
    assert (outcome.people, outcome.photographs, outcome.updates) == (0, 48, 24)
    first = train(replace(run, out=run.out.parent / "first"), until=2)
    assert outcome.loss is not None
    assert first.loss is not None
    assert outcome.loss < 0.8 * first.loss


def test_a_run_that_was_stopped_has_the_same_weights(run: RunFile) -> None:
    run = replace(run, schedule=replace(run.schedule, epochs=2))
    train(run)
    other = replace(run, out=run.out.parent / "stopped")
    train(other, until=3)
    assert train(other).resumed_at == 3
    ours, theirs = (
        read_checkpoint(each.out / "checkpoint.pt").state["network"] for each in (run, other)
    )
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    relational = replace(other, distill=Distill("teacher", relational=1.0))
    with pytest.raises(UsageError, match="a run with other distill"):
        train(relational)


def test_another_card_of_the_same_id_is_another_teacher(run: RunFile, graph: Path) -> None:
    train(run, until=1)
    _add_teacher(graph, input=replace(INPUT, color="BGR"))
    with pytest.raises(DatasetError, match=r"made with other settings \(embedder\)"):
        train(run)


def test_embeddings_are_computed_once(run: RunFile, monkeypatch: pytest.MonkeyPatch) -> None:
    faces, kept = prepare_faces(run, lambda done, total: None)
    lengths = np.linalg.norm(kept.vectors()[faces.rows], axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)
    seen: list[int] = []
    again, _ = prepare_faces(run, lambda done, total: seen.append(done))
    assert seen == []
    assert again.hashes == faces.hashes


def test_what_cannot_be_learned_is_refused(run: RunFile, graph: Path) -> None:
    with pytest.raises(UsageError, match=r"have 16 numbers, network\.dim is 8"):
        train(replace(run, network=replace(run.network, dim=8)))
    with pytest.raises(UsageError, match="a teacher is an embedder"):
        train(replace(run, distill=Distill("mtcnn")))
    with pytest.raises(DatasetError, match="holds no photograph"):
        (run.out.parent / "empty").mkdir()
        open_photographs(run.out.parent / "empty")


@pytest.mark.parametrize(
    ("theirs", "own", "expected"),
    [
        ("no", "yes", "no"),
        ("unclear", "yes", "unclear"),
        ("yes", "yes", "yes"),
        ("yes", "no", "no"),
    ],
)
def test_the_stricter_license_holds(theirs: Any, own: Any, expected: str) -> None:
    teacher = ModelCard("t", "embed", "vector", "t", (), License("theirs", theirs), INPUT)
    found = inherited(License("own", own), teacher)
    assert found.commercial_use == expected
    assert ("made from t: theirs" in found.weights) == (expected != own)


def test_the_card_says_what_it_was_made_from(run: RunFile) -> None:
    train(run, until=3)
    out = run.out.parent / "student.onnx"
    done = export(run, out, Wanted("student", License("CC0-1.0", "yes")))
    assert done.card.title == "mobilefacenet of width 0.125, distilled from teacher"
    assert done.card.license.commercial_use == "no"
    assert done.card.license.weights == "CC0-1.0; made from teacher: research only"
    assert "photos: 48 faces without names, as teacher embeds them" in done.card.training_data
    known = open_folder(run.data.folder, aligned=True)
    with pytest.raises(DatasetError, match="was learned from"):
        export(run, out, Wanted("other", License("CC0-1.0", "yes"), measure_on=known))


def test_a_pruned_teacher_learns_on(place: Path, graph: Path) -> None:
    text = RUN.replace('"mobilefacenet"\nwidth = 0.125', '"pruned"\nwidth = 0.5')
    text = text.replace("rate = 0.1", 'rate = 5e-3\noptimizer = "adamw"\nweight_decay = 0.0')
    (place / "run.toml").write_text(text)
    run = read_run_file(place / "run.toml")
    first, outcome = train(replace(run, out=place / "first"), until=1), train(run)
    assert outcome.updates == 24
    assert first.loss is not None and first.loss < 0.01, "it begins with what its teacher knew"
    other = replace(run, out=place / "stopped")
    train(other, until=3)
    assert train(other).resumed_at == 3
    ours, theirs = (
        read_checkpoint(each.out / "checkpoint.pt").state["network"] for each in (run, other)
    )
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    done = export(run, place / "student.onnx", Wanted("student", License("CC0-1.0", "yes")))
    assert done.card.title == "pruned of width 0.5, distilled from teacher"
    assert done.card.license.commercial_use == "no"
    assert done.card.license.weights == "research only; the changes: CC0-1.0"
    assert done.file.stat().st_size < 0.8 * graph.stat().st_size
    (run.out / "student.onnx").write_bytes(graph.read_bytes())
    with pytest.raises(UsageError, match="a run with other original"):
        train(run)


class _ManyFaces:
    """Finds as many faces as the number in the photograph's name says."""

    mirror = True

    def __init__(self, card: ModelCard, counts: dict[str, int]) -> None:
        self.detector_card = self.embedder_card = card
        self.counts = counts

    def analyze_many(self, sources: list[Path], **_: Any) -> Any:
        for path in sources:
            faces = []
            for number in range(self.counts[path.name]):
                crop = np.full((112, 112, 3), 50 * number, np.uint8)
                vector = np.eye(16, dtype=np.float32)[number]
                box = np.array([0, 0, 9, 9], np.float32)
                embedding = Embedding(vector, "teacher", 1.0)
                faces.append(Face(box, 1.0, None, embedding=embedding, crop=crop))
            yield AnalyzedImage(str(path), faces)


def test_every_face_of_a_photograph(place: Path) -> None:
    counts = {"0.png": 3, "1.png": 0, "2.png": 1, "3.png": 2, "4.png": 1, "5.png": 1}
    found = open_photographs(place / "photos" / "person 00", aligned=True)
    analyzer: Any = _ManyFaces(catalog.get_card("teacher"), counts)
    kept, hashes = build_store(found, place / "all", analyzer, every_face=True)
    faces = faces_of(found, kept, hashes)
    assert len(faces.rows) == 8
    assert faces.unusable == (("1.png", "no face"),)
    assert faces.several == 2
    of_first = [
        row for row, name in zip(faces.rows, faces.pictures, strict=True) if name == "0.png"
    ]
    assert [int(kept.crops()[row][0, 0, 0]) for row in of_first] == [0, 50, 100]
    assert [int(kept.vectors()[row].argmax()) for row in of_first] == [0, 1, 2]
    with pytest.raises(DatasetError, match=r"other settings \(every_face\)"):
        build_store(found, place / "all", analyzer)
    largest, hashes = build_store(found, place / "largest", analyzer)
    assert len(faces_of(found, largest, hashes).rows) == 5


def test_the_command_writes_a_run_file_and_goes_on(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faceprint = CommandLine(capsys)
    words = ("train", "distill", "--teacher", "teacher", "--photos", place / "photos", "--aligned")
    words += ("--out", place / "student", "--width", "0.125", "--batch", "12", "--epochs", "1")
    document = faceprint(*words, "--until", "2", "--json").json
    assert (document["updates"], document["people"], document["photographs"]) == (2, 0, 48)
    done = faceprint(*words)
    assert "4 updates on 48 faces, loss" in done.out
    assert "data: 48 faces" in done.err
    assert "nothing left to do" in faceprint("train", place / "student" / "run.toml").out
    assert "is there with other settings" in faceprint(*words, "--faces", "all", code=2).err
    pruned = (*words[: words.index("--out")], "--out", place / "pruned", "--student", "pruned")
    faceprint(*pruned, "--until", "1", "--json")
    assert 'name = "pruned"\nwidth = 0.5' in (place / "pruned" / "run.toml").read_text()
    whole = (*pruned[:-3], place / "whole", *pruned[-2:], "--width", "1")
    assert "a width below 1" in faceprint(*whole, code=2).err
    missing = (*words[:3], "nobody", *words[4:])
    assert "nobody" in faceprint(*missing, code=4).err
