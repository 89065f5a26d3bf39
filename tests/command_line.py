"""The command line in this process: fast, and whatever a test has patched holds there too."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from faceprint.cli.app import main


class Done(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its document."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Its JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


class CommandLine:
    """Runs commands."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: object, code: int | None = 0) -> Done:
        """Run one; `code` None takes any exit code."""
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        done = Done(int(left.value.code or 0), *self._capsys.readouterr())
        assert "Traceback" not in done.err
        assert code is None or done.code == code, done
        return done
