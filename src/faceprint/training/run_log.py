"""The log of a run: a line of JSON at a time, and the same numbers as curves of TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from faceprint._optional import require
from faceprint.errors import DatasetError

__all__ = ["RunLog", "require_tensorboard"]

_CURVES = ("loss", "learning_rate", "images_per_second")


def require_tensorboard() -> Any:
    """`torch.utils.tensorboard`, which needs the package tensorboard.

    Raises:
        MissingExtraError: tensorboard is not installed.
    """
    require("tensorboard", extra="tensorboard")
    return require("torch.utils.tensorboard", extra="tensorboard")


class RunLog:
    """Writes log.jsonl and, if asked, event files of TensorBoard beside it.

    Args:
        folder: of the run.
        begun_at: the update that the run goes on from. TensorBoard forgets what an interrupted run
            wrote after it.
        tensorboard: whether to write event files.
        tell: is given each line too.

    Raises:
        MissingExtraError: tensorboard is not installed.
        DatasetError: the disk refuses; also raised by the methods.
    """

    def __init__(
        self,
        folder: Path,
        begun_at: int,
        *,
        tensorboard: bool,
        tell: Callable[[dict[str, Any]], None],
    ) -> None:
        self._folder, self._tell = folder, tell
        self._events: Any = None
        if tensorboard:
            writer = require_tensorboard().SummaryWriter
            try:
                self._events = writer(str(folder), purge_step=begun_at + 1)
            except OSError as error:
                raise self._refused(error) from error

    def write(self, line: dict[str, Any]) -> None:
        """Add a line: the update, and what was measured at it."""
        self._tell(line)
        try:
            with (self._folder / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            if self._events is not None:
                for name, value in _scalars(line):
                    self._events.add_scalar(name, value, line["update"])
                self._events.flush()
        except OSError as error:
            raise self._refused(error) from error

    def close(self) -> None:
        """Finish the event file."""
        if self._events is not None:
            self._events.close()

    def _refused(self, error: OSError) -> DatasetError:
        return DatasetError(f"{self._folder}: {error.strerror or error}")


def _scalars(line: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """The curves' names and values of a line; what could not be measured has none."""
    for key in _CURVES:
        if key in line:
            yield f"training/{key}", line[key]
    for key, value in line.get("validation", {}).items():
        if isinstance(value, dict):
            for far, tar in value.items():
                if tar is not None:
                    yield f"validation/TAR at FAR {far}", tar
        elif value is not None:
            yield f"validation/{key}", value
