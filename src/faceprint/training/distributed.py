"""One training run on several processes, as `torchrun` starts them: each takes part of a batch."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch

# Its functions keep, as a default argument, the process group that exists when it is imported.
# DistributedDataParallel imports it; so it is imported here, before there is one (see `joined`).
import torch.distributed.nn
from torch import distributed, nn

from faceprint.errors import FaceprintError, RuntimeUnavailableError, UsageError
from faceprint.training.margins import Tensor

__all__ = ["ALONE", "Group", "group_of_environment", "joined"]

T = TypeVar("T")

_PATIENCE = timedelta(days=7)
"""How long the others wait while the first prepares data; `torchrun` ends all when one dies."""


@dataclass(frozen=True, slots=True)
class Group:
    """The processes of a run. Without others, every method leaves things as they are.

    Attributes:
        rank: of this process; 0 is the first, which alone writes.
        count: of processes.
        local: rank among the processes of this machine.
    """

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this process writes the log and the checkpoint."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """The device of this process: of `cuda`, a card of its own.

        Raises:
            UsageError: a device that several processes can't share.
            RuntimeUnavailableError: more processes than cards.
        """
        if self.count == 1 or name == "cpu":
            return name
        if name != "cuda":
            raise UsageError(f"several processes train on cpu or cuda; schedule.device is {name!r}")
        if self.local >= torch.cuda.device_count():
            raise RuntimeUnavailableError(
                f"process {self.local} of this machine needs a CUDA device of its own; PyTorch has "
                f"{torch.cuda.device_count()}"
            )
        return f"cuda:{self.local}"

    def check_batch(self, size: int) -> None:
        """Refuse a batch that the processes can't share.

        Raises:
            UsageError: no equal parts, or parts of one crop, which has no batch statistics.
        """
        if self.count > 1 and (size % self.count or size < 2 * self.count):
            raise UsageError(
                f"a batch of {size} gives {self.count} processes no equal parts of two or more "
                "crops; change schedule.batch"
            )

    def on_first(self, work: Callable[[], T], *, share: bool) -> Any:
        """Do something in the first process alone; if it fails, all raise its error.

        Args:
            share: give the result to the others, pickled; otherwise they have None.
        """
        if self.count == 1:
            return work()
        sent: list[Any] = [None, None]
        result = None
        if self.first:
            try:
                result = work()
                sent = [result if share else None, None]
            except FaceprintError as error:
                sent = [None, error]
        distributed.broadcast_object_list(sent, src=0)
        if sent[1] is not None:
            raise sent[1]
        return result if self.first else sent[0]

    def parallel(self, network: nn.Module, device: Any) -> Any:
        """The network with gradients that are the mean over all processes."""
        if self.count == 1:
            return network
        places = [device.index] if device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(network, device_ids=places)

    def exchange(self, parallel: Any, wanted: bool) -> AbstractContextManager[None]:
        """In here, passes exchange their gradients; or they only add to them, if not wanted."""
        alone: AbstractContextManager[None] = nullcontext()
        return alone if wanted or self.count == 1 else parallel.no_sync()

    def normalized(self, network: nn.Module, device: Any) -> nn.Module:
        """The network with batch statistics over all processes, which PyTorch has for CUDA."""
        if self.count == 1 or device.type != "cuda":
            return network
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)

    def gather(self, part: Tensor) -> Tensor:
        """The parts (n, ...) of all processes in order, (count * n, ...) float32.

        All compute the same loss from them, so that each has the whole gradient of its own part.
        """
        if self.count == 1:
            return part
        return _Gather.apply(part.float(), self.rank, self.count)

    def average(self, value: Tensor) -> None:
        """Replace `value` by its mean over all processes."""
        if self.count > 1:
            distributed.all_reduce(value)
            value /= self.count

    def any(self, here: bool) -> bool:
        """Whether something is so in any process."""
        if self.count == 1:
            return here
        found = torch.tensor(float(here))
        distributed.all_reduce(found, distributed.ReduceOp.MAX)
        return bool(found)


ALONE = Group()


class _Gather(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, part: Tensor, rank: int, count: int) -> Tensor:
        ctx.place = (rank, count, len(part))
        own = part.contiguous()
        parts = [torch.empty_like(own) for _ in range(count)]
        distributed.all_gather(parts, own)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        rank, count, own = ctx.place
        # DistributedDataParallel takes the mean; the gradient of the batch is the sum.
        return gradient[rank * own : (rank + 1) * own] * count, None, None


def group_of_environment() -> Group:
    """The processes that `torchrun` says there are (RANK, WORLD_SIZE, LOCAL_RANK)."""
    known = os.environ
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= known.keys():
        return ALONE
    rank, count = int(known["RANK"]), int(known["WORLD_SIZE"])
    return Group(rank, count, int(known.get("LOCAL_RANK", rank))) if count > 1 else ALONE


@contextmanager
def joined(device: str) -> Iterator[Group]:
    """Connect the processes: gloo between CPUs, NCCL between CUDA devices.

    Raises:
        UsageError, RuntimeUnavailableError: see `Group.device`.
    """
    group = group_of_environment()
    own = group.device(device)
    if group.count == 1:
        yield group
        return
    backend = "gloo"
    if own != "cpu":
        torch.cuda.set_device(group.local)
        backend = "cpu:gloo,cuda:nccl"
    distributed.init_process_group(backend, timeout=_PATIENCE)
    yield group
    # After an error the others may be gone, and can't be waited for.
    group.any(False)
    # The group's threads end once nothing refers to the group. A thread that frees a tensor while
    # Python shuts down aborts the process.
    gc.collect()
    distributed.destroy_process_group()
