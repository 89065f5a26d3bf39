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
        self.register_buffer("weight", torch.empty(classes, dim).normal_(0, 0.01))
        self.register_buffer("velocity", torch.zeros(classes, dim))
        self.sampled: Tensor = torch.arange(classes)
        self.centers: Tensor = self.weight.detach().requires_grad_()

    def choose(self, labels: Tensor, generator: Any = None) -> None:
        """Choose the classes of one update: all of `labels`, and a sample of the others.

        An update over several batches (accumulation) chooses once, for the labels of all of them.
        Afterwards `sampled` holds the sorted classes, and `centers` theirs, whose gradient the
        batches add to. Only the sample takes memory for gradients.

        Args:
            labels: (n,) int64.
            generator: a CPU generator of torch.
        """
        classes = len(self.weight)
        wanted = max(1, round(self.sample_rate * classes))
        present = torch.unique(labels)
        if wanted == classes:
            self.sampled = torch.arange(classes, device=labels.device)
        elif len(present) >= wanted:
            self.sampled = present
        else:
            # Random numbers in 0..1 order the others; 2 puts those present first.
            order = torch.rand(classes, generator=generator).to(labels.device)
            order[present] = 2.0
            self.sampled = torch.topk(order, wanted).indices.sort().values
        whole = len(self.sampled) == classes
        chosen = self.weight if whole else self.weight[self.sampled]
        self.centers = chosen.detach().requires_grad_()

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The mean cross entropy of a batch over the chosen classes, in float32 or wider.

        Args:
            embeddings: (n, dim), of any length.
            labels: (n,) int64, all of them chosen.
        """
        wide = embeddings if embeddings.dtype == torch.float64 else embeddings.float()
        lengths = wide.norm(dim=1)
        unit = functional.normalize
        cosines = functional.linear(unit(wide), unit(self.centers)).clamp(-1, 1)
        places = torch.searchsorted(self.sampled, labels)
        return functional.cross_entropy(self.margin(cosines, places, lengths), places)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, rate: float, momentum: float, weight_decay: float) -> None:
        """Update the chosen centers as `torch.optim.SGD` does, and drop their gradient."""
        if self.centers.grad is None:
            return
        rows = slice(None) if len(self.sampled) == len(self.weight) else self.sampled
        gradient = self.centers.grad + weight_decay * self.weight[rows]
        velocity = momentum * self.velocity[rows] + gradient
        self.velocity[rows] = velocity
        self.weight[rows] -= rate * velocity
        self.centers.grad = None
