"""docs/python.md: every public name with the first sentence of its docstring."""

from __future__ import annotations

import inspect

import faceprint

__all__ = ["python_page"]

_HEAD = """\
# The Python interface

Written by `tools/make_docs.py` from the docstrings; do not edit it by hand.
`help(faceprint.load)` shows the whole text.

Every name below is imported as `faceprint.NAME`. Results are frozen values. `Face`,
`AnalyzedImage`, `Verification`, `Identification`, `OperatingPoint` and `Album` have `to_dict()`,
whose keys are those that `--json` prints.

```python
import faceprint

analyzer = faceprint.load("starter")
faces = analyzer.analyze("photo.jpg")
for image in analyzer.analyze_many(["a.jpg", "b.jpg"]):
    print(image.to_dict())
answer = faceprint.verify("a.jpg", "b.jpg", analyzer=analyzer)
with faceprint.Gallery.open("people.db", analyzer) as gallery:
    gallery.enroll("ada", "ada.jpg")
    gallery.identify("probe.jpg")
album = faceprint.cluster(analyzer.analyze_many(["a.jpg", "b.jpg"]))
```
"""


def python_page() -> str:
    """The page."""
    kinds: dict[str, list[str]] = {"Functions": [], "Classes": [], "Errors": []}
    for name in sorted(faceprint.__all__, key=str.lower):
        thing = getattr(faceprint, name)
        if not inspect.isclass(thing):
            if callable(thing):
                kinds["Functions"].append(_row(name, thing))
        elif issubclass(thing, Exception):
            kinds["Errors"].append(_row(name, thing))
        elif thing.__name__ == name:
            kinds["Classes"].append(_row(name, thing))
    lines = [_HEAD]
    for title, rows in kinds.items():
        lines += [f"## {title}", "", "| name | |", "|---|---|", *rows, ""]
    return "\n".join(lines).rstrip() + "\n"


def _row(name: str, thing: object) -> str:
    paragraph = (inspect.getdoc(thing) or "").split("\n\n")[0]
    return f"| `{name}` | {' '.join(paragraph.split()).replace('|', chr(92) + '|')} |"
