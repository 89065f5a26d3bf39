"""The page of the service in a real Chromium: compare, enroll, search, remove, by keyboard too."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import until

import faceprint

SAMPLES = Path(faceprint.__file__).parent / "samples"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a service without keys listens; it is told to stop at the end, and does."""
    folder = tmp_path_factory.mktemp("service")
    command = [sys.executable, "-m", "faceprint", "serve", "--no-auth", "--port", "0"]
    command += ["--gallery", str(folder / "people.db")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        line = running.stderr.readline()
        found = re.search(r"http://\S+", line)
        assert found, line
        yield found[0]
        running.terminate()
        running.communicate(timeout=60)
        assert running.returncode == -signal.SIGTERM  # as if it had not been caught


def find(browser: Any, css: str) -> Any:
    return browser.find_element("css selector", css)


def give(browser: Any, side: str, name: str) -> None:
    find(browser, f".photo[data-side={side}] input").send_keys(str(SAMPLES / name))


@pytest.mark.usefixtures("socket_enabled")
@pytest.mark.parametrize(
    "other, verdict", [("obama2.jpg", "Same person."), ("collins.jpg", "Two people.")]
)
def test_two_photographs_are_compared_as_the_library_does(
    other: str, verdict: str, browser: Any, address: str
) -> None:
    expected = faceprint.verify(SAMPLES / "obama.jpg", SAMPLES / other)
    browser.get(address)
    give(browser, "a", "obama.jpg")
    give(browser, "b", other)
    until(lambda: find(browser, "#answer").is_displayed())
    assert find(browser, "#verdict").text == verdict
    numbers = find(browser, "#numbers").text
    assert f"Similarity {expected.similarity:.4f}" in numbers
    assert f"threshold {expected.threshold:.4f}" in numbers
    assert "of pairs of two people matched" in find(browser, "#worth").text
    for crop in ("#crop-a", "#crop-b"):
        assert find(browser, crop).get_property("naturalWidth") > 100


@pytest.mark.usefixtures("socket_enabled")
def test_a_photograph_without_a_face_says_so(browser: Any, address: str, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (200, 200), (90, 90, 90)).save(tmp_path / "gray.png")
    browser.get(address)
    give(browser, "a", "obama.jpg")
    find(browser, ".photo[data-side=b] input").send_keys(str(tmp_path / "gray.png"))
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
