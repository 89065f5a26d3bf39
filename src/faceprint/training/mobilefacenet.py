"""MobileFaceNet: bottlenecks of MobileNetV2 with PReLU, and a depthwise layer over the last map.

Chen et al. 2018, "MobileFaceNets: Efficient CNNs for Accurate Real-Time Face Verification on
Mobile Devices", table 1. insightface's larger variant `mbf` doubles the channels between blocks and
keeps those inside them. The names of parameters are those of its arcface_torch.
"""

from __future__ import annotations

from torch import nn

from faceprint.training.margins import Tensor

__all__ = ["MobileFaceNet"]

_LAST = 512
"""Channels of the last feature map, 7x7 for crops of 112x112."""


class _Layers(nn.Module):  # type: ignore[misc]
    """A sequence whose parameters are named `layers.N`, with a shortcut around it if asked."""

    def __init__(self, *layers: nn.Module, shortcut: bool = False) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.shortcut = shortcut

    def forward(self, maps: Tensor) -> Tensor:
        return self.layers(maps) + maps if self.shortcut else self.layers(maps)


def _conv(
    before: int, after: int, kernel: int = 1, stride: int = 1, groups: int = 1, act: bool = True
) -> _Layers:
    padding = 1 if kernel == 3 else 0
    conv = nn.Conv2d(before, after, kernel, stride, padding, groups=groups, bias=False)
    rest = [nn.BatchNorm2d(after)] + ([nn.PReLU(after)] if act else [])
    return _Layers(conv, *rest)


def _bottleneck(before: int, inner: int, after: int, stride: int) -> _Layers:
    return _Layers(
        _conv(before, inner),
        _conv(inner, inner, 3, stride, groups=inner),
        _conv(inner, after, act=False),
        shortcut=stride == 1,
    )


def _stage(count: int, channels: int, inner: int) -> _Layers:
    return _Layers(*(_bottleneck(channels, inner, channels, 1) for _ in range(count)))


class MobileFaceNet(nn.Module):  # type: ignore[misc]
    """Crops to embeddings.

    Args:
        dim: of the embedding.
        width: factor on all channels.
        outer: factor on the channels between blocks alone: 1 in the paper, 2 in `mbf`.
    """

    def __init__(self, dim: int = 512, width: float = 1.0, outer: int = 1) -> None:
        super().__init__()
        base = max(1, round(64 * width))
        first, second, last = base * outer, 2 * base * outer, max(1, round(_LAST * width))
        self.layers = nn.ModuleList(
            [
                _conv(3, first, 3, 2),
                _conv(first, first, 3, groups=base),
                _bottleneck(first, 2 * base, first, 2),
                _stage(4, first, 2 * base),
                _bottleneck(first, 4 * base, second, 2),
                _stage(6, second, 4 * base),
                _bottleneck(second, 8 * base, second, 2),
                _stage(2, second, 4 * base),
            ]
        )
        self.conv_sep = _conv(second, last)
        self.features = _Layers(
            _conv(last, last, 7, groups=last, act=False),
            nn.Flatten(),
            nn.Linear(last, dim, bias=False),
            nn.BatchNorm1d(dim),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, crops: Tensor) -> Tensor:
        """Crops (n, 3, 112, 112) in -1..1 to embeddings (n, dim) of any length."""
        maps = crops
        for layer in self.layers:
            maps = layer(maps)
        return self.features(self.conv_sep(maps))
