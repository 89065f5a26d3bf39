"""A forked child analyses on sessions of its own; nothing of the parent's is touched in it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import faceprint
from faceprint.errors import UsageError
from faceprint.vision.streaming.ordered_map import ordered_map

SAMPLES = sorted(Path(str(resources.files("faceprint") / "samples")).glob("*.jpg"))

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

BOUND = 240
"""Seconds after which a process is taken to hang; none is expected to come near."""

FORKED = """
import faulthandler, os, sys, warnings
warnings.simplefilter("ignore")
import faceprint
from faceprint.vision.streaming import process_pool
process_pool._MIN_PHOTOGRAPHS = 1
runtime, processes, *photographs = sys.argv[1:]
fp = faceprint.load(threads=2, runtime=runtime, processes=int(processes))
def work():
    one = fp.analyze(photographs[0])
    many = list(fp.analyze_many(photographs))
    return [face.embedding.vector.tobytes() for result in many for face in result.faces], len(one)
expected = work()
child = os.fork()
faulthandler.dump_traceback_later(120, exit=True)  # says where either of them hangs
if not child:
    # Ends as programs do: what the parent left behind is not waited for at the end either.
    sys.exit(7 if work()[1] == expected[1] else 8)
status = os.waitpid(child, 0)[1]
assert work() == expected, "the parent's sessions and workers are what they were"
print(os.waitstatus_to_exitcode(status), flush=True)
"""


BUSY = """
import faulthandler, os, sys, threading, warnings
warnings.simplefilter("ignore")
import faceprint
runtime, forks, *photographs = sys.argv[1:]
fp = faceprint.load(threads=2, runtime=runtime, processes=1)
expected = len(fp.analyze(photographs[0]))
ended = threading.Event()
def work():
    while not ended.is_set():
        fp.analyze(photographs[0])
worker = threading.Thread(target=work)
worker.start()
children = []
for _ in range(int(forks)):
    child = os.fork()  # wherever the thread is
    if not child:
        faulthandler.dump_traceback_later(100, exit=True)  # says where it hangs
        sys.exit(7 if len(fp.analyze(photographs[0])) == expected else 8)
    children.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
ended.set()
worker.join()
print(*children)
"""


OPENCV = """
import os
def threads():
    return len(os.listdir("/proc/self/task"))
at_fork = []
os.register_at_fork(before=lambda: at_fork.append(threads()))  # runs after those registered later
import cv2, faceprint, numpy
faceprint.load
before = threads()
cv2.setNumThreads(4)
noise = numpy.zeros((1500, 1500, 3), numpy.uint8)
def halved():
    return cv2.resize(noise, (750, 750), interpolation=cv2.INTER_CUBIC)
halved()
assert threads() > before, "OpenCV has threads of its own"
child = os.fork()
halved()
if not child:
    os._exit(cv2.getNumThreads())
assert at_fork == [before], "they had ended at the fork"
assert cv2.getNumThreads() == 4
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def run(*arguments: str, program: str = FORKED) -> str:
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BOUND, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


RUNTIMES = pytest.mark.parametrize(
    ("runtime", "needs"),
    [
        ("onnxruntime", ()),
        ("opencv", ()),
        ("openvino", ("openvino",)),
        ("pytorch", ("torch", "onnx")),
    ],
)


@RUNTIMES
def test_a_forked_child_analyses(runtime: str, needs: tuple[str, ...]) -> None:
    for module in needs:
        pytest.importorskip(module)
    assert run(runtime, "1", *map(str, SAMPLES[:2])) == "7"


@RUNTIMES
def test_a_child_that_is_forked_while_a_thread_analyses(
    runtime: str, needs: tuple[str, ...]
) -> None:
    for module in needs:
        pytest.importorskip(module)
    assert run(runtime, "12", str(SAMPLES[0]), program=BUSY).split() == ["7"] * 12


def test_a_forked_child_leaves_its_parents_workers_alone() -> None:
    assert run("onnxruntime", "2", *map(str, SAMPLES[:2])) == "7"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads can't be counted here")
def test_opencvs_threads_end_before_a_fork() -> None:
    """One that goes to sleep holds a lock, which the child would inherit and wait for forever."""
    assert run(program=OPENCV) == "4"


def test_a_stream_that_the_parent_began_says_so_in_the_child() -> None:
    stream = ordered_map(lambda chunk: chunk, iter([[1], [2]]), workers=1)
    assert next(stream) == 1
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            next(stream)
        except UsageError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        assert b"parent process" in answer.read()
    os.waitpid(child, 0)
    assert list(stream) == [2]


def test_models_are_pickled_as_their_cards_and_options() -> None:
    fp = faceprint.load(threads=1, mirror=True)
    (face, *_) = fp.analyze(SAMPLES[0])
    packed = pickle.dumps(fp)
    assert len(packed) < 100_000, "the weights stay where they are"
    again = pickle.loads(packed)
    (same, *_) = again.analyze(SAMPLES[0])
    assert face.embedding is not None
    assert same.embedding is not None
    assert same.embedding.model == face.embedding.model
    np.testing.assert_array_equal(same.embedding.vector, face.embedding.vector)
