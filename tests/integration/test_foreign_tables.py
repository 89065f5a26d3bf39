"""Faces in other programs' tables: on a PostgreSQL server with pgvector, and in dumps of one."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import CommandLine
from postgres_server import addresses

from faceprint import Gallery, errors
from faceprint.recognition.gallery import SourceTable
from faceprint.recognition.gallery.transfer import Imported, pin_in

VECTORS = np.random.default_rng(7).normal(size=(6, 512)).astype(np.float32)
FACES = [f"0000000{at}-0000-4000-8000-000000000000" for at in range(6)]
PEOPLE = {"a": "Ada", "b": "Grace", "c": "", "d": "Ada"}
IMMICH = SourceTable("immich")
COMPREFACE = SourceTable("compreface")
ARCFACE = "insightface.Calculator@arcface-r100-msfdrop75"


def text(vector: np.ndarray) -> str:
    return "[" + ",".join(map(str, vector.tolist())) + "]"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    yield from addresses()


@pytest.fixture
def run_sql(server: str) -> Iterator[Any]:
    psycopg: Any = pytest.importorskip("psycopg")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        yield connection.execute


def fill_immich(run_sql: Any, faces: str = "asset_face", model: str | None = "buffalo_l") -> None:
    run_sql('CREATE TABLE person (id text, "ownerId" text, name text, "isHidden" boolean)')
    run_sql(
        f'CREATE TABLE {faces} (id uuid, "assetId" text, "personId" text, '
        '"deletedAt" timestamptz, "isVisible" boolean)'
    )
    run_sql('CREATE TABLE face_search ("faceId" uuid, embedding vector(512))')
    run_sql("CREATE TABLE system_metadata (key text, value jsonb)")
    settings = {} if model is None else {"facialRecognition": {"modelName": model}}
    run_sql(
        "INSERT INTO system_metadata VALUES ('system-config', %s)",
        [json.dumps({"machineLearning": settings})],
    )
    for key, name in PEOPLE.items():
        run_sql("INSERT INTO person VALUES (%s, 'o', %s, false)", [key, name])
    whose = ["a", "b", "c", None, "a", "d"]
    for at, (face, person) in enumerate(zip(FACES, whose, strict=True)):
        gone = "2025-01-01" if at == 4 else None
        row = [face, person, gone]
        run_sql(f"INSERT INTO {faces} VALUES (%s, 'photo', %s, %s, true)", row)
        run_sql("INSERT INTO face_search VALUES (%s, %s)", [face, text(VECTORS[at])])


def fill_compreface(run_sql: Any, calculator: str) -> None:
    run_sql("CREATE TABLE subject (id uuid, api_key text, subject_name varchar(255))")
    run_sql("CREATE TABLE img (id uuid, content bytea)")
    run_sql(
        "CREATE TABLE embedding (id uuid, subject_id uuid, embedding float8[], calculator text, "
        "img_id uuid)"
    )
    run_sql("INSERT INTO subject VALUES (%s, 'key', 'Ada \\ Lovelace')", [FACES[0]])
    for at in range(3):
        run_sql("INSERT INTO img VALUES (%s, %s)", [FACES[at], b"\xff\xd8" + bytes(200_000)])
        row = [FACES[at], FACES[0], VECTORS[at].tolist(), calculator, FACES[at]]
        run_sql("INSERT INTO embedding VALUES (%s, %s, %s, %s, %s)", row)


def fill_own(run_sql: Any, kind: str, values: np.ndarray) -> None:
    run_sql(f'CREATE TABLE "My faces" ("Who?" text, e {kind}, team text, "room no" integer)')
    for at, vector in enumerate(values):
        name = [f"p{at % 2}", None, " "][0 if at < 4 else at - 3]
        value = vector.tolist() if "[]" in kind else text(vector)
        run_sql('INSERT INTO "My faces" VALUES (%s, %s, %s, %s)', [name, value, "blue", at])


OWN = SourceTable("", "My faces", "Who?", "e", ("team", "room no"))


@pytest.fixture(params=["server", "dump.gz"])
def source(request: pytest.FixtureRequest, server: str, run_sql: Any, tmp_path: Path) -> Any:
    """Gives the server's address, or a dump that pg_dump makes of it, when called."""

    def make() -> str:
        if request.param == "server":
            return server
        # The server's own: pg_dump refuses servers that are newer than itself.
        (programs,) = run_sql("SELECT setting FROM pg_config() WHERE name = 'BINDIR'").fetchone()
        program = Path(programs) / "pg_dump"
        if not program.exists():
            pytest.skip("pg_dump is missing")
        written = subprocess.run([program, server], check=True, capture_output=True).stdout
        path = tmp_path / "all.sql.gz"
        path.write_bytes(gzip.compress(written, 1))
        return str(path)

    return make


def imported(
    source: str, table: SourceTable, folder: Path, embedder: str
) -> tuple[dict[str, int], Imported]:
    """Templates of each subject, and what the import says."""
    pin = pin_in(source, embedder, table)
    with Gallery.open(folder / "people.db", model=pin) as gallery:
        done = gallery.import_(source, embedder, table)
        return {subject.name: subject.templates for subject in gallery.subjects()}, done


def refused(
    source: str, table: SourceTable, folder: Path, embedder: str, kind: type[Exception], why: str
) -> None:
    with pytest.raises(kind, match=why):
        imported(source, table, folder, embedder)
    if (folder / "people.db").exists():
        with Gallery.open(folder / "people.db") as gallery:
            assert list(gallery.subjects()) == []


@pytest.mark.parametrize("faces", ["asset_face", "asset_faces"])
def test_named_people_of_immich(faces: str, run_sql: Any, source: Any, tmp_path: Path) -> None:
    fill_immich(run_sql, faces)
    people, done = imported(source(), IMMICH, tmp_path, "w600k-r50")
    assert people == {"Ada": 2, "Grace": 1}
    assert (done.templates, done.known, done.unnamed) == (3, 0, 2)
    assert done.notes == ("2 people of Immich are called Ada: one subject now",)
    assert imported(source(), IMMICH, tmp_path, "w600k-r50")[1].known == 3


def test_vectors_come_as_they_are(run_sql: Any, source: Any, tmp_path: Path) -> None:
    fill_immich(run_sql)
    where = source()
    with Gallery.open(tmp_path / "p.db", model=pin_in(where, "w600k-r50", IMMICH)) as gallery:
        gallery.import_(where, "w600k-r50", IMMICH)
        _, (row,) = gallery.show("Grace")
        assert row.norm == pytest.approx(float(np.linalg.norm(VECTORS[1])), rel=1e-6)
        assert FACES[1] in row.source
        length = np.linalg.norm(VECTORS[1])
        assert np.allclose(gallery.vectors("Grace"), VECTORS[1] / length, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("model", "embedder", "why"),
    [
        ("buffalo_l", "w600k-mbf", "not the network"),
        ("buffalo_s", "w600k-r50", "not the network"),
        ("antelopev2", "w600k-r50", "antelopev2"),
        (None, "arcface-r100", "the usual one"),
    ],
)
def test_another_network_than_immichs_is_refused(
    model: str | None, embedder: str, why: str, run_sql: Any, server: str, tmp_path: Path
) -> None:
    fill_immich(run_sql, model=model)
    refused(server, IMMICH, tmp_path, embedder, errors.ModelMismatchError, why)


def test_immichs_usual_model_is_said(run_sql: Any, server: str, tmp_path: Path) -> None:
    fill_immich(run_sql, model=None)
    _, done = imported(server, IMMICH, tmp_path, "w600k-r50")
    assert "does not name Immich's model" in done.notes[0]


def test_compreface_names_no_card(run_sql: Any, source: Any, tmp_path: Path) -> None:
    fill_compreface(run_sql, ARCFACE)
    where = source()
    for embedder in ("arcface-r100", "dlib-resnet"):
        refused(where, COMPREFACE, tmp_path, embedder, errors.ModelMismatchError, f"{ARCFACE} .3.")
        (tmp_path / "people.db").unlink()
    people, _ = imported(where, SourceTable("compreface", calculator=ARCFACE), tmp_path, "auraface")
    assert people == {"Ada \\ Lovelace": 3}


def test_the_code_of_the_docs_writes_comprefaces_photographs(
    run_sql: Any, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_compreface(run_sql, ARCFACE)
    page = Path(__file__).parents[2].joinpath("docs", "migrating.md").read_text("utf-8")
    code = page.partition("### CompreFace")[2].partition("```python\n")[2].partition("```")[0]
    assert "postgresql://postgres@localhost/frs" in code
    monkeypatch.chdir(tmp_path)
    exec(code.replace("postgresql://postgres@localhost/frs", server), {})
    written = list(tmp_path.joinpath("compreface", "Ada \\ Lovelace").iterdir())
    assert sorted(path.name for path in written) == [f"{face}.jpg" for face in FACES[:3]]
    assert written[0].read_bytes()[:2] == b"\xff\xd8"


@pytest.mark.parametrize("kind", ["vector(128)", "halfvec(128)", "float8[]", "real[]", "jsonb"])
def test_a_table_of_ones_own(kind: str, run_sql: Any, source: Any, tmp_path: Path) -> None:
    fill_own(run_sql, kind, VECTORS[:, :128])
    people, done = imported(source(), OWN, tmp_path, "dlib-resnet")
    assert people == {"p0": 2, "p1": 2}
    assert (done.templates, done.unnamed) == (4, 2)
    with Gallery.open(tmp_path / "people.db") as gallery:
        assert dict(gallery.show("p1")[0].metadata) == {"team": "blue", "room no": "1"}


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (SourceTable("", "nothing", "n", "e"), "has no table nothing"),
        (SourceTable("", "My faces", "n", "e"), "no column n; it has Who"),
        (SourceTable("", "My faces", "Who?", "team"), "not a list of numbers"),
        (SourceTable("", 'x"; DROP TABLE "My faces', "n", "e"), "has no table x"),
        (SourceTable("", "My faces", "Who?", 'e" FROM "My faces'), "no column e"),
        (IMMICH, "has no table person"),
        (COMPREFACE, "has no table embedding"),
        (SourceTable("deepface"), "has no table embeddings"),
    ],
)
def test_what_is_not_there_is_said(
    table: SourceTable, why: str, run_sql: Any, source: Any, tmp_path: Path
) -> None:
    fill_own(run_sql, "vector(128)", VECTORS[:, :128])
    kind = errors.DatasetError if table != IMMICH else errors.FaceprintError
    refused(source(), table, tmp_path, "w600k-r50" if table == IMMICH else "dlib-resnet", kind, why)
    assert run_sql('SELECT count(*) FROM "My faces"').fetchone() == (6,)


def test_another_length_is_refused(run_sql: Any, source: Any, tmp_path: Path) -> None:
    fill_own(run_sql, "vector(64)", VECTORS[:, :64])
    refused(source(), OWN, tmp_path, "dlib-resnet", errors.DatasetError, "64.*have 128")


def test_deepfaces_tables(run_sql: Any, source: Any, tmp_path: Path) -> None:
    run_sql(
        "CREATE TABLE embeddings (id bigserial, img_name text, model_name text, aligned boolean, "
        "embedding float8[])"
    )
    names = ["db/ada/1.jpg", "db/grace/1.jpg", "db/ada/2.jpg", "db/ada/1.jpg"]
    for at, name in enumerate(names):
        model = "VGG-Face" if at == 3 else "Dlib"
        row = [name, model, VECTORS[at, :128].tolist()]
        run_sql("INSERT INTO embeddings (img_name, model_name, embedding) VALUES (%s, %s, %s)", row)
    where, table = source(), SourceTable("deepface")
    people, done = imported(where, table, tmp_path, "dlib-resnet")
    assert people == {"ada": 2, "grace": 1}
    assert done.notes[0] == "embeddings of VGG-Face were left out"
    run_sql("DELETE FROM embeddings WHERE model_name = 'Dlib'")
    if "://" in where:
        (tmp_path / "people.db").unlink()
        refused(where, table, tmp_path, "dlib-resnet", errors.ModelMismatchError, "VGG-Face")


def test_nothing_is_written_to_the_source(run_sql: Any, server: str, tmp_path: Path) -> None:
    from faceprint.recognition.gallery.foreign.tables import server_tables

    with pytest.raises(errors.GalleryError, match="read-only"), server_tables(server) as tables:
        tables._connection.execute("CREATE TABLE x (y text)")  # type: ignore[attr-defined]


def test_many_rows_come_in_pages(run_sql: Any, server: str, tmp_path: Path) -> None:
    fill_own(run_sql, "vector(128)", VECTORS[:, :128])
    run_sql(
        "INSERT INTO \"My faces\" SELECT 'many', (SELECT array_agg(sin(g * h)) FROM "
        "generate_series(1, 128) h)::vector, 'x', g FROM generate_series(1, 1200) g"
    )
    people, _ = imported(server, OWN, tmp_path, "dlib-resnet")
    assert people["many"] == 1200


def test_the_command_and_no_password(
    run_sql: Any, server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_own(run_sql, "vector(128)", VECTORS[:, :128])
    run = CommandLine(capsys)
    secret = server.replace("postgres:", "postgres:p4ssw0rd", 1)
    assert "p4ssw0rd" in secret
    columns = ("--table", "My faces", "--name-column", "Who?", "--embedding-column", "e")
    words = ("gallery", "import", tmp_path / "p.db", secret, "--embedder", "dlib-resnet")
    done = run(*words, *columns, "--metadata-column", "team", "--json")
    assert done.json["templates"] == 4
    assert done.json["unnamed"] == 2
    done = run(*words, *columns)
    assert done.out == "0 new, 4 known, of 2 subjects\n"
    assert "2 faces without a name left out" in done.err
    bad = run(*words, *columns[:2], "--name-column", "x", "--embedding-column", "e", code=3)
    away = secret.replace("@/", "@127.0.0.1:1/", 1).partition("?")[0]
    gone = run("gallery", "import", tmp_path / "p.db", away, *words[4:], *columns, code=3)
    odd = run(*words[:3], "postgresql://u:p4ss/w0rd@h/d", *words[4:], *columns, code=2)
    assert "postgresql://127.0.0.1:1/postgres: " in gone.err
    for each in (done, bad, gone, odd):
        assert "p4ss" not in each.out + each.err
    log = run("gallery", "show", tmp_path / "p.db", "p0").out
    assert "p4ss" not in log
    for words in (("--layout", "other"), ("--layout", "immich", "--table", "x"), ()):
        run(
            "gallery",
            "import",
            tmp_path / "p.db",
            server,
            "--embedder",
            "dlib-resnet",
            *words,
            code=2,
        )
    run("gallery", "import", tmp_path / "p.db", server, code=2)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no tables"),
        (b"PGDMP\x01\x0e", "no tables"),
        (b"INSERT INTO t VALUES ('ada', '[1]');\n", "no tables"),
        (b"COPY public.t (n, e) FROM stdin;\nada\t[1", "cut off"),
        (b"COPY public.t (n, e) FROM stdin;\nada\t[1]\n", "."),
        (b"COPY public.t (n, e) FROM stdin;\nada\n\\.\n", "damaged line"),
        (b"COPY public.t (n, e) FROM stdin;\n\xff\t[1]\n\\.\n", "after 0 faces"),
        (b"COPY a.t (n, e) FROM stdin;\n\\.\nCOPY b.t (n, e) FROM stdin;\n\\.\n", "several"),
        (b"COPY public.t (n, e) FROM stdin;\nada\t" + b"1" * (17 << 20) + b"\n\\.\n", "16 MiB"),
    ],
    ids=["empty", "custom", "inserts", "cut", "no-end", "cells", "utf8", "twice", "long"],
)
def test_damaged_dumps(content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "all.sql"
    path.write_bytes(content)
    table = SourceTable("", "t", "n", "e")
    refused(str(path), table, tmp_path, "dlib-resnet", errors.DatasetError, why)
    packed = tmp_path / "all.sql.gz"
    packed.write_bytes(gzip.compress(content)[:-4])
    refused(str(packed), table, tmp_path, "dlib-resnet", errors.DatasetError, ".")
