"""What the tests of the service's page share."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import faceprint

__all__ = ["DESKTOP", "PHONE", "SAMPLES", "compare", "find", "give", "look", "violations"]

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


def violations(browser: Any) -> list[str]:
    """What axe-core finds serious or critical in what the page shows now, in words."""
    # The package drives another browser; only the script that it holds is used.
    script = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
    browser.execute_script(script)
    found = browser.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "axe.run({resultTypes: ['violations']}).then(done, (error) => done(String(error)));"
    )
    assert isinstance(found, dict), found
    assert len(found["passes"]) > 10  # it looked at something
    return [
        f"{fault['impact']}: {fault['id']}: {node['html']} {node['failureSummary']}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]
