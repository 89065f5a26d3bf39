"""Damages files and uses them in a process of its own, which a parent watches and may end.

A case is a kind, a seed and an index; they decide what is damaged and how. The child measures each
case: processor seconds and the peak of its memory above what it held before. The parent ends a
child that goes on for longer than that, or that does nothing at all.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import select
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import IO, Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

__all__ = ["KINDS", "Case", "in_memory", "run"]

KINDS = ("photographs", "galleries", "cards", "graphs", "imports", "tables")

MOST_SECONDS, MOST_BYTES = 5.0, 1 << 30
"""Of a use of one file: processor time, and memory above what the process held before."""

_STUCK = 90.0
"""Seconds without an answer after which a child is ended, however busy the machine is."""

_SPACE = 6 << 30
"""Bytes of address space that a child may have, so that a fault does not take the machine along."""


@dataclass(slots=True)
class Case:
    """What came of one.

    Attributes:
        ended: how its steps ended: `done`, or the name of the error.
        findings: what must not be; each says the step, what happened and where.
    """

    kind: str
    seed: int
    index: int
    original: str = ""
    mutations: tuple[str, ...] = ()
    seconds: float = 0.0
    megabytes: float = 0.0
    ended: dict[str, int] = field(default_factory=dict)
    findings: list[dict[str, Any]] = field(default_factory=list)


def in_memory() -> str | None:
    """A folder that no disk has to keep up with, where the system has one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


# --- the parent ----------------------------------------------------------------------------------


def run(kind: str, seed: int, indices: Iterable[int], folder: Path) -> Iterator[Case]:
    """The cases of these indices, in order; a child that dies is replaced.

    Args:
        folder: for the originals and the damaged files; those of findings stay in `folder/kept`.
    """
    child: _Child | None = None
    try:
        for index in indices:
            child = child or _Child(kind, seed, folder)
            case = child.ask(index)
            if not child.alive():
                child.close()
                child = None
            yield case
    finally:
        if child is not None:
            child.close()


class _Child:
    def __init__(self, kind: str, seed: int, folder: Path) -> None:
        self.kind, self.seed, self.folder = kind, seed, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"{kind}.stderr"
        environment = dict(os.environ, PYTHONFAULTHANDLER="1", FACEPRINT_OFFLINE="1")
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        environment |= {"FACEPRINT_HOME": str(folder / f"home-{kind}"), "FACEPRINT_THREADS": "1"}
        words = [sys.executable, str(HERE / "fuzz_run.py"), kind, str(seed), str(folder)]
        with self.log.open("wb") as errors:
            self.process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment
            )
        answer = self._answer(120.0)
        if answer != "ready":
            raise AssertionError(f"{kind}: no child: {answer} {self._said()}")

    def ask(self, index: int) -> Case:
        """Have one case tried."""
        pipe = self.process.stdin
        assert pipe is not None
        pipe.write(f"{index}\n".encode())
        pipe.flush()
        before = self._spent()
        answer = self._answer(_STUCK, before)
        if isinstance(answer, dict):
            return Case(**answer)
        case = Case(self.kind, self.seed, index)
        case.findings.append({"step": "?", "what": answer, "trail": [self._said()]})
        with contextlib.suppress(OSError):
            shutil.copytree(
                self.folder / f"case-{self.kind}", self.folder / "kept" / f"{self.kind}-{index}"
            )
        return case

    def alive(self) -> bool:
        """Whether it can be asked again."""
        return self.process.poll() is None

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _spent(self) -> float:
        """Processor seconds so far."""
        try:
            text = Path(f"/proc/{self.process.pid}/stat").read_text()
        except OSError:
            return 0.0
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _answer(self, patience: float, before: float = float("inf")) -> Any:
        """What it says, or in words why it does not; it is ended in that case."""
        pipe = self.process.stdout
        assert pipe is not None
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if select.select([pipe], [], [], 0.5)[0]:
                line = pipe.readline()
                if line:
                    return json.loads(line)
                code = self.process.wait()
                return f"the process ended with {code}"
            if self._spent() - before > 4 * MOST_SECONDS:
                self.close()
                return f"over {4 * MOST_SECONDS:.0f} s of processor time"
        self.close()
        return f"no answer in {patience:.0f} s"

    def _said(self) -> str:
        return self.log.read_text(errors="replace")[-1500:]


# --- the child -----------------------------------------------------------------------------------


def _serve(kind: str, seed: int, folder: Path, commands: IO[bytes], answers: IO[bytes]) -> None:
    import PIL.Image
    from fuzz_originals import MAKERS

    originals = folder / f"originals-{kind}"
    originals.mkdir(parents=True, exist_ok=True)
    made = MAKERS[kind](originals) if not list(originals.iterdir()) else None
    made = made or MAKERS[kind](_emptied(originals))
    PIL.Image.new("RGB", (64, 64), "gray").save(originals / "nobody.png")
    if kind == "cards":
        (originals / "modern.onnx").write_bytes(MAKERS["graphs"](originals)[0].data)
        face = MAKERS["photographs"](originals)[0]
        (originals / "face.jpg").write_bytes(face.data)
    for original in made:
        case = Case(kind, seed, -1, original.name)
        _use(case, original.data, folder)
        bad = [
            f for f in case.findings if "seconds" not in f["what"] and "megabytes" not in f["what"]
        ]
        if bad and original.name != "made.tif":
            raise AssertionError(f"{original.name} itself: {bad}")
    resource.setrlimit(resource.RLIMIT_AS, (_SPACE, _SPACE))
    _say(answers, "ready")
    for line in commands:
        index = int(line)
        rng = Random(f"{kind}/{seed}/{index}")
        original = rng.choice(made)
        case = Case(kind, seed, index, original.name)
        _try(case, original, made, rng, folder)
        _say(answers, asdict(case))


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder)
    folder.mkdir()
    return folder


def _say(answers: IO[bytes], what: object) -> None:
    answers.write(json.dumps(what).encode() + b"\n")
    answers.flush()


def _try(case: Case, original: Any, made: list[Any], rng: Random, folder: Path) -> None:
    from mutations import mutate

    others = [other.data for other in made if other.name != original.name]
    data, case.mutations = mutate(original.data, rng, original.mutators, others)
    _use(case, data, folder)
    if case.findings:
        kept = folder / "kept" / f"{case.kind}-{case.seed}-{case.index}"
        kept.mkdir(parents=True, exist_ok=True)
        (kept / original.name).write_bytes(data)
        (kept / "case.json").write_text(json.dumps(asdict(case), indent=1))


def _use(case: Case, data: bytes, folder: Path) -> None:
    from fuzz_uses import USES, faults

    place = folder / f"case-{case.kind}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    path = place / case.original
    path.write_bytes(data)
    ended: Counter[str] = Counter()
    steps = USES[case.kind](path, folder / f"originals-{case.kind}")
    if case.index >= 0 and os.environ.get("FACEPRINT_FUZZ_SELF_TEST"):
        steps = iter([faults()[case.index]])
    held = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    while True:
        start = time.process_time()
        name, found, over = _step(steps, case)
        seconds = time.process_time() - start
        if found:
            ended[found] += 1
        if over:
            break
        case.seconds = max(case.seconds, seconds)
        peak = _memory("VmHWM")
        case.megabytes = max(case.megabytes, (peak - held) / 1e6)
        if seconds > MOST_SECONDS:
            case.findings.append({"step": name, "what": f"{seconds:.1f} seconds", "trail": []})
        if peak - held > MOST_BYTES:
            what = f"{(peak - held) / 1e6:.0f} megabytes"
            case.findings.append({"step": name, "what": what, "trail": []})
            gc.collect()
            Path("/proc/self/clear_refs").write_text("5")
    case.ended = dict(ended)
    if case.megabytes > 300:
        gc.collect()


def _step(steps: Iterator[Any], case: Case) -> tuple[str, str, bool]:
    """The next step: its name, how it ended, and whether there was none."""
    from fuzz_uses import trail

    from faceprint.cli.exit_codes import OTHER, exit_code
    from faceprint.errors import FaceprintError

    name = "first"
    try:
        name, act = next(steps)
        print(f"{case.index} {case.original}: {name}", file=sys.stderr, flush=True)
        act()
    except StopIteration:
        return name, "", True
    except FaceprintError as error:
        if exit_code(error) == OTHER or "not enough memory" in str(error):
            _found(case, name, error, trail(error))
        return name, type(error).__name__, name == "first"
    except Exception as error:  # noqa: BLE001 - these are what is looked for
        _found(case, name, error, trail(error))
        return name, type(error).__name__, name == "first"
    return name, "done", False


def _found(case: Case, step: str, error: Exception, where: list[str]) -> None:
    what = f"{type(error).__name__}: {error}"[-2500:]
    case.findings.append({"step": step, "what": what, "trail": where[-6:]})


def _memory(name: str) -> int:
    """Bytes, of /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) << 10
    return 0


if __name__ == "__main__":
    # Nothing that a library prints may get between the answers.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.stdin.buffer, output)
