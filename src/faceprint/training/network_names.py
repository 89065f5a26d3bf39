"""Names of networks and losses, which the run file checks without importing PyTorch."""

from __future__ import annotations

__all__ = ["LOSSES", "NETWORKS", "PRUNED", "TIMM"]

NETWORKS = ("iresnet18", "iresnet34", "iresnet50", "iresnet100", "mobilefacenet", "mbf")
"""`iresnet100` is LResNet100E-IR; `mbf` is insightface's larger MobileFaceNet."""

TIMM = "timm:"
"""What stands before the name of a network of timm."""

PRUNED = "pruned"
"""The student that is a copy of its teacher with fewer channels; see `prune`."""

LOSSES = ("arcface", "cosface", "adaface")
