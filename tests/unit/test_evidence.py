"""No decision cites an error rate of another pair, and every pack decides: on cards alone."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gallery_kit import FakeAnalyzer, photograph
from gallery_kit import card as kit_card

from faceprint.embedding_table.schema import EmbeddingTable
from faceprint.errors import UsageError
from faceprint.evidence import evidence_words
from faceprint.recognition.cluster import merge_threshold_for
from faceprint.recognition.gallery import Gallery
from faceprint.recognition.thresholds.calibration_file import CalibrationFile
from faceprint.recognition.thresholds.calibrations import decide_by, keep_calibration, model_hashes
from faceprint.recognition.thresholds.fpir import search_point
from faceprint.recognition.thresholds.operating_points import (
    choose_point,
    known_points,
    measured_points,
)
from faceprint.types import Measurement, OperatingPoint
from faceprint.zoo import packs
from faceprint.zoo.card import CardOperatingPoint, ModelCard
from faceprint.zoo.card_points import has_measured_points, point_problems
from faceprint.zoo.catalog import all_cards, get_card

CARDS = all_cards()
PAIRS = [
    (detector, embedder)
    for detector in CARDS
    if detector.task == "detect"
    for embedder in CARDS
    if embedder.task == "embed"
]
RATES = (None, 1e-2, 1e-3, 1e-4)


@pytest.fixture(autouse=True)
def home(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))


def measured_with(embedder: ModelCard) -> set[str]:
    """Read from the card as it is, without the rule under test."""
    return {e.detector for e in embedder.operating_points if e.point.evidence != "published"}


def own_rates(embedder: ModelCard, detector: ModelCard) -> set[tuple[float, float | None]]:
    return {
        (e.point.threshold, e.point.fmr)
        for e in embedder.operating_points
        if e.detector == detector.id
    }


@pytest.mark.parametrize(("detector", "embedder"), PAIRS, ids=[f"{d.id}-{e.id}" for d, e in PAIRS])
def test_no_pair_cites_an_error_rate_of_another(detector: ModelCard, embedder: ModelCard) -> None:
    measured = detector.id in measured_with(embedder)
    assert bool(measured_points(embedder, detector.id)) == measured
    for fmr in RATES:
        try:
            point = choose_point(embedder, detector.id, fmr=fmr)
        except UsageError as error:
            assert "no threshold was measured" in str(error)
            assert not measured
            continue
        if measured:
            assert not point.provisional
            assert (point.threshold, point.fmr) in own_rates(embedder, detector)
            continue
        assert detector.landmarks, "no landmarks, so no threshold of another detector"
        assert point.provisional
        rates = (point.fmr, point.fmr_low, point.fmr_high, point.fnmr)
        assert rates == (None,) * 4
        assert point.measurements == ()
        assert point.source
        if point.evidence == "borrowed":
            assert f"nobody measured {embedder.id} with {detector.id}" in point.source
            assert all(lender in point.source for lender in measured_with(embedder))
            wanted = fmr or 1e-3
            lent = [e.point.threshold for e in embedder.operating_points if e.point.fmr == wanted]
            assert point.threshold == max(lent)
        else:
            assert (point.evidence, fmr) == ("published", None)


def test_some_pairs_are_of_each_kind() -> None:
    kinds = [known_points(embedder, detector.id).evidence for detector, embedder in PAIRS]
    assert {"measured", "copy", "borrowed", "published", None} <= set(kinds)


@pytest.mark.parametrize("name", [pack.name for pack in packs.all_packs()])
def test_every_pack_decides(name: str) -> None:
    pack = packs.get_pack(name)
    point = choose_point(get_card(pack.embedder), pack.detector)
    assert -1 < point.threshold < 1
    wanted = {
        "starter": ("measured", None),
        "mobileface": ("measured", None),
        "edgeface": ("copy", None),
        "buffalo-s": ("borrowed", None),
        "arcface": ("published", 0.5),
        "arcface-int8": ("published", 0.5),
        "sface": ("published", 0.363),
        "buffalo-l": ("published", 0.28),
    }
    evidence, threshold = wanted[name]
    assert point.evidence in (evidence, "copy" if name == "buffalo-s" else evidence)
    assert threshold in (None, point.threshold)
    search_point(known_points(get_card(pack.embedder), pack.detector), 1)


def test_what_was_measured_on_a_copy_is_not_lent_as_measured() -> None:
    known = known_points(get_card("w600k-mbf"), "retinaface-mnet025")
    assert known.evidence == "borrowed"
    assert known.choose().evidence == "borrowed"


@pytest.mark.parametrize("embedder", ["dlib-resnet", "sface", "w600k-mbf"])
def test_a_detector_without_landmarks_is_told_what_to_do(embedder: str) -> None:
    with pytest.raises(UsageError, match="gives no landmarks") as caught:
        choose_point(get_card(embedder), "ultraface-rfb-320")
    assert "--threshold" in str(caught.value)
    assert "faceprint calibrate" in str(caught.value)
    assert choose_point(get_card(embedder), "ultraface-rfb-320", threshold=0.0).threshold == 0.0


def test_a_pair_without_landmarks_that_was_measured_itself_decides() -> None:
    point = OperatingPoint(0.7, 1e-3, source="a test")
    card = replace(
        get_card("sface"), operating_points=(CardOperatingPoint("ultraface-rfb-320", point),)
    )
    assert choose_point(card, "ultraface-rfb-320") == point
    # It lends to nobody: aligned from the box, the same model has other similarities.
    with pytest.raises(UsageError, match="no threshold was measured"):
        choose_point(card, "mtcnn")


def test_mirror_images_that_the_card_does_not_ask_for_were_not_measured() -> None:
    known = known_points(get_card("mobileface"), "mtcnn", mirrored=True)
    assert known.evidence == "borrowed"
    assert "mobileface with mirror images" in known.choose().source


def test_a_detector_that_nobody_knows_gets_nothing() -> None:
    assert known_points(get_card("dlib-resnet"), "no-such-detector").points == ()


@pytest.mark.parametrize("card", CARDS, ids=[card.id for card in CARDS])
def test_no_packaged_card_contradicts_itself(card: ModelCard) -> None:
    assert point_problems(card) == []


def test_lint_sees_a_rate_that_the_point_does_not_keep() -> None:
    worst = Measurement("FaceScrub", 4e-3)
    points = (
        OperatingPoint(0.3, 1e-3, source="s", measurements=(worst,)),
        OperatingPoint(0.3, 1e-3, 2e-3, 3e-3, source="s"),
    )
    card = replace(
        get_card("sface"),
        operating_points=tuple(CardOperatingPoint("mtcnn", point) for point in points),
    )
    assert point_problems(card) == [
        "0.3 with mtcnn: fmr 0.001, but 0.004 on FaceScrub",
        "0.3 with mtcnn: fmr 0.001 is outside of 0.002 to 0.003",
    ]
    assert not has_measured_points(get_card("sface"))


# --- calibrations --------------------------------------------------------------------------------


def analyzer(embedder: str, detector: str) -> Any:
    return SimpleNamespace(
        embedder_card=get_card(embedder), detector_card=get_card(detector), mirror=False, name="x"
    )


def calibrate(name: str, models: Any, *rates: float) -> None:
    points = tuple(OperatingPoint(0.6, rate, 0.0, 2 * rate, 0.1, name) for rate in rates)
    keep_calibration(
        CalibrationFile(name, "x", model_hashes(models), points, details=({},) * len(points))
    )


@pytest.mark.parametrize(
    ("embedder", "detector", "before"),
    [
        ("sface", "yunet-2023mar", "published"),
        ("mobileface", "scrfd-500m", "borrowed"),
        ("mobileface", "ultraface-rfb-320", None),
    ],
)
@pytest.mark.parametrize("rate", [1e-3, 1e-2])
def test_a_calibration_replaces_what_nobody_measured(
    embedder: str, detector: str, before: str | None, rate: float
) -> None:
    models = analyzer(embedder, detector)
    if before is not None:
        assert decide_by(models).point.evidence == before
    calibrate("mine", models, rate)
    decision = decide_by(models)
    assert (decision.point.evidence, decision.point.fmr) == ("calibrated", rate)
    assert decision.calibration is not None
    assert not decision.point.provisional
    calibrate("other", models, rate)
    with pytest.raises(UsageError, match="say which: mine, other"):
        decide_by(models)


def test_a_calibration_does_not_replace_what_was_measured() -> None:
    models = analyzer("mobileface", "mtcnn")
    calibrate("mine", models, 1e-3)
    assert decide_by(models).point.evidence == "measured"


# --- searches ------------------------------------------------------------------------------------


def test_a_search_by_borrowed_points_tightens_and_claims_no_rate() -> None:
    known = known_points(get_card("mobileface"), "scrfd-500m")
    few, many = (search_point(known, count, 0.1) for count in (10, 1000))
    assert few.threshold < many.threshold
    for point in (few, many):
        assert (point.evidence, point.fmr, point.fmr_high) == ("borrowed", None, None)
        assert "nobody measured mobileface with scrfd-500m" in point.source
        assert "borrowed from mtcnn and yunet-2023mar" in point.name


def test_a_search_by_a_published_threshold_says_what_it_was_published_for() -> None:
    known = known_points(get_card("sface"), "yunet-2023mar")
    point = search_point(known, 250)
    assert (point.threshold, point.evidence, point.fmr) == (0.363, "published", None)
    assert "published for 1:1, not measured for a search among 250 templates" in point.name
    with pytest.raises(UsageError, match="an FPIR needs measured false match rates"):
        search_point(known, 250, 0.01)


def test_a_gallery_asks_the_same_rule(tmp_path: Any) -> None:
    published = OperatingPoint(0.4, name="published", source="s", evidence="published")
    model = replace(kit_card(), operating_points=(CardOperatingPoint("", published),))
    fake = FakeAnalyzer(model)
    with Gallery.open(tmp_path / "g.db", fake) as gallery:
        gallery.enroll("ada", photograph(tmp_path, "ada/1"))
        assert gallery.operating_point().provisional
        with pytest.raises(UsageError, match="FPIR"):
            gallery.operating_point(fpir=0.01)
        assert gallery.operating_point(threshold=0.2).evidence == "given"
        landmarks, fake.detector_card = (
            fake.detector_card,
            replace(fake.detector_card, landmarks=False),
        )
        with pytest.raises(UsageError, match="gives no landmarks"):
            gallery.operating_point()
        fake.detector_card = landmarks
        calibrate("mine", fake, 1e-1, 1e-2)
        assert gallery.operating_point(fpir=0.05).evidence == "calibrated"


# --- albums --------------------------------------------------------------------------------------


def faces(embedder: str, count: int = 3, yaw: float = 0.0) -> EmbeddingTable:
    rows = np.eye(count, 128, dtype=np.float32)
    quality = np.tile(np.asarray([60.0, 90.0, yaw, 0.8], np.float32), (count, 1))
    return EmbeddingTable(
        tuple(f"{i}.jpg" for i in range(count)),
        np.zeros((count, 4), np.float32),
        np.ones(count, np.float32),
        quality,
        rows,
        embedder,
        (None,) * count,
    )


@pytest.mark.parametrize(
    ("embedder", "detector", "basis", "words"),
    [
        ("mobileface", "mtcnn", "measured", "measured on"),
        ("w600k-mbf", "mtcnn", "copy", "copy of the weights"),
        ("mobileface", "scrfd-500m", "borrowed", "nobody measured mobileface with scrfd-500m"),
        ("mobileface", "", "borrowed", "not known which detector"),
        ("sface", "yunet-2023mar", "published", "published threshold 0.363"),
    ],
)
def test_a_small_album_says_what_it_goes_by(
    embedder: str, detector: str, basis: str, words: str
) -> None:
    demand = merge_threshold_for(faces(embedder), detector)
    assert demand.basis == basis
    assert words in demand.evidence
    assert demand.provisional == (basis in ("borrowed", "published"))
    given = merge_threshold_for(faces(embedder), detector, threshold=0.5)
    assert (given.alone, given.basis, given.provisional) == (0.5, "given", False)


@pytest.mark.parametrize(("detector", "yaw"), [("ultraface-rfb-320", 0.0), ("", np.nan)])
def test_an_album_of_faces_without_landmarks_borrows_nothing(detector: str, yaw: float) -> None:
    with pytest.raises(UsageError, match="no threshold was measured for mobileface"):
        merge_threshold_for(faces("mobileface", yaw=yaw), detector)


# --- answers -------------------------------------------------------------------------------------

LFW = Measurement("LFW", 9e-4, fnmr=0.05, group="two women", group_fmr=0.0034)
SCRUB = Measurement("FaceScrub", 1e-3, 8e-4, 1.3e-3, 0.07)


@pytest.mark.parametrize(
    ("point", "words"),
    [
        (
            OperatingPoint(0.3, 1e-3, source="r", measurements=(LFW, SCRUB)),
            "decided at FMR 0.001, measured on LFW (FMR 0.0009, between two women 0.0034, FNMR 5 %)"
            " and FaceScrub (FMR 0.001, FNMR 7 %)",
        ),
        (
            OperatingPoint(0.3, 1e-3, source="r", evidence="copy", measurements=(SCRUB,)),
            "decided at FMR 0.001, measured on a copy of the weights, on FaceScrub "
            "(FMR 0.001, FNMR 7 %)",
        ),
        (OperatingPoint(0.3, 1e-3, source="in a test"), "decided at FMR 0.001 (in a test)"),
        (
            OperatingPoint(
                0.5, name="published threshold 0.5", source="by X", evidence="published"
            ),
            "published threshold 0.5, by X; not measured here: provisional",
        ),
        (
            OperatingPoint(0.5, source="nobody measured a with b", evidence="borrowed"),
            "nobody measured a with b: provisional",
        ),
        (
            choose_point(get_card("sface"), "mtcnn", threshold=0.2),
            "threshold: given by the caller",
        ),
    ],
)
def test_evidence_in_one_line(point: OperatingPoint, words: str) -> None:
    assert evidence_words(point) == words


def test_evidence_as_json() -> None:
    both = OperatingPoint(0.3, 1e-3, source="r", measurements=(LFW, SCRUB)).to_dict()
    assert [row["data_set"] for row in both["measured_on"]] == ["LFW", "FaceScrub"]
    assert both["measured_on"][0]["group_fmr"] == 0.0034
    assert (both["evidence"], both["provisional"], both["source"]) == ("measured", False, "r")
    old = OperatingPoint(0.3, 1e-3, 5e-4, 2e-3, 0.1, source="LFW: r.json").to_dict()
    assert old["measured_on"][0]["data_set"] == "LFW: r.json"
    assert old["measured_on"][0]["fmr_high"] == 2e-3
    lent = choose_point(get_card("mobileface"), "scrfd-500m").to_dict()
    assert (lent["measured_on"], lent["provisional"]) == ([], True)
