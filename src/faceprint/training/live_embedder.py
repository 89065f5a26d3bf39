"""The network in training as an embedder, so that `evaluate` measures it as any other model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from faceprint.evaluation.datasets import PairSet
from faceprint.evaluation.result import EvaluationResult
from faceprint.evaluation.verification import VerificationProtocol, evaluate
from faceprint.runtime.session import SessionInfo, TensorSpec
from faceprint.training.crop_build import ALIGNMENT
from faceprint.types import Array
from faceprint.vision.analyzer import FaceAnalyzer
from faceprint.vision.embed import VectorEmbedder
from faceprint.vision.load import LoadOptions
from faceprint.zoo.card import InputContract, License, ModelCard, ModelFile

__all__ = ["INPUT", "GivenEmbedder", "NetworkSession", "validate"]

_MEAN = (127.5, 127.5, 127.5)
INPUT = InputContract(width=112, height=112, color="RGB", mean=_MEAN, std=_MEAN)
"""The input of a trained network: RGB in -1..1."""


class NetworkSession:
    """A PyTorch network as a session."""

    def __init__(self, network: nn.Module, device: Any, dim: int) -> None:
        self._network, self._device = network, device
        shape = (None, 3, 112, 112)
        self.info = SessionInfo(
            "pytorch",
            str(torch.__version__),
            str(device),
            (TensorSpec("data", shape),),
            (TensorSpec("embedding", (None, dim)),),
        )

    def run(self, blob: Array) -> tuple[Array, ...]:
        """See `Session.run`."""
        self._network.eval()
        with torch.inference_mode():
            crops = torch.from_numpy(blob).to(self._device)
            return (self._network(crops).float().cpu().numpy(),)


class GivenEmbedder(FaceAnalyzer):
    """An analyzer whose embedder is given open, since it is not in the store."""

    def __init__(self, detector: ModelCard, embedder: VectorEmbedder) -> None:
        super().__init__(embedder.card.id, detector, embedder.card, LoadOptions())
        self._given = embedder

    @property
    def embedder(self) -> VectorEmbedder:
        return self._given


def validate(
    session: NetworkSession,
    dim: int,
    pairs: PairSet,
    protocol: VerificationProtocol,
    detector: ModelCard,
    cache: Path,
) -> EvaluationResult:
    """Measure the network on labeled pairs. Detected faces are cached, embeddings are not kept.

    Args:
        cache: folder for the faces.

    Raises:
        DatasetError: pictures that can't be used.
        ModelError: the detector can't be loaded.
    """
    card = ModelCard(
        id="training",
        task="embed",
        decoder="vector",
        title="a network in training",
        files=(ModelFile("training", None),),
        license=License("none", "unclear"),
        input=INPUT,
        dim=dim,
        alignment=ALIGNMENT,
    )
    for path in cache.glob("vectors.sqlite*"):
        path.unlink()
    analyzer = GivenEmbedder(detector, VectorEmbedder(session, card))
    return evaluate(protocol, pairs, analyzer, cache=cache).result
