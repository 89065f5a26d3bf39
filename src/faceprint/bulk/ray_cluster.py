"""A Ray cluster: joining it, and tasks on it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from faceprint._optional import require
from faceprint.errors import FaceprintError
from faceprint.recognition.clustering.tasks import Run, Task

__all__ = ["joined_cluster", "on_ray"]

_AGAIN = 4
"""How often a task whose worker died is done again."""


def joined_cluster(address: str | None, cores: int) -> Any:
    """The module `ray`, connected.

    Args:
        address: of a running cluster, as `host:6379` or `auto`; None starts one on this machine
            with that many cores.

    Raises:
        MissingExtraError: without the extra `ray`.
    """
    ray = require("ray", extra="ray")
    if not ray.is_initialized():
        # A cluster that starts here would report its use to Ray's makers.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        own = {name: os.environ[name] for name in os.environ if name.startswith("FACEPRINT_")}
        ray.init(
            address=address,
            num_cpus=None if address else cores,
            include_dashboard=False if address is None else None,
            runtime_env={"env_vars": own},
            log_to_driver=False,
            logging_level="warning",
        )
    return ray


def on_ray(*, address: str | None, workers: int) -> Run:
    """Tasks on the workers of a cluster, a core each; two for each worker are under way at a time.

    Arguments travel with the task, so workers need faceprint and nothing of this machine's disk. A
    task whose worker dies is done again.

    Raises:
        MissingExtraError: without the extra `ray`.
    """
    ray = joined_cluster(address, workers)

    def run(function: Callable[..., Any], tasks: Iterable[Task]) -> Iterator[tuple[Any, Any]]:
        remote = ray.remote(num_cpus=1, max_retries=_AGAIN)(function)
        waiting: deque[tuple[Any, Any]] = deque()

        def first() -> tuple[Any, Any]:
            key, future = waiting.popleft()
            try:
                return key, ray.get(future)
            except ray.exceptions.RayError as error:
                reason = str(error).strip().splitlines()[0]
                raise FaceprintError(f"a task on the cluster failed: {reason}") from error

        for key, arguments in tasks:
            waiting.append((key, remote.remote(*arguments)))
            if len(waiting) >= 2 * workers:
                yield first()
        while waiting:
            yield first()

    return run
