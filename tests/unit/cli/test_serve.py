"""`faceprint serve`: what it starts."""

from __future__ import annotations

import pytest

from faceprint.cli.options import ModelOptions
from faceprint.cli.serve import _processes


@pytest.mark.parametrize(
    ("options", "threads", "expected"),
    [
        (ModelOptions(), 2, 2),
        (ModelOptions(), 16, None),
        (ModelOptions(processes=1), 2, 1),
        (ModelOptions(device="cuda"), 2, None),
    ],
)
def test_few_cores_have_a_worker_each(
    options: ModelOptions, threads: int, expected: int | None
) -> None:
    assert _processes(options, threads) == expected


def test_the_setting_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPRINT_PROCESSES", "1")
    assert _processes(ModelOptions(), 2) == 1
