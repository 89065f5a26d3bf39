"""`models lint`: what a graph proves, what its card claims, and what is still lacking."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from example_card import CARD
from onnx_graphs import ZOO, Style, iresnet, parameters, save

from faceprint.errors import CardError
from faceprint.runtime.session import RuntimeOptions, open_session
from faceprint.zoo import legacy
from faceprint.zoo.card import Alignment, InputContract, ModelCard, ModelFile
from faceprint.zoo.card_io import parse_card
from faceprint.zoo.golden import Run, golden_blob, golden_image, golden_values
from faceprint.zoo.graph_facts import read_graph
from faceprint.zoo.lint import LintReport, lint
from faceprint.zoo.vectors import read_vectors

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(iresnet(), tmp_path_factory.mktemp("lint") / "My_Net.onnx")


def opened(path: Path) -> Run:
    return open_session(path, runtime="onnxruntime", options=RuntimeOptions(threads=1)).run


def card_of(path: Path) -> ModelCard:
    """The true card of `graph`: 16 x 16, plain pixels, 24 values."""
    facts = read_graph(path)
    return replace(
        parse_card(CARD, where="x", origin="x"),
        dim=24,
        files=(ModelFile(facts.name, facts.sha256, facts.size),),
        input=InputContract(16, 16, "RGB", (0.0,) * 3, (1.0,) * 3),
        alignment=Alignment("own", 16, ((4, 5), (12, 5), (8, 8), (5, 12), (11, 12))),
    )


def errors(report: LintReport) -> dict[str, str]:
    return {item.topic: item.text for item in report.findings if item.level == "error"}


def test_facts(graph: Path, tmp_path: Path) -> None:
    facts = read_graph(graph)
    assert [(item.name, item.shape) for item in facts.inputs] == [("data", (None, 3, 16, 16))]
    assert [(item.name, item.shape) for item in facts.outputs] == [("fc1", (None, 24))]
    assert (facts.batch, facts.legacy, facts.quantized) == ("free", (), False)
    assert facts.parameters == parameters(iresnet())
    assert facts.size == graph.stat().st_size
    old = read_graph(save(iresnet(ZOO), tmp_path / "old.onnx"))
    assert (old.batch, old.opset, old.ir_version) == ("1", 8, 3)
    assert len(old.legacy) == 3
    assert {"Sub", "Mul"} <= set(old.leading)
    # weights that are listed as inputs are no inputs
    assert [item.name for item in old.inputs] == ["data"]


def test_the_proposal_says_what_is_proved_and_is_no_card_before_a_person_has_finished_it(
    graph: Path,
) -> None:
    report = lint(graph)
    proposed = tomllib.loads(report.proposal)
    # 24 values could be anything; only a longer vector is guessed to be an embedding
    assert (proposed["id"], proposed["task"], proposed["decoder"]) == ("my-net", "?", "?")
    assert (proposed["input"]["width"], proposed["input"]["height"]) == (16, 16)
    (file,) = proposed["files"]
    facts = read_graph(graph)
    assert (file["name"], file["sha256"], file["size"]) == (facts.name, facts.sha256, facts.size)
    for key in ("color", "mean", "std"):
        assert proposed["input"][key] == "?"
    assert proposed["license"]["weights"] == "?"
    with pytest.raises(CardError):
        parse_card(report.proposal, where="proposal", origin="x")
    assert report.passed
    for word in ("color", "mean and std", "license"):
        assert any(word in line for line in report.unknown)


@pytest.mark.parametrize(
    ("name", "task", "decoder"),
    [
        ("det_500m.onnx", "detect", "scrfd"),
        ("face_detection_yunet_2023mar.onnx", "detect", "yunet"),
        ("retinaface_mnet025.onnx", "detect", "retinaface"),
        ("version-RFB-320.onnx", "detect", "ultraface"),
        ("edgeface_xs_dequant.onnx", "embed", "vector"),
    ],
)
def test_proposals_for_real_graphs(shared_models: Path, name: str, task: str, decoder: str) -> None:
    proposed = tomllib.loads(lint(shared_models / name).proposal)
    assert (proposed["task"], proposed["decoder"]) == (task, decoder)


def test_a_true_card(graph: Path) -> None:
    report = lint(graph, card=card_of(graph), open_graph=opened)
    assert report.passed
    assert report.unknown == ()
    assert {"golden", "operating_points"} <= {line.split(":")[0] for line in report.lacking}


@pytest.mark.parametrize(
    ("change", "topic"),
    [
        ({"dim": 25}, "dim"),
        ({"input": InputContract(17, 16)}, "input.width"),
        ({"input": InputContract(16, 15)}, "input.height"),
        ({"files": (ModelFile("My_Net.onnx", "0" * 64),)}, "sha256"),
    ],
)
def test_a_card_that_claims_something_else(
    graph: Path, change: dict[str, object], topic: str
) -> None:
    report = lint(graph, card=replace(card_of(graph), **change))  # type: ignore[arg-type]
    assert set(errors(report)) == {topic}
    assert not report.passed


def test_another_size_than_the_card_says(graph: Path) -> None:
    card = card_of(graph)
    file = replace(card.files[0], size=1)
    assert set(errors(lint(graph, card=replace(card, files=(file,))))) == {"size"}


def test_golden_values(graph: Path) -> None:
    card = card_of(graph)
    values = golden_values(card, {"model": opened(graph)})
    blob = golden_image(16, 16).astype(np.float32).transpose(2, 0, 1)[None]
    vector = opened(graph)(blob)[0][0].astype(np.float64)
    np.testing.assert_allclose(values, (vector / np.linalg.norm(vector))[:8], atol=1e-7)
    kept = replace(card, golden=values)
    assert lint(graph, card=kept, open_graph=opened).passed
    # a swapped channel order is what golden values are there to find
    swapped = replace(kept, input=replace(kept.input, color="BGR"))
    assert set(errors(lint(graph, card=swapped, open_graph=opened))) == {"golden"}
    fewer = replace(kept, golden=values[:3])
    assert set(errors(lint(graph, card=fewer, open_graph=opened))) == {"golden"}


def test_the_golden_pattern_is_the_same_everywhere() -> None:
    image = golden_image(5, 4)
    assert image.shape == (4, 5, 3)
    # |phase mod 510 - 255| by hand for x = 4, y = 3
    assert image[3, 4].tolist() == [abs(26 - 255), abs(133 - 255), abs(256 - 255)]
    contract = InputContract(5, 4, "BGR", (1.0, 2.0, 3.0), (2.0, 2.0, 2.0), "NHWC")
    blob = golden_blob(contract)
    assert blob.shape == (1, 4, 5, 3)
    np.testing.assert_allclose(blob[0, 3, 4], [(1 - 1) / 2, (122 - 2) / 2, (229 - 3) / 2])


def vectors(folder: Path, number: int, given: np.ndarray, wanted: np.ndarray) -> None:
    target = folder / f"test_data_set_{number}"
    target.mkdir()
    for name, array in (("input_0.pb", given), ("output_0.pb", wanted)):
        (target / name).write_bytes(onnx.numpy_helper.from_array(array).SerializeToString())


def test_test_vectors(tmp_path: Path) -> None:
    path = save(iresnet(Style()), tmp_path / "net.onnx")
    given = np.random.default_rng(0).uniform(0, 255, (1, 3, 16, 16)).astype(np.float32)
    right = opened(path)(given)[0]
    vectors(tmp_path, 0, given, right)
    vectors(tmp_path, 10, given, -right)
    vectors(tmp_path, 2, given, right[:, :5])
    vectors(tmp_path, 3, given[:, :2], right)
    assert [item.name[-2:] for item in read_vectors(tmp_path)] == ["_0", "_2", "_3", "10"]
    report = lint(path, open_graph=opened)
    levels = {item.topic: item.level for item in report.findings}
    assert levels["test_data_set_0"] == "ok"
    assert set(errors(report)) == {"test_data_set_2", "test_data_set_3", "test_data_set_10"}
    assert "24 values instead of 5" in errors(report)["test_data_set_2"]
    assert not any("test_data_set" in line for line in report.lacking)


def test_a_test_vector_that_is_none(tmp_path: Path) -> None:
    path = save(iresnet(), tmp_path / "net.onnx")
    vectors(tmp_path, 0, np.zeros((1, 3, 16, 16), np.float32), np.zeros((1, 24), np.float32))
    (tmp_path / "test_data_set_0" / "output_0.pb").write_bytes(b"\xff" * 20)
    with pytest.raises(CardError, match="not a tensor"):
        lint(path, open_graph=opened)


def test_a_legacy_graph_is_named_as_one(tmp_path: Path) -> None:
    path = save(iresnet(ZOO), tmp_path / "old.onnx")

    def prepared(graph: Path) -> Run:
        return opened(legacy.prepare(graph, tmp_path / "prepared"))

    report = lint(path, open_graph=prepared)
    notes = {item.topic: item.text for item in report.findings if item.level == "note"}
    assert "fixed at 1" in notes["batch"]
    assert "spatial = 0" in notes["legacy"]
    assert "normalized_inside" in report.proposal


def test_colors_last(tmp_path: Path) -> None:
    value = onnx.helper.make_tensor_value_info
    nodes = [
        onnx.helper.make_node("ReduceMean", ["x"], ["fc"], axes=[1, 2], keepdims=0),
    ]
    shape = [1, 20, 30, 3]
    graph = onnx.helper.make_graph(nodes, "g", [value("x", 1, shape)], [value("fc", 1, [1, 3])])
    opset = [onnx.helper.make_opsetid("", 13)]
    path = save(onnx.helper.make_model(graph, opset_imports=opset), tmp_path / "last.onnx")
    proposed = tomllib.loads(lint(path).proposal)["input"]
    assert (proposed["width"], proposed["height"], proposed["layout"]) == (30, 20, "NHWC")
    card = replace(card_of(path), dim=3, input=InputContract(30, 20))
    assert set(errors(lint(path, card=card))) == {"input.layout"}


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"not a graph" * 10])
def test_not_a_graph(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(content)
    with pytest.raises(CardError, match="not an ONNX graph"):
        lint(path)


def test_external_data_outside_the_folder(tmp_path: Path) -> None:
    model = iresnet()
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../secret"
    path = save(model, tmp_path / "odd.onnx")
    with pytest.raises(CardError, match=r"outside its folder \(\.\./secret\)"):
        lint(path)
