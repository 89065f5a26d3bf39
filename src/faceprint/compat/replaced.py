"""Make `import NAME` give a module of faceprint, for programs that can't be changed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable

__all__ = ["replace_library"]


def replace_library(name: str, package: str, submodules: Iterable[str]) -> None:
    """Register `package` and its submodules as the library `name` in this process.

    Args:
        name: the top-level name that programs import.
        package: the full name of the package that takes its place.
        submodules: dotted names below the package, parents first.
    """
    sys.modules[name] = importlib.import_module(package)
    for submodule in submodules:
        sys.modules[f"{name}.{submodule}"] = importlib.import_module(f"{package}.{submodule}")
