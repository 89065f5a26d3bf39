from pathlib import Path

import pytest

from faceprint.errors import SourceNotFoundError, UsageError
from faceprint.video.address import locate


def test_a_file_is_opened_as_a_file_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "concat:a|b.mp4"
    path.write_bytes(b"")
    found = locate(path)
    assert found.url == f"file:{path}" and found.options == {"protocol_whitelist": "file"}
    assert found.is_file and not found.live and found.format is None


def test_the_password_of_an_address_is_not_in_its_name() -> None:
    found = locate("rtsp://door:secret@camera.example:554/live")
    assert found.name == "rtsp://camera.example:554/live" and "secret" in found.url
    assert found.live and found.options["rtsp_transport"] == "tcp"


def test_no_address_may_lead_to_a_file_of_this_machine() -> None:
    for text in ("http://example.com/list.m3u8", "rtsp://example.com/"):
        assert "file" not in locate(text).options["protocol_whitelist"].split(",")
    for text in ("file:///etc/passwd", "concat://a", "data://x"):
        with pytest.raises(UsageError, match="no address of a video"):
            locate(text)


def test_a_number_is_a_camera_unless_a_file_has_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/dev/video3")
    found = locate("3")
    assert (found.url, found.format, found.live) == ("/dev/video3", "v4l2", True)
    assert locate("/dev/video3") == found
    with pytest.raises(SourceNotFoundError, match="no such camera"):
        locate("4")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    Path("3").write_bytes(b"")
    assert locate("3").is_file


def test_cameras_are_for_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(UsageError, match="on Linux only"):
        locate("0")


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="no such file"):
        locate(tmp_path / "none.mp4")
    with pytest.raises(SourceNotFoundError, match="a folder"):
        locate(tmp_path)
