"""Networks of the package timm (PyTorch Image Models) as embedders, by name."""

from __future__ import annotations

import torch
from torch import nn

from faceprint._optional import require
from faceprint.errors import UsageError
from faceprint.training.margins import Tensor

__all__ = ["TimmEmbedder"]

_SIDE = 112


class TimmEmbedder(nn.Module):  # type: ignore[misc]
    """A network of timm with random weights, and a dense layer to the embedding.

    The dense layer and the normalization after it are those of an IResNet.

    Args:
        name: as `timm.list_models()` has it.
        dim: of the embedding.
        dropout: share of the features that training drops.

    Raises:
        MissingExtraError: timm, or torchvision, which it needs, is not installed.
        UsageError: timm has no such network, or none that takes 112x112 pixels.
    """

    def __init__(self, name: str, dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        timm = require("timm", extra="timm")
        if not timm.is_model(name):
            raise UsageError(f"timm has no network {name!r}; timm.list_models() lists them")
        card = timm.get_pretrained_cfg(name)
        # Transformers have as many positions as their input has patches.
        sized = {"img_size": _SIDE} if card is not None and card.fixed_input_size else {}
        try:
            self.body = timm.create_model(
                name, pretrained=False, num_classes=0, exportable=True, **sized
            ).eval()
            with torch.no_grad():
                shape = tuple(self.body(torch.zeros(1, 3, _SIDE, _SIDE)).shape)
        except (RuntimeError, ValueError, TypeError, AssertionError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UsageError(f"timm's {name} takes no {_SIDE}x{_SIDE} pixels: {reason}") from error
        if len(shape) != 2:
            raise UsageError(f"timm's {name} gives {shape[1:]}, not one vector for a crop")
        self.body.train()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(shape[1], dim)
        self.features = nn.BatchNorm1d(dim)
        # A scale here would change nothing but the embedding's length.
        self.features.weight.requires_grad_(False)

    def forward(self, crops: Tensor) -> Tensor:
        """Crops (n, 3, 112, 112) in -1..1 to embeddings (n, dim) of any length."""
        return self.features(self.fc(self.dropout(self.body(crops))))
