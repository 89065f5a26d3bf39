"""The site builds strictly, its links lead somewhere, it fits a phone and fetches nothing."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from page_kit import PHONE, look

ROOT = Path(__file__).resolve().parents[2]
markdown = pytest.importorskip("markdown", reason="markdown is not installed (extra `docs`)")
FETCHED = re.compile(
    r"<(?:script|img|iframe)[^>]*\ssrc=\"(https?:[^\"]+)|<link ([^>]*https?:[^>]*)>"
)


CODE = re.compile(r"<pre.*?</pre>", re.DOTALL)
RAW = re.compile(r"(?:<p>|\n)((?:[-*|]|\d+\.) .{,40})")
TOO_WIDE = """
const width = document.documentElement.clientWidth;
return document.documentElement.scrollWidth > width ? document.documentElement.scrollWidth : null;
"""


class Page(HTMLParser):
    """The anchors of a page, and what it links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors = {""}
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in ("id", "name"):
                self.anchors.add(value)
            elif value is not None and name in ("href", "src") and tag != "base":
                self.links.append(value)


def dead_links(pages: dict[Path, Page]) -> list[tuple[str, str]]:
    """Links to files that are not there, or to anchors that the page of that name lacks."""
    dead = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages.get(target)
            if not target.exists() or (known and unquote(parts.fragment) not in known.anchors):
                dead.append((path.name, link))
    return dead


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for module in ("material", "mkdocstrings"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed (extra `docs`)")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "-d",
            str(folder),
            "-f",
            str(ROOT / "mkdocs.yml"),
        ],
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_there(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    built = {path.relative_to(site).with_suffix(".md") for path in site.rglob("*.html")}
    assert pages <= built


def test_nothing_comes_from_elsewhere(site: Path) -> None:
    fetched = [
        (path.name, *found)
        for path in site.rglob("*.html")
        for found in FETCHED.findall(path.read_text("utf-8"))
        if 'rel="canonical"' not in found[1]
    ]
    assert fetched == []


def test_no_list_or_table_stays_text(site: Path) -> None:
    """Without a blank line before it a list is a paragraph here, and a list on GitHub."""
    found = []
    for path in site.rglob("*.html"):
        article = path.read_text("utf-8").partition("<article")[2].partition("</article")[0]
        found += [(path.name, line) for line in RAW.findall(CODE.sub("", article))]
    assert found == []


def test_the_reference_has_the_docstrings(site: Path) -> None:
    text = (site / "reference.html").read_text("utf-8")
    for words in ("analyze_many", "is_match", "enroll_many", "GalleryLockedError"):
        assert words in text


def test_no_internal_link_is_dead(site: Path) -> None:
    pages = {path: Page(path.read_text("utf-8")) for path in site.rglob("*.html")}
    assert len(pages) > 20 and sum(len(page.links) for page in pages.values()) > 1000
    missing = pages.pop(site / "404.html")  # shown at any address: its links begin at the root
    assert all(
        link.startswith(("/", "#", "https:", "data:")) or ":" in link for link in missing.links
    )
    assert dead_links(pages) == []


def test_no_link_of_the_pages_on_the_front_is_dead() -> None:
    """README and its neighbors, with anchors as hosts of repositories make them."""
    pages = {}
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        made = markdown.markdown(
            path.read_text("utf-8"), extensions=["tables", "fenced_code", "toc"]
        )
        pages[path] = Page(made)
    assert dead_links(pages) == []


def test_dead_links_are_found(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("")
    page = Page('<h1 id="b"></h1><a href="#b"></a><a href="#c"></a><a href="d.html"></a>')
    assert [link for _, link in dead_links({path: page})] == ["#c", "d.html"]


def test_every_page_fits_a_phone(site: Path, browser: Any) -> None:
    look(browser, PHONE, dark=False)
    wide = []
    for path in sorted(site.rglob("*.html")):
        browser.get(path.as_uri())
        if width := browser.execute_script(TOO_WIDE):
            wide.append((path.name, width))
    assert wide == []
