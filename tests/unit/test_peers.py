"""benchmarks/_peers: turns, ratios, processes and environments, without any peer."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from _peers import agree, envs, measure, plan, turns
from _peers.child import Child, SideFailedError, reason
from _peers.machine import Watch

ENVIRONMENT = {**os.environ, "PYTHONIOENCODING": "utf-8"}


class Pretended:
    """A side that answers at once with the seconds it was told."""

    def __init__(self, ways: dict[str, float], one: float = 0.01) -> None:
        self.ways, self._seconds, self._one = list(ways), ways, one
        self.asked: list[tuple[str, int]] = []

    def ask(self, do: str, paths: Sequence[Path] = (), **more: Any) -> dict[str, Any]:
        self.asked.append((more.get("way", do), len(paths)))
        faces = [2] * len(paths)
        if do == "one":
            return {"seconds": [self._one] * len(paths), "faces": faces}
        return {"seconds": self._seconds[more["way"]] * len(paths), "faces": faces}


def test_chunks_cover_everything_in_order_and_in_rounds() -> None:
    assert turns.chunks([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
    assert turns.chunks([1, 2, 3], 2, rounds=2) == [[1, 2], [3], [1, 2], [3]]


def test_every_side_is_first_as_often_as_the_others() -> None:
    names = ["a", "b", "c"]
    orders = [turns.turn_order(names, turn) for turn in range(6)]
    assert [order[0] for order in orders] == ["a", "b", "c"] * 2
    assert all(sorted(order) == names for order in orders)
    assert turns.turn_order([], 3) == []


def test_a_ratio_is_taken_chunk_by_chunk() -> None:
    # A minute in which everything takes ten times as long changes no ratio of that minute.
    ours = {0: 1.0, 1: 10.0, 2: 1.0}
    theirs = {0: 3.0, 1: 30.0, 2: 3.0, 3: 99.0}
    assert turns.ratio(ours, theirs) == {"median": 3.0, "turns": 3}
    assert turns.ratio({0: 1.0}, {1: 1.0}) is None
    found = turns.ratio(dict.fromkeys(range(4), 1.0), {0: 1.0, 1: 2.0, 2: 3.0, 3: 4.0})
    assert found == {"median": 2.5, "turns": 4, "quartiles": [1.25, 3.75]}


def test_the_fastest_way_is_chosen_after_a_warm_up() -> None:
    side = Pretended({"loop": 0.03, "pool": 0.01, "batches": 0.001})
    paths = [Path(str(index)) for index in range(40)]
    way, times = turns.fastest_way(side, paths, skipped=("batches",))
    assert (way, times) == ("pool", {"loop": 30.0, "pool": 10.0})
    assert side.asked == [("loop", 10), ("loop", 40), ("pool", 10), ("pool", 40)]


def test_turns_add_up_to_a_summary() -> None:
    side, samples = Pretended({"loop": 0.02}), turns.Samples()
    for index in range(3):
        turns.take_turns(side, samples, index, [Path("a"), Path("b")], "loop")
    assert samples.seconds("one") == pytest.approx({0: 0.01, 1: 0.01, 2: 0.01})
    assert turns.summary(samples) == {
        "photographs": 6,
        "turns": 3,
        "one": {"ms_mean": 10.0, "ms_median": 10.0, "ms_9_of_10_below": 10.0},
        "bulk": {"ms": 20.0, "photographs_a_second": 50.0},
        "faces": {"one": 12, "bulk": 12},
    }
    assert turns.summary(turns.Samples()) == {"photographs": 0}


def test_what_networks_were_fed() -> None:
    found = turns.fed({"1x3x640x640": 4, "2x3x112x112": 2}, 4)
    assert found["calls"] == 1.5
    assert found["kilopixels"] == round(640 * 640 / 1000 + 112 * 112 / 1000, 1)
    assert list(found["shapes"]) == ["1x3x640x640", "2x3x112x112"]


def face(box: Sequence[float], vector: Sequence[float] | None = None) -> dict[str, Any]:
    return {"box": list(box), "points": [[box[0], box[1]]] * 5, "vector": vector}


def test_a_face_is_matched_once_and_with_its_best_overlap() -> None:
    ours = [face((0, 0, 10, 10)), face((1, 0, 11, 10)), face((50, 50, 60, 60))]
    theirs = [face((1, 0, 11, 10)), face((0, 0, 10, 10)), face((53, 54, 63, 64))]
    assert sorted(agree.match(ours, theirs)) == [(0, 1), (1, 0)]
    assert agree.match([], theirs) == []


def test_agreement_compares_matched_faces_alone() -> None:
    ours = [[face((0, 0, 10, 10), [1, 0]), face((50, 50, 60, 60), [0, 1])], []]
    theirs = [[face((1, 0, 11, 10), [3, 4])], [face((0, 0, 5, 5), [1, 0])]]
    assert agree.agreement(ours, theirs) == {
        "photographs": 2,
        "faces_ours": 2,
        "faces_theirs": 2,
        "matched": 1,
        "cosine_mean": 0.6,
        "cosine_1_in_20_below": 0.6,
        "landmarks_apart_median": 0.1,
    }


@pytest.mark.parametrize("group", plan.GROUPS.values(), ids=lambda group: group.name)
def test_the_plan_names_sides_that_are_there(group: plan.Group) -> None:
    entries = {entry.name: entry for entry in group.entries}
    assert len(entries) == len(group.entries)
    for entry in group.entries:
        assert entry.peer in envs.ENVIRONMENTS
        assert set(entry.every) <= set(group.sets)
    for pair in group.pairs:
        assert pair.on in entries[pair.ours].every
        assert pair.on in entries[pair.theirs].every


def test_options_take_the_folders_in() -> None:
    entry = plan.Entry("x", "x", {"pack": "{weights}/pack", "side": 320}, {})
    folders = {"weights": Path("/w"), "models": Path("/m")}
    assert plan.options_of(entry, folders) == {"pack": "/w/pack", "side": 320}


SIDE = """
import json, sys
print(json.dumps({"ready": True, "ways": ["loop"], "facts": {"given": sys.argv[1:]}}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if asked["do"] == "fail":
        print("warming up", file=sys.stderr)
        raise ValueError("no such weights")
    print(json.dumps({"got": asked}), flush=True)
"""


def test_a_process_answers_and_says_why_it_ended(tmp_path: Path) -> None:
    script = tmp_path / "side.py"
    script.write_text(SIDE, "utf-8")
    with Child(sys.executable, ["peer", "{}"], ENVIRONMENT, script) as child:
        assert (child.ways, child.facts) == (["loop"], {"given": ["peer", "{}"]})
        answer = child.ask("bulk", [Path("a.jpg")], way="loop")
        assert answer == {"got": {"do": "bulk", "paths": ["a.jpg"], "way": "loop"}}
        with pytest.raises(SideFailedError, match="no such weights"):
            child.ask("fail")
        with pytest.raises(SideFailedError):
            child.ask("one")


def test_a_process_that_never_gets_ready_gives_its_reason(tmp_path: Path) -> None:
    script = tmp_path / "side.py"
    script.write_text("import no_such_module_at_all", "utf-8")
    with pytest.raises(SideFailedError, match="No module named 'no_such_module_at_all'"):
        Child(sys.executable, [], ENVIRONMENT, script)
    with pytest.raises(SideFailedError):
        Child(tmp_path / "no-python", [], ENVIRONMENT, script)


MORTAL = """
import json, sys
print(json.dumps({"ready": True, "ways": ["loop"], "facts": {"by": "hand"}}), flush=True)
for number, line in enumerate(sys.stdin, 1):
    asked = json.loads(line)
    count = len(asked["paths"])
    if number == int(sys.argv[1]):
        raise OSError("gone")
    print(json.dumps({
        "one": {"seconds": [0.01] * count, "faces": [1] * count},
        "bulk": {"seconds": 0.005 * count, "faces": [1] * count},
        "show": {"photographs": [[{"box": [0, 0, 9, 9]}]] * count, "inputs": {"1x3x8x8": count}},
        "memory": {"peak_bytes": 50_000_000},
    }[asked["do"]]), flush=True)
"""


@pytest.mark.parametrize("last", [1, 2, 5, 9, 99])
def test_a_side_that_ends_is_left_out_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    script, photograph = tmp_path / "side.py", tmp_path / "a.jpg"
    script.write_text(MORTAL, "utf-8")
    photograph.write_bytes(b"x")

    def start(entry: plan.Entry, run: measure.Run) -> Child:
        return Child(sys.executable, [str(entry.options["last"])], ENVIRONMENT, script)

    monkeypatch.setattr(measure, "start", start)
    group = plan.Group(
        "g",
        "what",
        {"lfw": plan.SetPlan(2)},
        (
            plan.Entry("ours", "x", {"last": 99}, {"lfw": 1}),
            plan.Entry("theirs", "x", {"last": last}, {"lfw": 1}),
        ),
        (plan.Pair("ours", "theirs", "lfw", {"one": 1.0, "bulk": 2.0}),),
    )
    run = measure.Run({"lfw": [photograph] * 6}, {}, tmp_path, memory=3)
    result = measure.run_group(group, run, group.sets)
    found = result["sets"]["lfw"]["results"]
    assert found["ours"]["peak_mb"] == 50
    ratios = [(row["mode"], row["times_as_fast"], row["holds"]) for row in result["ratios"]]
    if last < 99:
        assert result["left_out"] == {"theirs": "OSError: gone"}
        assert list(found) == ["ours"]
        assert ratios == [("one", None, None), ("bulk", None, None)]
        return
    assert result["left_out"] == {}
    same = {"median": 1.0, "turns": 3}
    assert ratios == [("one", same, True), ("bulk", same, False)]
    part = result["sets"]["lfw"]
    assert part["fed"]["ours"] == {"calls": 1.0, "kilopixels": 0.1, "shapes": {"1x3x8x8": 1}}
    assert part["agreement"][0]["matched"] == 1


def test_reasons() -> None:
    assert reason("Traceback\nOSError: x\n\n", 1) == "OSError: x"
    assert reason("", 3) == "exit code 3"
    assert reason("anything", -9) == "ended by signal 9"


def test_the_install_size_leaves_pip_out(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3" / "site-packages"
    sizes = {"peer/a.py": 10, "peer/b/c.so": 5, "one.py": 3, "peer-1.dist-info/RECORD": 2}
    left_out = {"pip/x.py": 1000, "pip-23.dist-info/RECORD": 1000, "setuptools/x.py": 1000}
    for name, size in {**sizes, **left_out}.items():
        path = packages / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    assert envs.measured(tmp_path) == {"bytes": 20, "distributions": 1}


def test_an_environment_is_made_once_and_again_when_its_recipe_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def run(command: list[str]) -> None:
        commands.append(command)
        (tmp_path / "peer" / "site-packages").mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(envs, "_run", run)
    recipe = envs.Environment((("peer==1",),), "import peer", ("more==2",), "a note")
    monkeypatch.setitem(envs.ENVIRONMENTS, "peer", recipe)
    size = {"bytes": 0, "distributions": 0, "note": "a note"}
    assert envs.make("peer", tmp_path) == size
    assert [command[-1] for command in commands[1:]] == ["peer==1", "more==2"]
    assert envs.make("peer", tmp_path) == size
    assert len(commands) == 3
    changed = envs.Environment((("peer==2",),), "import peer")
    monkeypatch.setitem(envs.ENVIRONMENTS, "peer", changed)
    envs.make("peer", tmp_path)
    assert commands[-1][-1] == "peer==2"


def test_pip_says_why_it_failed() -> None:
    with pytest.raises(envs.NotMadeError, match="no such thing"):
        envs._run([sys.executable, "-c", "raise SystemExit('no such thing')"])


def test_serve_answers_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(envs.__file__).parent))
    serve, side = __import__("serve"), __import__("side")

    def one(path: str) -> list[str]:
        return ["face"] * len(path)

    sided = side.Side(
        one=one,
        ways={"loop": side.loop(one), "three": side.batches(side.loop(one), 3)},
        plain=lambda faces: [{"box": [0, 0, 1, 1]} for _ in faces],
    )
    found = serve.answer(sided, {"do": "one", "paths": ["a", "bb"]})
    assert (found["faces"], len(found["seconds"])) == ([1, 2], 2)
    paths = ["a", "bb", "a", "ccc"]
    found = serve.answer(sided, {"do": "bulk", "paths": paths, "way": "three"})
    assert found["faces"] == [1, 2, 1, 3]
    shown = serve.answer(sided, {"do": "show", "paths": ["bb"]})["photographs"]
    assert json.loads(json.dumps(shown)) == [[{"box": [0, 0, 1, 1]}] * 2]
    stands_in = side.Side(one=one, ways={}, plain=sided.plain, stood_in=lambda: 0.0)
    shown = serve.answer(stands_in, {"do": "show", "paths": ["bb"]})
    assert shown["stood_in_share"] == 0
    assert serve.answer(sided, {"do": "memory"})["peak_bytes"] > 1e6


def test_others_are_what_is_busy_beyond_our_own(tmp_path: Path) -> None:
    def counted(machine: int, side: int, below: int) -> None:
        (tmp_path / "stat").write_text(f"cpu {machine} 0 0 999 9 0 0 0\ncpu0 1 1\n", "utf-8")
        for pid, ticks in ((11, side), (12, below), (os.getpid(), 0)):
            place = tmp_path / str(pid)
            (place / "task" / str(pid)).mkdir(parents=True, exist_ok=True)
            (place / "stat").write_text(f"{pid} (a (b) c) S{' 0' * 10} {ticks} 0 0 0 0", "utf-8")
            children = {11: "12", os.getpid(): "11"}.get(pid, "")
            (place / "task" / str(pid) / "children").write_text(children, "utf-8")

    counted(1000, 10, 20)
    watch = Watch([11], tmp_path)
    watch._start -= 100
    assert watch.others() == 0
    ticks = os.sysconf("SC_CLK_TCK")
    counted(1000 + 70 * ticks, 10 + 30 * ticks, 20 + 20 * ticks)
    assert watch.others() == pytest.approx(20 / 100 / (os.cpu_count() or 1), rel=0.02)
    assert Watch([1], tmp_path / "nowhere").others() is None
