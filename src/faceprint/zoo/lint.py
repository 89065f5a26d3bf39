"""Check a graph and its card, and propose a card for a graph without one (`models lint`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from faceprint.errors import FaceprintError
from faceprint.types import Array
from faceprint.zoo.card import ModelCard
from faceprint.zoo.card_points import has_measured_points, point_problems
from faceprint.zoo.golden import Run, golden_values
from faceprint.zoo.graph_facts import GraphFacts, Tensor, read_graph
from faceprint.zoo.vectors import read_vectors

__all__ = ["Finding", "LintReport", "lint", "propose"]

_COSINE = 0.9999
_GOLDEN = 2e-4
"""Tolerance of golden values; runtimes differ by 1e-5, and a swapped channel by 1e-1."""

_UNKNOWN = "?"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    level: Literal["ok", "note", "error"]
    topic: str
    text: str


@dataclass(frozen=True, slots=True)
class LintReport:
    """The result of `lint`.

    Attributes:
        proposal: a card as TOML, with "?" where a person must fill in a value.
        unknown: what the graph doesn't show, and why it matters.
        lacking: what a contribution to the catalog still lacks.
    """

    facts: GraphFacts
    findings: tuple[Finding, ...]
    proposal: str
    unknown: tuple[str, ...]
    lacking: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether no check found an error; what is only lacking does not count."""
        return all(finding.level != "error" for finding in self.findings)


def lint(
    path: Path, *, card: ModelCard | None = None, open_graph: Callable[[Path], Run] | None = None
) -> LintReport:
    """Inspect a graph, alone or against its card.

    Args:
        path: the ONNX file.
        card: its card.
        open_graph: loads a graph; without it, test vectors and golden values are not checked.

    Raises:
        CardError: not an ONNX graph, or external data that points outside the file's folder.
        MissingExtraError: the onnx package is not installed.
    """
    facts = read_graph(path)
    findings = [_batch(facts)]
    if facts.legacy:
        findings.append(Finding("note", "legacy", "; ".join(facts.legacy)))
    if len(facts.inputs) != 1:
        names = ", ".join(item.name for item in facts.inputs)
        findings.append(
            Finding("error", "inputs", f"{len(facts.inputs)} inputs ({names}); one image is fed")
        )
    if card is not None:
        findings += _against_card(facts, card)
        findings += [Finding("error", "operating_points", text) for text in point_problems(card)]
    vectors = 0
    if open_graph is not None and len(facts.inputs) == 1:
        run = open_graph(path)
        results = _test_vectors(path, run)
        vectors = len(results)
        findings += results
        if card is not None and card.golden:
            findings.append(_golden(card, facts, run))
    proposal, unknown = propose(facts)
    return LintReport(
        facts=facts,
        findings=tuple(findings),
        proposal=proposal,
        unknown=() if card is not None else unknown,
        lacking=_lacking(card, vectors),
    )


def propose(facts: GraphFacts) -> tuple[str, tuple[str, ...]]:
    """Return a card as TOML with what the graph shows, and a list of what it doesn't show."""
    task, decoder, dim = _likely(facts)
    height, width = _image_size(facts)
    inside = any(op in {"Sub", "Mul", "Div", "Add"} for op in facts.leading)
    lines = [
        '# Proposed from the graph. Replace every "?": a card with one is refused.',
        f"# input {_show(facts.inputs)}; output {_show(facts.outputs[:4])}; batch {facts.batch}; "
        f"opset {facts.opset}; {facts.parameters / 1e6:.2f} M parameters",
        f'id = "{_identifier(facts.name)}"',
        f'task = "{task}"',
        f'decoder = "{decoder}"',
        f'title = "{_UNKNOWN}"',
    ]
    lines += [f"dim = {dim}"] if dim else []
    lines += ["", "[license]", f'weights = "{_UNKNOWN}"', f'commercial_use = "{_UNKNOWN}"']
    lines += ["", "[input]"]
    lines += [f"width = {width}", f"height = {height}"] if width and height else []
    lines += [f'color = "{_UNKNOWN}"']
    lines += ['layout = "NHWC"'] if _layout(facts) == "NHWC" else []
    if inside:
        lines += [f"# the graph begins with {', '.join(facts.leading)}: perhaps"]
        lines += ["# normalized_inside = true"]
    lines += [f'mean = "{_UNKNOWN}"', f'std = "{_UNKNOWN}"']
    if task != "detect":
        lines += ["", "[alignment]", f'template = "{_UNKNOWN}"']
    lines += ["", "[[files]]", f'name = "{facts.name}"', f'sha256 = "{facts.sha256}"']
    lines += [f"size = {facts.size}", "urls = []"]
    unknown = [
        "task and decoder: the outputs are only numbers",
        "color: RGB and BGR graphs look the same, and the wrong order costs accuracy",
        "mean and std: the normalization used in training"
        + (" (the graph begins with arithmetic: check whether it normalizes)" if inside else ""),
        "license of the weights, and whether it allows commercial use",
        "training data, paper, published figures with their source",
    ]
    if task != "detect":
        unknown.insert(3, "alignment: the landmark template used in training")
    return "\n".join(lines) + "\n", tuple(unknown)


def _likely(facts: GraphFacts) -> tuple[str, str, int | None]:
    """Guess task, decoder and dim from the outputs; "?" where they don't tell."""
    last = [item.shape[-1] if item.shape else None for item in facts.outputs]
    if len(last) == 1 and len(facts.outputs[0].shape) == 2 and (last[0] or 0) >= 32:
        return "embed", "vector", last[0]
    names = {item.name for item in facts.outputs}
    if {"cls_8", "obj_8", "bbox_8", "kps_8"} <= names:
        return "detect", "yunet", None
    if sorted(map(str, last)) in (["1"] * 3 + ["10"] * 3 + ["4"] * 3, ["1"] * 3 + ["4"] * 3):
        return "detect", "scrfd", None
    if sorted(map(str, last)) == ["10", "2", "4"]:
        return "detect", "retinaface", None
    if sorted(map(str, last)) == ["2", "4"]:
        return "detect", "ultraface", None
    return _UNKNOWN, _UNKNOWN, None


def _image_size(facts: GraphFacts) -> tuple[int | None, int | None]:
    shape = facts.inputs[0].shape if facts.inputs else ()
    if len(shape) != 4:
        return None, None
    return (shape[1], shape[2]) if _layout(facts) == "NHWC" else (shape[2], shape[3])


def _layout(facts: GraphFacts) -> str | None:
    """Find the axis of the three colors; None if both ends or neither could be it."""
    shape = facts.inputs[0].shape if facts.inputs else ()
    if len(shape) != 4 or (shape[1] == 3) == (shape[3] == 3):
        return None
    return "NCHW" if shape[1] == 3 else "NHWC"


def _batch(facts: GraphFacts) -> Finding:
    if facts.batch == "free":
        return Finding("ok", "batch", "free")
    return Finding("note", "batch", f"fixed at {facts.batch}; batches run through a rewritten copy")


def _against_card(facts: GraphFacts, card: ModelCard) -> list[Finding]:
    found = []
    file = next((item for item in card.files if item.sha256 == facts.sha256), None)
    if file is None:
        named = next((item for item in card.files if item.name == facts.name), card.files[0])
        claim = named.sha256 or "none: the card is unpinned"
        level: Literal["note", "error"] = "error" if named.sha256 else "note"
        text = f"the file has {facts.sha256}, the card says {claim}"
        found.append(Finding(level, "sha256", text))
    else:
        found.append(Finding("ok", "sha256", f"that of the card's {file.role}"))
        if file.size not in (None, facts.size):
            text = f"the file has {facts.size} bytes, the card says {file.size}"
            found.append(Finding("error", "size", text))
    layout = _layout(facts)
    if layout not in (None, card.input.layout):
        text = f"the graph takes {layout}, the card says {card.input.layout}"
        found.append(Finding("error", "input.layout", text))
    height, width = _image_size(facts)
    for name, claimed, proved in (
        ("width", card.input.width, width),
        ("height", card.input.height, height),
    ):
        if proved is not None and claimed != proved:
            text = f"the graph takes {proved}, the card says {claimed or 'any'}"
            found.append(Finding("error", f"input.{name}", text))
    if card.task == "embed":
        dim = facts.outputs[0].shape[-1] if facts.outputs and facts.outputs[0].shape else None
        if dim is None:
            found.append(Finding("note", "dim", "the graph does not show the length of its vector"))
        elif dim != card.dim:
            text = f"the graph gives {dim}, the card says {card.dim}"
            found.append(Finding("error", "dim", text))
        else:
            found.append(Finding("ok", "dim", str(dim)))
    return found


def _test_vectors(path: Path, run: Run) -> list[Finding]:
    found = []
    for vectors in read_vectors(path.parent):
        try:
            outputs = run(vectors.input)
        except (FaceprintError, RuntimeError, ValueError) as error:
            text = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            found.append(Finding("error", vectors.name, f"does not run ({text})"))
            continue
        found.append(_compare(vectors.name, outputs, vectors.outputs))
    return found


def _compare(name: str, outputs: Sequence[Array], expected: Sequence[Array]) -> Finding:
    if len(outputs) < len(expected):
        return Finding("error", name, f"{len(outputs)} outputs instead of {len(expected)}")
    largest, cosine = 0.0, 1.0
    for mine, other in zip(outputs, expected, strict=False):
        a, b = np.asarray(mine, np.float64).ravel(), np.asarray(other, np.float64).ravel()
        if a.shape != b.shape:
            return Finding("error", name, f"{a.size} values instead of {b.size}")
        largest = max(largest, float(np.abs(a - b).max(initial=0.0)))
        lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
        cosine = min(cosine, float(a @ b) / lengths if lengths else float(np.array_equal(a, b)))
    text = f"largest difference {largest:.2e}, lowest cosine {cosine:.6f}"
    return Finding("ok" if cosine >= _COSINE else "error", name, text)


def _golden(card: ModelCard, facts: GraphFacts, run: Run) -> Finding:
    role = next((item.role for item in card.files if item.sha256 == facts.sha256), "model")
    if len(card.files) > 1:
        return Finding("note", "golden", f"compared only for whole models; this is {role}")
    found = golden_values(card, {role: run})
    if len(found) != len(card.golden):
        return Finding("error", "golden", f"{len(found)} values, the card has {len(card.golden)}")
    worst = max(abs(a - b) / max(1.0, abs(b)) for a, b in zip(found, card.golden, strict=True))
    text = f"largest difference {worst:.2e}"
    return Finding("ok" if worst <= _GOLDEN else "error", "golden", text)


def _lacking(card: ModelCard | None, vectors: int) -> tuple[str, ...]:
    lacking = []
    if card is None:
        lacking.append("a card: fill in the proposal and lint again with --card")
    else:
        missing = [
            key for key in ("description", "training_data", "homepage") if not getattr(card, key)
        ]
        lacking += [f"{key} in the card" for key in missing]
        if not card.license.url:
            lacking.append("license.url: where the license can be read")
        if not any(file.urls for file in card.files):
            lacking.append("files.urls: an address that will last")
        if not card.pinned:
            lacking.append("files.sha256: a source for the hash")
        if not card.published:
            lacking.append("published: a figure with its source")
        if not card.golden:
            lacking.append("golden: the values that `models lint --golden` prints")
        if card.task == "embed" and not has_measured_points(card):
            lacking.append("operating_points: from `faceprint calibrate`")
    if not vectors:
        lacking.append("test_data_set_0 beside the file (input_0.pb, output_0.pb)")
    return tuple(lacking)


def _identifier(name: str) -> str:
    stem = name.rsplit(".", 1)[0].lower().replace("_", "-")
    kept = "".join(sign if sign.isalnum() or sign in "-." else "-" for sign in stem)
    return kept.strip("-.") or "model"


def _show(tensors: Sequence[Tensor]) -> str:
    return ", ".join(
        f"{item.name} [{', '.join('?' if side is None else str(side) for side in item.shape)}]"
        for item in tensors
    )
