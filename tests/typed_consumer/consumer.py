"""A program of a user, as type checkers read it: never run, checked against the installed package.

`assert_type` fails where a type is wider than it should be, `Any` above all. A line with
`type: ignore[...]` must be an error: mypy's `warn_unused_ignores` says so if it is none.
"""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import faceprint
from faceprint import errors

fp = faceprint.load("starter", threads=1)
assert_type(fp, faceprint.FaceAnalyzer)

faces = fp.analyze("photo.jpg")
assert_type(faces, list[faceprint.Face])
assert_type(faces[0].box, NDArray[np.float32])
assert_type(faces[0].score, float)
assert_type(faces[0].landmarks, NDArray[np.float32] | None)
assert_type(faces[0].embedding, faceprint.Embedding | None)
assert_type(faces[0].quality, faceprint.Quality | None)
if (embedding := faces[0].embedding) is not None:
    assert_type(embedding.vector, NDArray[np.float32])
    assert_type(faceprint.compare(embedding, embedding), float)

many = fp.analyze_many([Path("a.jpg"), b"bytes", np.zeros((8, 8, 3), np.uint8)], batch_size=8)
assert_type(many, Iterator[faceprint.AnalyzedImage])
for result in many:
    assert_type(result.source, str)
    assert_type(result.faces, list[faceprint.Face])
    assert_type(result.error, Exception | None)

answer = faceprint.verify("a.jpg", "b.jpg", fmr=1e-3, faces="all")
assert_type(answer, faceprint.Verification)
assert_type(answer.similarity, float)
assert_type(answer.is_match, bool)
assert_type(answer.operating_point, faceprint.OperatingPoint)

with faceprint.Gallery.open("people.db", fp, policy=faceprint.Policy()) as gallery:
    assert_type(gallery, faceprint.Gallery)
    for outcome in gallery.enroll("ada", "ada1.jpg", Path("ada2.jpg")):
        assert_type(outcome, faceprint.Enrolled | faceprint.Skipped)
    found = gallery.identify("photo.jpg", top=3)
    assert_type(found, faceprint.Identification)
    assert_type(found.subject, str | None)
    assert_type(found.candidates[0], faceprint.Match)
    assert_type(next(iter(gallery.subjects())), faceprint.Subject)

tracks = faceprint.analyze_video("film.mp4", fp, options=faceprint.VideoOptions())
assert_type(tracks, Generator[faceprint.Track, None, None])
for track in tracks:
    assert_type(track.subject, str | None)
    assert_type(track.start, float)

album = faceprint.cluster(fp.analyze_many(["a.jpg"]))
assert_type(album, faceprint.Album)
assert_type(album.people[0].faces[0].source, str)
for sighting in faceprint.find("ada.jpg", ["holiday"]):
    assert_type(sighting, faceprint.Sighting)

with faceprint.Client("http://127.0.0.1:8000", "key") as client:
    assert_type(client, faceprint.Client)
    assert_type(client.verify("a.jpg", "b.jpg"), faceprint.Verification)
    assert_type(client.identify("a.jpg", top=3), faceprint.Identification)
    assert_type(client.subjects(), Iterator[faceprint.Subject])
    assert_type(client.models(), dict[str, Any])
    client.identify("a.jpg", topmost=3)  # type: ignore[call-arg]

try:
    faceprint.decode(b"no photograph")
except errors.DecodeError as error:
    assert_type(error, errors.DecodeError)
    as_value_error: ValueError = error
except faceprint.FaceprintError as error:
    assert_type(error, errors.FaceprintError)

faceprint.verify("a.jpg", "b.jpg", faces="biggest")  # type: ignore[arg-type]
faceprint.load(threads="two")  # type: ignore[arg-type]
faceprint.compare(faces, faces)  # type: ignore[arg-type]
