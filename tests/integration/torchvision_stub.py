"""The few parts of torchvision that facenet-pytorch imports, for machines that have torch alone.

`install()` puts them in `sys.modules`; where the real torchvision is present it does nothing.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

import numpy as np
import torch


def nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Indices of the boxes that greedy suppression keeps, best score first.

    boxes [n, 4] as x1, y1, x2, y2; scores [n]. A box goes when its overlap with a better one, as
    intersection over union, is above the threshold.
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = torch.argsort(scores, descending=True, stable=True)
    kept = []
    while order.numel():
        best, order = order[0], order[1:]
        kept.append(best)
        corner = torch.maximum(boxes[best, :2], boxes[order, :2])
        far = torch.minimum(boxes[best, 2:], boxes[order, 2:])
        shared = (far - corner).clamp(min=0).prod(dim=1)
        order = order[shared / (areas[best] + areas[order] - shared) <= iou_threshold]
    return torch.stack(kept) if kept else torch.empty(0, dtype=torch.int64)


def batched_nms(
    boxes: torch.Tensor, scores: torch.Tensor, idxs: torch.Tensor, iou_threshold: float
) -> torch.Tensor:
    """`nms` among the boxes of the same index (image or class) alone, best score first."""
    kept = []
    for index in torch.unique(idxs):
        group = torch.nonzero(idxs == index).flatten()
        kept.append(group[nms(boxes[group], scores[group], iou_threshold)])
    if not kept:
        return torch.empty(0, dtype=torch.int64)
    together = torch.cat(kept)
    return together[torch.argsort(scores[together], descending=True, stable=True)]


def to_tensor(image: Any) -> torch.Tensor:
    """[height, width, channel] to [channel, height, width]; bytes become 0 to 1, reals stay."""
    array = np.asarray(image)
    tensor = torch.from_numpy(np.ascontiguousarray(np.atleast_3d(array).transpose(2, 0, 1)))
    return tensor.float() / 255 if array.dtype == np.uint8 else tensor


def install() -> None:
    """Makes `import torchvision` work as far as facenet-pytorch goes."""
    if "torchvision" in sys.modules or importlib.util.find_spec("torchvision") is not None:
        return
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
