"""facenet-pytorch's MTCNN: `detect(photograph, landmarks=True)`, or a list of equal sizes at once.

There is no build of torchvision for the torch used here, so the functions that it takes from there
come from `torchvision_parts.py`; the JSON has their share of the time as `stood_in_share`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
import torchvision_parts
from PIL import Image
from side import Many, Side, batches, cores, loop, pool, versions

torchvision_parts.install()
warnings.filterwarnings("ignore")

from facenet_pytorch import MTCNN  # noqa: E402


def open_side(options: dict[str, Any]) -> Side:
    """Options: `min_face` in pixels, the three `thresholds`, `factor` of the pyramid."""
    torch.set_num_threads(cores())
    mtcnn = MTCNN(
        min_face_size=options["min_face"],
        thresholds=options["thresholds"],
        factor=options["factor"],
        keep_all=True,
        device="cpu",
    )

    def one(path: str) -> Any:
        return mtcnn.detect(Image.open(path).convert("RGB"), landmarks=True)

    def together(paths: Sequence[str]) -> list[Any]:
        photographs = [Image.open(path).convert("RGB") for path in paths]
        results: list[Any] = []
        for _, group in groupby(photographs, key=lambda photograph: photograph.size):
            results += zip(*mtcnn.detect(list(group), landmarks=True), strict=True)
        return results

    # torch's number of threads belongs to the thread that sets it.
    narrow = {"initializer": torch.set_num_threads, "initargs": (1,)}
    ways: dict[str, Many] = {
        "loop": loop(one),
        "pool, one thread each": pool(one, **narrow),
        **{f"batches of {size}": batches(together, size) for size in (4, 16)},
        "pool of batches of 8": _pool_of_batches(together, 8, narrow),
    }
    return Side(
        one=one,
        ways=ways,
        plain=_plain,
        facts={
            "api": "MTCNN(keep_all=True).detect(PIL image or list of them, landmarks=True)",
            "settings": options,
            "input": "a pyramid of the photograph",
            "threads": cores(),
            "torchvision": "no build for this torch: nms and to_tensor from torchvision_parts.py",
            "versions": versions("facenet-pytorch", "torch", "numpy", "pillow"),
        },
        stood_in=lambda: torchvision_parts.seconds,
    )


def _pool_of_batches(together: Many, size: int, narrow: dict[str, Any]) -> Many:
    run = pool(together, **narrow)

    def many(paths: Sequence[str]) -> list[Any]:
        parts = run([paths[at : at + size] for at in range(0, len(paths), size)])
        return [result for part in parts for result in part]

    return many


def _plain(result: Any) -> list[dict[str, Any]]:
    boxes, _, points = result
    if boxes is None:
        return []
    return [
        {"box": [float(v) for v in box], "points": [[float(v) for v in p] for p in five]}
        for box, five in zip(boxes, points, strict=True)
    ]
