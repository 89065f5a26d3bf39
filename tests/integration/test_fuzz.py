"""A minute of the fuzz run (benchmarks/fuzz.py): damaged files of every kind, used in every way."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest
from fuzz_run import KINDS, in_memory, run
from mutations import mutate

SEED = 1
CASES = {
    "photographs": 500,
    "galleries": 70,
    "cards": 120,
    "graphs": 80,
    "imports": 80,
    "tables": 60,
}
"""Of each kind; together a minute of one core."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is measured through /proc"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_end_in_a_result_or_an_error_of_ours(kind: str) -> None:
    pytest.importorskip("onnx")
    with tempfile.TemporaryDirectory(dir=in_memory()) as scratch:
        cases = list(run(kind, SEED, range(CASES[kind]), Path(scratch)))
    found = [
        (case.index, case.original, case.mutations, f) for case in cases for f in case.findings
    ]
    assert not found, "\n".join(str(item) for item in found[:5])
    ended = {name for case in cases for name in case.ended}
    assert "done" in ended, "some are used in spite of the damage"
    assert len(ended) > 1, "and some are refused"


def test_the_watch_sees_what_it_watches_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEPRINT_FUZZ_SELF_TEST", "1")
    cases = list(run("cards", SEED, range(5), tmp_path))
    found = ["; ".join(finding["what"] for finding in case.findings) for case in cases]
    assert found[0].startswith("ZeroDivisionError")
    assert found[1].startswith("CommandError: exit code 5")
    assert found[2].endswith("megabytes")
    assert found[3].endswith("seconds")
    assert found[4] == "the process ended with -11"


def test_a_case_can_be_made_again(tmp_path: Path) -> None:
    from random import Random

    from fuzz_originals import MAKERS

    for kind in ("cards", "graphs", "photographs", "galleries", "imports"):
        made = []
        for name in ("one", "two"):
            folder = tmp_path / kind / name
            folder.mkdir(parents=True)
            originals = MAKERS[kind](folder)
            rng = Random(f"{kind}/{SEED}/3")
            original = rng.choice(originals)
            others = [other.data for other in originals if other.name != original.name]
            made.append(mutate(original.data, rng, original.mutators, others))
        assert made[0] == made[1], kind
