"""Optional dependencies, imported where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType

from faceprint.errors import MissingExtraError


def require(module: str, *, extra: str) -> ModuleType:
    """Import `module`; the error names the extra that installs it.

    Raises:
        MissingExtraError: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtraError(
            f"{package} is not installed; run: pip install 'faceprint[{extra}]' ({error})",
            name=module,
        ) from error
