"""Finding one person: what decides, what is counted, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from gallery_kit import POINTS, FakeAnalyzer, card, vector

from faceprint.embedding_table.reader import embedder_of, read_photographs
from faceprint.embedding_table.schema import EmbeddingTable
from faceprint.errors import InputError, ModelMismatchError, NoFaceError, UsageError
from faceprint.recognition.find import find, person_search
from faceprint.types import AnalyzedImage, Embedding, Face, Quality

PHOTOGRAPHS = [b"ada/1", b"bob/1", b"noface", b"broken", b"ada/2", b"two:eve/1"]


def analyzer() -> Any:
    return FakeAnalyzer()


def cosine(a: bytes, b: bytes) -> float:
    return float(vector(a, card()).astype(float) @ vector(b, card()).astype(float))


def test_a_person_is_found_and_a_failure_is_no_silence() -> None:
    found = list(find(b"ada/0", PHOTOGRAPHS, analyzer=analyzer(), fmr=1e-3))
    assert [sighting.source for sighting in found] == [
        str(p) for p in (b"ada/1", b"broken", b"ada/2")
    ]
    assert found[0].similarity == pytest.approx(cosine(b"ada/0", b"ada/1"), abs=1e-6)
    assert found[0].to_dict()["threshold"] == 0.5
    assert found[1].error is not None and found[1].to_dict()["similarity"] is None


def test_of_several_faces_of_the_person_the_most_similar_counts() -> None:
    known = [b"ada/0", b"ada/9"]
    (found,) = find(known, [b"ada/1"], analyzer=analyzer(), threshold=0.0)
    best = max(cosine(one, b"ada/1") for one in known)
    assert found.similarity == pytest.approx(best, abs=1e-6)
    search = person_search(analyzer(), [*known, b"eve/1"], fmr=1e-3)
    assert search.doubtful() == [2]
    assert person_search(analyzer(), [b"two:ada/0", b"ada/1"], fmr=1e-3).face_counts == (2, 1)


def test_analyzed_photographs_are_not_analyzed_again() -> None:
    results = analyzer().analyze_many(PHOTOGRAPHS)
    assert len(list(find(b"ada/0", results, analyzer=analyzer(), fmr=1e-3))) == 3
    assert list(find(b"ada/0", [], analyzer=analyzer())) == []


def test_the_comparisons_are_counted() -> None:
    search = person_search(analyzer(), [b"ada/0", b"ada/9"], fmr=1e-2)
    list(search.look(analyzer().analyze_many(PHOTOGRAPHS)))
    assert (search.photographs, search.faces, search.comparisons) == (6, 5, 10)
    assert search.expected_false_matches == pytest.approx(0.1)
    assert person_search(analyzer(), [b"ada/0"], threshold=0.4).expected_false_matches is None


def test_an_fpir_grows_stricter_with_the_faces_of_the_person() -> None:
    one = person_search(analyzer(), [b"ada/0"], fpir=1e-2).point
    two = person_search(analyzer(), [b"ada/0", b"ada/1"], fpir=1e-2).point
    assert one.threshold == pytest.approx(POINTS[1].threshold)
    # 1 - (1 - FMR)^2 = 1e-2
    assert two.fmr == pytest.approx(1 - 0.99**0.5)
    assert two.threshold > one.threshold


def test_a_face_that_is_too_poor_decides_nothing() -> None:
    def face(value: float) -> Face:
        quality = Quality(50, 50, 0, value)
        embedding = Embedding(vector(b"ada/1", card()), "model-a", 1.0)
        return Face(np.zeros(4, np.float32), 0.9, None, quality, embedding)

    class Poor(FakeAnalyzer):
        def analyze(self, source: Any, *, keep_crops: bool = False) -> list[Face]:
            return [face(0.1)]

    with pytest.raises(InputError, match=r"quality 0\.10 is below 0\.50"):
        person_search(cast("Any", Poor()), [b"ada/0"], fmr=1e-3, min_quality=0.5)
    search = person_search(analyzer(), [b"ada/0"], fmr=1e-3, min_quality=0.5)
    photographs = [AnalyzedImage("poor", [face(0.1)]), AnalyzedImage("good", [face(0.9)])]
    assert [sighting.source for sighting in search.look(photographs)] == ["good"]
    assert (search.faces, search.poor) == (1, 1)


def test_what_can_not_be_meant_is_refused() -> None:
    with pytest.raises(NoFaceError, match="no face"):
        find(b"noface", PHOTOGRAPHS, analyzer=analyzer())
    with pytest.raises(UsageError, match="not both"):
        find(b"ada/0", PHOTOGRAPHS, analyzer=analyzer(), fmr=1e-3, fpir=1e-2)
    with pytest.raises(UsageError):
        find([], PHOTOGRAPHS, analyzer=analyzer())
    other = FakeAnalyzer(card("model-b")).analyze_many([b"ada/1"])
    with pytest.raises(ModelMismatchError, match="model-b"):
        list(find(b"ada/0", other, analyzer=analyzer()))


def test_a_table_gives_the_photographs_that_made_it(tmp_path: Path) -> None:
    faces = analyzer().analyze(b"two:ada/1")
    table = EmbeddingTable.from_faces(faces, "a.jpg")
    one = EmbeddingTable.from_faces(faces[:1], "b.jpg")
    whole = EmbeddingTable.concatenate([table, one])
    path = tmp_path / "t.npz"
    nothing = np.zeros((2, whole.vectors.shape[1]), np.float32)
    np.savez(
        path,
        source=np.asarray([*whole.sources, "c.jpg", "d.jpg"]),
        face=np.asarray([0, 1, 0, -1, -1]),
        embedding=np.concatenate([whole.vectors, nothing]),
        embedder=np.asarray(["model-a"] * 3 + ["", ""]),
        error=np.asarray(["", "", "", "", "damaged"]),
    )
    assert embedder_of(path) == "model-a"
    read = list(read_photographs(path))
    assert [(image.source, len(image.faces)) for image in read] == [
        ("a.jpg", 2),
        ("b.jpg", 1),
        ("c.jpg", 0),
        ("d.jpg", 0),
    ]
    assert [image.error is None for image in read] == [True, True, True, False]
    found = list(find(b"ada/0", read, analyzer=analyzer(), fmr=1e-3))
    assert [sighting.source for sighting in found] == ["a.jpg", "b.jpg", "d.jpg"]
