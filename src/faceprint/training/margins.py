"""Margin losses: logits of ArcFace, CosFace and AdaFace from cosines.

Each takes the cosines of a batch's embeddings with the class centers and returns logits for the
cross entropy. Only the logit of the true class differs from `scale * cosine`.

pytorch-metric-learning 2.9 is not used, but tests compare with it. Its ArcFace has an infinite
gradient where an embedding lies on its center (it takes the arc cosine). Its CosFace is right, but
one subtraction, and can't be computed on sampled classes. It has no AdaFace.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

__all__ = ["AdaFace", "ArcFace", "CosFace", "Tensor"]

Tensor = Any

_LEAST = 1e-12
"""Floor of the squared sine, which keeps the gradient of its root finite."""


class ArcFace(nn.Module):  # type: ignore[misc]
    """ArcFace: scale * cos(angle + margin) (Deng et al. 2019, equation 3).

    Beyond angle + margin = pi the cosine would rise again. There the logit is
    scale * (cos(angle) - margin * sin(margin)), as in the authors' code, which keeps falling.

    Args:
        margin: radians.
        scale: the length that embeddings are given.
    """

    def __init__(self, margin: float = 0.5, scale: float = 64.0) -> None:
        super().__init__()
        self.margin, self.scale = margin, scale

    def forward(self, cosines: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        """Logits (n, classes) from cosines (n, classes), labels (n,) and lengths (n,), unused."""
        own = cosines.gather(1, labels[:, None])
        moved = _cos_of_sum(own, self.margin)
        fallback = own - self.margin * math.sin(self.margin)
        target = torch.where(own > math.cos(math.pi - self.margin), moved, fallback)
        return self.scale * cosines.scatter(1, labels[:, None], target)


class CosFace(nn.Module):  # type: ignore[misc]
    """CosFace: scale * (cos(angle) - margin) (Wang et al. 2018, equation 4).

    Args:
        margin: in units of cosine.
        scale: the length that embeddings are given.
    """

    def __init__(self, margin: float = 0.35, scale: float = 64.0) -> None:
        super().__init__()
        self.margin, self.scale = margin, scale

    def forward(self, cosines: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        """See `ArcFace.forward`."""
        target = cosines.gather(1, labels[:, None]) - self.margin
        return self.scale * cosines.scatter(1, labels[:, None], target)


class AdaFace(nn.Module):  # type: ignore[misc]
    """AdaFace: margins that follow the embedding's length, a proxy of image quality.

    With the length standardized to z in -1..1, the logit is
    scale * (cos(angle - margin * z) - margin * z - margin) (Kim et al. 2022, equations 12 to 14).
    Mean and deviation of lengths are moving averages over batches. No gradient flows through z.
    The moved angle is kept in 0..pi, as in the authors' code.

    Args:
        margin: of both kinds.
        scale: the length that embeddings are given.
        concentration: `h` of the paper: lengths within one deviation lie in -h..h.
        momentum: weight of a new batch in the moving averages.
    """

    def __init__(
        self,
        margin: float = 0.4,
        scale: float = 64.0,
        concentration: float = 0.333,
        momentum: float = 0.01,
    ) -> None:
        super().__init__()
        self.margin, self.scale = margin, scale
        self.concentration, self.momentum = concentration, momentum
        # The authors' starting values.
        self.register_buffer("mean", torch.tensor(20.0))
        self.register_buffer("deviation", torch.tensor(100.0))

    def forward(self, cosines: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        """See `ArcFace.forward`; lengths are those of the embeddings. Training updates averages."""
        with torch.no_grad():
            known = lengths.detach().clamp(1e-3, 100.0)
            if self.training and len(known) > 1:
                self.mean.lerp_(known.mean().to(self.mean), self.momentum)
                self.deviation.lerp_(known.std().to(self.deviation), self.momentum)
            spread = (known - self.mean) / (self.deviation + 1e-3)
            quality = (spread * self.concentration).clamp(-1.0, 1.0)[:, None].to(cosines)
        own = cosines.gather(1, labels[:, None])
        angle = -self.margin * quality
        moved = _cos_of_sum(own, angle)
        # angle + move < 0 where the angle is smaller than a negative move; above pi likewise.
        moved = torch.where((angle < 0) & (own > torch.cos(angle)), torch.ones_like(own), moved)
        moved = torch.where((angle > 0) & (own < -torch.cos(angle)), -torch.ones_like(own), moved)
        target = moved - self.margin * quality - self.margin
        return self.scale * cosines.scatter(1, labels[:, None], target)


def _cos_of_sum(cosines: Tensor, angle: Tensor | float) -> Tensor:
    """cos(a + angle) from cos(a), for a in 0..pi."""
    if isinstance(angle, float):
        cos, sin = math.cos(angle), math.sin(angle)
    else:
        cos, sin = torch.cos(angle), torch.sin(angle)
    return cosines * cos - (1 - cosines * cosines).clamp(min=_LEAST).sqrt() * sin
