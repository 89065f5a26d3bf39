"""Short videos with their truth, made from the four sample photographs in the public domain.

Each clip has 320 x 240 pixels and 25 frames a second. Heads are cut out of the photographs and
pasted on a plain background, where they move as the clip's name says.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from faceprint.vision import images

__all__ = ["CLIPS", "RATE", "Clip", "av", "clip", "write"]

av = pytest.importorskip("av", reason="PyAV is not installed (extra `video`)")

RATE = 25
WIDTH, HEIGHT = 320, 240

Image = NDArray[np.uint8]
Box = tuple[float, float, float, float]

FACES: dict[str, Box] = {
    "obama": (261, 54, 432, 294),
    "biden": (152, 60, 259, 206),
    "collins": (180, 59, 268, 175),
}
"""Where the face is in each sample photograph."""


@dataclass
class Clip:
    """The frames of a video, when each is shown, and whose face is where.

    Attributes:
        truth: for each frame the faces that can be seen: name and xyxy box.
    """

    frames: list[Image] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    truth: list[dict[str, Box]] = field(default_factory=list)

    def add(self, image: Image, faces: dict[str, Box], time: float | None = None) -> None:
        """Append a frame, 1/25 s after the last unless its time is given."""
        after = self.times[-1] + 1 / RATE if self.times else 0.0
        self.times.append(after if time is None else time)
        self.frames.append(image)
        self.truth.append(faces)


@functools.cache
def head(name: str, height: int) -> tuple[Image, Box]:
    """A head with its surroundings, and its face's box in it; the face is `height` pixels high."""
    path = Path(str(resources.files("faceprint") / "samples" / f"{name}.jpg"))
    photograph = images.decode(path)
    x1, y1, x2, y2 = FACES[name]
    mx, my = 0.4 * (x2 - x1), 0.3 * (y2 - y1)
    left, top = max(0, round(x1 - mx)), max(0, round(y1 - my))
    cut = photograph[top : round(y2 + my), left : round(x2 + mx)]
    scale = height / (y2 - y1)
    size = round(cut.shape[1] * scale), round(cut.shape[0] * scale)
    small = cv2.resize(np.ascontiguousarray(cut), size, interpolation=cv2.INTER_AREA)
    box = tuple(float(v) for v in (np.array([x1, y1, x2, y2]) - [left, top, left, top]) * scale)
    return small.astype(np.uint8), box  # type: ignore[return-value]


def background(shade: int = 120) -> Image:
    """A plain wall, a little brighter on the right."""
    row = np.linspace(shade - 25, shade + 25, WIDTH)
    return np.repeat(np.tile(row[None], (HEIGHT, 1))[..., None], 3, axis=2).astype(np.uint8)


def paste(image: Image, name: str, center: tuple[float, float], height: int = 84) -> Box | None:
    """Put a head on the image, in place; its face's box, None if it is not wholly inside."""
    patch, face = head(name, height)
    x = round(center[0] - (face[0] + face[2]) / 2)
    y = round(center[1] - (face[1] + face[3]) / 2)
    x1, y1 = max(0, x), max(0, y)
    x2, y2 = min(WIDTH, x + patch.shape[1]), min(HEIGHT, y + patch.shape[0])
    if x1 < x2 and y1 < y2:
        image[y1:y2, x1:x2] = patch[y1 - y : y2 - y, x1 - x : x2 - x]
    box = (face[0] + x, face[1] + y, face[2] + x, face[3] + y)
    inside = box[0] >= 0 and box[1] >= 0 and box[2] <= WIDTH and box[3] <= HEIGHT
    return box if inside else None


def scene(
    people: Sequence[tuple[str, float, float]], height: int = 84, shade: int = 120
) -> tuple[Image, dict[str, Box]]:
    """People on a wall, later ones in front: (name, x, y) of the middle of each face."""
    image, faces = background(shade), dict[str, Box]()
    for name, x, y in people:
        box = paste(image, name, (x, y), height)
        if box is None:
            continue
        for other in [other for other in faces if _covered(faces[other], box)]:
            del faces[other]
        faces[name] = box
    return image, faces


def _covered(behind: Box, front: Box) -> bool:
    """Whether more than a third of a face is hidden."""
    width = min(behind[2], front[2]) - max(behind[0], front[0])
    height = min(behind[3], front[3]) - max(behind[1], front[1])
    area = (behind[2] - behind[0]) * (behind[3] - behind[1])
    return min(width, height) > 0 and width * height > area / 3


def _pan(clip: Clip) -> None:
    for x in np.linspace(70, 250, 60):
        clip.add(*scene([("obama", x, 120)]))


def _zoom(clip: Clip) -> None:
    for height in np.linspace(70, 120, 60):
        clip.add(*scene([("obama", 160, 120)], round(height)))


def _fade(clip: Clip) -> None:
    """A picture that comes out of black and goes again; the face is there all the time."""
    for light in [*np.linspace(0, 1, 25), *np.ones(25), *np.linspace(1, 0, 25)]:
        image, faces = scene([("obama", 160, 120)])
        clip.add((image * light).astype(np.uint8), faces if light > 0.5 else {})


def _crossing(clip: Clip) -> None:
    """Obama goes right, Biden goes left, behind him."""
    for step in np.linspace(0, 1, 75):
        clip.add(*scene([("biden", 255 - 190 * step, 115), ("obama", 65 + 190 * step, 125)]))


def _occlusion(clip: Clip) -> None:
    """A pillar passes before a face that stands still, and hides it for half a second."""
    for x in np.linspace(-60, 320, 75):
        image, faces = scene([("obama", 160, 120)])
        left, right = max(0, round(x)), max(0, min(WIDTH, round(x) + 50))
        image[:, left:right] = 60
        box = faces["obama"]
        hidden = min(box[2], right) - max(box[0], left)
        clip.add(image, {} if hidden > (box[2] - box[0]) / 4 else faces)


def _cut(clip: Clip) -> None:
    """One person, then another at the same place; the wall changes with them."""
    for name, shade in (("obama", 60), ("biden", 190)):
        for _ in range(40):
            clip.add(*scene([(name, 160, 120)], shade=shade))


def _comes_back(clip: Clip) -> None:
    """Obama walks out on the right, is away for two seconds, and comes back."""
    out = list(np.linspace(180, 400, 35))
    for x in [*out, *[400.0] * 40, *out[::-1]]:
        clip.add(*scene([("obama", x, 120)]))


def _pillar(clip: Clip) -> None:
    """Two walk behind a pillar from both sides, at the same time, and come out crossed."""
    for step in np.linspace(0, 1, 90):
        people = [("biden", 275 - 230 * step, 115), ("obama", 45 + 230 * step, 125)]
        image, faces = scene(people)
        image[:, 110:210] = 60
        seen = {n: b for n, b in faces.items() if min(b[2], 210) - max(b[0], 110) < 15}
        clip.add(image, seen)


def _swap(clip: Clip) -> None:
    """Two walk out on their sides, and each comes back on the other's after 1.2 s."""
    out = np.linspace(0, 150, 30)
    for shift, right in [(x, 1) for x in out] + [(150, 1)] * 30 + [(x, -1) for x in out[::-1]]:
        places = [("obama", 160 + right * (70 + shift)), ("biden", 160 - right * (70 + shift))]
        clip.add(*scene([(name, x, 120) for name, x in places]))


def _crowd(clip: Clip) -> None:
    for shift in np.linspace(0, 12, 40):
        places = [("obama", 58 + shift), ("biden", 153 + shift), ("collins", 250 + shift)]
        clip.add(*scene([(name, x, 120) for name, x in places], 70))


def _variable(clip: Clip) -> None:
    """The pan with gaps of 20 to 120 ms between its frames."""
    _pan(clip)
    gaps = np.tile([0.02, 0.04, 0.12, 0.06], len(clip.times))[: len(clip.times) - 1]
    clip.times[:] = [0.0, *np.cumsum(gaps)]


_MAKERS = {
    "pan": _pan,
    "zoom": _zoom,
    "fade": _fade,
    "crossing": _crossing,
    "occlusion": _occlusion,
    "cut": _cut,
    "comes_back": _comes_back,
    "pillar": _pillar,
    "swap": _swap,
    "crowd": _crowd,
    "variable": _variable,
}


CLIPS = tuple(_MAKERS)
"""Names of all clips."""


@functools.cache
def clip(name: str) -> Clip:
    """The clip of that name."""
    made = Clip()
    _MAKERS[name](made)
    return made


def write(
    path: Path,
    frames: Iterable[Image],
    times: Iterable[float],
    *,
    rotation: float | None = None,
    audio: bool = False,
    options: dict[str, str] | None = None,
    crf: int = 18,
) -> Path:
    """Encode frames, as H.264 where PyAV can, else as MPEG-4; `audio` adds a tone as AAC."""
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with av.open(str(path), "w", options=options or {}) as container:
        video = container.add_stream(codec, rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        if codec == "libx264":
            video.options = {"preset": "ultrafast", "crf": str(crf), "g": "25"}
        if rotation is not None:
            video.set_display_rotation(rotation)
        tone = container.add_stream("aac", rate=16000, layout="mono") if audio else None
        last = 0.0
        for image, time in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base, last = round(time * 1000), Fraction(1, 1000), time
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if tone is not None:
            _add_tone(container, tone, last)
    return path


def write_audio(path: Path, seconds: float = 1.0) -> Path:
    """A file with sound and no picture."""
    with av.open(str(path), "w") as container:
        _add_tone(container, container.add_stream("aac", rate=16000, layout="mono"), seconds)
    return path


def _add_tone(container: Any, stream: Any, seconds: float) -> None:
    for number in range(max(1, round(seconds * 16000 / 1024))):
        wave = np.sin((np.arange(1024) + 1024 * number) * 0.17) * 8000
        frame = av.AudioFrame.from_ndarray(wave[None].astype(np.int16), "s16", "mono")
        frame.sample_rate, frame.pts = 16000, 1024 * number
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
