"""What `faceprint video` prints and writes: tracks, their pictures, and the people they show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceprint._text import counted, shown
from faceprint.cli.output import note, print_json, say
from faceprint.errors import UsageError

if TYPE_CHECKING:
    from faceprint.types import Image
    from faceprint.video.people import TrackPerson
    from faceprint.video.track import Track
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["PeopleReport", "TrackReport", "check_people", "time_words"]

_UNASSIGNED = "unassigned"
_UNSAFE = re.compile(r'[\x00-\x1f<>:"/\\|?*]+')


@dataclass(frozen=True, slots=True)
class TrackReport:
    """Prints tracks and writes their pictures.

    Attributes:
        as_json: a line of JSON for each track, not of text.
        faces: folder for the pictures; None for none.
        several: whether there are several videos; lines of text then name theirs.
    """

    as_json: bool
    faces: Path | None
    several: bool

    def show(self, track: Track, source: str) -> None:
        """Print a track that is over."""
        picture = None
        if self.faces is not None:
            picture = _save(track.crop, self.faces, _name(track, source if self.several else ""))
        if self.as_json:
            line = track.to_dict() | {"source": source}
            if self.faces is not None:
                line["picture"] = None if picture is None else str(picture)
            print_json(line, stream=True)
            return
        before = f"{source}: " if self.several else ""
        span = f"{time_words(track.start)} to {time_words(track.end)}"
        after = "" if picture is None else f"  {picture}"
        say(f"{before}track {track.number}: {span}: {_who(track)}{after}")


class PeopleReport:
    """Keeps what is needed of all tracks, and sorts their pictures into a folder per person.

    Pictures lie in `unassigned` until all videos are over.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tracks: list[Track] = []
        self._sources: list[str] = []
        self._pictures: list[Path | None] = []

    def add(self, track: Track, source: str) -> None:
        """Note a track that is over."""
        picture = _save(track.crop, self._folder / _UNASSIGNED, _name(track, source))
        ends = [0, -1]
        short = replace(track, faces=(), crop=None, times=track.times[ends])
        self._tracks.append(replace(short, boxes=track.boxes[ends]))
        self._sources.append(source)
        self._pictures.append(picture)

    def finish(self, analyzer: FaceAnalyzer, *, as_json: bool) -> None:
        """Cluster the tracks, move the pictures, print a line per person."""
        from faceprint.video.people import cluster_tracks

        found = cluster_tracks(self._tracks, self._sources, analyzer)
        for person in found.people:
            name = _UNSAFE.sub(" ", person.subject or "").strip(" .")[:80]
            home = self._folder / f"{person.number:04} {name}".strip()
            pictures = self._move(person.tracks, home)
            if as_json:
                line = {"person": person.number, "subject": person.subject}
                tracks = [self._line(place) for place in person.tracks]
                folder = str(home) if pictures else None
                print_json(line | {"folder": folder, "tracks": tracks}, stream=True)
            else:
                say(self._words(person))
        threshold = found.merge_threshold
        if found.people:
            note(f"merge threshold: {threshold.pair:.3f} ({threshold.source})")
        if found.unassigned:
            note(
                f"{counted(len(found.unassigned), 'track', 'tracks')} without a good face left out"
            )
        else:
            _remove_empty(self._folder / _UNASSIGNED)

    def _move(self, places: Sequence[int], home: Path) -> int:
        pictures = [p for place in places if (p := self._pictures[place]) is not None]
        if pictures:
            home.mkdir()
        for picture in pictures:
            picture.rename(home / picture.name)
        return len(pictures)

    def _line(self, place: int) -> dict[str, Any]:
        track = self._tracks[place].to_dict()
        return {"source": self._sources[place]} | {key: track[key] for key in _OF_TRACK}

    def _words(self, person: TrackPerson) -> str:
        first = person.tracks[0]
        where = f"{self._sources[first]}, {time_words(self._tracks[first].start)}"
        name = f" {person.subject}" if person.subject else ""
        count = counted(len(person.tracks), "track", "tracks")
        return f"person {person.number}{name}: {count}, the first in {where}"


_OF_TRACK = ("track", "start", "end")


def check_people(folder: Path) -> None:
    """Refuse a folder that holds something: numbers of people are new in each run.

    Raises:
        UsageError: it is not empty, or no folder.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--people {folder}: not a folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(
            f"--people {folder}: not empty, and the people of this run would mix with those there; "
            "give a new folder, and all videos at once"
        )


def time_words(value: float) -> str:
    """Seconds as h:mm:ss.s, or m:ss.s below an hour."""
    tenths = round(value * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{head}:{rest // 10:02}.{rest % 10}"


def _save(crop: Image | None, folder: Path, name: str) -> Path | None:
    """Write the picture of a track's best face; its path, None if there is none."""
    from faceprint.vision.draw import save_png

    if crop is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    target, counter = folder / f"{name}.png", 1
    while target.exists():
        counter += 1
        target = folder / f"{name}-{counter}.png"
    save_png(crop, target)
    return target


def _name(track: Track, source: str) -> str:
    """`clip-track-0001`; `track-0001` without a source."""
    stem = _UNSAFE.sub(" ", shown(Path(source).stem)).strip(" .")[:80]
    return f"{stem}-track-{track.number:04}".removeprefix("-")


def _remove_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _who(track: Track) -> str:
    if track.reason:
        return f"cannot decide: {track.reason}; --min-quality 0 decides anyway"
    if track.identification is None:
        return counted(len(track.times), "detection", "detections")
    if track.similarity is None:
        return "the gallery is empty"
    if track.subject is not None:
        return f"{track.subject} ({track.similarity:.3f})"
    closest = track.identification.candidates[0].subject
    return f"a stranger (closest: {closest}, {track.similarity:.3f})"
