"""Galleries and exports of hostile origin: refused or harmless."""

from __future__ import annotations

import base64
import contextlib
import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gallery_kit import DIM, FakeAnalyzer, card, vector

from faceprint.errors import (
    DatasetError,
    FaceprintError,
    GalleryCorruptError,
    GalleryError,
    ModelMismatchError,
)
from faceprint.recognition.gallery import Gallery
from faceprint.recognition.gallery.sql.sqlite_schema import GALLERY


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "people.db"
    with Gallery.open(target, FakeAnalyzer()) as gallery:
        for person in range(4):
            gallery.enroll(f"p{person}", f"p{person}/1".encode(), f"p{person}/2".encode())
    return target


def alter(path: Path, *statements: str, values: tuple[Any, ...] = ()) -> None:
    """Change a gallery as its owner could with any SQLite tool."""
    connection = sqlite3.connect(path)
    try:
        for statement in statements:
            connection.execute(statement, values)
        connection.commit()
    finally:
        connection.close()


def use(path: Path) -> None:
    with Gallery.open(path, FakeAnalyzer()) as gallery:
        gallery.identify(b"p1/x")


def test_a_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    for number, content in enumerate((b"", b"hello", b"SQLite format 3\0", bytes(5000))):
        path = tmp_path / f"{number}.db"
        path.write_bytes(content)
        with pytest.raises(GalleryCorruptError, match="not a faceprint gallery"):
            use(path)
        assert path.read_bytes() == content
    other = tmp_path / "other.db"
    alter(other, "CREATE TABLE notes (text)", "INSERT INTO notes VALUES ('mine')")
    with pytest.raises(GalleryCorruptError, match="not a faceprint gallery"):
        use(other)
    with pytest.raises(GalleryError):
        use(tmp_path)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON templates BEGIN DELETE FROM subjects; END",
        "CREATE VIEW v AS SELECT * FROM subjects",
        "DROP TRIGGER audit_keeps_text",
        "ALTER TABLE subjects ADD COLUMN extra TEXT",
        "DROP TABLE crops",
        "CREATE TABLE more (x)",
        "PRAGMA user_version = 0",
    ],
)
def test_a_schema_that_is_not_ours_to_the_letter_is_refused(path: Path, statement: str) -> None:
    alter(path, statement)
    with pytest.raises(GalleryCorruptError, match="schema"):
        use(path)


def test_a_newer_gallery_asks_for_a_newer_program(path: Path) -> None:
    alter(path, "PRAGMA user_version = 99")
    with pytest.raises(GalleryCorruptError, match="newer faceprint"):
        use(path)


def test_a_table_replaced_by_a_view_is_refused(path: Path) -> None:
    alter(
        path,
        "ALTER TABLE templates RENAME TO hidden",
        "CREATE VIEW templates AS SELECT * FROM hidden",
    )
    with pytest.raises(GalleryCorruptError):
        use(path)


@pytest.mark.parametrize(
    "blob",
    [
        np.full(DIM, np.nan, "<f4").tobytes(),
        np.full(DIM, np.inf, "<f4").tobytes(),
        np.full(DIM, 1e38, "<f4").tobytes(),
        np.zeros(DIM, "<f4").tobytes(),
        b"",
        bytes(4 * DIM - 1),
        bytes(2_000_000),
    ],
)
def test_vectors_that_no_model_gives_are_refused(path: Path, blob: bytes) -> None:
    alter(path, "UPDATE templates SET vector = ? WHERE key = 3", values=(blob,))
    with pytest.raises(GalleryCorruptError):
        use(path)
    with Gallery.open(path) as gallery:
        assert any("template 3" in problem for problem in gallery.verify())
        assert gallery.remove("p1") == 2
    use(path)


def test_a_value_over_the_limit_is_refused_unread(path: Path) -> None:
    alter(path, "UPDATE subjects SET metadata = zeroblob(20000000) || '' WHERE name = 'p1'")
    with Gallery.open(path) as gallery, pytest.raises(GalleryCorruptError):
        list(gallery.subjects())


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("subjects", "metadata", "[1]"),
        ("subjects", "metadata", "{" * 50_000),
        ("subjects", "consent", '{"basis": "", "given": "x"}'),
        ("subjects", "consent", '{"evil": 1}'),
        ("templates", "box", "[1, 2, 3]"),
        ("templates", "box", "[1, 2, 3, NaN]"),
        ("gallery", "policy", '{"keep_crops": true, "evil": 1}'),
        ("gallery", "policy", "7"),
        ("gallery", "fusion", "mean"),
    ],
)
def test_fields_that_no_gallery_writes_are_refused_or_harmless(
    path: Path, table: str, column: str, value: str
) -> None:
    alter(path, f"UPDATE {table} SET {column} = ?", values=(value,))
    try:
        with Gallery.open(path, FakeAnalyzer()) as gallery:
            list(gallery.subjects())
            gallery.show("p1")
    except GalleryCorruptError:
        assert column != "fusion"
    else:
        assert column == "fusion"


def test_a_number_where_bytes_belong_takes_no_memory(path: Path) -> None:
    # A STRICT table checks what is written, not what a file made elsewhere holds.
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA writable_schema = ON")
    (text,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name='templates'").fetchone()
    loose = text.replace(" STRICT", "").replace("CHECK (length(content) = 32)", "")
    set_sql = "UPDATE sqlite_schema SET sql = ? WHERE name = 'templates'"
    connection.execute(set_sql, (loose,))
    connection.commit()
    connection.close()
    alter(path, "UPDATE templates SET content = 10000000000000, vector = 7 WHERE key = 1")
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(set_sql, (text,))
    connection.commit()
    connection.close()
    with (
        Gallery.open(path) as gallery,
        pytest.raises(GalleryCorruptError, match="column of another type"),
    ):
        gallery.show("p0")


def test_damaged_pages_are_said_to_be_damaged(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    for start in range(20_000, len(whole) - 200, 3_000):
        whole[start : start + 200] = b"\xff" * 200
    path.write_bytes(whole)
    with pytest.raises(GalleryError), Gallery.open(path, FakeAnalyzer()) as gallery:
        assert gallery.verify() == []
        raise GalleryError("the damage lies in no page that holds anything")


def test_names_are_text_whatever_they_say(path: Path) -> None:
    names = [
        "'); DROP TABLE subjects; --",
        '" OR 1=1 --',
        "../../etc/passwd",
        "[red]not markup[/red]",
        "%s%n{0}",
        "null",
        "\u202egnp.exe",
    ]
    with Gallery.open(path, FakeAnalyzer()) as gallery:
        for number, name in enumerate(names):
            gallery.enroll(name, f"{number}/1".encode())
        assert {s.name for s in gallery.subjects()} == {*names, "p0", "p1", "p2", "p3"}
        assert [gallery.show(name)[0].templates for name in names] == [1] * len(names)
        assert gallery.remove(names[1]) == 1
        assert len(list(gallery.subjects())) == len(names) + 3
        assert gallery.verify() == []


def test_a_log_that_was_changed_is_found(path: Path) -> None:
    connection = sqlite3.connect(path)
    (trigger,) = connection.execute(
        "SELECT sql FROM sqlite_schema WHERE name = 'audit_keeps_text'"
    ).fetchone()
    connection.execute("DROP TRIGGER audit_keeps_text")
    connection.execute("UPDATE audit SET actor = 'somebody else' WHERE seq = 3")
    connection.execute(trigger)
    connection.commit()
    connection.close()
    with Gallery.open(path) as gallery:
        assert gallery.verify_audit().problems == ("line 3 was changed",)
        assert gallery.verify() == ["audit: line 3 was changed"]


def test_our_own_connection_may_not_change_the_log_either(path: Path) -> None:
    for statement in ("DELETE FROM audit WHERE seq = 2", "UPDATE audit SET actor = 'x'"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            alter(path, statement)


def test_a_log_left_by_a_deleted_gallery_is_not_played_into_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    path.with_name("new.db-wal").write_bytes(b"left")
    with pytest.raises(GalleryError, match="is there but"):
        Gallery.open(path, FakeAnalyzer())
    assert not path.exists()


# --- exports -------------------------------------------------------------------------------------


def lines_of(path: Path, tmp_path: Path) -> list[dict[str, Any]]:
    with Gallery.open(path) as gallery:
        gallery.export(tmp_path / "out.jsonl")
    return [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]


def encoded(values: object) -> str:
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()


Change = Callable[[dict[str, Any]], Any]
HOSTILE: dict[str, Change] = {
    "nan": lambda r: r.update(vector=encoded([np.nan] * DIM)),
    "short": lambda r: r.update(vector=encoded([1.0])),
    "long": lambda r: r.update(vector=encoded([0.01] * 10_000)),
    "not base64": lambda r: r.update(vector="%%%"),
    "no vector": lambda r: r.pop("vector"),
    "content": lambda r: r.update(content="../../etc/passwd"),
    "box": lambda r: r.update(box=[1e400, 0, 0, 0]),
    "box of two": lambda r: r.update(box=[0, 0]),
    "metadata": lambda r: r.update(metadata="[]"),
    "nested": lambda r: r.update(metadata="[" * 100_000),
    "name": lambda r: r.update(subject=""),
    "source": lambda r: r.update(source="x" * 10_000),
    "created": lambda r: r.update(created="tomorrow"),
    "crop": lambda r: r.update(crop=base64.b64encode(b"MZ not a png").decode()),
    "consent": lambda r: r.update(consent='{"basis": "x", "given": "2025-01-01", "run": "rm"}'),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_hostile_line_is_named_and_nothing_is_taken_in(
    path: Path, tmp_path: Path, name: str
) -> None:
    lines = lines_of(path, tmp_path)
    HOSTILE[name](lines[5])
    bad = tmp_path / "bad.jsonl"
    bad.write_text("".join(json.dumps(line) + "\n" for line in lines))
    target = tmp_path / "target.db"
    with Gallery.open(target, FakeAnalyzer()) as gallery:
        with pytest.raises(DatasetError, match="line 6"):
            gallery.import_(bad)
        assert len(gallery) == 0 and list(gallery.subjects()) == []
        assert gallery.verify() == []


def test_a_climbing_path_is_text_and_nothing_is_opened_or_written_there(
    path: Path, tmp_path: Path
) -> None:
    lines = lines_of(path, tmp_path)
    for line in lines[1:]:
        line["source"] = "../../../../etc/passwd"
        line["subject"] = "../../" + line["subject"]
    evil = tmp_path / "evil.jsonl"
    evil.write_text("".join(json.dumps(line) + "\n" for line in lines))
    inner = tmp_path / "inner"
    inner.mkdir()
    with Gallery.open(inner / "g.db", FakeAnalyzer()) as gallery:
        assert gallery.import_(evil).templates == 8
        assert gallery.show("../../p1")[1][0].source == "../../../../etc/passwd"
        with pytest.raises(GalleryError, match=r"can.t be embedded again"):
            gallery.migrate(FakeAnalyzer(card("model-b")))
    assert sorted(p.name for p in inner.iterdir()) == ["g.db"]


def test_an_export_of_another_model_or_of_nothing_is_refused(path: Path, tmp_path: Path) -> None:
    lines = lines_of(path, tmp_path)
    with Gallery.open(tmp_path / "b.db", FakeAnalyzer(card("model-b"))) as gallery:
        with pytest.raises(ModelMismatchError, match="model-a"):
            gallery.import_(tmp_path / "out.jsonl")
        for text in ("", "[]\n", "{}\n", "\xff\n", '{"format": "faceprint-gallery/1"}\n'):
            (tmp_path / "x.jsonl").write_text(text, "latin-1")
            with pytest.raises(DatasetError):
                gallery.import_(tmp_path / "x.jsonl")
    lines[0]["model"]["dim"] = 10**9
    (tmp_path / "x.jsonl").write_text(json.dumps(lines[0]) + "\n")
    with (
        Gallery.open(path) as gallery,
        pytest.raises(DatasetError, match="description of its model"),
    ):
        gallery.import_(tmp_path / "x.jsonl")


def test_a_parquet_file_of_another_make_is_refused(path: Path, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="Parquet needs the extra 'bulk'")
    pq = pytest.importorskip("pyarrow.parquet")
    good = tmp_path / "good.parquet"
    with Gallery.open(path) as gallery:
        gallery.export(good)
        table = pq.read_table(good)
        pq.write_table(table.drop_columns(["norm"]), tmp_path / "columns.parquet")
        bare = table.replace_schema_metadata({})
        pq.write_table(bare, tmp_path / "bare.parquet")
        (tmp_path / "noise.parquet").write_bytes(b"PAR1" + bytes(100))
        nan = pa.array([[float("nan")] * DIM] * len(table), table.schema.field("vector").type)
        place = table.column_names.index("vector")
        changed = table.set_column(place, table.schema.field("vector"), nan)
        pq.write_table(changed, tmp_path / "nan.parquet")
        for name in ("columns", "bare", "noise", "nan"):
            with pytest.raises(DatasetError):
                gallery.import_(tmp_path / f"{name}.parquet")


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_what_was_exported_comes_back_bit_by_bit(path: Path, tmp_path: Path, suffix: str) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="Parquet needs the extra 'bulk'")
    file = tmp_path / f"out.{suffix}"
    with Gallery.open(path) as gallery:
        gallery.update("p1", metadata={"nested": {"ä": [1, None]}})
        assert gallery.export(file) == 8
        assert file.stat().st_mode & 0o077 == 0
        pin = gallery.header.model
        before = {s.name: (s.metadata, s.templates) for s in gallery.subjects()}
    with Gallery.open(tmp_path / "copy.db", model=pin) as copy:
        done = copy.import_(file)
        assert (done.templates, done.known, done.subjects) == (8, 0, 4)
        assert {s.name: (s.metadata, s.templates) for s in copy.subjects()} == before
        assert np.array_equal(copy.vectors("p2")[1], vector(b"p2/2", card()))
        assert copy.import_(file).known == 8
        assert copy.verify() == []


def test_the_application_id_is_what_the_documentation_says() -> None:
    assert GALLERY.application_id.to_bytes(4, "big") == b"FPrt"


def bomb(path: Path, tmp_path: Path, column: str) -> Path:
    """A small Parquet export in which one large value stands in every row."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    good, bad = tmp_path / "good.parquet", tmp_path / "bad.parquet"
    with Gallery.open(path) as gallery:
        gallery.export(good)
    table = pq.read_table(good).take([0] * (50 if column == "box" else 2000))
    plain, place = table.schema, table.column_names.index(column)
    large = {"crop": b"\0" * (4 << 20), "metadata": '{"a": "' + "x" * (4 << 20) + '"}'}
    field = plain.field(column)
    if column == "box":
        rows = pa.array([[0.0] * 2_000_000], field.type).take([0] * 50)
    else:
        indices = pa.array([0] * len(table), pa.int32())
        rows = pa.DictionaryArray.from_arrays(indices, pa.array([large[column]], field.type))
    # The file says of itself that the column is plain, as an export's is.
    said = {b"ARROW:schema": base64.b64encode(plain.serialize().to_pybytes())}
    table = table.set_column(place, column, rows)
    table = table.replace_schema_metadata(plain.metadata)
    with pq.ParquetWriter(bad, table.schema, compression="zstd", store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(said)
    assert bad.stat().st_size < 200_000
    return bad


@pytest.mark.parametrize("column", ["crop", "metadata", "box"])
def test_a_small_file_takes_no_more_memory_than_an_export(
    path: Path, tmp_path: Path, column: str
) -> None:
    pytest.importorskip("pyarrow", reason="Parquet needs the extra 'bulk'")
    bad = bomb(path, tmp_path, column)
    words = "import sys, resource; sys.path.insert(0, sys.argv[3]); from gallery_kit import *; "
    words += "from faceprint.recognition.gallery import Gallery; import faceprint.errors as e\n"
    words += "import pyarrow.parquet; g = Gallery.open(sys.argv[1], FakeAnalyzer())\n"
    words += "start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
    words += "try:\n    g.import_(sys.argv[2]); print('taken in')\n"
    words += "except e.DatasetError as error: print('refused')\n"
    words += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start)"
    kit = str(Path(__file__).resolve().parents[1])
    command = [sys.executable, "-c", words, str(tmp_path / "new.db"), str(bad), kit]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said, grown = done.stdout.split("\n")[:2]
    assert said == "refused"
    assert int(grown) < 700 << 10, "KiB; unfolded, the column has 8 GB"


@pytest.mark.parametrize("seed", range(40))
def test_whatever_bytes_are_changed_errors_are_ours_and_answers_are_right(
    path: Path, tmp_path: Path, seed: int
) -> None:
    """Every operation, in turn, on what is left."""
    rng = random.Random(seed)
    data = bytearray(path.read_bytes())
    used = [place for place, value in enumerate(data) if value]
    for place in rng.sample(used, rng.choice((1, 1, 2, 8, 40))):
        data[place] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    try:
        gallery = Gallery.open(path, FakeAnalyzer())
    except GalleryError:
        return
    with gallery:
        steps: tuple[Callable[[], Any], ...] = (
            lambda: list(gallery.subjects()),
            lambda: gallery.enroll("new", b"new/1"),
            lambda: gallery.person_data("p1"),
            lambda: gallery.remove("p2"),
            lambda: gallery.export(tmp_path / "o.jsonl"),
            gallery.expire,
            gallery.accept,
            lambda: gallery.migrate(FakeAnalyzer(card("model-b")), drop_missing=True),
            lambda: gallery.rekey(None),
        )
        try:
            if not gallery.verify():
                assert gallery.identify(b"p3/x", threshold=0.5).subject == "p3"
        except GalleryError:
            pass
        for step in steps:
            with contextlib.suppress(FaceprintError):
                step()
