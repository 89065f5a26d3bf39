"""Download from one address: retry, resume what is there, and give up at a deadline."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

from faceprint.errors import DownloadError

__all__ = ["TransferError", "download_with_retries"]

_ATTEMPTS = 4
_TIMEOUT = (10.0, 60.0)
"""Seconds to connect, and between two pieces of a body."""

_PATIENCE, _SLOWEST = 600.0, 50_000
"""A download may take `_PATIENCE` seconds plus one second for every `_SLOWEST` bytes. The timeout
between two pieces alone would let a server that sends one byte a minute go on forever."""

_USUAL_SIZE = 256 << 20
_SIZE_LIMIT = 4 << 30
"""Bytes: of a file of unknown size, for the deadline and as the most that is accepted."""

_PIECE = 1 << 18
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class TransferError(DownloadError):
    """One address failed; another may work."""


def download_with_retries(
    url: str, part: Path, *, size: int | None, pinned: bool, title: str | None
) -> None:
    """Download `url` into `part`, and resume from the bytes that `part` already holds.

    Args:
        url: http or https.
        part: the temporary file.
        size: bytes of the whole file, None if unknown.
        pinned: the caller checks a sha256 afterwards. A file without one is only resumed if the
            server confirms that it has not changed.
        title: of the progress bar; None for no bar.

    Raises:
        TransferError: this address failed; `part` keeps what arrived.
        OSError: the disk refused.
    """
    import requests

    end = time.monotonic() + _PATIENCE + (size or _USUAL_SIZE) / _SLOWEST
    with _progress_bar(title, size) as show:
        transfer = _Transfer(url, part, size, pinned, show)
        for attempt in range(1, _ATTEMPTS + 1):
            before = transfer.received()
            if before == size:
                return
            cause: requests.RequestException | None = None
            try:
                _run_until(end, transfer.attempt)
            except requests.RequestException as error:
                if error.response is not None and error.response.status_code == 416 and before:
                    part.unlink()
                    continue
                cause = error
            after = transfer.received()
            if cause is None and (size is None or after >= size):
                return
            reason = _reason(cause) if cause else f"the body ends after {after} of {size} bytes"
            refused = isinstance(cause, requests.HTTPError)
            if refused or after <= before or attempt == _ATTEMPTS:
                raise TransferError(reason) from cause
        raise TransferError("the server refuses every range of the file")


@dataclass(frozen=True, slots=True)
class _Transfer:
    """One file of one address; see `download_with_retries`."""

    url: str
    part: Path
    size: int | None
    pinned: bool
    show: Callable[[int], None]

    def received(self) -> int:
        """Return how many bytes are there."""
        return self.part.stat().st_size if self.part.exists() else 0

    def attempt(self, given_up: Event) -> None:
        """Request the missing bytes once; write nothing more after `given_up`."""
        import requests

        headers = {"Accept-Encoding": "identity", "User-Agent": "faceprint"}
        have, validator = self._resume_point()
        if have:
            headers["Range"] = f"bytes={have}-"
            if validator:
                headers["If-Range"] = validator
        with requests.get(self.url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            response.raise_for_status()
            if response.status_code not in (200, 206):
                raise TransferError(f"HTTP {response.status_code} {response.reason}")
            self._check_scheme(response.url)
            span = response.headers.get("Content-Range", "")
            if response.status_code == 206 and not span.startswith(f"bytes {have}-"):
                raise TransferError("the server sent another range than requested")
            _refuse(given_up)
            self._keep_validator(response.headers)
            with self.part.open("ab") as stream:
                if response.status_code == 200:
                    stream.seek(0)
                    stream.truncate()
                for piece in response.iter_content(_PIECE):
                    _refuse(given_up)
                    limit = _SIZE_LIMIT if self.size is None else self.size
                    if stream.tell() + len(piece) > limit:
                        raise TransferError(f"sends more than the {limit} bytes that were expected")
                    stream.write(piece)
                    self.show(stream.tell())

    def _resume_point(self) -> tuple[int, str]:
        """Return the bytes to resume from, and the server's validator for them, "" for none."""
        have, validator = self.received(), ""
        if have and self._validator_file().exists():
            source, _, validator = self._validator_file().read_text("utf-8").partition("\n")
            validator = validator if source == self.url else ""
        trusted = bool(validator) or self.pinned
        if have and (not trusted or (self.size is not None and have > self.size)):
            self.part.unlink()
            return 0, ""
        return have, validator

    def _keep_validator(self, headers: Mapping[str, str]) -> None:
        tag = headers.get("ETag", "")
        if not tag or tag.startswith("W/"):
            tag = headers.get("Last-Modified", "")
        self._validator_file().write_text(f"{self.url}\n{tag}", "utf-8")

    def _validator_file(self) -> Path:
        return self.part.with_name(f"{self.part.name}.etag")

    def _check_scheme(self, url: str) -> None:
        parts = urlsplit(url)
        if not self.pinned and parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise TransferError("leads to an address without https, and no sha256 is known")


def _refuse(given_up: Event) -> None:
    if given_up.is_set():
        raise TransferError("given up")


def _run_until(end: float, work: Callable[[Event], None]) -> None:
    """Run `work` on a thread, and abandon it at the deadline.

    Raises:
        TransferError: the deadline has passed.
    """
    outcome: Future[None] = Future()
    given_up = Event()

    def run() -> None:
        try:
            work(given_up)
        except BaseException as error:  # noqa: BLE001 - raised again by outcome.result()
            outcome.set_exception(error)
        else:
            outcome.set_result(None)

    Thread(target=run, name="faceprint-download", daemon=True).start()
    try:
        outcome.result(max(0.0, end - time.monotonic()))
    except TimeoutError as error:
        if outcome.done():
            raise
        raise TransferError("too slow; the next attempt resumes from here") from error
    finally:
        given_up.set()


_CONNECTION = {
    "ConnectionError": "no connection",
    "ConnectTimeout": "no connection in time",
    "ReadTimeout": "no answer in time",
    "SSLError": "no secure connection",
    "ProxyError": "no connection to the proxy",
}
_SYSTEM_REASON = re.compile(r"\[(?:Errno -?\d+|SSL: \w+)\] ([^()'\"\]]+)")
"""The system's message, inside what urllib3 and requests wrap around it."""


def _reason(error: Exception) -> str:
    """Say what failed in one line, without the address, which the caller names."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code} {response.reason}"
    if name := _CONNECTION.get(type(error).__name__):
        found = _SYSTEM_REASON.findall(str(error))
        return f"{name} ({found[-1]})" if found else name
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text[:200]}"


@contextmanager
def _progress_bar(title: str | None, size: int | None) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on stderr where that is a terminal; yields a function to update it."""
    if title is None or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=size)
        yield lambda done: progress.update(task, completed=done)
