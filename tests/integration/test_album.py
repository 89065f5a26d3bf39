"""An album file over several runs: stable ids, corrections that stay, photographs that go."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from faceprint.cli.app import main
from faceprint.embedding_table.schema import EmbeddingTable
from faceprint.errors import GalleryCorruptError, InputError, ModelMismatchError, UsageError
from faceprint.evaluation.cluster_scores import cluster_scores
from faceprint.recognition.albums.corrections import Corrections, FaceKey
from faceprint.recognition.albums.corrections_file import read_corrections
from faceprint.recognition.albums.corrections_store import store_corrections
from faceprint.recognition.albums.removal import forget
from faceprint.recognition.albums.store import AlbumFile
from faceprint.recognition.albums.sync import sync_table
from faceprint.recognition.cluster import ClusterOptions, cluster_album

BOX = (10.0, 10.0, 90.0, 90.0)
OPTIONS = ClusterOptions(threshold=0.4)


def album_of(count: int, each: int, noise: float = 0.5, seed: int = 0) -> EmbeddingTable:
    rng = np.random.default_rng(seed)
    centers = np.repeat(rng.standard_normal((count, 64)), each, axis=0)
    rows = centers + noise * rng.standard_normal(centers.shape)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    n = len(rows)
    return EmbeddingTable(
        tuple(f"p{i // each:02d}/{i % each}.jpg" for i in range(n)),
        np.tile(np.float32(BOX), (n, 1)),
        np.ones(n, np.float32),
        np.tile(np.float32([80, 200, 0, 1]), (n, 1)),
        rows,
        "some-model",
        (None,) * n,
    )


def owners(album) -> dict[str, int]:
    return {face.source: person.id for person in album.people for face in person.faces}


def key(source: str) -> FaceKey:
    return FaceKey(source, BOX)


def test_batches_in_any_order_end_as_one_batch_and_keep_their_ids(tmp_path):
    table = album_of(40, 6, noise=1.1)
    truth = np.repeat(np.arange(40), 6)
    with AlbumFile(tmp_path / "one.db") as file:
        sync_table(file, table)
        whole = owners(cluster_album(file, Corrections(), OPTIONS))
    expected = cluster_scores(truth, [whole[s] for s in table.sources]).bcubed.f
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(table))
        before: dict[str, int] = {}
        with AlbumFile(tmp_path / f"{seed}.db") as file:
            for part in np.array_split(order, 5):
                sync_table(file, table.pick(part))
                now = owners(cluster_album(file, Corrections(), OPTIONS))
                kept = [now[source] == person for source, person in before.items()]
                assert not kept or np.mean(kept) > 0.9
                before = now
        found = cluster_scores(truth, [before[s] for s in table.sources]).bcubed.f
        assert abs(found - expected) < 0.01


def test_corrections_and_names_survive_the_next_runs_and_newer_words_win(tmp_path):
    table = album_of(6, 6)
    said = Corrections(
        must_link=((key("p00/0.jpg"), key("p01/0.jpg")),),
        cannot_link=tuple((key("p02/0.jpg"), key(f"p02/{i}.jpg")) for i in range(1, 3)),
        names=((key("p03/0.jpg"), "Ada"),),
    )
    with AlbumFile(tmp_path / "a.db") as file:
        for step, part in enumerate(
            np.array_split(np.arange(24), 1) + np.array_split(np.arange(24, 36), 3)
        ):
            sync_table(file, table.pick(part))
            if step == 0:
                cluster_album(file, Corrections(), OPTIONS)
                assert store_corrections(file, said) == ()
            album = cluster_album(file, Corrections(), OPTIONS)
            found = owners(album)
            assert found["p00/1.jpg"] == found["p01/1.jpg"]
            assert found["p02/0.jpg"] != found["p02/1.jpg"] == found["p02/5.jpg"]
            assert [p.name for p in album.people if p.id == found["p03/2.jpg"]] == ["Ada"]
        store_corrections(file, Corrections(must_link=((key("p02/0.jpg"), key("p02/5.jpg")),)))
        found = owners(cluster_album(file, Corrections(), OPTIONS))
        assert len({found[f"p02/{i}.jpg"] for i in range(6)}) == 1
        store_corrections(file, Corrections(cannot_link=((key("p00/0.jpg"), key("p01/0.jpg")),)))
        found = owners(cluster_album(file, Corrections(), OPTIONS))
        assert found["p00/0.jpg"] != found["p01/0.jpg"]


def test_a_removed_photograph_leaves_no_trace_but_what_it_tied_stays_tied(tmp_path):
    table = album_of(3, 3)
    path = tmp_path / "a.db"
    ties = tuple((key("p00/0.jpg"), key(f"p0{i}/0.jpg")) for i in (1, 2))
    with AlbumFile(path) as file:
        sync_table(file, table)
        cluster_album(file, Corrections(), OPTIONS)
        store_corrections(file, Corrections(must_link=ties))
        cluster_album(file, Corrections(), OPTIONS)
        assert forget(file, ["p00/0.jpg"]) == 1
        found = owners(cluster_album(file, Corrections(), OPTIONS))
    assert found["p01/0.jpg"] == found["p02/0.jpg"]
    left = b"".join(p.read_bytes() for p in tmp_path.iterdir())
    assert b"p00/1.jpg" in left
    assert b"p00/0.jpg" not in left
    assert table.vectors[0].tobytes() not in left


def test_contradictions_models_and_strangers_files_are_refused(tmp_path):
    table = album_of(2, 2)
    pair = (key("p00/0.jpg"), key("p00/1.jpg"))
    with AlbumFile(tmp_path / "a.db") as file:
        sync_table(file, table)
        with pytest.raises(UsageError, match="contradict"):
            store_corrections(file, Corrections(must_link=(pair,), cannot_link=(pair,)))
        notes = store_corrections(
            file, Corrections(must_link=((key("gone.jpg"), key("p00/0.jpg")),))
        )
        assert "gone.jpg" in notes[0]
        other = EmbeddingTable(("x",), table.boxes[:1], table.scores[:1], table.quality[:1],
                          table.vectors[:1], "another", (None,))  # fmt: skip
        with pytest.raises(ModelMismatchError):
            sync_table(file, other)
        file.rows("CREATE TRIGGER t AFTER DELETE ON faces BEGIN SELECT 1; END")
    with pytest.raises(GalleryCorruptError, match="'t'"):
        AlbumFile(tmp_path / "a.db")
    (tmp_path / "b.db").write_bytes(b"nothing")
    with pytest.raises(GalleryCorruptError):
        AlbumFile(tmp_path / "b.db")


@pytest.mark.parametrize("change", ["box = x'00'", "quality = x''", "vector = x'0000'"])
def test_a_face_of_another_length_than_the_album_has_is_damage(change, tmp_path):
    path = tmp_path / "a.db"
    with AlbumFile(path) as file:
        sync_table(file, album_of(2, 2))
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.execute(f"UPDATE faces SET {change} WHERE key = 2")
    connection.commit()
    connection.close()
    with AlbumFile(path) as file, pytest.raises(GalleryCorruptError, match=change.split()[0]):
        file.stored()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE links SET a = 999", "links refers to a faces row"),
        ("UPDATE faces SET person = 999 WHERE key = 2", "faces refers to a people row"),
        ("UPDATE links SET kind = 'perhaps'", "damaged.*links"),
        ("UPDATE people SET name = x'00'", "damaged.*people"),
    ],
)
def test_rows_that_lead_nowhere_are_damage(change, said, tmp_path):
    path = tmp_path / "a.db"
    with AlbumFile(path) as file:
        sync_table(file, album_of(2, 2))
        pair = (key("p00/0.jpg"), key("p00/1.jpg"))
        store_corrections(file, Corrections(must_link=(pair,)))
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.execute("INSERT INTO people VALUES (70, 'Ada')")
    connection.execute("PRAGMA writable_schema = ON")
    before = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'people'").fetchone()
    connection.execute(
        "UPDATE sqlite_schema SET sql = replace(sql, ' STRICT', '') WHERE name = 'people'"
    )
    connection.commit()
    connection.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.execute(change)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'people'", before)
    connection.commit()
    connection.close()
    with pytest.raises(GalleryCorruptError, match=said):
        AlbumFile(path)


def test_correction_files(tmp_path):
    csv = tmp_path / "c.csv"
    csv.write_text("source_a,box_a,source_b,box_b\na.jpg,1 2 3 4,b.jpg,5 6 7 8\n")
    expected = ((FaceKey("a.jpg", (1, 2, 3, 4)), FaceKey("b.jpg", (5, 6, 7, 8))),)
    assert read_corrections(csv, "cannot_link").cannot_link == expected
    for text in ("[]", "{", '{"format": "faceprint-corrections/1", "must_link": [[1, 2]]}'):
        (tmp_path / "d.json").write_text(text)
        with pytest.raises(InputError):
            read_corrections(tmp_path / "d.json")


def table_file(path: Path, table: EmbeddingTable) -> Path:
    np.savez(path, source=np.array(table.sources), box=table.boxes, score=table.scores,
             quality=table.quality, embedding=table.vectors,
             embedder=np.array([table.embedder] * len(table)))  # fmt: skip
    return path


def run(capsys, *words: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as left:
        main(["cluster", *map(str, words)])
    return int(left.value.code or 0), capsys.readouterr().out


def test_the_command_from_a_table_to_folders_and_back(tmp_path, capsys):
    table = album_of(3, 3)
    quality = table.quality.copy()
    quality[8] = (9, 200, 0, 0.1)
    faces = EmbeddingTable(table.sources, table.boxes, table.scores, quality, table.vectors,
                      table.embedder, table.thumbnails)  # fmt: skip
    path, out = table_file(tmp_path / "t.npz", faces), tmp_path / "out"
    code, text = run(capsys, "--from", path, "--threshold", 0.4, "--out", out, "--json")
    document = json.loads(text)
    assert code == 0
    assert [len(p["faces"]) for p in document["people"]] == [3, 3, 2]
    assert document["unassigned"][0]["reason"] == "too small"
    assert document["people"][0]["faces"][0]["box"] == list(BOX)
    assert (out / "index.html").stat().st_mode & 0o077 == 0
    fix = tmp_path / "fix.json"
    pair = [{"source": s, "box": list(BOX)} for s in ("p00/0.jpg", "p01/0.jpg")]
    fix.write_text(json.dumps({"format": "faceprint-corrections/1", "must_link": [pair]}))
    run(capsys, "--from", path, "--threshold", 0.4, "--out", out, "--must-link", fix)
    code, text = run(capsys, "--state", out / "album.db", "--threshold", 0.4, "--json")
    assert [len(p["faces"]) for p in json.loads(text)["people"]] == [6, 2]
    assert run(capsys, "--threshold", 0.4)[0] == 2
    assert run(capsys, "--from", tmp_path / "none.npz")[0] == 3


def test_a_folder_of_nothing_says_so_once_and_leaves_no_sheet(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as left:
        main(["cluster", str(tmp_path / "empty"), "--out", str(out)])
    assert left.value.code == 1
    said = capsys.readouterr()
    assert said.err.count("no photographs were found") == 1
    assert "no face" not in said.err
    assert "contact sheet" not in said.err
    assert not (out / "index.html").exists()
