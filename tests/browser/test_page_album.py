"""The page's album in a real Chromium: corrected, reopened after a restart, kept by the command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live_server import serving
from page_kit import DESKTOP, PHONE, find, look, violations
from waiting import until

from tests.album_kit import cluster_photographs, make_photographs

pytestmark = pytest.mark.usefixtures("socket_enabled")

CARDS = """
return Object.fromEntries([...document.querySelectorAll("#album-people > section")].map((card) => [
  card.querySelector("input[type=text]")?.value || card.dataset.person || "nobody",
  [...card.querySelectorAll(".open")].map((button) => button.textContent).sort(),
]));
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cluster_photographs(make_photographs(tmp_path / "photographs"), tmp_path / "people")
    return tmp_path


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a service with an album listens; no test corrects it."""
    folder = tmp_path_factory.mktemp("untouched")
    cluster_photographs(make_photographs(folder / "photographs"), folder / "people")
    with serving(folder / "log", "--no-auth", "--album", folder / "people") as (address, _):
        yield address


def show(browser: Any, address: str) -> None:
    browser.get("about:blank")
    browser.get(f"{address}/#album")
    until(lambda: find(browser, "#album").get_attribute("data-ready"))
    all_faces(browser)


def all_faces(browser: Any) -> None:
    """Wait for the faces, which the page makes once it knows which cards are near the window."""
    until(lambda: len(browser.find_elements("css selector", "#album-people .open")) == 5)


def cards(browser: Any) -> dict[str, list[str]]:
    """The photographs of each person, by name or number."""
    found: dict[str, list[str]] = browser.execute_script(CARDS)
    return found


def holder(browser: Any, photograph: str) -> Any:
    """The card that a photograph's face is in."""
    return browser.find_element(
        "xpath", f"//section[contains(@class, 'person')][.//button[text()='{photograph}']]"
    )


def press(browser: Any, element: Any, key: str) -> None:
    """Put the keyboard's focus on an element and press a key."""
    browser.execute_script("arguments[0].focus()", element)
    assert browser.switch_to.active_element == element
    element.send_keys(key)


def select_face(browser: Any, photograph: str) -> None:
    box = browser.find_element(
        "xpath", f"//li[.//button[text()='{photograph}']]//input[@type='checkbox']"
    )
    press(browser, box, " ")
    assert box.is_selected()


def said(browser: Any, words: str) -> None:
    """Wait until the bar says this, and then whatever is done has been shown."""
    until(lambda: find(browser, "#album-state").text.startswith(words))
    all_faces(browser)


def test_an_album_is_corrected_reopened_and_kept(browser: Any, folder: Path) -> None:
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.select import Select

    look(browser, DESKTOP, dark=False)
    with serving(folder / "log", "--no-auth", "--album", folder / "people") as (address, _):
        show(browser, address)
        start = cards(browser)
        assert sorted(start.values()) == [
            ["biden.jpg"], ["collins.jpg"], ["far away.jpg"], ["obama.jpg"], ["obama2.jpg"],
        ]  # fmt: skip
        until(lambda: len(browser.find_elements("css selector", ".face img")) == 5)
        for image in browser.find_elements("css selector", ".face img"):
            assert image.get_property("naturalWidth") == 96

        # A name is stored when its field is left, and the keyboard goes on from there.
        one = holder(browser, "obama.jpg")
        name = one.find_element("css selector", "input[type=text]")
        press(browser, name, "Barack" + Keys.TAB)
        said(browser, f"Stored: name person {one.get_attribute('data-person')} Barack")
        assert browser.switch_to.active_element.get_attribute("type") == "checkbox"

        for photograph in ("obama.jpg", "obama2.jpg"):
            press(browser, holder(browser, photograph).find_element(
                "css selector", ".head input[type=checkbox]"), " ")  # fmt: skip
        press(browser, find(browser, "#album-merge"), Keys.ENTER)
        said(browser, "Stored: merge Barack")
        assert cards(browser)["Barack"] == ["obama.jpg", "obama2.jpg"]

        select_face(browser, "far away.jpg")
        press(browser, find(browser, "#album-give"), Keys.ENTER)
        until(lambda: find(browser, "#give-dialog").is_displayed())
        collins = holder(browser, "collins.jpg").get_attribute("data-person")
        Select(find(browser, "#give-person")).select_by_value(collins)
        find(browser, "#give-dialog [value=give]").click()
        said(browser, "Stored: give 1 face")
        assert cards(browser)[collins] == ["collins.jpg", "far away.jpg"]

        select_face(browser, "obama2.jpg")
        find(browser, "#album-not").click()
        said(browser, "Stored: take out 1 face")
        assert cards(browser)["nobody"] == ["obama2.jpg"]
        assert find(browser, "#album-undo").get_attribute("aria-label") == "Undo: take out 1 face"
        find(browser, "#album-undo").click()
        said(browser, "Undone: take out 1 face")
        assert cards(browser)["Barack"] == ["obama.jpg", "obama2.jpg"]

        select_face(browser, "biden.jpg")
        find(browser, "#album-give").click()
        until(lambda: find(browser, "#give-dialog").is_displayed())
        find(browser, "#give-name").send_keys("Joe", Keys.ENTER)
        said(browser, "Stored: give 1 face to Joe")
        # A name that is left for a button is stored first, and what is selected stays selected.
        select_face(browser, "obama2.jpg")
        name = holder(browser, "obama.jpg").find_element("css selector", "input[type=text]")
        name.clear()
        name.send_keys("Barack Obama")
        find(browser, "#album-not").click()
        said(browser, "Stored: take out 1 face")
        find(browser, "#album-undo").click()
        said(browser, "Undone: take out 1 face")
        corrected = cards(browser)
        assert corrected == {
            "Barack Obama": ["obama.jpg", "obama2.jpg"],
            collins: ["collins.jpg", "far away.jpg"],
            "Joe": ["biden.jpg"],
        }
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []

    with serving(folder / "log", "--no-auth", "--album", folder / "people") as (address, _):
        show(browser, address)
        assert cards(browser) == corrected
        assert not find(browser, "#album-undo").is_enabled()

    command = ["cluster", folder / "photographs", "--out", folder / "people", "--threshold", "0.98"]
    done = subprocess.run(
        [sys.executable, "-m", "faceprint", *map(str, command), "--json"],
        capture_output=True, check=True,
    )  # fmt: skip
    assert {
        person["name"] or str(person["id"]): sorted(
            Path(face["source"]).name for face in person["faces"]
        )
        for person in json.loads(done.stdout)["people"]
    } == corrected


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_every_state_is_accessible(browser: Any, untouched: str, width: int, dark: bool) -> None:
    from selenium.webdriver.common.keys import Keys

    look(browser, width, dark=dark)
    show(browser, untouched)
    select_face(browser, "far away.jpg")
    box = holder(browser, "biden.jpg").find_element("css selector", ".head [type=checkbox]")
    press(browser, box, " ")
    until(lambda: browser.find_elements("css selector", ".face img"))
    assert violations(browser) == []
    overflow = "return document.documentElement.scrollWidth - innerWidth"
    assert browser.execute_script(overflow) <= 0

    press(browser, find(browser, "#album-give"), Keys.ENTER)
    until(lambda: find(browser, "#give-dialog").is_displayed())
    assert violations(browser) == []
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    until(lambda: not find(browser, "#give-dialog").is_displayed())

    face = browser.find_element("xpath", "//button[text()='collins.jpg']")
    press(browser, face, Keys.ENTER)
    until(lambda: find(browser, "#photograph-dialog").is_displayed())
    assert violations(browser) == []
    image, frame = find(browser, "#photograph").rect, find(browser, "#photograph-frame").rect
    assert image["width"] > 200
    for side, length in (("x", "width"), ("y", "height")):
        assert image[side] < frame[side]
        assert frame[side] + frame[length] < image[side] + image[length]
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    until(lambda: not find(browser, "#photograph-dialog").is_displayed())
    assert browser.switch_to.active_element == face


def test_a_refusal_is_said_and_the_page_shows_what_is_stored(browser: Any, folder: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    (folder / "photographs" / "biden.jpg").unlink()
    with serving(folder / "log", "--no-auth", "--album", folder / "people") as (address, _):
        show(browser, address)
        press(browser, browser.find_element("xpath", "//button[text()='biden.jpg']"), Keys.ENTER)
        until(lambda: "no longer where it was" in find(browser, "#message").text)
        select_face(browser, "obama.jpg")
        find(browser, "#album-not").click()
        until(lambda: "must stay" in find(browser, "#message").text)
        assert ["obama.jpg"] in cards(browser).values()


def test_without_an_album_there_is_no_such_view(browser: Any, address: str) -> None:
    browser.get(f"{address}/#album")
    assert not find(browser, "#album-link").is_displayed()
    assert find(browser, "#compare").is_displayed()
