"""The argument of the operators in torch_operators.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Call", "Tensor", "UnsupportedError"]

Tensor = Any


class UnsupportedError(ValueError):
    """An operator, or a variant of one, that is not implemented."""


@dataclass(frozen=True, slots=True)
class Call:
    """One node to run: its input tensors (None where omitted), attributes and opset."""

    inputs: tuple[Tensor, ...]
    attributes: Mapping[str, Any]
    opset: int
    outputs: int

    def input(self, index: int) -> Tensor:
        """Return an input, None if it is omitted."""
        return self.inputs[index] if index < len(self.inputs) else None

    def ints(self, name: str, index: int) -> list[int] | None:
        """Return integers that older opsets give as an attribute and newer ones as an input."""
        given = self.input(index)
        if given is not None:
            return [int(item) for item in given.reshape(-1).tolist()]
        attribute = self.attributes.get(name)
        return None if attribute is None else [int(item) for item in attribute]

    def get(self, name: str, default: Any) -> Any:
        """Return an attribute."""
        return self.attributes.get(name, default)

    def require(self, condition: bool, what: str) -> None:
        """Refuse a variant that is not implemented."""
        if not condition:
            raise UnsupportedError(what)
