"""Labels FaceScrub's people as men or women by the numbers of their photographs.

FaceScrub came as two lists: actors, sorted by first name, and actresses, sorted by surname. Each
list numbers its photographs upwards from 1, and a photograph's file is named by that number. A
person is on the list whose order the person's numbers fit. So, of the longest chain of people
whose numbers rise with the first name, those are called men who belong to every such chain and to
no chain by surname; and the other way round for women. Whoever fits both lists or neither (a name
out of order) gets no label.

    python tools/facescrub_groups.py FOLDER > groups.csv
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

__all__ = ["MEN", "WOMEN", "facescrub_groups", "groups_by_number"]

MEN, WOMEN = "men", "women"


def facescrub_groups(folder: Path) -> dict[str, str]:
    """Label the people of a folder as `Name_Surname/123.jpg`; the others are absent."""
    numbers = {
        person.name: [int(file.stem) for file in person.iterdir() if file.stem.isdigit()]
        for person in folder.iterdir()
        if person.is_dir()
    }
    return groups_by_number(
        {name: (min(found), max(found)) for name, found in numbers.items() if found}
    )


def groups_by_number(spans: dict[str, tuple[int, int]]) -> dict[str, str]:
    """Label people by the first and the last number of their photographs."""
    people = sorted(spans, key=lambda name: spans[name])
    ordered = [spans[name] for name in people]
    actor = _chains([_words(name) for name in people], ordered)
    actress = _chains([_words(name)[-1:] + _words(name)[:-1] for name in people], ordered)
    labels = {}
    for name, of_actors, of_actresses in zip(people, actor, actress, strict=True):
        if of_actors == "every" and of_actresses == "none":
            labels[name] = MEN
        elif of_actresses == "every" and of_actors == "none":
            labels[name] = WOMEN
    return labels


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[\s_]+", name.lower()) if word]


def _chains(keys: Sequence[list[str]], spans: Sequence[tuple[int, int]]) -> list[str]:
    """Whether each person is in every, in some or in none of the longest chains.

    In a chain both the keys and the spans rise, and no two spans overlap.
    """
    n = len(keys)
    before, after = [1] * n, [1] * n
    for i in range(n):
        before[i] += max((before[j] for j in range(i) if _follows(keys, spans, j, i)), default=0)
    for i in reversed(range(n)):
        rest = range(i + 1, n)
        after[i] += max((after[j] for j in rest if _follows(keys, spans, i, j)), default=0)
    longest = max(before, default=0)
    some = [before[i] + after[i] - 1 == longest for i in range(n)]
    places = [before[i] for i in range(n) if some[i]]
    # Two people who may take the same place stand in different longest chains.
    return [
        "none" if not some[i] else "every" if places.count(before[i]) == 1 else "some"
        for i in range(n)
    ]


def _follows(keys: Sequence[list[str]], spans: Sequence[tuple[int, int]], i: int, j: int) -> bool:
    return keys[i] <= keys[j] and spans[i][1] < spans[j][0]


def main() -> None:
    """Print `person,group` for everybody who can be labeled."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    print("person,group")
    for name, label in sorted(facescrub_groups(parser.parse_args().folder).items()):
        print(f"{name},{label}")


if __name__ == "__main__":
    main()
