"""What `faceprint cluster` prints and writes when it is done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from faceprint._text import counted
from faceprint.cli.output import note, print_json, say

if TYPE_CHECKING:
    from faceprint.recognition.albums.people import Album
    from faceprint.vision.search_report import SearchReport

__all__ = ["report"]


def report(album: Album, out: Path | None, folders: str, search: SearchReport | None) -> None:
    """Print what was found, and write what `--out` asks for.

    Args:
        search: what the search for photographs skipped, for JSON output; None prints text.
    """
    from faceprint.recognition.albums.people_table import is_table, write_people

    for source, error in album.failed:
        note(f"faceprint: {error if source in error else f'{source}: {error}'}")
    for line in album.notes:
        note(line)
    empty = not album.people and not album.unassigned
    if out is not None and is_table(out):
        write_people(album, out)
        note(f"people: {out}")
    elif out is not None and (not empty or (out / "index.html").exists()):
        from faceprint.recognition.albums.folders import write_folders
        from faceprint.recognition.albums.sheet import write_sheet

        write_sheet(album, out / "index.html")
        if folders != "none":
            write_folders(album, out / "people", folders)  # type: ignore[arg-type]
        note(f"contact sheet: {out / 'index.html'}")
    if search is not None:
        print_json(album.to_dict() | search.to_json())
        return
    faces = sum(len(person.faces) for person in album.people)
    say(
        f"{counted(len(album.people), 'person', 'people')} in {counted(faces, 'face', 'faces')}; "
        f"{counted(len(album.unassigned), 'face', 'faces')} unassigned"
    )
    if empty:
        return
    for person in album.people[:20]:
        label = f"{person.id} {person.name}".strip()
        say(f"  {label}: {len(person.faces)}, such as {person.faces[0].source}")
    if len(album.people) > 20:
        say(f"  and {len(album.people) - 20} more; --json or --out shows them all")
    threshold = album.merge_threshold
    large = f", {threshold.large:.3f} for large groups" if threshold.large < threshold.pair else ""
    note(f"merge threshold: {threshold.pair:.3f}{large} ({threshold.source})")
