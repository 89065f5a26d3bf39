"""The page of the service in a real Chromium: compare, enroll, search, remove, by keyboard too."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from page_kit import DESKTOP, PHONE, SAMPLES, compare, find, give, look
from PIL import Image
from waiting import until

import faceprint
from faceprint.recognition.thresholds.default_threshold import model_points
from faceprint.vision.occlude import occlude


@pytest.mark.usefixtures("socket_enabled")
@pytest.mark.parametrize(
    "other, verdict", [("obama2.jpg", "Same person."), ("collins.jpg", "Two people.")]
)
def test_two_photographs_are_compared_as_the_library_does(
    other: str, verdict: str, browser: Any, address: str
) -> None:
    expected = faceprint.verify(SAMPLES / "obama.jpg", SAMPLES / other)
    browser.get(address)
    compare(browser, SAMPLES / "obama.jpg", SAMPLES / other)
    assert find(browser, "#verdict").text == verdict
    numbers = find(browser, "#numbers").text
    assert f"Similarity {expected.similarity:.4f}" in numbers
    assert f"threshold {expected.threshold:.4f}" in numbers
    assert "of pairs of two people matched" in find(browser, "#worth").text
    for crop in ("#crop-a", "#crop-b"):
        assert find(browser, crop).get_property("naturalWidth") > 100


@pytest.mark.usefixtures("socket_enabled")
def test_the_article_s_three_image_sets_give_the_similarities_of_the_command(
    browser: Any, address: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "faceprint", "demo", "--json", "--out", str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, check=True)
    expected = {line["name"]: line for line in json.loads(done.stdout)["sets"]}
    collins = faceprint.decode(SAMPLES / "collins.jpg")
    (face,) = faceprint.load().analyze(collins, embed=False)
    Image.fromarray(occlude(collins, face)).save(tmp_path / "covered.png")
    sets = {
        "same-person": (SAMPLES / "obama.jpg", SAMPLES / "obama2.jpg"),
        "two-people": (SAMPLES / "obama.jpg", SAMPLES / "collins.jpg"),
        "occluded": (SAMPLES / "collins.jpg", tmp_path / "covered.png"),
    }
    assert expected.keys() == sets.keys()
    shown = {}
    for name, photographs in sets.items():
        browser.get(f"{address}/?{name}")  # a new page, not the answer of the set before
        compare(browser, *photographs)
        shown[name] = find(browser, "#numbers").text
    assert shown == {
        name: f"Similarity {line['similarity']:.4f}, threshold {line['threshold']:.4f}"
        for name, line in expected.items()
    }


@pytest.mark.usefixtures("socket_enabled")
@pytest.mark.parametrize("width", [320, PHONE, DESKTOP])
@pytest.mark.parametrize("other", ["obama2.jpg", "collins.jpg"])
def test_every_operating_point_has_a_label_that_can_be_read(
    other: str, width: int, browser: Any, address: str
) -> None:
    look(browser, width, dark=False)
    browser.get(address)
    compare(browser, SAMPLES / "obama.jpg", SAMPLES / other)
    until(lambda: browser.find_elements("css selector", "#scale text"))
    labels = {text.text: text.rect for text in browser.find_elements("css selector", "#scale text")}
    for point in model_points(faceprint.load()).points:
        assert f"FMR {point.fmr:g} at {point.threshold:.4f}" in labels
    scale = find(browser, "#scale").rect
    for name, box in labels.items():
        assert box["height"] > 12
        assert box["x"] >= scale["x"] - 1, name
        assert box["x"] + box["width"] <= scale["x"] + scale["width"] + 1, name
    for one, other_one in combinations(labels.values(), 2):
        assert (
            one["x"] + one["width"] <= other_one["x"]
            or other_one["x"] + other_one["width"] <= one["x"]
            or one["y"] + one["height"] <= other_one["y"] + 1
            or other_one["y"] + other_one["height"] <= one["y"] + 1
        )


@pytest.mark.usefixtures("socket_enabled")
def test_a_photograph_without_a_face_says_so(browser: Any, address: str, tmp_path: Path) -> None:
    Image.new("RGB", (200, 200), (90, 90, 90)).save(tmp_path / "gray.png")
    browser.get(address)
    give(browser, "a", SAMPLES / "obama.jpg")
    give(browser, "b", tmp_path / "gray.png")
    until(lambda: find(browser, "#message").is_displayed())
    assert "no face found" in find(browser, "#message").text


@pytest.mark.usefixtures("socket_enabled")
def test_somebody_is_enrolled_found_and_removed(browser: Any, address: str) -> None:
    browser.get(f"{address}/#gallery")
    until(lambda: "Nobody" in find(browser, "#people").text)
    find(browser, "#enroll-form [name=name]").send_keys("<b>Barack</b>")
    find(browser, "#enroll-form [name=images]").send_keys(str(SAMPLES / "obama.jpg"))
    find(browser, "#enroll-form button").click()
    until(lambda: "<b>Barack</b>" in find(browser, "#people").text)
    find(browser, "#search-form [name=image]").send_keys(str(SAMPLES / "obama2.jpg"))
    find(browser, "#search-form button").click()
    until(lambda: "similarity 0." in find(browser, "#found").text)
    assert find(browser, "#found").text.startswith("<b>Barack</b>")

    find(browser, "#people .rename").click()
    until(lambda: find(browser, "#rename-dialog").is_displayed())
    assert browser.switch_to.active_element == find(browser, "#rename-name")
    find(browser, "#rename-name").clear()
    find(browser, "#rename-name").send_keys("Barack Obama\n")
    # The list is made anew: an element of the old one would be stale.
    until(lambda: find(browser, "#people").text.startswith("Barack Obama"))
    focused = "return document.activeElement.textContent"
    until(lambda: browser.execute_script(focused) == "Rename")

    find(browser, "#people .danger").click()
    until(lambda: find(browser, "#confirm-dialog").is_displayed())
    assert browser.switch_to.active_element.text == "Keep"  # Enter keeps
    find(browser, "#confirm-dialog [value=yes]").click()
    until(lambda: "Nobody" in find(browser, "#people").text)


@pytest.mark.usefixtures("socket_enabled")
def test_nothing_is_refused_by_the_policy_and_nothing_comes_from_elsewhere(
    browser: Any, address: str
) -> None:
    browser.get(f"{address}/#models")
    until(lambda: find(browser, "#points").text)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    names = "return performance.getEntriesByType('resource').map(entry => entry.name)"
    assert all(name.startswith(address) for name in browser.execute_script(names))
