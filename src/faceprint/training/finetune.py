"""Transfer learning: where a fine-tuning starts from, what it trains, and the graph it ends as."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from faceprint import settings
from faceprint._onnx import reading
from faceprint._optional import require
from faceprint.errors import CardError, UsageError
from faceprint.runtime.graph import load_graph
from faceprint.runtime.session import open_session
from faceprint.runtime.torch_call import Tensor
from faceprint.training.crop_build import ALIGNMENT, PeopleCrops
from faceprint.training.crop_store import CropStore
from faceprint.training.finetune_table import Finetune
from faceprint.training.graph_module import GraphModule
from faceprint.training.run_file import RunFile
from faceprint.training.teacher import teacher_vectors
from faceprint.types import Array
from faceprint.zoo import catalog, legacy, store
from faceprint.zoo.card import InputContract, ModelCard
from faceprint.zoo.card_io import read_card

__all__ = [
    "FEWEST_PAIRS",
    "Original",
    "Start",
    "TrainableEmbedder",
    "open_original",
    "split",
    "start_of",
    "trainable",
    "write_graph",
]


FEWEST_PAIRS = 300
"""Non-mated pairs that can show a false match rate of 1 %, by the rule of 3."""


@dataclass(frozen=True, slots=True)
class Original:
    """The model that a fine-tuning starts from: its card and its graph, of today's form."""

    card: ModelCard
    file: Path


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """What a trainer starts from in place of random weights.

    Attributes:
        network: see `TrainableEmbedder`.
        dim: of its embeddings.
        targets: (n, dim) the original's unit embeddings of the photographs trained on.
        centers: (people, dim) the mean of each person's.
    """

    network: nn.Module
    dim: int
    targets: Array
    centers: Array


def open_original(model: str) -> Original:
    """Find a card of the zoo by its id, or a file FILE.onnx whose card is known.

    A file's card is the one beside it, FILE.toml, or the zoo's card of the same SHA-256.

    Raises:
        UnknownModelError, ModelError: no such card, or its file can't be had.
        UsageError: a file without a card.
        CardError: not an embedder, or one whose crops are not those of training.
    """
    path = Path(model)
    if path.suffix == ".onnx":
        if not path.is_file():
            raise UsageError(f"{path}: no such file")
        beside, sha256 = path.with_suffix(".toml"), store.file_sha256(path)
        known = [read_card(beside)] if beside.is_file() else catalog.all_cards()
        card = next((card for card in known if card.files[0].sha256 == sha256), None)
        if card is None:
            raise UsageError(
                f"{path}: no card says what this model's input and license are; write one "
                f"({beside.name} beside it; `faceprint models lint` checks it)"
            )
    else:
        card = catalog.get_card(model)
        path = store.ensure(card).get("model", path)
    if card.task != "embed" or card.dim is None:
        raise CardError(f"{card.id} is a detector; an embedder can be fine-tuned")
    if card.alignment != ALIGNMENT:
        raise CardError(
            f"{card.id} is aligned to {card.alignment.template if card.alignment else 'nothing'}; "
            f"training has crops of {ALIGNMENT.template}"
        )
    return Original(card, legacy.prepare(path, settings.home() / "prepared"))


class TrainableEmbedder(nn.Module):  # type: ignore[misc]
    """An original's graph behind the input of training: RGB crops in -1..1.

    Raises:
        CardError: the graph can't be trained (see `GraphModule`), or takes one crop at a time.
    """

    def __init__(self, original: Original) -> None:
        super().__init__()
        graph, contract = load_graph(original.file, extra="train"), original.card.input
        if graph.inputs and graph.inputs[0].shape[:1] not in ((), (None,)):
            raise CardError(
                f"{original.file.name}: its batch is fixed at {graph.inputs[0].shape[0]}; "
                "fine-tuning needs a graph with a free batch"
            )
        self.graph = GraphModule(graph, original.file.name)
        scale, shift = _change(contract)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)
        self._bgr, self._last = contract.color == "BGR", contract.layout == "NHWC"

    def contracted(self, blob: Tensor) -> Tensor:
        """The graph's input from RGB in -1..1, (n, 3, 112, 112)."""
        if self._bgr:
            blob = blob.flip(1)
        if not (bool((self.scale == 1).all()) and bool((self.shift == 0).all())):
            blob = blob * self.scale + self.shift
        return blob.permute(0, 2, 3, 1) if self._last else blob

    def forward(self, blob: Tensor) -> Tensor:
        """(n, dim) embeddings of RGB crops in -1..1, (n, 3, 112, 112)."""
        return self.graph(self.contracted(blob)).flatten(1)


def _change(contract: InputContract) -> tuple[Tensor, Tensor]:
    """Factor and summand (1, 3, 1, 1) that lead from -1..1 to a card's input."""
    mean, std = (np.asarray(each, np.float64) for each in (contract.mean, contract.std))
    scale, shift = 127.5 / std, (127.5 - mean) / std
    first, second = (torch.from_numpy(each.reshape(1, 3, 1, 1)).float() for each in (scale, shift))
    return first, second


def trainable(original: Original, chosen: Finetune | None = None) -> TrainableEmbedder:
    """The original with the weights of `chosen.layers` let free; all of them without `chosen`.

    Raises:
        CardError: see `TrainableEmbedder`; or the graph has no such layers.
    """
    network = TrainableEmbedder(original)
    graph = network.graph
    if chosen is None or chosen.layers == "all":
        graph.train_weights(graph.weights_from(0))
    elif chosen.layers == "lora":
        graph.adapt(graph.products(), chosen.rank)
        if not any(value.requires_grad for value in network.parameters()):
            raise CardError(
                f"{original.card.id}: its weights are too small for changes of rank {chosen.rank}; "
                "choose a lower rank (--rank), or train every weight (--layers all)"
            )
    elif chosen.layers == "head":
        graph.train_weights(graph.weights_from(graph.last_product()))
    else:
        probe = network.contracted(torch.zeros(1, 3, 112, 112))
        graph.train_weights(graph.weights_from(graph.last_stage(probe)))
    return network


def start_of(run: RunFile, people: PeopleCrops, crops: CropStore) -> Start:
    """The network, and what the original says about the photographs.

    Raises:
        UsageError: the run file has no table `finetune`.
        CardError, ModelError: see `open_original` and `trainable`.
    """
    if run.finetune is None:
        raise UsageError("the run file has no table finetune")
    original = open_original(run.finetune.model)
    torch.manual_seed(run.seed)
    network = trainable(original, run.finetune)
    session = open_session(original.file, runtime="onnxruntime")
    targets = teacher_vectors(session, original.card, crops.crops()[people.rows])
    centers = np.zeros((len(people.names), targets.shape[1]), np.float32)
    np.add.at(centers, people.subjects, targets)
    centers /= np.maximum(np.linalg.norm(centers, axis=1, keepdims=True), 1e-12)
    return Start(network, targets.shape[1], targets, centers)


def split(run: RunFile, people: PeopleCrops) -> tuple[PeopleCrops, PeopleCrops | None]:
    """The people trained on, and those held out for the report (None without).

    People are drawn by the seed. Those with one photograph are trained on, since one photograph
    makes no pair.

    Raises:
        UsageError: fewer than two people are left to train on, or those held out have too few pairs
            for a false match rate of 1 %.
    """
    share = 0.0 if run.finetune is None else run.finetune.hold_out
    if not share:
        return people, None
    several = np.flatnonzero(people.counts() > 1)
    count = round(share * len(several))
    chosen = np.random.default_rng((run.seed, 3)).permutation(several)[:count]
    counts = people.counts()[chosen]
    pairs = int(counts.sum() ** 2 - (counts**2).sum()) // 2
    if pairs < FEWEST_PAIRS:
        raise UsageError(
            f"{count} people held out with {counts.sum()} photographs make {pairs} pairs of two "
            f"people; an FMR of 1 % takes {FEWEST_PAIRS}. Hold out more (--hold-out) or add people"
        )
    if len(people.names) - count < 2:
        raise UsageError("holding out so many leaves fewer than two people to train on")
    held = np.isin(people.subjects, chosen)
    return people.only(~held), people.only(held)


def write_graph(original: Path, values: dict[str, Any], path: Path) -> None:
    """Write the original's graph with other values of some weights; all else stays.

    Args:
        values: arrays by the weights' names; see `GraphModule.changed`.

    Raises:
        MissingExtraError: the onnx package is not installed.
        CardError: the file has no such weight, or one of another shape.
    """
    onnx = require("onnx", extra="train")
    left = dict(values)
    with reading(original.name, extra="train", kind=CardError):
        model = onnx.load(str(original))
        places = {item.name: item for item in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant" and node.output[0] in left:
                places[node.output[0]] = next(i.t for i in node.attribute if i.name == "value")
        for name, place in places.items():
            if name not in left:
                continue
            value = np.ascontiguousarray(left.pop(name))
            if list(place.dims) != list(value.shape):
                raise CardError(f"{original.name}: {name} is not {value.shape}")
            kind = onnx.helper.tensor_dtype_to_np_dtype(place.data_type)
            place.CopyFrom(onnx.numpy_helper.from_array(value.astype(kind), name))
        if left:
            raise CardError(f"{original.name}: has no weight {next(iter(left))}")
        onnx.save(model, str(path))
