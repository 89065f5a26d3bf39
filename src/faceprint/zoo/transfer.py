"""One HTTP transfer into a temporary file, taken up where an earlier one broke off."""

from __future__ import annotations

import errno
import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import IO, Any
from urllib.parse import urlsplit

from faceprint.errors import DownloadError

__all__ = ["DISK_FULL", "TransferError", "http_fetch"]

DISK_FULL = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})

_ATTEMPTS = 4
_TIMEOUT = (10.0, 60.0)
"""Seconds to connect, and between two pieces of a body."""

_PATIENCE, _SLOWEST = 600.0, 50_000
"""Seconds that a file may take from one address, and bytes a second above that: the time between
two pieces alone would let a server that sends a byte a minute hold a download for ever."""

_USUAL = 256 << 20
_UNKNOWN_LIMIT = 4 << 30
"""Bytes that a file is taken to have whose size no card tells, and that are taken of it."""

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class TransferError(DownloadError):
    """One address failed; another may do."""


class _Sink:
    """What the HTTP client writes into: the file, with a limit and a count that people can see."""

    def __init__(
        self, stream: IO[bytes], limit: int, show: Callable[[int], None], given_up: Event
    ) -> None:
        self._stream, self._limit, self._show, self._given_up = stream, limit, show, given_up
        self.disk_error: OSError | None = None

    def restart(self) -> None:
        """Forget what is there: the server sends the file from its beginning."""
        self.check()
        self._stream.seek(0)
        self._stream.truncate()
        self._show(0)

    def write(self, data: bytes) -> int:
        """Append; refuse what is longer than the file can be."""
        self.check()
        if self._stream.tell() + len(data) > self._limit:
            raise TransferError(f"sends more than the {self._limit} bytes that the file has")
        try:
            count = self._stream.write(data)
        except OSError as error:
            self.disk_error = error
            raise
        self._show(self._stream.tell())
        return count

    def check(self) -> None:
        """Refuse to touch the file once nobody waits for this transfer any more."""
        if self._given_up.is_set():
            raise TransferError("given up")

    def flush(self) -> None:
        """Nothing: the stream is unbuffered."""


def http_fetch(url: str, part: Path, *, size: int | None, pinned: bool, title: str | None) -> None:
    """Fetch `url` into `part`; what is there already is asked for no second time.

    A range is asked for with If-Range where the server gave a validator, and is otherwise trusted
    because the whole file is hashed at the end; an unpinned file is resumed with one alone.

    Args:
        url: http or https.
        part: the temporary file.
        size: bytes of the whole file, None where nobody knows.
        pinned: a sha256 will be checked.
        title: names the progress bar; None for no bar.

    Raises:
        TransferError: this address failed; `part` keeps what came, for a later try.
        OSError: the disk refused.
    """
    import requests

    end = time.monotonic() + _PATIENCE + (size or _USUAL) / _SLOWEST
    with _Bar(title, size) as show:
        for attempt in range(_ATTEMPTS):
            before = part.stat().st_size if part.exists() else 0
            if size is not None and before == size:
                return
            try:
                _until(end, partial(_request, url, part, size, pinned, show))
            except requests.HTTPError as error:
                if error.response is not None and error.response.status_code == 416 and before:
                    part.unlink()
                    continue
                raise TransferError(_words(error)) from error
            except requests.RequestException as error:
                after = part.stat().st_size if part.exists() else 0
                if after <= before or attempt == _ATTEMPTS - 1:
                    raise TransferError(_words(error)) from error
            else:
                after = part.stat().st_size
                if size is None or after >= size:
                    return
                if after <= before or attempt == _ATTEMPTS - 1:
                    raise TransferError(f"the body ends after {after} of {size} bytes")
        raise TransferError("the server refuses every range of the file")


def _until(end: float, work: Callable[[Event], None]) -> None:
    """Do the work on a thread, and no longer wait for it when its time has come.

    Raises:
        TransferError: it has.
    """
    outcome: Future[None] = Future()
    given_up = Event()

    def run() -> None:
        try:
            work(given_up)
        except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits for it
            outcome.set_exception(error)
        else:
            outcome.set_result(None)

    Thread(target=run, name="faceprint-fetch", daemon=True).start()
    try:
        outcome.result(max(0.0, end - time.monotonic()))
    except TimeoutError as error:
        if outcome.done():
            raise
        raise TransferError("too slow; what came is kept for a later try") from error
    finally:
        given_up.set()


def _request(
    url: str,
    part: Path,
    size: int | None,
    pinned: bool,
    show: Callable[[int], None],
    given_up: Event,
) -> None:
    import pooch

    etag_file = part.with_name(f"{part.name}.etag")
    have = part.stat().st_size if part.exists() else 0
    validator = ""
    if have and etag_file.exists():
        source, _, validator = etag_file.read_text("utf-8").partition("\n")
        validator = validator if source == url else ""
    if (have and not validator and not pinned) or (size is not None and have > size):
        part.unlink()
        have = 0
    headers = {"Accept-Encoding": "identity", "User-Agent": "faceprint"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if validator:
            headers["If-Range"] = validator
    with part.open("ab+", buffering=0) as stream:
        stream.seek(0, 2)
        sink = _Sink(stream, size if size is not None else _UNKNOWN_LIMIT, show, given_up)

        def on_response(response: Any, *_: object, **__: object) -> None:
            if response.status_code not in (200, 206):
                return
            sink.check()
            _check_scheme(response.url, pinned)
            tag = response.headers.get("ETag", "")
            if not tag or tag.startswith("W/"):
                tag = response.headers.get("Last-Modified", "")
            etag_file.write_text(f"{url}\n{tag}", "utf-8")
            if response.status_code == 200:
                sink.restart()
            elif not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                raise TransferError("answers another range than the one it was asked for")

        download = pooch.HTTPDownloader(
            chunk_size=1 << 18, timeout=_TIMEOUT, headers=headers, hooks={"response": on_response}
        )
        try:
            download(url, sink, None)
        except OSError:
            if sink.disk_error is not None:
                raise sink.disk_error from None
            raise


def _check_scheme(url: str, pinned: bool) -> None:
    parts = urlsplit(url)
    if not pinned and parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise TransferError("leads to an address without https, and no sha256 is known")


_CONNECTION = {
    "ConnectionError": "no connection",
    "ConnectTimeout": "no connection in time",
    "ReadTimeout": "no answer in time",
    "SSLError": "no secure connection",
    "ProxyError": "no connection to the proxy",
}
_REASON = re.compile(r"\[(?:Errno -?\d+|SSL: \w+)\] ([^()'\"\]]+)")
"""What the system said, inside what urllib3 and requests wrapped around it."""


def _words(error: Exception) -> str:
    """The reason in one line, without the address that the caller names anyway."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code} {response.reason}"
    if name := _CONNECTION.get(type(error).__name__):
        found = _REASON.findall(str(error))
        return f"{name} ({found[-1]})" if found else name
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text[:200]}"


class _Bar:
    """A progress bar on stderr where that is a terminal, else nothing."""

    def __init__(self, title: str | None, size: int | None) -> None:
        self._title, self._size = title, size
        self._progress: Any = None

    def __enter__(self) -> Callable[[int], None]:
        if self._title is None or not sys.stderr.isatty():
            return lambda done: None
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

        self._progress = Progress(
            "{task.description}",
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=Console(stderr=True),
        )
        self._progress.start()
        task = self._progress.add_task(self._title, total=self._size)
        progress = self._progress

        def show(done: int) -> None:
            progress.update(task, completed=done)

        return show

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
