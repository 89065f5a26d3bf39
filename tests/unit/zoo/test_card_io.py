"""Cards: what is read, what is refused, and what goes round unchanged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from example_card import CARD, SHA
from hypothesis import given
from hypothesis import strategies as st

from faceprint.errors import CardError
from faceprint.types import Measurement, OperatingPoint
from faceprint.zoo.card import CardOperatingPoint, License, ModelCard, PublishedFigure
from faceprint.zoo.card_io import card_hash, card_toml, parse_card, read_card


def parse(text: str = CARD) -> ModelCard:
    return parse_card(text, where="mine.toml", origin="test")


def test_reads_what_the_card_says() -> None:
    card = parse()
    assert (card.id, card.dim, card.input.std) == ("my-model", 128, (128.0, 128.0, 128.0))
    assert card.file().urls == ("https://example.org/mine.onnx",)
    assert card.alignment is not None
    assert card.alignment.points[2] == (56.0252, 71.7366)
    assert card.pinned
    assert card.origin == "test"


REFUSED = {
    "not TOML": ("id =", "id = = ", "not TOML"),
    "unknown key": ('title = "Mine"', 'title = "Mine"\ntitel = "x"', "unknown key titel"),
    "unknown key inside": ("[input]", "[input]\nhue = 1", "unknown key input.hue"),
    "unknown key in a file": ("size = 10", "size = 10\nmd5 = 1", r"unknown key files\[0\]\.md5"),
    "missing id": ('id = "my-model"', "", "id is missing"),
    "empty title": ('title = "Mine"', 'title = " "', "title is empty"),
    "wrong type": ("dim = 128", 'dim = "128"', "dim must be a positive whole number"),
    "boolean for a number": ("dim = 128", "dim = true", "dim must be a positive whole number"),
    "negative size": ("size = 10", "size = -10", r"files\[0\]\.size must be a positive"),
    "task": ('task = "embed"', 'task = "classify"', "task is 'classify'"),
    "decoder": ('decoder = "vector"', 'decoder = "yolo"', "decoder is 'yolo'"),
    "decoder of the other task": ('"vector"', '"yunet"', "decoder is 'yunet'; .* vector"),
    "color": ('color = "RGB"', 'color = "rgb"', "input.color is 'rgb'"),
    "no color": ('color = "RGB"', "", "input.color is missing"),
    "two means": ("[127.5, 127.5, 127.5]", "[1, 2]", "input.mean must be three numbers"),
    "no std": ("std = [128, 128, 128]", "", "input.std must be three numbers"),
    "zero std": ("[128, 128, 128]", "[0, 1, 1]", "input.std must be above 0"),
    "nan": ("[128, 128, 128]", "[nan, 1, 1]", "input.std must be finite"),
    "normalized twice": ('color = "RGB"', 'color = "RGB"\nnormalized_inside = true', "input.mean"),
    "half a size": ("height = 112", "", "input.width and height come together"),
    "upper-case sha": (SHA, SHA.upper(), r"files\[0\]\.sha256 .* hexadecimal"),
    "short sha": (SHA, SHA[:63], r"files\[0\]\.sha256"),
    "file url": ("https://example.org", "file:///etc", r"files\[0\]\.urls holds 'file:"),
    "ftp url": ("https://", "ftp://", r"files\[0\]\.urls holds 'ftp:"),
    "password in a url": ("https://", "https://me:secret@", "a card is public"),
    "path in a name": ('name = "mine.onnx"', 'name = "../mine.onnx"', r"files\[0\]\.name"),
    "folder in a name": ('name = "mine.onnx"', 'name = "a/mine.onnx"', r"files\[0\]\.name"),
    "backslash in a name": ('name = "mine.onnx"', "name = 'a\\mine.onnx'", r"files\[0\]\.name"),
    "hidden name": ('name = "mine.onnx"', 'name = ".onnx"', r"files\[0\]\.name"),
    "path in the id": ('id = "my-model"', 'id = "../x"', "id is '../x'"),
    "no files": ("[[files]]", "[[published]]", "published|files"),
    "template": ('template = "arcface-112"', 'template = "arcface-113"', "alignment.points"),
    "template's points": (
        'template = "arcface-112"',
        'template = "arcface-112"\npoints = [[1,1],[2,2],[3,3],[4,4],[5,5]]',
        "are not those of arcface-112",
    ),
    "size against input": (
        "width = 112\nheight = 112",
        "width = 96\nheight = 96",
        "alignment.size",
    ),
    "license": ('commercial_use = "yes"', 'commercial_use = "maybe"', "license.commercial_use"),
    "no license": ('[license]\nweights = "MIT"\ncommercial_use = "yes"', "", "license is missing"),
}


@pytest.mark.parametrize("old, new, message", REFUSED.values(), ids=REFUSED)
def test_refuses_and_names_file_and_key(old: str, new: str, message: str) -> None:
    assert old in CARD
    with pytest.raises(CardError, match=message) as error:
        parse(CARD.replace(old, new))
    assert str(error.value).startswith("mine.toml: ")


def test_an_unpinned_file_is_fetched_over_https_alone() -> None:
    unpinned = CARD.replace(f'sha256 = "{SHA}"', "")
    assert not parse(unpinned).pinned
    with pytest.raises(CardError, match="without a sha256 only https"):
        parse(unpinned.replace("https://", "http://"))
    assert parse(CARD.replace("https://", "http://")).pinned


def test_a_member_may_not_lead_out_of_its_archive() -> None:
    archive = '\n[files.archive]\nname = "pack.zip"\nmember = "{}"\n'
    assert parse(CARD + archive.format("pack/mine.onnx")).file().archive is not None
    for member in ("../mine.onnx", "/mine.onnx", "a/../../mine.onnx", "a\\\\mine.onnx"):
        with pytest.raises(CardError, match=r"files\[0\]\.archive\.member"):
            parse(CARD + archive.format(member))


def test_mtcnn_needs_its_three_networks() -> None:
    text = CARD.replace('"embed"', '"detect"').replace('"vector"', '"mtcnn"')
    text = text.replace("dim = 128", "").replace('[alignment]\ntemplate = "arcface-112"', "")
    with pytest.raises(CardError, match="role onet, pnet, rnet"):
        parse(text)


def test_operating_points_are_checked() -> None:
    point = '\n[[operating_points]]\ndetector = "mtcnn"\nthreshold = {}\nfmr = {}\nsource = "s"\n'
    found = parse(CARD + point.format(0.3, 0.001)).operating_points[0]
    assert (found.detector, found.point.threshold, found.point.fmr) == ("mtcnn", 0.3, 0.001)
    with pytest.raises(CardError, match=r"operating_points\[0\]\.threshold"):
        parse(CARD + point.format(1.3, 0.001))
    with pytest.raises(CardError, match=r"operating_points\[0\]\.fmr "):
        parse(CARD + point.format(0.3, 2))


COPY = """
[[operating_points]]
detector = "mtcnn"
threshold = 0.3
fmr = 0.001
source = "s"
evidence = "copy"

[[operating_points.measured_on]]
data_set = "LFW"
fmr = 0.0009
fnmr = 0.02
group = "two women"
group_fmr = 0.003

[[operating_points.measured_on]]
data_set = "FaceScrub"
fmr = 0.001
fmr_low = 0.0008
fmr_high = 0.0013
fnmr_by_person = 0.06
"""
PUBLISHED = """
[[operating_points]]
threshold = 0.363
source = "a publication"
evidence = "published"
"""


def test_a_point_names_its_evidence_and_each_data_set() -> None:
    card = parse(CARD + COPY + PUBLISHED)
    copied, published = card.operating_points
    assert copied.point.evidence == "copy"
    assert copied.point.measurements == (
        Measurement("LFW", 0.0009, fnmr=0.02, group="two women", group_fmr=0.003),
        Measurement("FaceScrub", 0.001, 0.0008, 0.0013, fnmr_by_person=0.06),
    )
    assert (published.detector, published.point.evidence) == ("", "published")
    assert [point.provisional for point in (copied.point, published.point)] == [False, True]
    assert parse(card_toml(card)) == card
    # Galleries are pinned by the hash: points say what is known of a model, not what it does.
    assert card_hash(card) == card_hash(parse())


@pytest.mark.parametrize(
    ("text", "change", "message"),
    [
        (COPY, ('"copy"', '"borrowed"'), r"evidence is 'borrowed'; it must be one of"),
        (COPY, ("fnmr = 0.02", "fnmr = 2"), r"measured_on\[0\]\.fnmr is a share"),
        (COPY, ("fmr = 0.0009\n", ""), r"measured_on\[0\]\.fmr is missing"),
        (COPY, ('"FaceScrub"', '"LFW"'), "names one data set twice"),
        (COPY, ("group_fmr = 0.003\n", ""), "group_fmr come together"),
        (COPY, ('detector = "mtcnn"\n', ""), "detector is missing"),
        (COPY, ("fmr_low", "fmr_least"), "unknown key"),
        (PUBLISHED, ("threshold", "fmr = 0.001\nthreshold"), r"\.fmr does not go with"),
        (PUBLISHED, ('source = "a publication"\n', ""), "source is missing"),
    ],
)
def test_evidence_that_contradicts_itself_is_refused(
    text: str, change: tuple[str, str], message: str
) -> None:
    assert change[0] in text
    with pytest.raises(CardError, match=message):
        parse(CARD + text.replace(*change, 1))


def test_a_huge_or_binary_file_is_no_card(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CardError, match="not UTF-8"):
        read_card(path)
    path.write_bytes(b"#" * (2 << 20))
    with pytest.raises(CardError, match="over 1 MiB"):
        read_card(path)
    with pytest.raises(CardError, match="cannot be read"):
        read_card(tmp_path / "absent.toml")


TEXT = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\r"), min_size=1, max_size=30
).filter(str.strip)
NUMBER = st.floats(-1e6, 1e6, allow_nan=False)


@given(TEXT, TEXT, st.dictionaries(TEXT, NUMBER, max_size=3), st.lists(NUMBER, max_size=4), NUMBER)
def test_toml_goes_round(
    title: str, note: str, options: dict[str, float], golden: list[float], value: float
) -> None:
    card = replace(
        parse(),
        title=title,
        license=License(note, "unclear", note=note),
        options=options,
        golden=tuple(golden),
        published=(PublishedFigure("LFW", "accuracy", value, note),),
        operating_points=(
            CardOperatingPoint("mtcnn", OperatingPoint(0.25, fmr=1e-4, source=note)),
        ),
    )
    assert parse(card_toml(card, comments=["made by a test"])) == card


def test_the_hash_is_of_what_determines_the_embeddings() -> None:
    card = parse()
    same = [
        CARD.replace("Mine", "Other title"),
        CARD.replace('weights = "MIT"', 'weights = "Apache-2.0"'),
        CARD.replace("example.org", "example.net"),
        CARD.replace("my-model", "another-id"),
    ]
    other = [
        CARD.replace('"RGB"', '"BGR"'),
        CARD.replace("[128, 128, 128]", "[127.5, 127.5, 127.5]"),
        CARD.replace(SHA, SHA[::-1]),
        CARD.replace("[[files]]", "[options]\nsize = 1\n\n[[files]]"),
        CARD.replace('"arcface-112"', '"arcface-112"\nweights = [1, 1, 2, 1, 1]'),
    ]
    assert {card_hash(parse(text)) for text in same} == {card_hash(card)}
    hashes = {card_hash(parse(text)) for text in other}
    assert len(hashes) == len(other)
    assert card_hash(card) not in hashes


def test_the_hash_never_changes_its_form() -> None:
    # Galleries hold this value: a change of the canonical form would orphan all of them.
    assert card_hash(parse()) == "d9239cdc24a78c81a97ba8872f90dfa488dc6a014d191bd7b04c91e633aa9548"


@pytest.mark.parametrize("text", ["x = " + "[" * 2000 + "]" * 2000, "x = " + "{a=" * 2000])
def test_tables_nested_without_end_are_no_card(text: str) -> None:
    with pytest.raises(CardError, match=r"mine\.toml: not TOML"):
        parse(CARD.replace("dim = 128", text))


@pytest.mark.parametrize(
    ("key", "old"), [("width", "width = 112"), ("height", "height = 112"), ("dim", "dim = 128")]
)
def test_a_size_that_no_network_has_is_refused(key: str, old: str) -> None:
    with pytest.raises(CardError, match=rf"{key}.* is 100,000; 4,096 is the most"):
        parse(CARD.replace(old, f"{key} = 100000"))
