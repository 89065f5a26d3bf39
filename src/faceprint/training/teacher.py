"""Distillation: embeddings of a teacher, and the loss that keeps a student close to them."""

from __future__ import annotations

import numpy as np
from torch.nn import functional

from faceprint.runtime.session import Session
from faceprint.training.margins import Tensor
from faceprint.types import Array, Image
from faceprint.vision.embed import VectorEmbedder
from faceprint.zoo.card import ModelCard

__all__ = ["distillation_loss", "teacher_vectors"]


def teacher_vectors(session: Session, card: ModelCard, crops: Image) -> Array:
    """(n, dim) unit embeddings of crops (n, side, side, 3), as the card's model is used."""
    return np.stack([found.vector for found in VectorEmbedder(session, card).embed(crops)])


def distillation_loss(embeddings: Tensor, targets: Tensor) -> Tensor:
    """The mean of 1 - cosine between embeddings (n, dim), of any length, and their targets."""
    return (1 - functional.cosine_similarity(embeddings.float(), targets, dim=1)).mean()
