"""`Client`: asks a service what the Python API would answer, and returns the same values."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from faceprint._optional import require
from faceprint._problems import error_class
from faceprint.client.documents import (
    read_answer,
    read_box,
    read_face,
    read_identification,
    read_outcome,
    read_subjects,
    read_verification,
    upload,
)
from faceprint.errors import NoFaceError, ServiceError, UnknownSubjectError, UsageError
from faceprint.recognition.gallery.records import Consent, Outcome, Subject
from faceprint.types import Face, FaceRule, Identification, Verification
from faceprint.vision.images import ImageSource, describe

if TYPE_CHECKING:
    import httpx

__all__ = ["Client"]


class Client:
    """A service of `faceprint serve`, by the names of the Python API. Thread-safe.

    Photographs are paths, bytes, PIL images or RGB uint8 arrays. Their names stay on this machine.
    A busy service that says when to come back is asked once more.

    Args:
        address: such as `https://faces.example.com`.
        key: of `faceprint serve keys create`; None for a service without keys.
        timeout: seconds to wait for a connection, for each part of an answer, and before asking
            a busy service again.

    Raises:
        MissingExtraError: httpx is not installed.
        UsageError: the address is not one of HTTP.

    Every method raises the errors of the Python API (`NoFaceError`, `DecodeError`, `UsageError`
    ...), and `ServiceError` where the service gives no answer or refuses the key.
    """

    def __init__(self, address: str, key: str | None = None, *, timeout: float = 60.0) -> None:
        self._httpx: Any = require("httpx", extra="client")
        if not address.startswith(("http://", "https://")):
            raise UsageError(f"{address!r} is not an address such as http://127.0.0.1:8000")
        self._address, self._timeout = address.rstrip("/"), timeout
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        try:
            self._http: httpx.Client = self._httpx.Client(
                base_url=self._address, headers=headers, timeout=timeout
            )
        except (ValueError, self._httpx.InvalidURL) as error:
            raise UsageError(f"{address!r}: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def analyze(
        self, image: ImageSource, *, embed: bool = False, keep_crops: bool = False
    ) -> list[Face]:
        """The faces of a photograph, largest first.

        Args:
            embed: with embeddings; the key needs the scope `embed`.
            keep_crops: with aligned crops.
        """
        document = self._ask(
            "POST",
            "/v1/faces",
            params={"embed": embed, "crops": keep_crops},
            files=[upload("image", image)],
        )
        return read_answer(
            lambda: [read_face(e, document["embedder"] or "") for e in document["faces"]]
        )

    def verify(
        self,
        a: ImageSource,
        b: ImageSource,
        *,
        fmr: float | None = None,
        threshold: float | None = None,
        faces: FaceRule = "largest",
        keep_crops: bool = False,
        min_quality: float | None = None,
    ) -> Verification:
        """Compare the faces of two photographs; the arguments are those of `faceprint.verify`."""
        params = {"fmr": fmr, "threshold": threshold, "min_quality": min_quality}
        document = self._ask(
            "POST",
            "/v1/verify",
            params=params | {"faces": faces, "crops": keep_crops},
            files=[upload("a", a), upload("b", b)],
        )
        return read_answer(lambda: read_verification(document))

    def identify(
        self,
        image: ImageSource,
        *,
        top: int = 5,
        fpir: float | None = None,
        threshold: float | None = None,
        min_quality: float | None = None,
    ) -> Identification:
        """Who is the largest face of a photograph? The arguments are those of `Gallery.identify`.

        Raises:
            NoFaceError: there is no face.
        """
        found = self.identify_all(
            image, top=top, fpir=fpir, threshold=threshold, min_quality=min_quality
        )
        if not found:
            raise NoFaceError("no face found to identify")
        return found[0][1]

    def identify_all(
        self,
        image: ImageSource,
        *,
        top: int = 5,
        fpir: float | None = None,
        threshold: float | None = None,
        min_quality: float | None = None,
    ) -> list[tuple[tuple[float, float, float, float], Identification]]:
        """Box (x1, y1, x2, y2 in pixels) and answer of every face, largest first.

        The arguments are those of `Gallery.identify`.
        """
        params = {"fpir": fpir, "threshold": threshold, "min_quality": min_quality}
        document = self._ask(
            "POST",
            "/v1/identify",
            params=params | {"top": top},
            files=[upload("image", image)],
        )
        return read_answer(
            lambda: [
                (read_box(entry["box"]), read_identification(document, entry))
                for entry in document["faces"]
            ]
        )

    def enroll(
        self,
        subject: str,
        *images: ImageSource,
        metadata: Mapping[str, Any] | None = None,
        consent: Consent | None = None,
        faces: Literal["largest", "one"] = "largest",
        min_quality: float | None = None,
    ) -> list[Outcome]:
        """Enroll photographs of one person; the arguments are those of `Gallery.enroll`.

        Every photograph is answered for, once it is durable: `Enrolled`, or `Skipped` with the
        reason.
        """
        fields: dict[str, Any] = {"name": subject, "faces": faces}
        if min_quality is not None:
            fields["min_quality"] = min_quality
        if metadata is not None:
            fields["metadata"] = json.dumps(dict(metadata))
        if consent is not None:
            fields["consent"] = json.dumps(asdict(consent))
        uploads = [upload("images", image) for image in images]
        document = self._ask("POST", "/v1/subjects", data=fields, files=uploads)
        return read_answer(
            lambda: [
                read_outcome(entry, subject, describe(image))
                for entry, image in zip(document["results"], images, strict=True)
            ]
        )

    def subjects(self) -> Iterator[Subject]:
        """Everybody in the gallery, by name."""
        after: str | None = None
        while True:
            params = {"after": after, "limit": 1000}
            page = self._ask("GET", "/v1/subjects", params=params)
            found, after = read_answer(functools.partial(read_subjects, page))
            yield from found
            if after is None:
                return

    def remove(self, *subjects: str) -> int:
        """Remove people and their templates; how many templates.

        Raises:
            UnknownSubjectError: somebody is not there; nobody was removed.
        """
        known = {subject.name: subject for subject in self.subjects()}
        missing = [name for name in subjects if name not in known]
        if missing:
            raise UnknownSubjectError(f"the gallery holds nobody called {', '.join(missing)}")
        people = [known[name] for name in dict.fromkeys(subjects)]
        for subject in people:
            self._ask("DELETE", f"/v1/subjects/{subject.uid}")
        return sum(subject.templates for subject in people)

    def cluster(
        self,
        images: Iterable[ImageSource],
        *,
        threshold: float | None = None,
        fmr: float | None = None,
    ) -> dict[str, Any]:
        """Sort the faces of photographs into people: the document of `faceprint cluster --json`.

        Args:
            images: as many as the service takes in one request.
            threshold, fmr: those of `faceprint.cluster`.
        """
        sources = list(images)
        document = self._ask(
            "POST",
            "/v1/cluster",
            params={"threshold": threshold, "fmr": fmr},
            files=[upload("images", image, str(n)) for n, image in enumerate(sources)],
        )

        def named() -> dict[str, Any]:
            faces = [face for person in document["people"] for face in person["faces"]]
            for entry in (*faces, *document["unassigned"], *document["failed"]):
                entry["source"] = describe(sources[int(entry["source"])])
            return dict(document)

        return read_answer(named)

    def models(self) -> dict[str, Any]:
        """The service's models and operating points: the document of `GET /v1/models`."""
        document: dict[str, Any] = self._ask("GET", "/v1/models")
        return document

    def _ask(self, method: str, path: str, **content: Any) -> Any:
        """The JSON document of an answer, None where there is none."""
        params = {name: v for name, v in content.pop("params", {}).items() if v is not None}
        for last in (False, True):
            try:
                response = self._http.request(method, path, params=params, **content)
            except (self._httpx.HTTPError, self._httpx.InvalidURL) as error:
                words = str(error) or type(error).__name__
                raise ServiceError(f"{self._address}: {words}") from error
            wait = _seconds_to_wait(response)
            if last or wait is None or wait > self._timeout:
                break
            time.sleep(wait)
        if not response.is_success:
            raise self._refusal(response)
        if response.status_code == 204:
            return None
        return read_answer(response.json)

    def _refusal(self, response: httpx.Response) -> Exception:
        try:
            document = response.json()
            type, words = document["type"], document.get("detail") or document["title"]
        except (ValueError, KeyError, TypeError, AttributeError):
            type, words = "", response.reason_phrase
        kind = error_class(str(type).rpartition("/")[2])
        if kind is not None:
            return kind(str(words))
        code = response.status_code
        return ServiceError(f"{self._address} answered {code}: {words}", code)


def _seconds_to_wait(response: httpx.Response) -> int | None:
    """What a busy service asks for."""
    after = response.headers.get("retry-after", "")
    busy = response.status_code in (429, 503)
    return int(after) if busy and after.isdecimal() and len(after) < 10 else None
