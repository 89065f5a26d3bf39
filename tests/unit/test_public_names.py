"""What `import faceprint` promises: the names, their laziness, and that it changes nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest
from public_surface import surface

import faceprint
from faceprint import errors


def test_every_public_name_exists_and_nothing_else_is_promised() -> None:
    for name in faceprint.__all__:
        assert getattr(faceprint, name) is not None, name
    assert sorted(faceprint.__all__) == dir(faceprint)
    assert {*faceprint._HOMES, *errors.__all__, "__version__"} == set(faceprint.__all__)
    assert len(faceprint.__all__) == len(set(faceprint.__all__))


def test_what_public_functions_take_and_return_is_public_and_documented() -> None:
    named = surface()
    missing = {kind.__name__: sorted(by) for kind, by in named.items()}
    for name in faceprint.__all__:
        missing.pop(name, None)
    assert missing == {}
    assert [
        kind for kind in named if not kind.__doc__ or kind.__doc__.startswith(kind.__name__)
    ] == []
    assert {faceprint.Corrections, faceprint.QualityFilter, faceprint.Album} <= set(named)
    assert {faceprint.Identification, faceprint.Policy, faceprint.Key} <= set(named)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = faceprint.nothing


def test_names_come_from_where_they_are_documented() -> None:
    for name, home in faceprint._HOMES.items():
        assert getattr(faceprint, name) is getattr(sys.modules[home], name)


def test_importing_loads_no_framework_and_changes_nothing() -> None:
    code = """
import logging, os, sys, warnings
before = dict(os.environ), list(warnings.filters), logging.root.handlers[:], logging.root.level
import faceprint
after = dict(os.environ), list(warnings.filters), logging.root.handlers[:], logging.root.level
assert before == after
heavy = {"numpy", "cv2", "onnxruntime", "PIL", "typer", "torch", "requests", "sqlite3", "rich"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
