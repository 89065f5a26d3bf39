"""The class centers of training, all of them or a sample for each batch (Partial FC)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from faceprint.errors import UsageError
from faceprint.training.margins import Tensor

__all__ = ["ClassHead"]


class ClassHead(nn.Module):  # type: ignore[misc]
    """A center for each person, and the margin softmax over them.

    With `sample_rate` below 1 each batch uses the centers of its own people and a random sample of
    the others (An et al. 2022, "Killing Two Birds with One Stone: Efficient and Robust Training of
    Face Recognition CNNs by Partial FC"). Only these centers are updated, momentum included.

    Args:
        dim: of the embeddings.
        classes: number of people.
        margin: a module of `margins`.
        sample_rate: share of the centers in a batch, above 0 and at most 1.

    Raises:
        UsageError: fewer than two people, or a rate out of range.
    """

    def __init__(
        self, dim: int, classes: int, margin: nn.Module, *, sample_rate: float = 1.0
    ) -> None:
        super().__init__()
        if classes < 2:
            raise UsageError(f"{classes} people; a classifier needs at least two")
        if not 0 < sample_rate <= 1:
            raise UsageError(f"sample_rate is {sample_rate:g}; it lies above 0 and is at most 1")
        self.margin, self.sample_rate = margin, sample_rate
        self.weight = nn.Parameter(torch.empty(classes, dim).normal_(0, 0.01))
        self.register_buffer("velocity", torch.zeros(classes, dim))
        self._used: Tensor | None = None

    def sample(self, labels: Tensor, generator: Any = None) -> Tensor:
        """Draw the classes of one update: all of `labels`, and others; sorted.

        An update over several batches (accumulation) draws once, for the labels of all of them.

        Args:
            labels: (n,) int64.
            generator: a CPU generator of torch.
        """
        classes = len(self.weight)
        if self.sample_rate == 1:
            return torch.arange(classes, device=labels.device)
        wanted = max(1, round(self.sample_rate * classes))
        present = torch.unique(labels)
        if len(present) >= wanted:
            return present
        # Random numbers in 0..1 order the others; 2 puts those present first.
        order = torch.rand(classes, generator=generator).to(labels.device)
        order[present] = 2.0
        return torch.topk(order, wanted).indices.sort().values

    def forward(self, embeddings: Tensor, labels: Tensor, sampled: Tensor) -> Tensor:
        """The mean cross entropy of a batch, computed in float32 or wider.

        Args:
            embeddings: (n, dim), of any length.
            labels: (n,) int64 classes.
            sampled: sorted classes that `sample` drew.
        """
        self._used = sampled
        wide = embeddings if embeddings.dtype == torch.float64 else embeddings.float()
        centers = self.weight if len(sampled) == len(self.weight) else self.weight[sampled]
        lengths = wide.norm(dim=1)
        cosines = functional.linear(functional.normalize(wide), functional.normalize(centers))
        places = torch.searchsorted(sampled, labels)
        return functional.cross_entropy(self.margin(cosines.clamp(-1, 1), places, lengths), places)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, rate: float, momentum: float, weight_decay: float) -> None:
        """Update the sampled centers by SGD as `torch.optim.SGD` does, and drop the gradient."""
        if self.weight.grad is None or self._used is None:
            return
        rows = self._used
        gradient = self.weight.grad[rows] + weight_decay * self.weight[rows]
        velocity = momentum * self.velocity[rows] + gradient
        self.velocity[rows] = velocity
        self.weight[rows] -= rate * velocity
        self.weight.grad = None
