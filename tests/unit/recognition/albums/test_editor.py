"""Corrections at once: what shows is what the next clustering finds, and undo takes it back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from faceprint.embedding_table.schema import EmbeddingTable
from faceprint.errors import UsageError
from faceprint.recognition.albums.corrections import Corrections, FaceKey
from faceprint.recognition.albums.corrections_store import store_corrections
from faceprint.recognition.albums.editor import AlbumEditor, NothingToUndoError
from faceprint.recognition.albums.people import Album
from faceprint.recognition.albums.store import AlbumFile
from faceprint.recognition.albums.sync import sync_table
from faceprint.recognition.cluster import ClusterOptions, cluster_album, stored_album
from faceprint.recognition.thresholds.merge_threshold import MergeThreshold

BOX = (10.0, 10.0, 90.0, 90.0)
OPTIONS = ClusterOptions(threshold=0.4)
SMALL = 10.0
"""Side in pixels of a face that is too small to be sorted."""


def face_table() -> EmbeddingTable:
    """Four people with five faces each, `p0/0.jpg` to `p3/4.jpg`; `x/0.jpg` is too small."""
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.standard_normal((4, 64)), 5, axis=0) + 0.5 * rng.standard_normal((20, 64))
    rows = np.vstack([rows, rng.standard_normal((2, 64))])
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    quality = np.tile(np.float32([80, 200, 0, 1]), (22, 1))
    quality[20:, 0] = SMALL
    names = [f"p{i // 5}/{i % 5}.jpg" for i in range(20)] + ["x/0.jpg", "x/1.jpg"]
    return EmbeddingTable(
        tuple(names),
        np.tile(np.float32(BOX), (22, 1)),
        np.ones(22, np.float32),
        quality,
        rows,
        "some-model",
        (None,) * 22,
    )


@pytest.fixture
def file(tmp_path: Path) -> Iterator[AlbumFile]:
    with AlbumFile(tmp_path / "album.db") as file:
        sync_table(file, face_table())
        cluster_album(file, Corrections(), OPTIONS)
        yield file


def shown(file: AlbumFile) -> Album:
    return stored_album(file, MergeThreshold.constant(0.4, "given by the caller", "given"))


def groups(album: Album) -> dict[str, set[str]]:
    """The photographs of each person, by name, else by the first of them."""
    found = {}
    for person in album.people:
        sources = {face.source for face in person.faces}
        found[person.name or min(sources)] = sources
    return found


def keys(file: AlbumFile) -> dict[str, int]:
    """The key of the face in each photograph."""
    rows = file.rows("SELECT name, faces.key FROM faces JOIN photos ON photos.key = photo")
    return {str(name): int(str(key)) for name, key in rows}


def owner(file: AlbumFile, source: str) -> int:
    ((person,),) = file.rows(
        "SELECT person FROM faces JOIN photos ON photos.key = photo WHERE name = ?", (source,)
    )
    return int(str(person))


def everything(file: AlbumFile) -> list[object]:
    tables = ("people", "faces", "joined", "links", "photos")
    return [file.rows(f"SELECT * FROM {table} ORDER BY 1") for table in tables]


def test_the_stored_album_is_the_clustered_one(file: AlbumFile) -> None:
    clustered = cluster_album(file, Corrections(), OPTIONS)
    stored = shown(file)
    assert stored.to_dict() == clustered.to_dict()
    assert [face.key for p in stored.people for face in p.faces] == [
        keys(file)[face.source] for p in clustered.people for face in p.faces
    ]


def test_corrections_show_at_once_and_the_next_clustering_keeps_them(file: AlbumFile) -> None:
    editor, key = AlbumEditor(file), keys(file)
    editor.name(owner(file, "p0/0.jpg"), "Ada")
    editor.merge([owner(file, "p1/0.jpg"), owner(file, "p2/0.jpg")])
    editor.give([key["x/0.jpg"]], person=owner(file, "p0/0.jpg"))
    editor.give([key["p3/4.jpg"]], person=owner(file, "p0/0.jpg"))
    editor.give([key["x/1.jpg"]], name="Bea")
    now = groups(shown(file))
    assert now == {
        "Ada": {*(f"p0/{i}.jpg" for i in range(5)), "x/0.jpg", "p3/4.jpg"},
        "p1/0.jpg": {f"p{p}/{i}.jpg" for p in (1, 2) for i in range(5)},
        "p3/0.jpg": {f"p3/{i}.jpg" for i in range(4)},
        "Bea": {"x/1.jpg"},
    }
    ids = {person.id for person in shown(file).people}
    clustered = cluster_album(file, Corrections(), OPTIONS)
    assert groups(clustered) == now
    assert {person.id for person in clustered.people} == ids


def test_a_face_that_was_taken_out_is_unassigned_and_never_comes_back(file: AlbumFile) -> None:
    editor, key = AlbumEditor(file), keys(file)
    editor.take_out([key["p0/0.jpg"], key["p0/1.jpg"], key["p1/0.jpg"]])
    album = shown(file)
    reasons = {face.source: face.reason for face in album.unassigned}
    for source in ("p0/0.jpg", "p0/1.jpg", "p1/0.jpg"):
        assert reasons[source] == "taken out by hand"
    after = groups(cluster_album(file, Corrections(), OPTIONS))
    for out, rest in (("p0/0.jpg", "p0/2.jpg"), ("p0/1.jpg", "p0/4.jpg"), ("p1/0.jpg", "p1/1.jpg")):
        assert not any({out, rest} <= sources for sources in after.values())
    # The newer word wins.
    editor.give([key["p0/0.jpg"]], person=owner(file, "p0/2.jpg"))
    after = groups(cluster_album(file, Corrections(), OPTIONS))
    assert any({"p0/0.jpg", "p0/2.jpg", "p0/3.jpg", "p0/4.jpg"} <= s for s in after.values())


def test_the_same_corrections_as_a_file_s_are_stored(tmp_path: Path, file: AlbumFile) -> None:
    """A join, a face taken out and a name make the links and names that a contact sheet's do."""
    with AlbumFile(tmp_path / "other.db") as other:
        sync_table(other, face_table())
        cluster_album(other, Corrections(), OPTIONS)
        by_person = {p.id: p.faces for p in shown(other).people}
        one, two, three = (owner(other, f"p{i}/0.jpg") for i in range(3))
        out = FaceKey("p2/4.jpg", BOX)
        rest = [FaceKey(f.source, BOX) for f in by_person[three] if f.source != out.source]
        first = {
            person: FaceKey(min(f.source for f in by_person[person]), BOX) for person in by_person
        }
        said = Corrections(
            ((first[one], first[two]),),
            tuple((out, face) for face in rest),
            ((first[one], "Ada"),),
        )
        store_corrections(other, said)
        editor = AlbumEditor(file)
        editor.merge([one, two])
        editor.take_out([keys(file)["p2/4.jpg"]])
        editor.name(one, "Ada")
        links = "SELECT kind, a, b FROM links ORDER BY kind, a, b"
        assert file.rows(links) == other.rows(links)
        assert groups(cluster_album(file, Corrections(), OPTIONS)) == groups(
            cluster_album(other, Corrections(), OPTIONS)
        )


def test_one_name_is_one_person(file: AlbumFile) -> None:
    editor = AlbumEditor(file)
    editor.name(owner(file, "p0/0.jpg"), "Ada")
    editor.name(owner(file, "p1/0.jpg"), " Ada ")
    assert len(groups(shown(file))["Ada"]) == 10
    editor.name(owner(file, "p1/0.jpg"), "")
    assert "Ada" not in groups(shown(file))


def test_merging_keeps_the_first_name_there_is(file: AlbumFile) -> None:
    editor = AlbumEditor(file)
    one, two, three = (owner(file, f"p{i}/0.jpg") for i in range(3))
    editor.name(two, "Ada")
    editor.name(three, "Bea")
    editor.merge([one, two, three])
    assert len(groups(shown(file))["Ada"]) == 15
    assert owner(file, "p2/0.jpg") == one


def test_each_correction_can_be_undone_the_last_first(file: AlbumFile) -> None:
    editor, key = AlbumEditor(file), keys(file)
    states, words = [everything(file)], []
    for correct in (
        lambda: editor.name(owner(file, "p0/0.jpg"), "Ada"),
        lambda: editor.merge([owner(file, "p0/0.jpg"), owner(file, "p1/0.jpg")]),
        lambda: editor.take_out([key["p0/0.jpg"], key["p1/3.jpg"]]),
        lambda: editor.give([key["p0/0.jpg"], key["x/0.jpg"]], name="Bea"),
        lambda: editor.give([key[f"p2/{i}.jpg"] for i in range(5)], person=owner(file, "p3/0.jpg")),
        lambda: editor.name(owner(file, "p3/0.jpg"), "Bea"),
    ):
        correct()
        states.append(everything(file))
        words.append(editor.last)
    assert words[:3] == ["name person 1 Ada", "merge Ada with person 2", "take out 2 faces"]
    for state, said in zip(states[-2::-1], words[::-1], strict=True):
        assert editor.undo() == said
        assert everything(file) == state
    with pytest.raises(NothingToUndoError, match="no correction"):
        editor.undo()


def test_nothing_is_undone_that_another_program_has_changed_since(file: AlbumFile) -> None:
    editor = AlbumEditor(file)
    editor.merge([owner(file, "p0/0.jpg"), owner(file, "p1/0.jpg")])
    with AlbumFile(file.path) as other:
        AlbumEditor(other).take_out([keys(other)["p1/0.jpg"]])
    before = everything(file)
    with pytest.raises(NothingToUndoError, match="changed since"):
        editor.undo()
    assert everything(file) == before and editor.last is None


def test_what_makes_no_sense_is_refused_and_changes_nothing(file: AlbumFile) -> None:
    editor, key = AlbumEditor(file), keys(file)
    person = owner(file, "p0/0.jpg")
    before = everything(file)
    for wrong, words in (
        (lambda: editor.name(99, "Ada"), "no person 99"),
        (lambda: editor.name(person, "a" * 201), "200 characters"),
        (lambda: editor.name(person, "\ud800"), "no character"),
        (lambda: editor.merge([person, person]), "two people"),
        (lambda: editor.merge([person, 99]), "no person 99"),
        (lambda: editor.take_out([]), "no face"),
        (lambda: editor.take_out([999]), "no face 999"),
        (lambda: editor.take_out([key["x/0.jpg"]]), "unassigned already"),
        (lambda: editor.take_out([key[f"p0/{i}.jpg"] for i in range(5)]), "must stay"),
        (lambda: editor.give([key["x/0.jpg"]]), "a person or a name"),
        (lambda: editor.give([key["x/0.jpg"]], person=99), "no person 99"),
        (lambda: editor.give([key["p0/0.jpg"]], person=person), "already"),
    ):
        with pytest.raises(UsageError, match=words):
            wrong()
    assert everything(file) == before and editor.last is None
