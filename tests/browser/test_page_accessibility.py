"""axe-core finds nothing serious in any view of the page, on either screen, in either mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from page_kit import DESKTOP, PHONE, SAMPLES, compare, find, give, look, violations
from PIL import Image
from waiting import until

pytestmark = [
    pytest.mark.usefixtures("socket_enabled"),
    pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"]),
    pytest.mark.parametrize("width", [PHONE, DESKTOP], ids=["phone", "desktop"]),
]


def check(browser: Any) -> None:
    """Neither a violation, nor a page that is wider than the screen."""
    assert violations(browser) == []
    overflow = "return document.documentElement.scrollWidth - innerWidth"
    assert browser.execute_script(overflow) <= 0


def test_comparing(browser: Any, address: str, width: int, dark: bool, tmp_path: Path) -> None:
    look(browser, width, dark=dark)
    browser.get(address)
    check(browser)
    compare(browser, SAMPLES / "obama.jpg", SAMPLES / "obama2.jpg")
    check(browser)
    compare(browser, SAMPLES / "obama.jpg", SAMPLES / "collins.jpg")
    check(browser)
    Image.new("RGB", (200, 200), (90, 90, 90)).save(tmp_path / "gray.png")
    give(browser, "b", tmp_path / "gray.png")
    until(lambda: find(browser, "#message").is_displayed())
    check(browser)
    find(browser, "#key-button").click()
    until(lambda: find(browser, "#key-dialog").is_displayed())
    check(browser)


def test_the_gallery(browser: Any, address: str, width: int, dark: bool) -> None:
    look(browser, width, dark=dark)
    browser.get(f"{address}/#gallery")
    until(lambda: find(browser, "#people").text)
    check(browser)
    find(browser, "#enroll-form [name=name]").send_keys("Barack Obama")
    find(browser, "#enroll-form [name=images]").send_keys(str(SAMPLES / "obama.jpg"))
    find(browser, "#enroll-form button").click()
    until(lambda: "Barack Obama" in find(browser, "#people").text)
    find(browser, "#search-form [name=image]").send_keys(str(SAMPLES / "obama2.jpg"))
    find(browser, "#search-form button").click()
    until(lambda: "similarity 0." in find(browser, "#found").text)
    check(browser)
    find(browser, "#people .rename").click()
    until(lambda: find(browser, "#rename-dialog").is_displayed())
    check(browser)
    find(browser, "#rename-dialog [value=cancel]").click()
    until(lambda: not find(browser, "#rename-dialog").is_displayed())
    find(browser, "#people .danger").click()
    until(lambda: find(browser, "#confirm-dialog").is_displayed())
    check(browser)
    find(browser, "#confirm-dialog [value=yes]").click()
    until(lambda: "Nobody" in find(browser, "#people").text)


def test_the_models(browser: Any, address: str, width: int, dark: bool) -> None:
    look(browser, width, dark=dark)
    browser.get(f"{address}/#models")
    until(lambda: find(browser, "#points").text)
    check(browser)
    fault = "document.querySelector('#models').append(document.createElement('img'))"
    browser.execute_script(fault)
    assert "image-alt" in "".join(violations(browser))  # it would find one
