"""What an operator of torch_operators.py is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Call", "Tensor", "UnsupportedError"]

Tensor = Any


class UnsupportedError(ValueError):
    """An operator, or a variant of one, that is not in the table."""


@dataclass(frozen=True, slots=True)
class Call:
    """One node about to run: its input tensors (None where left out), attributes, opset."""

    inputs: tuple[Tensor, ...]
    attributes: Mapping[str, Any]
    opset: int
    outputs: int

    def input(self, index: int) -> Tensor:
        """An input, None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def ints(self, name: str, index: int) -> list[int] | None:
        """Whole numbers that older opsets give as an attribute, and newer ones as an input."""
        given = self.input(index)
        if given is not None:
            return [int(item) for item in given.reshape(-1).tolist()]
        attribute = self.attributes.get(name)
        return None if attribute is None else [int(item) for item in attribute]

    def get(self, name: str, default: Any) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)

    def require(self, condition: bool, what: str) -> None:
        """Refuse a variant that is not written here."""
        if not condition:
            raise UnsupportedError(what)
