"""Names that no encoder takes, and characters that terminals obey."""

from __future__ import annotations

import json

import pytest

from faceprint._text import json_text, printable, shown, spreadsheet_cell


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain é 😀.jpg", "plain é 😀.jpg"),
        (b"caf\xe9.jpg".decode("utf-8", "surrogateescape"), r"caf\xe9.jpg"),
        ("\ud800.jpg", r"\ud800.jpg"),
        ("\udce9\udbff", r"\xe9\udbff"),
    ],
)
def test_what_is_not_utf8_is_escaped(name: str, expected: str) -> None:
    assert printable(name) == expected
    assert json.loads(json_text([name])) == [expected]


@pytest.mark.parametrize("evil", ["\x1b[2J", "\x9b2J", "\x07", "\x7f", "a\rb", "\u202egpj", "\x00"])
def test_control_characters_are_shown_and_not_obeyed(evil: str) -> None:
    assert evil not in shown(evil)
    assert shown(evil).isprintable()
    assert json.loads(json_text(evil)) == evil, "JSON holds the very text"
    assert json_text(evil).isprintable(), "and shows it as escapes"


def test_line_feeds_stay_where_lines_are_meant() -> None:
    assert shown("a\nb\tc") == r"a\nb\tc"
    assert shown("a\nb\tc\x1b", lines=True) == "a\nb\tc\\x1b"


def test_json_refuses_what_it_has_not() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        json_text({"a": float("nan")})
    assert json_text({"a": "é"}, separators=(",", ":")) == '{"a":"é"}'


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", "\n=1", "'=1", "''+1", "\uff1d1"]
)
def test_a_cell_that_would_be_a_formula_gets_an_apostrophe(text: str) -> None:
    assert spreadsheet_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "ada", "'t Hooft", "a=b", "3-1", " =1"])
def test_other_cells_are_the_text_itself(text: str) -> None:
    assert spreadsheet_cell(text) == text
