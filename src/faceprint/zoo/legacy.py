"""Rewrite graphs of old exporters into exact equals that current runtimes accept.

The zoo's ArcFace of 2018 is opset 8 and IR 3, lists its weights among the inputs, marks
BatchNormalization with `spatial = 0`, gives PRelu slopes as (C,), keeps a Dropout and fixes the
batch at 1. Current runtimes refuse some of that and are slow with the rest. The rewritten graph is
cached; the original file never changes.
"""

from __future__ import annotations

from pathlib import Path

from faceprint._onnx_reader import scan
from faceprint.errors import CardError, MissingExtraError, ModelMissingError
from faceprint.zoo import graph_editing
from faceprint.zoo.graph_cache import cached_path, find_cached, fingerprint, write_cache_file
from faceprint.zoo.graph_traits import legacy_traits
from faceprint.zoo.legacy_passes import PASSES

__all__ = ["modernize", "prepare"]

_REVISION = 1
"""Of the passes; raised when one changes, so that older cached graphs are no longer used."""


def prepare(model: Path, cache_dir: Path) -> Path:
    """Return the graph to open: the file itself, or its rewritten equal.

    A graph that is only slower as it is, is opened as it is where the onnx package is missing or
    the cache can't be written.

    Raises:
        MissingExtraError: the graph must be rewritten and the onnx package is not installed.
        ModelMissingError: it must be rewritten and `cache_dir` can't be written.
        CardError: it can't be rewritten.
    """
    try:
        traits = legacy_traits(scan(model))
    except (ValueError, OSError):
        return model  # the runtime that opens it gives the better message
    if not traits.can_be_rewritten:
        return model
    try:
        return modernize(model, cache_dir)
    except (MissingExtraError, ModelMissingError):
        if traits.must_be_rewritten:
            raise
        return model


def modernize(model: Path, cache_dir: Path) -> Path:
    """Rewrite a graph, or find it in the cache.

    Raises:
        MissingExtraError: the onnx package is not installed.
        ModelMissingError: `cache_dir` can't be written.
        CardError: the file can't be read, or is not a graph that can be rewritten.
    """
    prefix = f"{model.stem}.{fingerprint(model)[:16]}.r{_REVISION}"
    cached = find_cached(cache_dir, prefix)
    if cached is not None:
        return cached
    try:
        traits = legacy_traits(scan(model))
    except OSError as error:
        raise CardError(f"{model}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise CardError(f"{model}: {error}") from error
    content = graph_editing.rewrite(model, traits, PASSES)
    target = cached_path(cache_dir, prefix, content)
    try:
        write_cache_file(target, content)
    except OSError as error:
        raise ModelMissingError(
            f"{model.name} has to be rewritten for current runtimes, but {cache_dir} can't be "
            f"written ({error.strerror}); set FACEPRINT_HOME to a folder that can"
        ) from error
    return target
