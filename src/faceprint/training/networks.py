"""The networks by name, and checkpoints of insightface's arcface_torch."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from faceprint.errors import CardError, UsageError
from faceprint.training.iresnet import BLOCKS, IResNet
from faceprint.training.mobilefacenet import MobileFaceNet
from faceprint.training.network_names import NETWORKS, TIMM
from faceprint.training.timm_network import TimmEmbedder

__all__ = ["build", "load_weights", "parameter_count"]

_NAMED = 3


def build(name: str, *, dim: int = 512, width: float = 1.0, dropout: float = 0.0) -> nn.Module:
    """Make a network with random weights.

    Args:
        name: one of `NETWORKS`, or `timm:` and the name of a network of timm.
        dim: of the embedding.
        width: factor on the number of channels; 1 for timm's.
        dropout: before the dense layer; the MobileFaceNets have none.

    Raises:
        UsageError: no such network, or a size that is not positive.
        MissingExtraError: timm is not installed.
    """
    if dim < 1 or not 0 < width <= 4 or not 0 <= dropout < 1:
        raise UsageError(f"dim {dim}, width {width:g}, dropout {dropout:g}: out of range")
    if name in BLOCKS:
        return IResNet(BLOCKS[name], dim, width, dropout)
    if name in ("mobilefacenet", "mbf"):
        return MobileFaceNet(dim, width, outer=2 if name == "mbf" else 1)
    if name.startswith(TIMM):
        if width != 1:
            raise UsageError(f"{name} has no width; leave out network.width")
        return TimmEmbedder(name.removeprefix(TIMM), dim, dropout)
    raise UsageError(f"no network {name!r}; there are {', '.join(NETWORKS)}, and {TIMM}NAME")


def parameter_count(network: nn.Module) -> int:
    """Number of parameters, without the running averages of batch normalization."""
    return sum(value.numel() for value in network.parameters())


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a state dict, such as a `backbone.pth` of arcface_torch; nothing is executed.

    Raises:
        CardError: not a state dict, or one of another network.
    """
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CardError(f"{path}: not a PyTorch state dict ({reason})") from error
    if not isinstance(found, dict):
        raise CardError(f"{path}: not a PyTorch state dict, but {type(found).__name__}")
    # Networks that were trained on several devices.
    state = {str(key).removeprefix("module."): value for key, value in found.items()}
    own = network.state_dict()
    wrong = [f"{key} is missing" for key in own if key not in state]
    wrong += [f"{key} is not in the network" for key in state if key not in own]
    wrong += [
        f"{key} is {tuple(value.shape)}, the network's is {tuple(own[key].shape)}"
        for key, value in state.items()
        if key in own and getattr(value, "shape", None) != own[key].shape
    ]
    if wrong:
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise CardError(f"{path}: of another network: {'; '.join(wrong[:_NAMED])}{more}")
    network.load_state_dict(state)
