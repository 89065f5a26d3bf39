"""Run the tests on the cores that this process may use, one thread each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """pytest's exit code."""
    from faceprint import settings

    environment = dict(os.environ)
    # Several test processes on all cores at once would fight; each takes one.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment.setdefault(name, "1")
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(settings.available_cores())]
    command += ["--dist", "worksteal", *sys.argv[1:]]
    return subprocess.run(command, env=environment, cwd=Path(__file__).parents[1]).returncode


if __name__ == "__main__":
    sys.exit(main())
