"""IResNet: the residual networks of ArcFace, LResNet-E-IR in the authors' first code.

Deng et al. 2019, "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", section 3.1: a
first convolution of 3x3 with stride 1; blocks BN-conv-BN-PReLU-conv-BN, whose second convolution
has the stride; output E: BN-dropout-dense-BN. The names of parameters are those of insightface's
arcface_torch, so that its checkpoints load.
"""

from __future__ import annotations

import torch
from torch import nn

from faceprint.training.margins import Tensor

__all__ = ["BLOCKS", "IResNet"]

BLOCKS = {
    "iresnet18": (2, 2, 2, 2),
    "iresnet34": (3, 4, 6, 3),
    "iresnet50": (3, 4, 14, 3),
    "iresnet100": (3, 13, 30, 3),
}
"""Blocks of the four stages."""

_CHANNELS = (64, 128, 256, 512)
_SIDE = 7
"""Side of the last feature map for crops of 112x112."""


class _Block(nn.Module):  # type: ignore[misc]
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.prelu = nn.PReLU(after)
        self.conv2 = nn.Conv2d(after, after, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(after)
        self.downsample = None
        if stride != 1 or before != after:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, maps: Tensor) -> Tensor:
        shortcut = maps if self.downsample is None else self.downsample(maps)
        inner = self.prelu(self.bn2(self.conv1(self.bn1(maps))))
        return self.bn3(self.conv2(inner)) + shortcut


class IResNet(nn.Module):  # type: ignore[misc]
    """Crops to embeddings.

    Args:
        blocks: of the four stages; see `BLOCKS`.
        dim: of the embedding.
        width: factor on the number of channels.
        dropout: share of the last feature map that training drops.
    """

    def __init__(
        self, blocks: tuple[int, ...], dim: int = 512, width: float = 1.0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        channels = [max(1, round(count * width)) for count in _CHANNELS]
        self.conv1 = nn.Conv2d(3, channels[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.prelu = nn.PReLU(channels[0])
        before = [channels[0], *channels]
        for stage, count in enumerate(blocks):
            made = [_Block(before[stage], channels[stage], 2)]
            made += [_Block(channels[stage], channels[stage], 1) for _ in range(1, count)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*made))
        self.bn2 = nn.BatchNorm2d(channels[-1])
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels[-1] * _SIDE**2, dim)
        self.features = nn.BatchNorm1d(dim)
        # A scale here would change nothing but the embedding's length.
        self.features.weight.requires_grad_(False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0, 0.1)

    def forward(self, crops: Tensor) -> Tensor:
        """Crops (n, 3, 112, 112) in -1..1 to embeddings (n, dim) of any length."""
        maps = self.prelu(self.bn1(self.conv1(crops)))
        maps = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        flat = torch.flatten(self.dropout(self.bn2(maps)), 1)
        return self.features(self.fc(flat))
