"""A calibration as a JSON file: what `calibrate` saves and `verify --fmr` reads."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from faceprint._files import atomic_write, read_bounded
from faceprint._text import json_text
from faceprint.errors import DatasetError, UsageError
from faceprint.recognition.json_reader import JsonReader
from faceprint.recognition.thresholds.score_map import Reliability, ScoreMap, Tail
from faceprint.types import Measurement, OperatingPoint

__all__ = ["CalibrationFile", "load_calibration", "save_calibration"]

_MOST_BYTES = 256 << 20

_FORMAT = "faceprint-calibration"
_VERSION = 1
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class CalibrationFile:
    """What is kept of a calibration.

    Attributes:
        name: lowercase letters, digits, dot, dash and underscore; it becomes a file name.
        pack: it was measured with. cards: card id to card hash; the points hold only for these.
        points: operating points, loosest first. details: counts and a sentence for each.
        refused, summary: sentences on what the data could not and could show.
        score_map, tail, reliability: what `verify` adds to a similarity; None if not fitted.
        provenance: everything needed to repeat it: data set, hashes, versions, machine, date.
    """

    name: str
    pack: str
    cards: Mapping[str, str]
    points: tuple[OperatingPoint, ...]
    refused: tuple[str, ...] = ()
    summary: tuple[str, ...] = ()
    score_map: ScoreMap | None = None
    tail: Tail | None = None
    reliability: Reliability | None = None
    provenance: Mapping[str, object] = field(default_factory=dict)
    details: tuple[Mapping[str, object], ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"{self.name!r} is not a name for a calibration; use small letters, digits, '.', "
                "'-' and '_', 64 at most, a letter or digit first"
            )
        points = tuple(_calibrated(point, self.name) for point in self.points)
        object.__setattr__(self, "points", points)

    def to_json(self) -> dict[str, object]:
        """As JSON values."""
        more = self.details or ({},) * len(self.points)
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "name": self.name,
            "pack": self.pack,
            "cards": dict(self.cards),
            "points": [
                {
                    "fmr": point.fmr,
                    "fmr_low": point.fmr_low,
                    "fmr_high": point.fmr_high,
                    "threshold": point.threshold,
                    "fnmr": point.fnmr,
                    "measured_on": [asdict(each) for each in point.measurements],
                    **extra,
                }
                for point, extra in zip(self.points, more, strict=True)
            ],
            "refused": list(self.refused),
            "summary": list(self.summary),
            "map": self.score_map
            and {
                "kind": self.score_map.kind,
                "prior": self.score_map.prior,
                "similarities": list(self.score_map.similarities),
                "probabilities": list(self.score_map.probabilities),
            },
            "tail": self.tail and asdict(self.tail),
            "reliability": self.reliability and asdict(self.reliability),
            "provenance": dict(self.provenance),
        }


def save_calibration(calibration: CalibrationFile, path: Path) -> None:
    """Write the file atomically.

    Raises:
        UsageError: a value that JSON cannot hold.
    """
    try:
        text = json_text(calibration.to_json(), indent=1)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the calibration cannot be written as JSON: {error}") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, text + "\n")


def load_calibration(path: Path) -> CalibrationFile:
    """Read and check a file that `save_calibration` wrote.

    Raises:
        DatasetError: not a calibration, of a later version, or with an invalid value.
    """
    try:
        value = json.loads(read_bounded(path, _MOST_BYTES).decode("utf-8"))
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not JSON ({error})") from error
    if not isinstance(value, dict) or value.get("format") != _FORMAT:
        raise DatasetError(f"{path}: not a calibration of faceprint")
    if value.get("version") != _VERSION:
        raise DatasetError(
            f"{path}: written in version {value.get('version')!r} of the format; this faceprint "
            f"reads version {_VERSION}. Calibrate again, or use the faceprint that wrote it"
        )
    reader = JsonReader(path)
    try:
        points = reader.rows(value, "points")
        return CalibrationFile(
            name=reader.text(value, "name"),
            pack=reader.text(value, "pack"),
            cards={str(k): reader.text(value["cards"], k) for k in reader.table(value, "cards")},
            points=tuple(_point(reader, row, reader.text(value, "name")) for row in points),
            refused=reader.texts(value, "refused"),
            summary=reader.texts(value, "summary"),
            score_map=_map(reader, value),
            tail=_tail(reader, value),
            reliability=_reliability(reader, value),
            provenance=reader.table(value, "provenance"),
            details=tuple({k: v for k, v in row.items() if k not in _POINT} for row in points),
        )
    except UsageError as error:
        raise DatasetError(f"{path}: {error}") from error


_POINT = ("fmr", "fmr_low", "fmr_high", "threshold", "fnmr", "measured_on")


def _calibrated(point: OperatingPoint, name: str) -> OperatingPoint:
    """The point with its evidence: it was measured on the user's own photographs."""
    measured = point.measurements
    if not measured and point.fmr is not None:
        rates = (point.fmr, point.fmr_low, point.fmr_high, point.fnmr)
        measured = (Measurement(f"calibration {name}", *rates),)
    return replace(point, evidence="calibrated", measurements=measured)


def _point(reader: JsonReader, row: Mapping[str, object], name: str) -> OperatingPoint:
    fmr, low, high, fnmr = (reader.number(row, k, 0, 1) for k in ("fmr", *_POINT[1:3], "fnmr"))
    threshold = reader.number(row, "threshold", -1.001, 1.001)
    if low > high:
        raise DatasetError(f"{reader.path}: fmr_low is above fmr_high")
    # Files of earlier versions do not have it.
    measured = reader.rows(row, "measured_on") if "measured_on" in row else []
    measurements = tuple(_measurement(reader, each) for each in measured)
    source = f"calibration {name}"
    return OperatingPoint(threshold, fmr, low, high, fnmr, name, source, "calibrated", measurements)


def _measurement(reader: JsonReader, row: Mapping[str, object]) -> Measurement:
    rates = {
        each.name: reader.number(row, each.name, 0, 1)
        for each in fields(Measurement)
        if each.name not in ("data_set", "group") and row.get(each.name) is not None
    }
    if "fmr" not in rates:
        raise DatasetError(f"{reader.path}: a measurement has no fmr")
    return Measurement(reader.text(row, "data_set"), group=reader.text(row, "group"), **rates)


def _map(reader: JsonReader, value: Mapping[str, object]) -> ScoreMap | None:
    if value.get("map") is None:
        return None
    table = reader.table(value, "map")
    kind = reader.text(table, "kind")
    if kind not in ("isotonic", "logistic"):
        raise DatasetError(f"{reader.path}: the map's kind is {kind!r}")
    x, y = reader.rising(table, "similarities"), reader.rising(table, "probabilities", 0, 1)
    if len(x) != len(y) or not x:
        raise DatasetError(f"{reader.path}: the map has {len(x)} knots and {len(y)} values")
    prior = reader.number(table, "prior", 0, 1)
    return ScoreMap("isotonic" if kind == "isotonic" else "logistic", x, y, prior)


def _tail(reader: JsonReader, value: Mapping[str, object]) -> Tail | None:
    if value.get("tail") is None:
        return None
    table = reader.table(value, "tail")
    x, y = reader.rising(table, "similarities"), reader.rising(table, "one_in", 1, math.inf)
    if len(x) != len(y):
        raise DatasetError(f"{reader.path}: the tail has {len(x)} knots and {len(y)} values")
    return Tail(x, y)


def _reliability(reader: JsonReader, value: Mapping[str, object]) -> Reliability | None:
    if value.get("reliability") is None:
        return None
    table = reader.table(value, "reliability")
    pairs = tuple(int(number) for number in reader.numbers(table, "pairs", 0, math.inf))
    predicted, observed = (reader.numbers(table, k, 0, 1) for k in ("predicted", "observed"))
    if not len(predicted) == len(observed) == len(pairs):
        raise DatasetError(f"{reader.path}: the columns of the reliability differ in length")
    return Reliability(predicted, observed, pairs, reader.number(table, "error", 0, 1))
