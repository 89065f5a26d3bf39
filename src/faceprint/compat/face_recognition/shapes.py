"""Rectangles, detections and landmarks with the methods of dlib's objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

__all__ = ["Box", "Detection", "Landmarks", "Point", "Rectangle", "Shape", "to_box", "to_rectangle"]

Box = tuple[int, int, int, int]
"""(top, right, bottom, left) in pixels."""


class Rectangle(Protocol):
    """The part of dlib's rectangle that is used here."""

    def left(self) -> int: ...

    def top(self) -> int: ...

    def right(self) -> int: ...

    def bottom(self) -> int: ...


@dataclass(frozen=True, slots=True)
class _Edges:
    """A rectangle by its edges."""

    edges: Box

    def left(self) -> int:
        return self.edges[3]

    def top(self) -> int:
        return self.edges[0]

    def right(self) -> int:
        return self.edges[1]

    def bottom(self) -> int:
        return self.edges[2]


@dataclass(frozen=True, slots=True)
class Detection:
    """A rectangle with the detector's confidence, 0..1."""

    rect: Rectangle
    confidence: float


class Point(NamedTuple):
    """A landmark in whole pixels."""

    x: int
    y: int


class Shape(Protocol):
    """The part of dlib's landmarks that is used here."""

    def parts(self) -> list[Point]: ...


@dataclass(frozen=True, slots=True)
class Landmarks:
    """The landmarks of one face, in dlib's order."""

    points: tuple[Point, ...]

    @property
    def num_parts(self) -> int:
        """The number of landmarks."""
        return len(self.points)

    def parts(self) -> list[Point]:
        """The landmarks."""
        return list(self.points)


def to_rectangle(box: Box) -> Rectangle:
    """The rectangle of a box."""
    return _Edges(box)


def to_box(rectangle: Rectangle) -> Box:
    """The box of a rectangle, of dlib's class or ours."""
    return rectangle.top(), rectangle.right(), rectangle.bottom(), rectangle.left()
