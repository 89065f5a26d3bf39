"""What the words of `embed` mean."""

from __future__ import annotations

import glob
import io
import os
from pathlib import Path

import pytest

from faceprint.bulk.inputs import expand, is_remote, lines_of
from faceprint.errors import DatasetError, UsageError


@pytest.fixture
def album(tmp_path: Path) -> Path:
    for name in ("b/2.JPG", "b/1.png", "a.jpg", "c.txt.webp", "notes.doc"):
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "album"


def test_a_folder_is_searched_to_the_bottom_in_order(album: Path) -> None:
    found = [str(Path(name).relative_to(album)) for name in expand([str(album)])]
    assert found == ["a.jpg", "b/1.png", "b/2.JPG", "c.txt.webp"]


def test_words_keep_their_order_and_a_named_file_is_taken_as_it_is(album: Path) -> None:
    words = [str(album / "notes.doc"), "-", str(album / "b")]
    found = list(expand(words, ["x y.jpg \n", "\n", "z.jpg\r\n"]))
    expected = [str(album / "notes.doc"), "x y.jpg ", "z.jpg"]
    assert found == [*expected, str(album / "b" / "1.png"), str(album / "b" / "2.JPG")]


def test_globs_are_expanded_unless_a_file_has_that_name(album: Path) -> None:
    assert len(list(expand([str(album / "**" / "*.png")]))) == 1
    odd = album / "odd[1].jpg"
    odd.touch()
    assert list(expand([str(odd)])) == [str(odd)]
    with pytest.raises(UsageError, match="no file matches this pattern"):
        list(expand([str(album / "*.heic")]))


def test_lists_are_read_as_lines_or_as_the_column_path(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (tmp_path / "list.txt").write_text("a.jpg\nb.jpg\n")
    pq.write_table(pa.table({"path": ["a.jpg", None, "b.jpg"]}), tmp_path / "list.parquet")
    pq.write_table(pa.table({"name": ["a.jpg"]}), tmp_path / "other.parquet")
    for name in ("list.txt", "list.parquet"):
        assert list(expand([str(tmp_path / name)])) == ["a.jpg", "b.jpg"]
    with pytest.raises(DatasetError, match="column `path`"):
        list(expand([str(tmp_path / "other.parquet")]))
    with pytest.raises(DatasetError):
        list(expand([str(tmp_path / "gone.txt")]))


@pytest.mark.parametrize(
    ("name", "remote"),
    [("s3://b/a.jpg", True), ("memory://a", True), ("a.jpg", False), ("C:/a://b", False)],
)
def test_addresses(name: str, remote: bool) -> None:
    assert is_remote(name) is remote


def test_a_folder_in_a_store_is_listed() -> None:
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    for name in ("/bulk/b/2.jpg", "/bulk/a.jpg", "/bulk/notes.doc"):
        system.pipe_file(name, b"x")
    found = list(expand(["memory://bulk/"]))
    assert [name.rpartition("bulk/")[2] for name in found] == ["a.jpg", "b/2.jpg"]
    assert all(name.startswith("memory://") for name in found)
    with pytest.raises(UsageError, match="no photograph"):
        list(expand(["memory://empty/"]))


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfa.jpg\nb.jpg\n",
        "\ufeffa.jpg\r\nb.jpg\r\n".encode("utf-16-le"),
        "\ufeffa.jpg\nb.jpg".encode("utf-16-be"),
    ],
)
def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    assert list(expand([str(tmp_path / "list.txt")])) == ["a.jpg", "b.jpg"]
    assert list(expand(["-"], lines_of(io.BytesIO(content)))) == ["a.jpg", "b.jpg"]


def test_names_in_lists_are_bytes(tmp_path: Path) -> None:
    content = b"caf\xe9.jpg\na\x0bb.jpg\n"
    (tmp_path / "list.txt").write_bytes(content)
    found = [os.fsencode(name) for name in expand([str(tmp_path / "list.txt")])]
    assert found == [b"caf\xe9.jpg", b"a\x0bb.jpg"]


def test_a_folder_that_is_called_like_a_list(tmp_path: Path) -> None:
    for name in ("holiday.txt", "all.parquet", "s[1].lst"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").touch()
        assert list(expand([str(tmp_path / name)])) == [str(tmp_path / name / "a.jpg")]


def test_a_pattern_enters_each_folder_once(album: Path) -> None:
    (album / "loop").symlink_to(".")
    (album / "b" / "up").symlink_to("..")
    (album / "other").symlink_to("b")

    def found(pattern: str) -> list[str]:
        return [os.path.relpath(name, album) for name in expand([str(album / pattern)])]

    assert found("**/*.jpg") == ["a.jpg"]
    assert found("**/*.png") == ["b/1.png"]
    assert found("**/b/*") == ["b/1.png", "b/2.JPG"]
    through = ["b/up/a.jpg", "b/up/c.txt.webp", "b/up/notes.doc"]
    assert found("b/**") == ["b/1.png", "b/2.JPG", *through], "and b itself not again"
    assert found("**") == ["a.jpg", "b/1.png", "b/2.JPG", "c.txt.webp", "notes.doc"]
    assert found("**/**/[ab].*") == ["a.jpg"]


@pytest.mark.parametrize("pattern", ["**/*.jpg", "a/**/*.jpg", "**/b/*.jpg", "*/**", "**/?.jpg"])
def test_patterns_mean_what_they_mean_to_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    for name in ("1.jpg", "a/2.jpg", "a/b/3.jpg", "a/b/c/4.jpg", "b/5.jpg", "b/long.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    expected = [name for name in glob.glob(pattern, recursive=True) if os.path.isfile(name)]  # noqa: PTH113, PTH207
    assert sorted(expand([pattern])) == sorted(expected)
    absolute = [str(tmp_path / name) for name in expected]
    assert sorted(expand([str(tmp_path / pattern)])) == sorted(absolute)


def test_what_a_pattern_may_not_find_is_left_out(album: Path) -> None:
    found = expand([str(album / "**" / "*")], exclude=["b", "*.doc"])
    assert [Path(name).name for name in found] == ["a.jpg", "c.txt.webp"]
