"""What a video's name means: a file, a camera of this machine, or the address of a stream."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from faceprint import settings
from faceprint._text import printable
from faceprint.errors import SourceNotFoundError, UsageError

__all__ = ["Address", "locate"]

_LIVE = ("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "udp", "tcp")
_FILES = ("http", "https")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_CAMERA = re.compile(r"\d{1,3}|/dev/video\d{1,3}")

_OVER_NETWORK = "http,https,httpproxy,rtsp,rtsps,rtmp,rtmps,rtmpt,rtp,srtp,srt,udp,tcp,tls,crypto"
"""What a stream may lead on to: other addresses, and never a file of this machine."""


@dataclass(frozen=True, slots=True)
class Address:
    """A video as FFmpeg opens it.

    Attributes:
        url: what FFmpeg is given.
        name: for messages: without the password of an address.
        live: whether frames come when they come, and are lost if nobody takes them.
        format: FFmpeg's input format; None leaves it to the content.
        options: FFmpeg's options.
    """

    url: str
    name: str
    live: bool = False
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    @property
    def is_file(self) -> bool:
        """Whether it is a file of this machine."""
        return self.url.startswith("file:")


def locate(source: str | os.PathLike[str]) -> Address:
    """Tell files, cameras and streams apart.

    Args:
        source: a file that exists; else a camera's number or device, such as `0` or
            `/dev/video0`; else an address, such as `rtsp://...`.

    Raises:
        SourceNotFoundError: there is no such file.
        UsageError: an address of another kind, or a camera where cameras are not supported.
    """
    text = os.fspath(source)
    scheme = _SCHEME.match(text)
    if scheme is not None:
        return _stream(text, scheme[1].lower())
    path = settings.expanded(text)
    if _CAMERA.fullmatch(text) and not path.is_file():
        return _camera(text)
    return _file(path)


def _file(path: Path) -> Address:
    name = printable(str(path))
    if path.is_dir():
        raise SourceNotFoundError(f"{name}: a folder, not a video")
    if not path.exists():
        raise SourceNotFoundError(f"{name}: no such file")
    # The prefix keeps FFmpeg from reading a protocol into the name, the whitelist keeps a playlist
    # from leading it elsewhere.
    return Address(f"file:{path.absolute()}", name, options={"protocol_whitelist": "file"})


def _camera(text: str) -> Address:
    if not sys.platform.startswith("linux"):
        raise UsageError(
            f"camera {text}: cameras are opened on Linux only; elsewhere give the address of a "
            "stream"
        )
    device = text if text.startswith("/") else f"/dev/video{text}"
    if not Path(device).exists():
        raise SourceNotFoundError(f"{device}: there is no such camera (nor a file named {text})")
    return Address(device, device, live=True, format="v4l2")


def _stream(text: str, scheme: str) -> Address:
    if scheme not in (*_LIVE, *_FILES):
        known = ", ".join(sorted((*_LIVE, *_FILES)))
        raise UsageError(f"{scheme}:// is no address of a video; known: {known}")
    options = {"protocol_whitelist": _OVER_NETWORK}
    if scheme.startswith("rtsp"):
        options["rtsp_transport"] = "tcp"  # over UDP, lost packets are gray blocks in the picture
    name = printable(re.sub(r"(?<=//)[^/@]*@", "", text))
    return Address(text, name, live=scheme in _LIVE, options=options)
