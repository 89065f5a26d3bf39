"""The few parts of torchvision that facenet-pytorch imports, for a torch that has no build of it.

Suppression answers as torchvision's does and costs about as little: the overlaps of a small set of
boxes are one matrix, and the loop over the kept ones is all that is left to Python. `seconds` adds
up what it took, so that the benchmark can say how little of facenet-pytorch's time is ours.
"""

from __future__ import annotations

import sys
import time
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

seconds = 0.0

_MATRIX = 2048
"""Boxes whose overlaps are computed at once: 16 MB."""


def nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Indices of the boxes that greedy suppression keeps, best score first.

    boxes [n, 4] as x1, y1, x2, y2; scores [n]. A box goes when its overlap with a better one, as
    intersection over union, is above the threshold.
    """
    order = np.argsort(-scores.numpy(), kind="stable")
    kept = []
    ordered = boxes.numpy()[order]
    if len(order) <= _MATRIX:
        above = _overlaps(ordered, ordered) > iou_threshold
        gone = np.zeros(len(order), np.bool_)
        for index in range(len(order)):
            if not gone[index]:
                kept.append(index)
                gone |= above[index]
        return torch.from_numpy(order[kept])
    left = np.arange(len(order))
    while len(left):
        kept.append(int(left[0]))
        overlap = _overlaps(ordered[left[:1]], ordered[left[1:]])[0]
        left = left[1:][overlap <= iou_threshold]
    return torch.from_numpy(order[kept])


def batched_nms(
    boxes: torch.Tensor, scores: torch.Tensor, idxs: torch.Tensor, iou_threshold: float
) -> torch.Tensor:
    """`nms` among the boxes of the same index (image or class) alone, best score first."""
    global seconds
    start = time.perf_counter()
    try:
        if not boxes.numel():
            return torch.empty(0, dtype=torch.int64)
        # As torchvision does: each index's boxes are moved to a place of their own.
        apart = idxs.to(boxes) * (boxes.max() - boxes.min() + 1)
        return nms(boxes + apart[:, None], scores, iou_threshold)
    finally:
        seconds += time.perf_counter() - start


def _overlaps(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float32]:
    corner = np.maximum(ours[:, None, :2], theirs[None, :, :2])
    far = np.minimum(ours[:, None, 2:], theirs[None, :, 2:])
    width, height = np.moveaxis(np.maximum(far - corner, 0), 2, 0)
    shared = width * height
    areas = [(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) for boxes in (ours, theirs)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.asarray(shared / np.maximum(union, 1e-12), np.float32)


def to_tensor(image: Any) -> torch.Tensor:
    """[height, width, channel] to [channel, height, width]; bytes become 0 to 1, reals stay."""
    array = np.asarray(image)
    tensor = torch.from_numpy(np.ascontiguousarray(np.atleast_3d(array).transpose(2, 0, 1)))
    return tensor.float() / 255 if array.dtype == np.uint8 else tensor


def install() -> None:
    """Makes `import torchvision` work as far as facenet-pytorch goes."""
    functions: dict[str, dict[str, Any]] = {
        "torchvision": {},
        "torchvision.ops": {"nms": nms, "batched_nms": batched_nms},
        "torchvision.ops.boxes": {"nms": nms, "batched_nms": batched_nms},
        "torchvision.transforms": {},
        "torchvision.transforms.functional": {"to_tensor": to_tensor},
    }
    for name, members in functions.items():
        module = ModuleType(name)
        module.__path__ = []
        vars(module).update(members)
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
