"""The contact sheet in a real Chromium: corrections clicked, downloaded, fed back and obeyed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from waiting import until

from faceprint.embedding_table.schema import EmbeddingTable
from faceprint.recognition.albums.corrections import Corrections
from faceprint.recognition.albums.corrections_file import read_corrections
from faceprint.recognition.albums.corrections_store import store_corrections
from faceprint.recognition.albums.faces import thumbnail
from faceprint.recognition.albums.people import Album, AlbumFace, Person
from faceprint.recognition.albums.sheet import write_sheet
from faceprint.recognition.albums.store import AlbumFile
from faceprint.recognition.albums.sync import sync_table
from faceprint.recognition.cluster import ClusterOptions, cluster_album
from faceprint.recognition.thresholds.merge_threshold import MergeThreshold

OPTIONS = ClusterOptions(threshold=0.4)
THRESHOLD = MergeThreshold.constant(0.4)


def show(browser, page: Path) -> None:
    browser.get(page.as_uri())
    until(lambda: browser.execute_script("return document.body.dataset.ready") == "yes")


def click(browser, element) -> None:
    # The bar at the foot covers what lies at the window's end; people scroll, so does this.
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def face_table() -> EmbeddingTable:
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.standard_normal((4, 64)), 5, axis=0) + 0.5 * rng.standard_normal((20, 64))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    picture = thumbnail(np.full((112, 112, 3), 120, np.uint8))
    return EmbeddingTable(
        tuple(f'p{i // 5}/</script>"{i % 5}.jpg' for i in range(20)),
        np.tile(np.float32([10, 10, 90, 90]), (20, 1)),
        np.ones(20, np.float32),
        np.tile(np.float32([80, 200, 0, 1]), (20, 1)),
        rows,
        "some-model",
        (picture,) * 20,
    )


def test_corrections_are_clicked_downloaded_fed_back_and_obeyed(browser, tmp_path):
    from selenium.webdriver.common.by import By

    with AlbumFile(tmp_path / "a.db") as file:
        sync_table(file, face_table())
        before = cluster_album(file, Corrections(), OPTIONS)
    page = tmp_path / "index.html"
    write_sheet(before, page)
    show(browser, page)
    one, two, three, four = before.people
    cards = {
        p.id: browser.find_element(By.CSS_SELECTOR, f'[data-person="{p.id}"]')
        for p in before.people
    }
    until(lambda: cards[one.id].find_elements(By.TAG_NAME, "img"))
    for person in (one, two):
        click(browser, cards[person.id].find_element(By.CLASS_NAME, "same"))
    browser.find_element(By.ID, "join").click()
    click(browser, cards[three.id].find_elements(By.CLASS_NAME, "face")[1])
    name = cards[four.id].find_element(By.TAG_NAME, "input")
    click(browser, name)
    name.send_keys("Ada <b>")
    assert browser.find_element(By.ID, "state").text == "1 face taken out, 1 join, 1 name"
    browser.find_element(By.ID, "download").click()
    download = tmp_path / "downloads" / "corrections.json"
    until(download.exists)

    with AlbumFile(tmp_path / "a.db") as file:
        assert store_corrections(file, read_corrections(download)) == ()
        after = cluster_album(file, Corrections(), OPTIONS)
    owner = {face.source: person for person in after.people for face in person.faces}
    assert {owner[face.source].id for face in (*one.faces, *two.faces)} == {one.id}
    out = three.faces[1].source
    rest = {owner[face.source].id for face in three.faces if face.source != out}
    assert rest == {three.id}
    assert owner[out].id not in rest
    assert {owner[face.source].name for face in four.faces} == {"Ada <b>"}
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_two_thousand_people_do_not_freeze_the_page(browser, tmp_path):
    picture = thumbnail(np.random.default_rng(0).integers(0, 255, (112, 112, 3), np.uint8))
    people = tuple(
        Person(i, "", tuple(AlbumFace(f"{i}-{j}.jpg", (0, 0, 9, 9), 1.0, 0.6, thumbnail=picture)
                            for j in range(3)))
        for i in range(1, 2001)
    )  # fmt: skip
    page = tmp_path / "big.html"
    write_sheet(Album(people, (), THRESHOLD, "some-model"), page)
    show(browser, page)
    count = "return document.querySelectorAll('section[data-person]').length"
    images = "return document.querySelectorAll('.face img').length"
    assert browser.execute_script(count) == 2000
    assert 0 < until(lambda: browser.execute_script(images)) < 400
    browser.execute_script("window.scrollTo(0, document.body.scrollHeight)")
    shown = "return document.querySelector('[data-person=\"2000\"] img') !== null"
    until(lambda: browser.execute_script(shown))
    assert browser.execute_script(images) < 400
    assert (
        json.loads(browser.execute_script("return JSON.stringify(corrections())"))["must_link"]
        == []
    )
