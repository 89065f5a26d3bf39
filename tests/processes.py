"""Processes that descend from one, by what their command line holds (Linux)."""

from __future__ import annotations

from pathlib import Path


def descendants(root: int, title: bytes) -> list[int]:
    """Ids of the processes below `root` whose command line holds `title`."""
    parents, found = {}, []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            if title in words:
                found.append(int(entry.name))

    def descends(pid: int) -> bool:
        while pid > 1 and pid != root:
            pid = parents.get(pid, 0)
        return pid == root

    return [pid for pid in found if descends(pid)]
