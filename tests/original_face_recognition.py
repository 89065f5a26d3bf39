"""Runs the tests of face_recognition, unchanged, against the drop-in; a process of its own.

Arguments: the file of tests. Prints one JSON object: the names of all tests, and of those that
failed.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import unittest
from pathlib import Path

from faceprint.compat import face_recognition


def main(path: Path) -> None:
    face_recognition.install()
    sys.path.insert(0, str(path.parent))
    suite = unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(path.stem))
    names = sorted(_name(test) for group in suite for test in group)  # type: ignore[union-attr]
    with contextlib.redirect_stdout(sys.stderr):
        result = unittest.TextTestRunner(stream=sys.stderr).run(suite)
    failed = sorted(_name(test) for test, _ in result.failures + result.errors)
    print(json.dumps({"tests": names, "failed": failed}))


def _name(test: object) -> str:
    assert isinstance(test, unittest.TestCase)
    return test.id().rpartition(".")[2]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
