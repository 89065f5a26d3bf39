"""The parent's end of a side's process."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["Child", "SideFailedError", "reason"]

_SERVE = Path(__file__).with_name("serve.py")


class SideFailedError(RuntimeError):
    """A side's process ended; the message is the reason it gave."""


class Child:
    """A side's process. The constructor returns when its models are loaded.

    Args:
        python: the interpreter of the peer's environment.
        command: arguments of serve.py; the tests give a script of their own.
        environment: all of the process's environment variables.

    Raises:
        SideFailedError: it ended before it was ready.
    """

    def __init__(
        self,
        python: Path | str,
        command: Sequence[str],
        environment: Mapping[str, str],
        script: Path = _SERVE,
    ) -> None:
        self._errors = tempfile.TemporaryFile(  # noqa: SIM115  (as long as the process)
            "w+", encoding="utf-8", errors="replace"
        )
        try:
            self._process = subprocess.Popen(
                [str(python), str(script), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=dict(environment),
                text=True,
                encoding="utf-8",
            )
        except OSError as error:
            raise SideFailedError(str(error)) from error
        ready = self._read()
        self.ways: list[str] = ready["ways"]
        self.facts: dict[str, Any] = ready["facts"]

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def ask(self, do: str, paths: Sequence[Path] = (), **more: Any) -> dict[str, Any]:
        """One request and its answer (see serve.py).

        Raises:
            SideFailedError: the process ended instead of answering.
        """
        assert self._process.stdin is not None
        asked = {"do": do, "paths": [str(path) for path in paths], **more}
        try:
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # reading says why
        return self._read()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(timeout=20)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        code = self._process.wait()
        self._errors.seek(0)
        raise SideFailedError(reason(self._errors.read(), code))


def reason(errors: str, code: int) -> str:
    """Why a process ended: the last line it wrote that says something, else its exit code."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    if code < 0:
        return f"ended by signal {-code}"
    return lines[-1] if lines else f"exit code {code}"
