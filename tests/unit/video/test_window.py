from __future__ import annotations

import sys

import PIL
import pytest

from faceprint.cli.exit_codes import MISSING, exit_code
from faceprint.errors import MissingExtraError
from faceprint.video.window import TkWindow


@pytest.mark.parametrize("module", ["tkinter", "PIL.ImageTk"])
def test_a_python_without_tkinter(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delattr(PIL, "ImageTk", raising=False)  # imported before, it would still be found
    with pytest.raises(MissingExtraError, match="apt install python3-tk") as caught:
        TkWindow()
    assert exit_code(caught.value) == MISSING


def test_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    tkinter = pytest.importorskip("tkinter", reason="this Python has no tkinter")

    def refuse(**_: object) -> None:
        raise tkinter.TclError("no display name and no $DISPLAY environment variable")

    monkeypatch.setattr(tkinter, "Tk", refuse)
    with pytest.raises(MissingExtraError, match=r"can be opened \(no display name") as caught:
        TkWindow()
    assert "--out FILE" in str(caught.value)
