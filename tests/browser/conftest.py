"""A real Chromium, where there is one."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest


def _missing(what: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, and CI must have it")
    pytest.skip(
        f"{what} is not installed: apt-get install chromium chromium-driver; pip install selenium"
    )


@pytest.fixture
def browser(tmp_path):
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError:
        _missing("selenium")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        _missing("chromium or chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(word)
    folder = tmp_path / "downloads"
    folder.mkdir()
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    opened = webdriver.Chrome(options=options, service=Service(driver))
    opened.set_window_size(1200, 900)
    yield opened
    opened.quit()


@pytest.fixture(scope="session")
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
