"""One update after another: forward, backward, step; and the state that a checkpoint holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from faceprint._files import atomic_write
from faceprint.errors import NotFiniteError, RuntimeUnavailableError, UsageError
from faceprint.training.batches import Batch
from faceprint.training.distillation import TeacherHead
from faceprint.training.distributed import ALONE, Group
from faceprint.training.finetune import Start
from faceprint.training.head import ClassHead
from faceprint.training.margins import AdaFace, ArcFace, CosFace
from faceprint.training.networks import build, load_weights
from faceprint.training.run_file import Loss, RunFile
from faceprint.training.schedule import learning_rate
from faceprint.training.teacher import distillation_loss

__all__ = ["Trainer", "margin_of"]

_MARGINS = {"arcface": ArcFace, "cosface": CosFace, "adaface": AdaFace}


def margin_of(loss: Loss) -> nn.Module:
    """The margin of a loss, with the paper's margin if the run file has none."""
    chosen = {} if loss.margin is None else {"margin": loss.margin}
    return _MARGINS[loss.name](scale=loss.scale, **chosen)


class Trainer:
    """Network, head and optimizer. Everything random depends on seed and update alone.

    Args:
        run: the run file.
        people: number of classes.
        per_epoch: updates in an epoch.
        out: folder for a batch that gave NaN.
        head: in place of a `ClassHead`.
        start: of a fine-tuning.
        network: in place of the one that the run file names.
        group: the processes of the run; all of them have the head.

    Attributes:
        update: number of updates done.
        rate: learning rate of the last one.

    Raises:
        RuntimeUnavailableError: the device is not available.
        CardError: `network.initial` is not a state dict of the network.
    """

    def __init__(
        self,
        run: RunFile,
        people: int,
        per_epoch: int,
        out: Path,
        *,
        head: TeacherHead | None = None,
        start: Start | None = None,
        network: nn.Module | None = None,
        group: Group = ALONE,
    ) -> None:
        self.run, self.per_epoch, self.out, self._group = run, per_epoch, out, group
        self.device = _device(group.device(run.schedule.device))
        torch.manual_seed(run.seed)
        if network is None:
            network = _network(run) if start is None else start.network
        self.dim = run.network.dim if start is None else start.dim
        if head is None:
            loss = run.loss
            head = ClassHead(self.dim, people, margin_of(loss), sample_rate=loss.sample_rate)
        self._targets: Any = None
        if start is not None:
            head.weight.copy_(torch.from_numpy(start.centers))
            self._targets = torch.from_numpy(start.targets).to(self.device)
        self.network = group.normalized(network.to(self.device), self.device)
        self._parallel = group.parallel(self.network, self.device)
        self.head = head.to(self.device)
        self._optimizer = self._make_optimizer()
        self.update = 0
        self.rate = 0.0

    def step(self, batches: Sequence[Batch]) -> float:
        """Do one update and return the mean loss of its batches.

        Raises:
            NotFiniteError: the loss or a gradient is NaN or infinite. The weights are unchanged,
                and the batches were saved.
        """
        schedule = self.run.schedule
        self.network.train()
        self.head.train()
        torch.manual_seed(_seed(self.run.seed, self.update))
        averages = self._averages()
        labels = [torch.from_numpy(batch.labels).to(self.device) for batch in batches]
        self.head.choose(torch.cat(labels))
        if not self._group.first:
            torch.manual_seed(_seed(self.run.seed, self.update, self._group.rank))  # of dropout
        self._optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for number, (batch, own) in enumerate(zip(batches, labels, strict=True), 1):
            with self._group.exchange(self._parallel, number == len(batches)):
                total += self._pass(batch, own, len(batches))
        length = float(nn.utils.clip_grad_norm_(self.network.parameters(), schedule.clip))
        if self._group.any(not (math.isfinite(total) and math.isfinite(length))):
            self._restore(averages)
            raise NotFiniteError(
                f"update {self.update}: the loss is {total:g} and the gradient's length "
                f"{length:g}; the batches are in {self._save(batches)}. Lower schedule.rate, or "
                "lengthen the warm-up"
            )
        self.rate = rate = learning_rate(schedule, self.update, self.per_epoch)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
        self._optimizer.step()
        if isinstance(self.head, ClassHead) and self.head.centers.grad is not None:
            self._group.average(self.head.centers.grad)
        self.head.step(rate, schedule.momentum, schedule.weight_decay)
        self.update += 1
        return total

    def _pass(self, batch: Batch, labels: Any, batches: int) -> float:
        """One forward and backward pass; returns the batch's share of the loss."""
        crops = torch.from_numpy(batch.blob).to(self.device)
        half = self.run.schedule.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            embeddings = self._parallel(crops)
        loss = self._loss(self._group.gather(embeddings), labels, batch) / batches
        loss.backward()
        return float(loss.detach())

    def _loss(self, embeddings: Any, labels: Any, batch: Batch) -> Any:
        chosen = self.run.finetune
        if chosen is None or self._targets is None:
            return self.head(embeddings, labels)
        targets = self._targets[torch.from_numpy(batch.photographs).to(self.device)]
        loss = chosen.distill * distillation_loss(embeddings, targets)
        if chosen.labels:
            loss = loss + chosen.labels * self.head(embeddings, labels)
        return loss

    def _make_optimizer(self) -> Any:
        schedule = self.run.schedule
        chosen = [value for value in self.network.parameters() if value.requires_grad]
        if schedule.optimizer == "adamw":
            groups = [{"params": [value], "share": _size(value)} for value in chosen]
            return torch.optim.AdamW(groups, schedule.rate, weight_decay=schedule.weight_decay)
        return torch.optim.SGD(
            chosen,
            lr=schedule.rate,
            momentum=schedule.momentum,
            weight_decay=schedule.weight_decay,
        )

    def _averages(self) -> list[tuple[Any, Any]]:
        """Copies of the running averages, which a forward pass changes."""
        modules = (self.network, self.head.margin)
        return [(value, value.clone()) for module in modules for value in module.buffers()]

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _restore(self, averages: Sequence[tuple[Any, Any]]) -> None:
        for value, copy in averages:
            value.copy_(copy)

    def _save(self, batches: Sequence[Batch]) -> Path:
        path = self.out / f"not-finite-{self.update}.npz"
        arrays: dict[str, Any] = {
            key: np.concatenate([getattr(batch, key) for batch in batches])
            for key in ("labels", "photographs")
        }
        crops = [
            self._group.gather(torch.from_numpy(batch.blob).to(self.device)) for batch in batches
        ]
        arrays["blob"] = torch.cat(crops).cpu().numpy()
        if self._group.first:
            atomic_write(path, lambda file: np.savez_compressed(file, **arrays), private=True)
        return path

    def state(self) -> dict[str, Any]:
        """Everything that the next updates depend on."""
        return {
            "update": self.update,
            "network": self.network.state_dict(),
            "head": self.head.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a `state`.

        Raises:
            UsageError: of another network or other people.
        """
        try:
            self.network.load_state_dict(state["network"])
            self.head.load_state_dict(state["head"])
            self._optimizer.load_state_dict(state["optimizer"])
            self.update = int(state["update"])
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise UsageError("the checkpoint is of another network or other people") from error


def _size(value: Any) -> float:
    """The root mean square of a weight; 0.05 for one that begins as zero.

    AdamW changes every number by up to its rate. The weights of one graph differ by orders of
    magnitude, most of all where normalizations were folded into convolutions, so that each tensor
    has a rate relative to its own size.
    """
    size = float(value.detach().square().mean().sqrt())
    return size or 0.05


def _network(run: RunFile) -> nn.Module:
    net = run.network
    network = build(net.name, dim=net.dim, width=net.width, dropout=net.dropout)
    if net.initial is not None:
        load_weights(network, net.initial)
    return network


def _seed(seed: int, update: int, rank: int | None = None) -> int:
    place = (seed, 2, update) if rank is None else (seed, 2, update, rank)
    return int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0] >> 1)


def _device(name: str) -> Any:
    kind = name.partition(":")[0]
    here = kind == "cpu" or (kind == "cuda" and torch.cuda.is_available())
    here = here or (kind == "mps" and torch.backends.mps.is_available())
    if not here:
        raise RuntimeUnavailableError(f"this PyTorch has no device {name!r}")
    return torch.device(name)
