"""Tracks against a gallery: who is found, and how many strangers are taken for somebody.

    python benchmarks/video_tracks.py [--cache DIR] [--draws N] [--only SIDE]

Photographs and models come from ../shared. Each person's photographs become a clip
(_track_clips.py): moved, turned, zoomed, blurred, encoded as H.264, and analyzed by
`analyze_video`. Of people with several photographs one is kept out of the clip and can be enrolled.
In each draw 100 people are enrolled with it, and the tracks of 200 others are strangers'.

The threshold is a single face's at FPIR 1 % (`fpir_point`), from operating points measured on the
photographs of other people: LFW's folds 1 to 4 and one half of FaceScrub. The people of the test
are those of fold 5 and of the other half. `single_frames` are the analyzed frames of the same
clips, each decided alone; `plain_mean` is a track's mean embedding without the correction of
`identify_track`, whose exponent was chosen on clips of the fitting people: `fitting` has the false
match rate of tracks divided by that of single frames for exponents 0, 0.5 and 1.

In the first draw some of the clips go through a gallery on disk, to show that it is the same.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from _common import provenance, use_shared_models, write
from _track_clips import Person, Seen, encoded, holds_middle, people, watch
from numpy.typing import NDArray

from faceprint.evaluation.calibrate import calibrate
from faceprint.evaluation.datasets import Picture
from faceprint.evaluation.embeddings import EmbedOptions, embed_pictures
from faceprint.evaluation.intervals import wilson
from faceprint.evaluation.labeled_scores import LabeledScores, all_pairs
from faceprint.recognition.gallery import Gallery
from faceprint.recognition.thresholds.fpir import fpir_point
from faceprint.types import OperatingPoint
from faceprint.video.analyze import analyze_video
from faceprint.video.options import VideoOptions
from faceprint.vision.analyzer import FaceAnalyzer, load

FPIR, ENROLLED, STRANGERS = 1e-2, 100, 200
TARGETS = (1e-2, 1e-3, 1e-4, 1e-5)
EXPONENTS = (0.0, 0.5, 1.0)
SIDES = {
    "starter": ("mtcnn", "dlib-resnet"),
    "yunet-2023mar + w600k-mbf": ("yunet-2023mar", "w600k-mbf-dequant"),
}
_FITTING, _TEST = 240, 420
"""Numbers of clips; people with several photographs come first."""
_THROUGH_GALLERY = 60

Clips = list[tuple[Person, Seen]]


def main() -> int:
    """Measure both sides and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, help="keeps embeddings between runs")
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--only", choices=tuple(SIDES), help="one side, not written anywhere")
    given = parser.parse_args()
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        use_shared_models(Path(folder))
        for name in [given.only] if given.only else SIDES:
            detector, embedder = SIDES[name]
            fp = load(detector=detector, embedder=embedder)
            cache = (given.cache or Path(folder) / "cache") / embedder
            rows[name] = _measure(fp, cache, given.draws, Path(folder))
            print(json.dumps({name: rows[name]}, indent=2), file=sys.stderr, flush=True)
    if given.only:
        return 0
    write(
        "video_tracks",
        {
            **provenance("av"),
            "protocol": f"LFW and FaceScrub: {ENROLLED} people enrolled with one photograph, "
            f"tracks of these and of {STRANGERS} strangers",
            "fpir_asked": FPIR,
            "draws": given.draws,
            "rows": rows,
        },
    )
    return 0


def _measure(fp: FaceAnalyzer, cache: Path, draws: int, folder: Path) -> dict[str, Any]:
    everybody = sorted(people(), key=lambda person: person.enrolled is None)
    fitting = [person for person in everybody if person.fitting]
    points = _points(fp, fitting, cache)
    point = fpir_point(points, ENROLLED, FPIR, model=fp.embedder_card.id)
    fit = _watched(fp, _spread(fitting, _FITTING), cache, folder)
    test = _watched(
        fp, [person for person in everybody if not person.fitting][:_TEST], cache, folder
    )
    chosen = [_draw(test, seed) for seed in range(draws)]
    kinds = {
        "tracks": [_rates(test, *draw, point.threshold, 0.5) for draw in chosen],
        "plain_mean": [_rates(test, *draw, point.threshold, 0.0) for draw in chosen],
        "single_frames": [_frame_rates(test, *draw, point.threshold) for draw in chosen],
    }
    first = kinds["tracks"][0]
    wrong = round(first["fpir"] * STRANGERS)
    low, high = wilson(wrong, STRANGERS)
    return {
        "clips": {"fitting": len(fit), "test": len(test)},
        "no_track": sum(not seen.tracks for _, seen in test),
        "undecidable": sum(bool(np.isnan(seen.mean[0])) for _, seen in test),
        "several_tracks": sum(int(seen.tracks) > 1 for _, seen in test),
        "points_fmr": [p.fmr for p in points],
        "threshold": round(point.threshold, 4),
        "first_draw": first
        | {
            "strangers_matched": wrong,
            "fpir_interval": [round(low, 4), round(high, 4)],
            "asked_lies_within": low <= FPIR <= high,
            "single_frames": kinds["single_frames"][0],
            "in_a_gallery": _through_gallery(fp, test, *chosen[0], point, folder),
        },
        "all_draws": {kind: _summary(runs) for kind, runs in kinds.items()},
        "fitting": _false_match_ratios(fit, [p.threshold for p in points]),
    }


def _spread(chosen: Sequence[Person], count: int) -> list[Person]:
    """So many people, evenly over the list."""
    return [chosen[index * len(chosen) // count] for index in range(count)]


def _points(fp: FaceAnalyzer, fitting: Sequence[Person], cache: Path) -> list[OperatingPoint]:
    """Operating points of single photographs of the fitting people."""
    scores: dict[str, LabeledScores] = {}
    for name in ("lfw", "facescrub"):
        folders = [p.shown[0].parent for p in fitting if p.shown[0].parents[1].name == name]
        paths = [path for folder in sorted(folders) for path in sorted(folder.glob("*.jpg"))]
        pictures = [Picture(f"{path.parent.name}/{path.name}", path) for path in paths]
        made = embed_pictures(
            pictures, fp, EmbedOptions(face="central"), folder=cache / "photographs"
        )
        names = np.asarray([path.parent.name for path in paths])[made.found]
        scores[name] = all_pairs(made.vectors[made.found], np.unique(names, return_inverse=True)[1])
    made_points = calibrate(scores, TARGETS, replicates=100).points
    return [each.operating_point("", "people not in this test") for each in made_points]


def _watched(fp: FaceAnalyzer, chosen: Sequence[Person], cache: Path, folder: Path) -> Clips:
    """What is seen of each person; kept in the cache."""
    found: Clips = []
    cache.mkdir(parents=True, exist_ok=True)
    for done, person in enumerate(chosen):
        place = cache / f"{person.name}.npz"
        if not place.exists():
            seen = watch(fp, person, folder)
            np.savez(place, **{f.name: getattr(seen, f.name) for f in fields(Seen)})
        with np.load(place) as kept:
            found.append((person, Seen(**kept)))
        if done % 50 == 0:
            print(f"{fp.embedder_card.id}: {done} of {len(chosen)}", file=sys.stderr, flush=True)
    return found


def _draw(clips: Clips, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the enrolled people and of the strangers."""
    rng = np.random.default_rng(seed)
    can = [row for row, (_, seen) in enumerate(clips) if np.isfinite(seen.enrolled[0])]
    enrolled = rng.permutation(can)[:ENROLLED]
    others = np.setdiff1d(np.arange(len(clips)), enrolled)
    return enrolled, rng.permutation(others)[:STRANGERS]


def _rates(
    clips: Clips,
    enrolled: NDArray[np.int64],
    strangers: NDArray[np.int64],
    threshold: float,
    exponent: float,
) -> dict[str, float]:
    """TPIR and FPIR with one trial per track; a track that can't decide matches nobody."""
    gallery = np.stack([clips[row][1].enrolled for row in enrolled])

    def similar(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        means = np.stack([clips[row][1].mean for row in rows])
        scale = np.asarray([float(clips[row][1].agreement) ** exponent for row in rows])
        return np.asarray(np.nan_to_num(means @ gallery.T, nan=-1.0) * scale[:, None], np.float32)

    mated, others = similar(enrolled), similar(strangers)
    right = mated.argmax(1) == np.arange(len(enrolled))
    return {
        "tpir": round(float((right & (mated.max(1) >= threshold)).mean()), 4),
        "fpir": round(float((others.max(1) >= threshold).mean()), 4),
    }


def _frame_rates(
    clips: Clips, enrolled: NDArray[np.int64], strangers: NDArray[np.int64], threshold: float
) -> dict[str, float]:
    """The same with one trial per analyzed frame; each person counts the same."""
    gallery = np.stack([clips[row][1].enrolled for row in enrolled])
    tpir, fpir = [], []
    for own, row in enumerate(enrolled):
        scores = np.nan_to_num(clips[row][1].frames @ gallery.T, nan=-1.0)
        tpir.append(((scores.argmax(1) == own) & (scores.max(1) >= threshold)).mean())
    for row in strangers:
        scores = np.nan_to_num(clips[row][1].frames @ gallery.T, nan=-1.0)
        fpir.append((scores.max(1) >= threshold).mean())
    return {"tpir": round(float(np.mean(tpir)), 4), "fpir": round(float(np.mean(fpir)), 4)}


def _summary(runs: Sequence[dict[str, float]]) -> dict[str, Any]:
    fpir = np.asarray([run["fpir"] for run in runs])
    return {
        "tpir_mean": round(float(np.mean([run["tpir"] for run in runs])), 4),
        "fpir_mean": round(float(fpir.mean()), 4),
        "fpir_range": [float(fpir.min()), float(fpir.max())],
        "draws_whose_interval_reaches_the_fpir_asked": int(
            sum(wilson(round(rate * STRANGERS), STRANGERS)[0] <= FPIR for rate in fpir)
        ),
    }


def _false_match_ratios(clips: Clips, thresholds: Sequence[float]) -> list[dict[str, Any]]:
    """The FMR of tracks divided by that of single frames, at each operating point."""
    usable = [(p, s) for p, s in clips if np.isfinite(s.mean[0])]
    own = np.asarray([row for row, (_, s) in enumerate(usable) if np.isfinite(s.enrolled[0])])
    gallery = np.stack([usable[row][1].enrolled for row in own])
    rows = []
    for threshold in thresholds:
        single, track = [], {exponent: list[float]() for exponent in EXPONENTS}
        for row, (_, seen) in enumerate(usable):
            others = gallery[own != row]
            frames = seen.frames[np.isfinite(seen.frames[:, 0])]
            single.append(float((frames @ others.T >= threshold).mean()) if len(frames) else 0.0)
            for exponent, rates in track.items():
                scale = float(seen.agreement) ** exponent
                rates.append(float((seen.mean @ others.T * scale >= threshold).mean()))
        rate = float(np.mean(single))
        ratios = {
            f"exponent_{exponent:g}": round(float(np.mean(rates)) / rate, 2) if rate else None
            for exponent, rates in track.items()
        }
        rows.append({"threshold": round(threshold, 4), "single_frame_fmr": rate, **ratios})
    return rows


def _through_gallery(
    fp: FaceAnalyzer,
    clips: Clips,
    enrolled: NDArray[np.int64],
    strangers: NDArray[np.int64],
    point: OperatingPoint,
    folder: Path,
) -> dict[str, int]:
    """How many decisions of `analyze_video` with a gallery on disk are those of the arithmetic."""
    agree = 0
    shown = [*enrolled[: _THROUGH_GALLERY // 3], *strangers[: _THROUGH_GALLERY * 2 // 3]]
    matrix = np.stack([clips[row][1].enrolled for row in enrolled])
    names = [clips[row][0].name for row in enrolled]
    with Gallery.open(folder / f"{fp.embedder_card.id}.db", fp) as gallery:
        for row in enrolled:
            person = clips[row][0]
            gallery.enroll(person.name, person.enrolled, min_quality=0)
        for row in shown:
            person, seen = clips[row]
            tracks = analyze_video(
                encoded(person, folder), fp, gallery, options=VideoOptions(every=5, point=point)
            )
            middle = [track for track in tracks if holds_middle(track)]
            longest = max(middle, key=lambda track: len(track.times), default=None)
            scores = seen.mean @ matrix.T * float(seen.agreement) ** 0.5
            matches = bool(scores.max() >= point.threshold)  # not where it is NaN
            expected = names[int(scores.argmax())] if matches else None
            agree += (longest.subject if longest else None) == expected
    return {"clips": len(shown), "same_decision": agree}


if __name__ == "__main__":
    sys.exit(main())
