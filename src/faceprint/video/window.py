"""A window that shows the frames of a video, by tkinter of the standard library and Pillow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from faceprint.errors import MissingExtraError
from faceprint.video.marks import MarkedFrame, mark

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

__all__ = ["TkWindow", "Window"]

_SHARE_OF_SCREEN = 0.9
_SMALLEST = 160
_NO_TKINTER = (
    "a window needs tkinter, which this Python does not have ({error}); Debian and Ubuntu: "
    "apt install python3-tk; Fedora: dnf install python3-tkinter; Homebrew: brew install "
    "python-tk. --out FILE writes the marked video without a window"
)
_NO_DISPLAY = (
    "no window can be opened ({error}); run it on a desktop, or over ssh -X. --out FILE writes "
    "the marked video without a window"
)


class Window(Protocol):
    """What shows frames. Used by the thread that made it alone."""

    @property
    def closed(self) -> bool:
        """Whether the user wants no more: q, Escape, or the window was closed."""

    def title(self, text: str) -> None:
        """What is shown."""

    def show(self, frame: MarkedFrame) -> None:
        """Show a frame in place of the last one."""

    def update(self) -> None:
        """Take note of keys and the mouse."""

    def close(self) -> None:
        """Remove the window."""


class TkWindow:
    """A `Window` on the desktop. It appears with the first frame.

    Raises:
        MissingExtraError: this Python has no tkinter, or there is no display.
    """

    def __init__(self) -> None:
        try:
            import tkinter

            from PIL import ImageTk
        except ImportError as error:
            raise MissingExtraError(_NO_TKINTER.format(error=error), name="tkinter") from error
        self._photo_of: Any = ImageTk.PhotoImage
        self._error = tkinter.TclError
        try:
            self._root = tkinter.Tk(className="faceprint")
        except tkinter.TclError as error:
            raise MissingExtraError(_NO_DISPLAY.format(error=error), name="tkinter") from error
        self._root.withdraw()
        self._label = tkinter.Label(self._root, background="black", borderwidth=0)
        self._label.pack(fill="both", expand=True)
        self._photo: Any = None
        self._visible = self._closed = False
        for key in ("<Key-q>", "<Key-Q>", "<Escape>"):
            self._root.bind(key, self._quit)
        self._root.protocol("WM_DELETE_WINDOW", self._quit)

    @property
    def closed(self) -> bool:
        """See `Window`."""
        return self._closed

    def title(self, text: str) -> None:
        """See `Window`."""
        if not self._closed:
            self._root.title(f"{text} - faceprint")

    def show(self, frame: MarkedFrame) -> None:
        """See `Window`. The picture keeps its shape and fills the window as far as it can."""
        if self._closed:
            return
        import PIL.Image

        picture = PIL.Image.fromarray(frame.image())
        if not self._visible:
            self._appear(picture.size)
        room = self._label.winfo_width(), self._label.winfo_height()
        scale = min(room[0] / picture.width, room[1] / picture.height)
        if abs(scale - 1) > 1e-3:
            size = [max(1, round(side * scale)) for side in picture.size]
            picture = picture.resize((size[0], size[1]), PIL.Image.Resampling.BILINEAR)
        else:
            scale = 1.0
        mark(picture, frame.faces(), scale)
        self._put(picture)

    def update(self) -> None:
        """See `Window`."""
        if not self._closed:
            self._root.update()

    def close(self) -> None:
        """See `Window`."""
        self._photo = None
        if not self._closed:
            self._quit()

    def _appear(self, size: tuple[int, int]) -> None:
        screen = self._root.winfo_screenwidth(), self._root.winfo_screenheight()
        scale = min(
            1.0, *(_SHARE_OF_SCREEN * s / side for s, side in zip(screen, size, strict=True))
        )
        width, height = (max(_SMALLEST, round(side * scale)) for side in size)
        self._root.minsize(_SMALLEST, _SMALLEST)
        self._root.geometry(f"{width}x{height}")
        self._root.deiconify()
        self._root.update()
        self._visible = True

    def _put(self, picture: PILImage) -> None:
        photo = self._photo
        if photo is None or (photo.width(), photo.height()) != picture.size:
            self._photo = self._photo_of(picture, master=self._root)
            self._label.configure(image=self._photo)
        else:
            photo.paste(picture)

    def _quit(self, _: object = None) -> None:
        self._closed = True
        self._root.destroy()
