"""From a checkpoint to the zoo: the graph agrees everywhere, and its card is accepted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_data import RUN_DATA, write_people

torch = pytest.importorskip("torch", reason="faceprint[train] is not installed")
pytest.importorskip("onnx", reason="faceprint[train] is not installed")

from command_line import CommandLine  # noqa: E402

from faceprint.errors import CardError, DatasetError, UsageError  # noqa: E402
from faceprint.evaluation.datasets import LabeledSet  # noqa: E402
from faceprint.evaluation.labeled_scores import all_pairs  # noqa: E402
from faceprint.runtime.session import open_session  # noqa: E402
from faceprint.training import export as module  # noqa: E402
from faceprint.training.export import Wanted, export, to_onnx  # noqa: E402
from faceprint.training.networks import build  # noqa: E402
from faceprint.training.run import train  # noqa: E402
from faceprint.training.run_file import RunFile, read_run_file  # noqa: E402
from faceprint.zoo import catalog, store  # noqa: E402
from faceprint.zoo.card import License  # noqa: E402
from faceprint.zoo.card_io import read_card  # noqa: E402

RUN = (
    RUN_DATA
    + """[network]
name = "iresnet18"
width = 0.0625
dim = 32
[loss]
name = "cosface"
scale = 8
[schedule]
epochs = 1
batch = 12
threads = 1
"""
)
FREE = License("CC0-1.0", "yes")


@pytest.fixture(autouse=True)
def own_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cards that are exported here are no other test's."""
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("exporting")
    write_people(root / "people", people=6, each=4)
    (root / "run.toml").write_text(RUN)
    train(read_run_file(root / "run.toml"))
    return root


@pytest.fixture
def run(place: Path) -> RunFile:
    return read_run_file(place / "run.toml")


def _strangers(names: tuple[str, ...] = ("Ann", "Bob")) -> LabeledSet:
    return LabeledSet("strangers", (), np.zeros(0, np.int64), names)


def test_the_command_exports_what_lint_accepts(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faceprint = CommandLine(capsys)
    out = tmp_path / "mine.onnx"
    words = ("train", "export", place / "run.toml", "--out", out, "--name", "mine-1")
    document = faceprint(*words, "--license", "CC0-1.0", "--json").json
    assert document["difference"] < 1e-4
    assert document["crops"] == 24
    assert faceprint("models", "lint", out, "--card", tmp_path / "mine.toml", "--json").json["ok"]
    card = catalog.get_card("mine-1")
    assert store.is_ready(card)
    assert card.training_data == "people: 24 photographs of 6 people"
    assert len(card.golden) == 8
    assert "exists already" in faceprint(*words, "--license", "CC0-1.0", code=2).err
    assert "agrees with PyTorch" in faceprint(*words, "--license", "X", "--replace").out
    assert (
        "expected a file FILE.onnx"
        in faceprint(*words[:4], tmp_path, *words[5:], "--license", "X", code=2).err
    )


@pytest.mark.parametrize("name", ["iresnet18", "mobilefacenet", "mbf"])
def test_every_runtime_gives_pytorchs_embeddings_at_any_batch(name: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = build(name, dim=16, width=0.125)
    network(torch.randn(4, 3, 112, 112))  # running averages that are not 0 and 1
    network.eval()
    path = tmp_path / "net.onnx"
    to_onnx(network, path)
    for rows in (1, 3):
        blob = np.random.default_rng(rows).uniform(-1, 1, (rows, 3, 112, 112)).astype(np.float32)
        with torch.inference_mode():
            expected = network(torch.from_numpy(blob)).numpy()
        scale = np.abs(expected).max()
        for runtime in ("onnxruntime", "pytorch", "opencv"):
            found = open_session(path, runtime=runtime).run(blob)[0]
            np.testing.assert_allclose(found / scale, expected / scale, atol=1e-4)


def test_the_graph_is_of_opset_17_with_a_free_batch(tmp_path: Path) -> None:
    import onnx

    to_onnx(build("mobilefacenet", dim=16, width=0.125), tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 17)]
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert (shape[0].dim_param, [side.dim_value for side in shape[1:]]) == ("batch", [3, 112, 112])


def test_operating_points_are_measured_on_people_of_ones_own(
    run: RunFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    subjects = np.repeat(np.arange(60), 4)
    rows = random.normal(size=(60, 32))[subjects] + 0.5 * random.normal(size=(240, 32))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    seen: list[Any] = []

    def scores(data: Any, analyzer: Any, options: Any) -> Any:
        seen.append((analyzer.embedder.card.id, analyzer.detector_card.id, options.aligned))
        return all_pairs(rows, subjects), {}

    monkeypatch.setattr(module, "labeled_scores", scores)
    done = export(run, tmp_path / "m.onnx", Wanted("measured-1", FREE, _strangers()))
    assert seen == [("measured-1", "mtcnn", False)]
    card = read_card(done.card_file)
    points = {item.point.name: item.point for item in card.operating_points}
    assert points["fmr-0.01"].evidence == "measured"
    assert points["fmr-0.01"].measurements[0].data_set == "strangers"
    assert {item.detector for item in card.operating_points} == {"mtcnn"}
    assert not any("operating_points" in text for text in done.lacking)


def test_people_who_were_trained_on_are_refused(run: RunFile, tmp_path: Path) -> None:
    data = _strangers(("Ann", "person 03"))
    with pytest.raises(DatasetError, match="1 person was trained on, such as person 03"):
        export(run, tmp_path / "m.onnx", Wanted("refused-1", FREE, data))
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_differs_is_not_written(
    run: RunFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AGREES", -1.0)
    with pytest.raises(CardError, match="differs from PyTorch"):
        export(run, tmp_path / "m.onnx", Wanted("differs-1", FREE))
    assert list(tmp_path.iterdir()) == []
    assert "differs-1" not in catalog.card_ids()


def test_a_taken_id_and_another_network_are_refused(run: RunFile, tmp_path: Path) -> None:
    with pytest.raises(CardError, match="a card mobileface already"):
        export(run, tmp_path / "m.onnx", Wanted("mobileface", FREE))
    other = replace(run, network=replace(run.network, name="iresnet34"))
    with pytest.raises(UsageError, match="not of the network iresnet34"):
        export(other, tmp_path / "m.onnx", Wanted("other-1", FREE))
    with pytest.raises(UsageError, match="not a checkpoint"):
        export(replace(run, out=tmp_path), tmp_path / "m.onnx", Wanted("none-1", FREE))
