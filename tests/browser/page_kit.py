"""What the tests of the service's page share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faceprint

__all__ = ["DESKTOP", "PHONE", "SAMPLES", "compare", "find", "give", "look"]

SAMPLES = Path(faceprint.__file__).parent / "samples"
PHONE, DESKTOP = 360, 1200
"""Widths of a window in pixels."""


def find(browser: Any, css: str) -> Any:
    return browser.find_element("css selector", css)


def look(browser: Any, width: int, *, dark: bool) -> None:
    """Show the page on a screen of this width, in light or dark mode."""
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def give(browser: Any, side: str, photograph: Path) -> None:
    find(browser, f".photo[data-side={side}] input").send_keys(str(photograph))


def compare(browser: Any, a: Path, b: Path) -> None:
    """Compare two photographs on the page, which is open, and wait for the answer."""
    from waiting import until

    give(browser, "a", a)
    give(browser, "b", b)
    until(lambda: find(browser, "#answer").is_displayed())
