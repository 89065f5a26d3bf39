"""The report: whole, self-contained, escaped, honest; its figures are SVG that parses."""

from __future__ import annotations

import base64
import html.parser
import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from faceprint.errors import DatasetError, UsageError
from faceprint.evaluation.fold_accuracy import fold_accuracy
from faceprint.evaluation.report import (
    PairPicture,
    render_report,
    thumbnail,
    worst_pairs,
    write_report,
)
from faceprint.evaluation.result import About, EvaluationResult, group_rates, verification_result

pytest.importorskip("matplotlib", reason="the extra 'report' is not installed")
pytest.importorskip("jinja2", reason="the extra 'report' is not installed")

CONTRACT = {
    "accuracy", "accuracy_std", "auc", "eer", "tar_at_far", "folds", "pairs", "failed", "threshold",
}  # fmt: skip


def scores(n: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    mated = np.tile([True] * 10 + [False] * 10, n // 20)
    return np.clip(rng.normal(np.where(mated, 0.6, 0.1), 0.13), -1, 1), mated


def evaluated(groups: bool = True) -> tuple[EvaluationResult, np.ndarray, np.ndarray]:
    similarities, mated = scores()
    names = np.random.default_rng(5).choice(["A & <b>", "B $x$", "田中"], len(mated)).tolist()
    result = verification_result(
        similarities,
        mated,
        About(
            "lfw",
            "<script>alert(1)</script>",
            "starter",
            failed=2,
            reproduce={"cards": {"dlib-resnet": "ab12"}, "versions": ["numpy 2", "onnxruntime 1"]},
        ),
        accuracy=fold_accuracy(2 - 2 * similarities, mated, 10),
        groups=names if groups else None,
    )
    return result, similarities, mated


def jpeg(color: tuple[int, int, int], size: tuple[int, int] = (300, 200)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, "JPEG")
    return out.getvalue()


class Reader(html.parser.HTMLParser):
    """Balanced tags, every picture's source, and all text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            assert dict(attrs)["alt"]
            self.sources.append(str(dict(attrs)["src"]))
        if tag not in {"img", "meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_json_has_the_keys_of_the_contract() -> None:
    result, _, _ = evaluated()
    value = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert value.keys() >= CONTRACT
    assert (value["folds"], value["pairs"], value["failed"]) == (10, 2000, 2)
    assert value["threshold"] == pytest.approx(np.mean(fold_thresholds()))
    assert value["tar_at_far"]["0.01"] > 0.9
    # 1,000 non-mated pairs cannot show a FAR of 1e-3, and no number is made up for it.
    assert value["tar_at_far"]["0.001"] is None
    assert "cannot show" in value["tar_statements"]["0.001"]
    assert [group["group"] for group in value["groups"]] == ["A & <b>", "B $x$", "田中"]


def fold_thresholds() -> tuple[float, ...]:
    similarities, mated = scores()
    return fold_accuracy(2 - 2 * similarities, mated, 10).thresholds


def test_without_folds_the_threshold_is_that_of_the_equal_error_or_the_one_given() -> None:
    similarities, mated = scores()
    result = verification_result(similarities, mated, About("pairs", "mine", "starter"))
    assert (result.accuracy, result.folds) == (None, 0)
    assert result.rates.fmr.observed == pytest.approx(result.eer, abs=2e-3)
    fixed = verification_result(similarities, mated, About("pairs", "m", "s"), threshold=0.0)
    assert fixed.threshold == 0.0


def test_groups_are_counted_at_one_threshold() -> None:
    found = group_rates([0.9, 0.2, 0.8, 0.1], [True, True, False, False], ["x", "y", "y", "x"], 0.5)
    assert [(g.group, g.rates.fmr.errors, g.rates.fnmr.errors) for g in found] == [
        ("x", 0, 0),
        ("y", 1, 1),
    ]
    with pytest.raises(UsageError, match="group names"):
        group_rates([0.9], [True], ["x", "y"], 0.5)


def test_worst_pairs_come_worst_first() -> None:
    found = worst_pairs([0.9, 0.7, 0.8, 0.1, 0.3, 0.2], [0, 0, 1, 1, 1, 0], 0.5, count=2)
    assert found.false_matches == (0, 1)
    assert found.false_non_matches == (3, 4)
    assert worst_pairs([0.5], [0], 0.5).false_matches == (0,)


def test_a_whole_page_that_fetches_nothing(tmp_path: Path) -> None:
    result, similarities, mated = evaluated()
    wrong = [PairPicture("<i>Ada</i>", "Bob", 0.61, jpeg((200, 0, 0)), jpeg((0, 0, 200)))]
    missed = [PairPicture("Cyd \" onload='x'", "Cyd", 0.12)]
    page = render_report(result, similarities, mated, false_matches=wrong, false_non_matches=missed)
    reader = read(page)
    assert "script" not in reader.tags
    assert "link" not in reader.tags
    assert "<script>alert(1)</script>" in reader.text  # as text, and only so
    assert "<i>Ada</i>" in reader.text
    assert "i" not in reader.tags
    assert all(source.startswith("data:image/") for source in reader.sources)
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    assert {"A & <b>", "B $x$", "田中"} <= set(re.split(r"\n", reader.text)) | {
        name for name in ("A & <b>", "B $x$", "田中") if name in reader.text
    }
    for told in (
        "± ",
        "rules of 3 and of 30",
        "cards · dlib-resnet",
        "ab12",
        "in 2 pictures no face",
    ):
        assert told in reader.text
    figures = [s.split(",", 1)[1] for s in reader.sources if s.startswith("data:image/svg")]
    assert len(figures) == 6  # ROC, DET, histogram, groups, and two empty places
    for figure in figures:
        ElementTree.fromstring(base64.b64decode(figure))
    assert page == render_report(
        result, similarities, mated, false_matches=wrong, false_non_matches=missed
    )
    written, data = write_report(tmp_path / "out", page, result)
    assert written.read_text(encoding="utf-8") == page
    assert json.loads(data.read_text(encoding="utf-8"))["pairs"] == 2000


def test_perfect_and_hopeless_scores_can_be_drawn() -> None:
    mated = np.tile([True, False], 50)
    for similarities in (mated * 1.0, np.zeros(100), 1.0 - mated):
        result = verification_result(similarities, mated, About("pairs", "x", "y"))
        reader = read(render_report(result, similarities, mated))
        assert reader.text.count("None.") >= 1
        assert "nan" not in reader.text


def test_thumbnails_are_small_upright_squares() -> None:
    out = io.BytesIO()
    tall = Image.new("RGB", (400, 200), (255, 0, 0))
    tall.paste((0, 0, 255), (200, 0, 400, 200))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned: what is left in the file is up in the picture
    tall.save(out, "JPEG", exif=exif)
    with Image.open(io.BytesIO(thumbnail(out.getvalue(), 64))) as small:
        assert small.size == (64, 64)
        top, bottom = small.getpixel((32, 5)), small.getpixel((32, 58))
    assert isinstance(top, tuple)
    assert isinstance(bottom, tuple)
    assert top[0] > 200 > 60 > bottom[0]
    with pytest.raises(DatasetError, match="cannot be read"):
        thumbnail(b"no picture")
