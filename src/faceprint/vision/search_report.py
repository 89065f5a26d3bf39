"""What a search for photographs could not read, and what it skipped."""

from __future__ import annotations

from faceprint._text import counted, printable, shown

__all__ = ["SearchReport"]

_KINDS = {
    "format": ("{} in a format that faceprint does not read", "picture", "pictures"),
    "heif": (
        "{}, as pillow_heif is not installed; pip install 'faceprint[heif]' brings it",
        "HEIC picture",
        "HEIC pictures",
    ),
    "hidden": ("{}", "hidden picture", "hidden pictures"),
    "folder": ("{}", "hidden or system folder", "hidden or system folders"),
    "excluded": ("{} by --exclude", "entry", "entries"),
    "no-file": ("{}", "broken link or device", "broken links or devices"),
    "loose": ("{} outside of every person's folder", "picture", "pictures"),
}
_NAMED = 3
_FOLDERS_NAMED = 20


class SearchReport:
    """What a search could not read, and what it skipped.

    Attributes:
        unreadable: folders that can't be read, and why.
        counts: how many entries were skipped, by kind.
        examples: the first few of each kind.
    """

    def __init__(self) -> None:
        self.unreadable: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self.examples: dict[str, list[str]] = {}

    def skip(self, kind: str, name: str) -> None:
        """Count an entry that is skipped."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        named = self.examples.setdefault(kind, [])
        if len(named) < _NAMED and name not in named:
            named.append(name)

    def fail(self, folder: str, error: OSError) -> None:
        """Note a folder that can't be read."""
        self.unreadable[folder] = error.strerror or str(error)

    def messages(self) -> list[str]:
        """One line per unreadable folder and per kind of skipped entry."""
        lines = [
            f"{_short(folder)}: folder can't be read ({reason}); what it holds is missing"
            for folder, reason in list(self.unreadable.items())[:_FOLDERS_NAMED]
        ]
        if len(self.unreadable) > _FOLDERS_NAMED:
            more = len(self.unreadable) - _FOLDERS_NAMED
            lines.append(f"and {more:,} more folders that can't be read")
        for kind, (pattern, one, many) in _KINDS.items():
            if number := self.counts.get(kind, 0):
                what = pattern.format(counted(number, one, many))
                names = self.examples[kind]
                rest = ", ..." if number > len(names) else ""
                lines.append(f"skipped {what}: {', '.join(map(_short, names))}{rest}")
        return lines

    def to_json(self) -> dict[str, object]:
        """`unreadable`: folders and why; `passed_over`: number of skipped entries by kind."""
        folders = {printable(name): reason for name, reason in self.unreadable.items()}
        return {"unreadable": folders, "passed_over": dict(self.counts)}


def _short(name: str) -> str:
    """A name for a message; very long names are cut in the middle."""
    text = shown(name)
    return text if len(text) <= 200 else f"{text[:100]} ... {text[-80:]}"
