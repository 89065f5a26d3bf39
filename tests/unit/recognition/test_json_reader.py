"""Values of the wrong type or range in JSON are refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from faceprint.errors import DatasetError
from faceprint.recognition.json_reader import JsonReader


@pytest.mark.parametrize("number", ["1" + "0" * 400, "-1", "Infinity", "NaN"])
def test_a_number_that_no_measurement_gives_is_refused(number: str, tmp_path: Path) -> None:
    path = tmp_path / "office.json"
    path.write_text(f'{{"pairs": [{number}]}}')
    with pytest.raises(DatasetError, match="pairs is"):
        JsonReader(path).numbers(json.loads(path.read_text()), "pairs", 0, math.inf)
