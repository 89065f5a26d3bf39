"""`make bench`: every benchmark in turn, each in a process of its own, results as JSON.

A benchmark whose peer or data is not here says so and is left out; the others still run. `peers`,
which compares with other libraries, makes their environments on first use and takes 25 minutes; the
rest without --long takes ten. `make docs` afterwards puts the numbers into the pages.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent

USUAL: dict[str, tuple[str, ...]] = {
    "peers": (),
    "pipeline": (),
    "blocks": (),
    "engine": (),
    "optimizer": (),
    "legacy": (),
    "runtimes": (),
}
LONG: dict[str, tuple[str, ...]] = {
    "lfw": (),
    "identification": (),
    "search": (),
    "search_approximate": (),
    "int8": (),
    "cores": (),
    "finetune": (),
}


def main() -> int:
    """0 when everything that was asked for has run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="some of them; the usual ones without")
    parser.add_argument("--long", action="store_true", help="also those that take longest")
    parser.add_argument(
        "--quick", action="store_true", help="peers on few photographs, nothing of it written"
    )
    chosen = parser.parse_args()
    known = USUAL | LONG
    if chosen.quick:
        known["peers"] = ("--quick",)
    unknown = [name for name in chosen.names if name not in known]
    if unknown:
        parser.error(f"no benchmark named {', '.join(unknown)}; there are {', '.join(known)}")
    names = chosen.names or list(known if chosen.long else USUAL)
    failed = []
    for name in names:
        print(f"== {name}", flush=True)
        start = time.perf_counter()
        script = HERE / f"{name}.py"
        done = subprocess.run([sys.executable, str(script), *known[name]], check=False)
        print(f"== {name}: {time.perf_counter() - start:.0f} s, exit code {done.returncode}")
        if done.returncode:
            failed.append(name)
    if failed:
        print(f"not finished: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
