"""Connects to a Ray cluster and runs tasks on it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from faceprint._optional import require
from faceprint.errors import FaceprintError
from faceprint.recognition.clustering.tasks import Run, Task

__all__ = ["connect", "on_ray"]

_RETRIES = 4
"""Of a task whose worker died."""


def connect(address: str | None, cores: int) -> Any:
    """Connect to a cluster, and return the module `ray`.

    Args:
        address: of a running cluster, as `host:6379` or `auto`; None starts one on this machine
            with that many cores.

    Raises:
        MissingExtraError: without the extra `ray`.
    """
    ray = require("ray", extra="ray")
    if not ray.is_initialized():
        # A cluster that starts here would send usage statistics to Ray's developers.
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
    """Run tasks on a cluster, one core each, with two per worker submitted at a time.

    Arguments are sent with the task, so workers need faceprint but no access to this machine's
    disk. A task whose worker dies is repeated.

    Raises:
        MissingExtraError: without the extra `ray`.
    """
    ray = connect(address, workers)

    def run(function: Callable[..., Any], tasks: Iterable[Task]) -> Iterator[tuple[Any, Any]]:
        remote = ray.remote(num_cpus=1, max_retries=_RETRIES)(function)
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
