"""What a message says about a name that does not exist: similar ones, or all there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["unknown_name"]


def unknown_name(kind: str, name: str, known: Iterable[str], otherwise: str = "") -> str:
    """A message such as "no pack named 'startr'; did you mean starter?".

    Args:
        kind: what it would be the name of.
        known: the names there are.
        otherwise: said where none is similar; by default, which names there are.
    """
    names = list(known)
    lowered = {one.lower(): one for one in names}
    close = difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.55)
    if close:
        hint = f"did you mean {' or '.join(lowered[one] for one in close)}?"
    else:
        hint = otherwise or f"there are {', '.join(names)}"
    return f"no {kind} named {name!r}; {hint}"
