"""One suite over every store and index: the same gallery, the same answers."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gallery_kit import FakeAnalyzer, card, vector
from postgres_server import addresses

from faceprint.errors import (
    GalleryCorruptError,
    GalleryError,
    GalleryLockedError,
    ModelMismatchError,
    UnknownSubjectError,
    UsageError,
)
from faceprint.recognition.gallery import Consent, Enrolled, Gallery, Policy
from faceprint.recognition.gallery.authenticated_store import AuthenticatedStore
from faceprint.recognition.gallery.crypto import Key
from faceprint.recognition.gallery.factory import open_store
from faceprint.recognition.gallery.records import Header, ModelPin, Subject, TemplateRow
from faceprint.recognition.gallery.vectors import pack
from faceprint.types import Identification, OperatingPoint

ANY = OperatingPoint(-1.0)
KINDS = (
    "sqlite+exact",
    "sqlite+exact-i8",
    "sqlite+signs",
    "sqlite+usearch",
    "postgres+pgvector",
    "postgres+exact",
)
STORES = ("sqlite", "postgres")
Opener = Callable[..., Gallery]


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    yield from addresses()


def _location(store: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if store == "sqlite":
        return str(tmp_path / "people.db")
    address = request.getfixturevalue("server")
    name = "t" + "".join(c if c.isalnum() else "_" for c in tmp_path.name.lower())[:60]
    return f"{address}&schema={name}"


@pytest.fixture(params=KINDS)
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    store, _, index = request.param.partition("+")
    if index == "usearch":
        pytest.importorskip("usearch", reason="faceprint[ann] is not installed")
    location = _location(store, request, tmp_path)
    chosen = {"pgvector": "auto"}.get(index, index)

    def opened(model: str = "model-a", **options: Any) -> Gallery:
        return Gallery.open(location, FakeAnalyzer(card(model)), index=chosen, **options)

    return opened


@pytest.fixture(params=STORES)
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return _location(request.param, request, tmp_path)


def a_key() -> Key:
    return Key(secrets.token_bytes(32))


def fill(gallery: Gallery, people: int = 30, each: int = 3) -> None:
    pairs = [(f"p{p:03}", f"p{p:03}/{n}".encode()) for p in range(people) for n in range(each)]
    assert all(isinstance(done, Enrolled) for done in gallery.enroll_many(pairs))


def answers(gallery: Gallery, probes: list[bytes], top: int = 3) -> list[Identification]:
    return gallery.identify_many([FakeAnalyzer().embedding(p) for p in probes], ANY, top=top)


def expected(
    people: int, each: int, fusion: str, probe: bytes, top: int
) -> list[tuple[str, float]]:
    """By brute force in float64."""
    model, scores = card(), {}
    for person in range(people):
        name = f"p{person:03}"
        rows = [vector(f"{name}/{n}".encode(), model).astype(float) for n in range(each)]
        near = [float(row @ vector(probe, model).astype(float)) for row in rows]
        scores[name] = max(near) if fusion == "max" else sum(near) / each
    return sorted(scores.items(), key=lambda item: -item[1])[:top]


@pytest.mark.parametrize("fusion", ["max", "mean"])
def test_every_engine_answers_as_brute_force_does(opener: Opener, fusion: str) -> None:
    probes = [f"p{p % 40:03}/probe {p}".encode() for p in range(60)]
    with opener(fusion=fusion) as gallery:
        fill(gallery)
        found = answers(gallery, probes)
    hits = 0
    for probe, answer in zip(probes, found, strict=True):
        wanted = expected(30, 3, fusion, probe, 3)
        names = [match.subject for match in answer.candidates]
        if names == [name for name, _ in wanted]:
            hits += 1
            got = [match.similarity for match in answer.candidates]
            assert got == pytest.approx([score for _, score in wanted], abs=1e-5)
    assert hits >= 0.99 * len(probes)


def test_a_gallery_survives_closing(opener: Opener) -> None:
    with opener() as gallery:
        fill(gallery)
        before = answers(gallery, [b"p004/x", b"nobody/1"])
    with opener() as gallery:
        after = answers(gallery, [b"p004/x", b"nobody/1"])
        assert gallery.counts() == {"subjects": 30, "templates": 90}
    for a, b in zip(before, after, strict=True):
        assert [(m.subject, m.template) for m in a.candidates] == [
            (m.subject, m.template) for m in b.candidates
        ]


def test_enrolling_twice_changes_nothing(opener: Opener) -> None:
    with opener() as gallery:
        first = gallery.enroll("ada", b"ada/1", b"noface", b"broken")
        second = gallery.enroll("ada", b"ada/1")
        assert isinstance(first[0], Enrolled) and isinstance(second[0], Enrolled)
        assert first[0].new and not second[0].new
        assert first[0].template == second[0].template
        assert len(gallery) == 1


def test_what_was_removed_is_found_no_more(opener: Opener) -> None:
    with opener() as gallery:
        fill(gallery, people=10)
        assert answers(gallery, [b"p003/x"])[0].candidates[0].subject == "p003"
        assert gallery.remove("p003") == 3
        found = answers(gallery, [b"p003/x"], top=10)[0]
        assert "p003" not in [match.subject for match in found.candidates]
        assert len(found.candidates) == 9
        gallery.enroll("p003", b"p003/0")
        assert answers(gallery, [b"p003/x"])[0].candidates[0].subject == "p003"
        assert gallery.verify() == []


@pytest.mark.parametrize("sealed", [False, True])
def test_people_are_added_and_renamed(sealed: bool, opener: Opener) -> None:
    key = a_key() if sealed else None
    with opener(key=key) as gallery:
        gallery.enroll("ada", b"p001/0", metadata={"a": 1})
        assert gallery.add_subject("grace").templates == 0
        assert gallery.add_subject("ada").templates == 1
        renamed = gallery.rename("ada", "Ada Lovelace")
        assert renamed.metadata == {"a": 1}
        with pytest.raises(UsageError, match="grace"):
            gallery.rename("Ada Lovelace", "grace")
        with pytest.raises(UnknownSubjectError):
            gallery.rename("ada", "somebody")
        assert [s.name for s in gallery.subjects()] == ["Ada Lovelace", "grace"]
    with opener(key=key) as gallery:
        assert answers(gallery, [b"p001/x"])[0].candidates[0].subject == "Ada Lovelace"
        assert gallery.show("grace")[1] == []
        assert gallery.verify() == []
        assert gallery.verify_audit().intact


@pytest.mark.parametrize("sealed", [False, True])
def test_two_subjects_become_one(sealed: bool, opener: Opener) -> None:
    key = a_key() if sealed else None
    with opener(key=key, policy=Policy(keep_crops=True)) as gallery:
        early = Consent("contract", "2025-01-31", "2990-01-01")
        late = Consent("written consent", "2025-01-31", "2999-01-01")
        gallery.enroll("ada", b"p001/0", metadata={"team": "blue"}, consent=late)
        gallery.enroll("lovelace", b"p001/1", metadata={"team": "red", "n": 1}, consent=early)
        gallery.enroll("countess", b"p001/2")
        before = answers(gallery, [b"p001/x"])[0].candidates
        merged = gallery.merge("ada", "lovelace", "countess")
        assert (merged.templates, merged.subject.templates) == (2, 3)
        assert merged.subject.metadata == {"team": "blue", "n": 1}
        assert merged.subject.consent == replace(late, expires=early.expires)
        assert len(merged.conflicts) == 2
        (after,) = answers(gallery, [b"p001/x"])[0].candidates
        assert (after.subject, after.similarity) == ("ada", before[0].similarity)
        assert [row.id for row in gallery.show("ada")[1]] == ["1", "2", "3"]
    with opener(key=key) as gallery:
        assert [s.name for s in gallery.subjects()] == ["ada"]
        assert answers(gallery, [b"p001/x"])[0].candidates[0].subject == "ada"
        own = gallery.person_data("ada")
        assert all(template["crop_png"] for template in own["templates"])
        assert [line["action"] for line in own["audit"]].count("merge") == 2
        assert gallery.verify() == []
        assert gallery.verify_audit().intact


def test_a_merge_that_is_refused_changes_nothing(opener: Opener) -> None:
    with opener(policy=Policy(max_templates=2)) as gallery:
        gallery.enroll("ada", b"p001/0", b"p001/1")
        gallery.enroll("grace", b"p002/0")
        before = list(gallery.subjects())
        with pytest.raises(UsageError, match="limit is 2"):
            gallery.merge("ada", "grace")
        with pytest.raises(UsageError, match="merged into itself"):
            gallery.merge("ada", "ada")
        with pytest.raises(UnknownSubjectError, match="nobody"):
            gallery.merge("grace", "ada", "nobody")
        assert list(gallery.subjects()) == before
        assert gallery.verify() == []


def test_what_would_be_removed_is_what_is_removed(opener: Opener) -> None:
    with opener() as gallery:
        fill(gallery, people=4, each=2)
        gallery.enroll("over", b"over/1", consent=Consent("contract", "2020-01-01", "2021-01-01"))
        would = gallery.removable("p001", templates=["1"], expired=True)
        assert would.subjects == ("over", "p001")
        assert set(would.templates) == {("1", "p000"), ("3", "p001"), ("4", "p001"), ("9", "over")}
        assert gallery.forgotten == frozenset()
        assert gallery.counts() == {"subjects": 5, "templates": 9}
        assert answers(gallery, [b"p001/x"])[0].candidates[0].subject == "p001"
        gallery.remove("p001")
        gallery.remove_template("1")
        gallery.expire()
        left = {row.id for s in gallery.subjects() for row in gallery.show(s.name)[1]}
        assert left == {str(n) for n in range(1, 10)} - {n for n, _ in would.templates}
        assert gallery.verify_audit().intact
        with pytest.raises(UnknownSubjectError):
            gallery.removable("p001")


def test_metadata_consent_and_hostile_names_come_back(opener: Opener) -> None:
    name = "Robert'); DROP TABLE templates;-- %s {} ünï"
    consent = Consent("written consent", "2025-01-31", "2999-01-01", "drawer 3")
    with opener() as gallery:
        metadata = {"n": 1, "text": "a\x00b %s"}
        gallery.enroll(name, b"bobby/1", metadata=metadata, consent=consent)
        (subject,) = gallery.subjects()
        assert (subject.name, subject.templates) == (name, 1)
        assert subject.metadata == metadata and subject.consent == consent


def test_a_gallery_moves_to_another_model(opener: Opener) -> None:
    with opener(policy=Policy(keep_crops=True)) as gallery:
        fill(gallery, people=6)
    with pytest.raises(ModelMismatchError):
        opener("model-b")
    with opener() as gallery:
        other = FakeAnalyzer(card("model-b"))
        gallery.migrate(other)
        found = gallery.identify_many([other.embedding(b"p002/x")], ANY)[0]
        assert found.candidates[0].subject == "p002"
        nearest = max(
            float(
                vector(f"p002/{n}".encode(), other.embedder_card)
                @ vector(b"p002/x", card("model-b"))
            )
            for n in range(3)
        )
        assert found.candidates[0].similarity == pytest.approx(nearest, abs=1e-5)
        assert gallery.verify() == []


def test_sealed_records_open_with_their_key_alone(opener: Opener) -> None:
    key, other = a_key(), a_key()
    with opener(key=key) as gallery:
        fill(gallery, people=5)
        assert answers(gallery, [b"p001/x"])[0].candidates[0].subject == "p001"
        clear = pack(vector(b"p001/0", card()))
        assert clear not in [row.vector for row in gallery.show("p001")[1]]
        assert gallery.verify() == []
        gallery.rekey(other)
    with pytest.raises(GalleryLockedError):
        opener(key=key)
    with opener(key=other) as gallery:
        assert answers(gallery, [b"p001/x"])[0].candidates[0].subject == "p001"
        gallery.rekey(None)
        assert answers(gallery, [b"p001/x"])[0].candidates[0].subject == "p001"
        assert clear in [row.vector for row in gallery.show("p001")[1]]
        assert gallery.verify() == []
        gallery.rekey(key)
        assert gallery.verify() == []


def test_two_writers_at_once(opener: Opener) -> None:
    opener().close()
    failures: list[BaseException] = []

    def work(writer: int) -> None:
        try:
            with opener(actor=f"writer {writer}") as gallery:
                for n in range(15):
                    gallery.enroll(f"w{writer}", f"w{writer}/{n}".encode())
                    gallery.enroll("shared", f"shared/{n}".encode())
        except GalleryError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with opener() as gallery:
        # Each photograph of the shared person is there once, whoever was first.
        assert gallery.counts() == {"subjects": 3, "templates": 45}
        report = gallery.verify_audit()
        assert report.intact and report.entries >= 46
        actors = {entry.actor for entry in gallery.audit()}
        assert {"writer 0", "writer 1"} <= actors
        assert answers(gallery, [b"w1/x"])[0].candidates[0].subject == "w1"


def store_at(location: str) -> AuthenticatedStore:
    pin = ModelPin("m", "0" * 64, 32, "arcface-112")
    return open_store(location, Header("1" * 32, pin, "max", Policy(), created="2025-01-01"))


def row(subject: int, text: str, crop: bytes | None = None) -> TemplateRow:
    content = text.encode().ljust(32, b".")
    blob = pack(vector(text.encode(), card()))
    return TemplateRow(subject, content, text, blob, (1, 2, 3, 4), 0.5, 2.0, "2025-01-02", crop)


def test_a_failed_change_leaves_nothing(location: str) -> None:
    store = store_at(location)
    with pytest.raises(ZeroDivisionError), store.write() as writer:
        writer.put_template(row(writer.put_subject(Subject("a", "u1")).key, "a/1"))
        writer.put_header(replace(writer.header(), generation=7))
        raise ZeroDivisionError
    assert list(store.subjects()) == [] and list(store.templates()) == []
    assert store.header().generation == 0
    store.raw.close()


def test_rows_come_back_as_they_went_in(location: str) -> None:
    store = store_at(location)
    with store.write() as writer:
        people = [writer.put_subject(Subject(n, n)) for n in ("b", "a", "é", "Z")]
        keys = [writer.put_template(row(people[0].key, f"b/{n}", b"crop")) for n in range(3)]
        assert keys == sorted(set(keys))
    assert [s.name for s in store.subjects()] == ["Z", "a", "b", "é"]  # by bytes, in every store
    (first, *_), wanted = store.templates(crops=True), row(people[0].key, "b/0", b"crop")
    for name in ("image_sha256", "source", "vector", "box", "quality", "norm", "created", "crop"):
        assert getattr(first, name) == getattr(wanted, name)
    assert [r.key for r in store.templates(after=keys[0])] == keys[1:]
    assert [r.key for r in store.templates_by_key([keys[2], 10**12])] == [keys[2]]
    assert store.raw.find_images([wanted.image_sha256, b"?" * 32]) == [
        (wanted.image_sha256, people[0].key, keys[0])
    ]
    assert store.raw.find_images([]) == [] and store.subjects_by_key([]) == {}
    held, owners = store.raw.keys()
    assert held.tolist() == keys and set(owners.tolist()) == {people[0].key}
    assert len(store.raw.keys(before="2025-01-02")[0]) == 0
    with store.write() as writer:
        assert writer.delete_templates([keys[2], 10**12]) == 1
    with store.write() as writer:
        # A number is never given twice, the last one's neither.
        assert writer.put_template(row(people[0].key, "b/9")) > keys[2]
        writer.delete_subject(people[0].key)
    assert list(store.templates()) == [] and store.raw.check() == []
    store.raw.close()


def test_the_same_photograph_twice_for_one_person_is_refused(location: str) -> None:
    store = store_at(location)
    with store.write() as writer:
        key = writer.put_subject(Subject("a", "u1")).key
        writer.put_template(row(key, "a/1"))
    with pytest.raises(GalleryError), store.write() as writer:
        writer.put_template(row(key, "a/1"))
    assert len(store.raw.keys()[0]) == 1
    store.raw.close()


def test_the_log_refuses_changes_by_sql(server: str) -> None:
    import psycopg

    with Gallery.open(f"{server}&schema=log", FakeAnalyzer()) as gallery:
        gallery.enroll("ada", b"ada/1")
        with psycopg.connect(server, autocommit=True) as connection:
            for change in ("DELETE FROM log.audit", "UPDATE log.audit SET actor = 'x'"):
                with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
                    connection.execute(change)
            # Whoever owns the table can disable the trigger; the chain shows it.
            connection.execute("ALTER TABLE log.audit DISABLE TRIGGER ALL")
            connection.execute("UPDATE log.audit SET actor = 'x' WHERE seq = 1")
        assert not gallery.verify_audit().intact


def test_the_servers_graph_is_used_and_holds_nothing_sealed(server: str) -> None:
    import psycopg

    key = a_key()
    with Gallery.open(f"{server}&schema=graph", FakeAnalyzer()) as gallery:
        fill(gallery, people=300, each=1)
        with psycopg.connect(server) as connection:
            connection.execute("SET search_path TO graph, public")
            connection.execute("SET enable_seqscan = off")
            plan = connection.execute(
                "EXPLAIN SELECT key FROM templates ORDER BY near <#> "
                "(SELECT near FROM templates LIMIT 1) LIMIT 5"
            ).fetchall()
        assert any("templates_near" in line for (line,) in plan)
        gallery.rekey(key)
        with psycopg.connect(server) as connection:
            query = "SELECT count(near), to_regclass('graph.templates_near') FROM graph.templates"
            assert connection.execute(query).fetchone() == (0, None)


def test_what_is_no_gallery_is_refused(server: str) -> None:
    import psycopg

    with pytest.raises(GalleryError, match="there is no gallery"):
        open_store(f"{server}&schema=nowhere", None)
    for name in ("pg_catalog", "a;b", 'a"b', "Upper", ""):
        with pytest.raises(UsageError):
            open_store(f"{server}&schema={name}", None)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA other")
        connection.execute("CREATE TABLE other.things (a int)")
    with pytest.raises(GalleryCorruptError, match="things"):
        store_at(f"{server}&schema=other")
    store_at(f"{server}&schema=newer").raw.close()
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("UPDATE newer.gallery SET version = 99")
    with pytest.raises(GalleryCorruptError, match="newer faceprint"):
        store_at(f"{server}&schema=newer")


def test_a_location_shows_no_password() -> None:
    pytest.importorskip("psycopg", reason="faceprint[postgres] is not installed")
    from faceprint.recognition.gallery.sql.postgres_connection import parse_address

    address = parse_address("postgresql://u:secret@h:1/db?schema=s&password=secret&sslmode=require")
    assert address.shown == "postgresql://h:1/db?schema=s" and "secret" not in repr(address)
    assert address.schema == "s" and "schema" not in address.conninfo
    assert "sslmode=require" in address.conninfo and "u:secret@h" in address.conninfo


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:SECRET%ZZ@127.0.0.1:1/db",
        "postgresql://u:SECRET/x@127.0.0.1:1/db",
        "postgresql://u:77/SECRET@127.0.0.1:1/db",
        "postgresql://u:SEC#RET@127.0.0.1:1/db",
        "postgresql://u:SEC?RET@127.0.0.1:1/db",
        "postgresql://u:SEC@RET@127.0.0.1:1/db",
        "postgresql://u@127.0.0.1:1/db?sslpassword=SECRET",
        "postgresql://u@127.0.0.1:1/db?password=SECRET&nonsense=1",
        "POSTGRESQL://u:SECRET@127.0.0.1:1/db",
        "Postgres://u:SECRET@127.0.0.1:1/db",
        "mysql://u:SECRET@127.0.0.1:1/db",
        "postgresql:/u:SECRET@127.0.0.1:1/db",
        "host=127.0.0.1 port=1 password=SECRET",
    ],
)
def test_no_message_holds_a_password(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("psycopg", reason="faceprint[postgres] is not installed")
    from faceprint.cli.app import main

    with pytest.raises(SystemExit) as ended:
        main(["gallery", "list", address])
    shown = capsys.readouterr()
    assert ended.value.code in (2, 3)
    assert not any(part in shown.out + shown.err for part in ("SECRET", "SEC", "RET"))


def test_parameters_reach_the_server_as_they_were_given(server: str) -> None:
    """A space is %20 for libpq, never a plus."""
    address = f"{server}&schema=spaced&options=-c%20statement_timeout%3D9s"
    with Gallery.open(address, FakeAnalyzer()) as gallery:
        gallery.enroll("ada", b"ada/1")
        assert "options" not in gallery.location and "schema=spaced" in gallery.location


@pytest.mark.parametrize("key", [None, Key(bytes(32))], ids=["clear", "sealed"])
def test_an_older_schema_is_brought_up_to_date(server: str, key: Key | None) -> None:
    import psycopg

    from faceprint.recognition.gallery.crypto import Sealer

    name = "old_sealed" if key else "old_clear"
    address = f"{server}&schema={name}"
    with Gallery.open(address, FakeAnalyzer()) as gallery:
        fill(gallery, people=4, each=2)
        header = gallery.header
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"SET search_path TO {name}, public")
        if key:  # sealed as version 1 did, with names in clear
            sealer = Sealer(key, header.uid, header.model.hash, version=1)
            rows = connection.execute(
                "SELECT t.key, vector, uid, content FROM templates t JOIN subjects s "
                "ON subject_key = s.key"
            ).fetchall()
            for number, vector_, uid, content in rows:
                sealed = sealer.seal(bytes(vector_), uid, bytes(content), "vector")
                change = "UPDATE templates SET vector = %s, near = NULL WHERE key = %s"
                connection.execute(change, (sealed, number))
            connection.execute("UPDATE gallery SET key_id = %s", (key.id,))
        for table, column in (("gallery", "digest"), ("gallery", "tag"), ("subjects", "tag")):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.execute("ALTER TABLE templates DROP COLUMN tag, DROP COLUMN crop_tag")
        connection.execute("UPDATE gallery SET version = 1")
    with Gallery.open(address, FakeAnalyzer(), key=key) as gallery:
        assert "older faceprint" in gallery.notices[0]
        assert answers(gallery, [b"p002/x"])[0].candidates[0].subject == "p002"
        assert [s.name for s in gallery.subjects()] == ["p000", "p001", "p002", "p003"]
    with Gallery.open(address, FakeAnalyzer(), key=key) as gallery:
        assert gallery.notices == () and gallery.verify() == []


def test_an_overwritten_entry_of_the_servers_index_is_found(server: str) -> None:
    import psycopg

    with Gallery.open(f"{server}&schema=near", FakeAnalyzer()) as gallery:
        fill(gallery, people=4, each=1)
        assert gallery.verify() == []
        with psycopg.connect(server, autocommit=True) as connection:
            change = (
                "UPDATE near.templates SET near = (SELECT near FROM near.templates WHERE key = 2)"
            )
            connection.execute(f"{change} WHERE key = 3")
        assert [p for p in gallery.verify() if "template 3" in p and "another vector" in p]


def test_a_row_that_was_changed_is_found_and_not_believed(
    opener: Opener, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    store = request.node.callspec.params["opener"].partition("+")[0]
    change = (
        "UPDATE templates SET vector = (SELECT vector FROM templates WHERE key = 1) WHERE key = 2"
    )
    with opener() as gallery:
        fill(gallery, people=4, each=1)
    if store == "sqlite":
        import sqlite3

        with sqlite3.connect(tmp_path / "people.db") as file:
            file.execute(change)
    else:
        import psycopg

        address, _, schema = _location(store, request, tmp_path).partition("&schema=")
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f"SET search_path TO {schema}")
            connection.execute(change)
    with opener() as gallery:
        assert any("template 2" in problem for problem in gallery.verify())
        with pytest.raises(GalleryCorruptError, match="template 2"):
            answers(gallery, [b"p000/x", b"p001/x"])
