from __future__ import annotations

import pytest

from faceprint.cli.video import seconds
from faceprint.cli.video_report import time_words
from faceprint.errors import UsageError


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0.0), ("90", 90.0), ("1:30", 90.0), ("1:02:03", 3723.0), ("0:01:00.25", 60.25)],
)
def test_times(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "a", "-1", "1:", ":1", "1:2:3:4", "1e3", "nan", "1.5:00"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="no time such as"):
        seconds(text)


def test_times_as_they_are_printed() -> None:
    assert [time_words(value) for value in (0, 59.96, 61.24, 3723.0)] == [
        "0:00.0",
        "1:00.0",
        "1:01.2",
        "1:02:03.0",
    ]
