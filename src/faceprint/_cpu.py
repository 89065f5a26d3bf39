"""The processor's name and instruction sets, as reported by the operating system."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

__all__ = ["cpu_flags", "cpu_name", "multiplies_int8"]

_REPORTED = ("avx2", "fma", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "asimd", "asimddp")
_INT8 = {"avx_vnni", "avx512_vnni", "amx_int8", "asimddp"}


def cpu_flags() -> list[str]:
    """Instruction sets that matter to networks; empty where the system does not report them."""
    have = set(_field("flags", "Features").split())
    return [flag for flag in _REPORTED if flag in have]


def cpu_name() -> str:
    """The model's name, or the architecture."""
    return _field("model name") or platform.processor() or platform.machine()


def multiplies_int8() -> bool:
    """Whether there are instructions that sum int8 products in int32.

    Without them AVX2 sums pairs of products in 16 bits, which saturate unless one factor has 7.
    """
    return bool(_INT8.intersection(cpu_flags()))


@cache
def _cpuinfo() -> tuple[str, ...]:
    try:
        return tuple(Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines())
    except OSError:
        return ()


def _field(*names: str) -> str:
    lines = (line.partition(":") for line in _cpuinfo())
    return next((value.strip() for name, _, value in lines if name.strip() in names), "")
