"""Where the cache is, for users who have a home folder and for those who have not."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from faceprint import settings
from faceprint.errors import FaceprintError, UsageError

SAMPLES = Path(str(resources.files("faceprint") / "samples"))

NOBODY = """
import os, pwd
def unknown(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = unknown
from faceprint.cli.app import main
import sys
main(sys.argv[1:])
"""


def verify(**environment: str) -> subprocess.CompletedProcess[str]:
    hidden = ("HOME", "FACEPRINT_HOME", "XDG_CACHE_HOME")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    pair = [str(path) for path in sorted(SAMPLES.glob("obama*.jpg"))[:2]]
    words = [sys.executable, "-c", NOBODY, "verify", *pair, "--threads", "1"]
    return subprocess.run(
        words, env=kept | environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("home", [None, os.devnull], ids=["none", "no folder"])
def test_the_starter_pack_needs_no_home(home: str | None, tmp_path: Path) -> None:
    done = verify(TMPDIR=str(tmp_path), **({} if home is None else {"HOME": home}))
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "FACEPRINT_HOME" in line]
    assert len(said) == 1
    assert list(tmp_path.iterdir()) == [], "it goes with the process"


def test_a_home_where_nothing_can_be_made_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FACEPRINT_HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    settings._passing_home.cache_clear()
    passing = settings.home()
    assert not passing.is_relative_to(tmp_path)
    assert passing.stat().st_mode & 0o777 == 0o700
    monkeypatch.undo()
    monkeypatch.delenv("FACEPRINT_HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert settings.home().is_relative_to(tmp_path)


def test_a_home_folder_that_nobody_knows_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME")
    monkeypatch.setenv("FACEPRINT_HOME", "~/cache")
    with pytest.raises(UsageError, match="home folder"):
        settings.home()
    with pytest.raises(FaceprintError, match="home folder"):
        settings.expanded("~nobody-of-that-name/people.db")
