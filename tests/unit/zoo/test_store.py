"""The store against a server that misbehaves, disks that are full, and caches that rot."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faulty_server import Server, faulty_server
from waiting import until

from faceprint.errors import CardError, ChecksumError, DownloadError, ModelMissingError
from faceprint.zoo import store
from faceprint.zoo.card import InputContract, License, ModelCard, ModelFile

BODY = np.random.default_rng(7).integers(0, 256, 600_000, dtype=np.uint8).tobytes()
SHA = hashlib.sha256(BODY).hexdigest()
FREE = License("MIT", "yes")


@pytest.fixture
def server() -> Iterator[Server]:
    with faulty_server() as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "home"


def card(*urls: str, sha256: str | None = SHA, size: int | None = len(BODY)) -> ModelCard:
    return ModelCard(
        id="mine",
        task="detect",
        decoder="scrfd",
        title="Mine",
        files=(ModelFile("mine.onnx", sha256, size, urls),),
        license=FREE,
        input=InputContract(640, 640),
        origin="test",
    )


def leftovers(home: Path) -> list[str]:
    """Everything in the cache but lock files."""
    return sorted(p.name for p in (home / "models").iterdir() if not p.name.endswith(".lock"))


def test_fetches_checks_and_keeps(server: Server, home: Path) -> None:
    mine = card(server.add("mine.onnx", BODY))
    paths = store.ensure(mine)
    assert paths == {"model": home / "models" / "mine.onnx"}
    assert paths["model"].read_bytes() == BODY
    assert leftovers(home) == ["mine.onnx"]
    assert store.ensure(mine) == paths
    assert server.count("mine.onnx") == 1
    assert [state.state for state in store.verify(mine)] == ["ok"]
    assert store.local_path(mine.files[0]) == paths["model"]
    assert store.is_ready(mine)


def test_wrong_hash(server: Server, home: Path) -> None:
    wrong = BODY[:-1] + b"\0"
    with pytest.raises(ChecksumError, match=f"sha256 .* instead of {SHA}"):
        store.ensure(card(server.add("mine.onnx", wrong)))
    assert leftovers(home) == []


def test_truncated_body(server: Server, home: Path) -> None:
    """The connection ends early every time, and the server knows no ranges."""
    url = server.add("mine.onnx", BODY, ranges=False, cuts={-1: 300_000})
    with pytest.raises(DownloadError, match="could not be fetched"):
        store.ensure(card(url))
    assert not (home / "models" / "mine.onnx").exists()


def test_a_shorter_file_than_the_card_says(server: Server, home: Path) -> None:
    url = server.add("mine.onnx", BODY[:1000], ranges=False)
    with pytest.raises(DownloadError, match="ends after 1000 of 600000 bytes"):
        store.ensure(card(url))
    assert not (home / "models" / "mine.onnx").exists()


def test_a_longer_file_than_the_card_says(server: Server) -> None:
    url = server.add("mine.onnx", BODY * 20)
    with pytest.raises(DownloadError, match="sends more than the 600000 bytes"):
        store.ensure(card(url))
    assert sum(server.sent) < len(BODY) * 20


def test_second_address_after_404(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    mine = card(f"{server.url}/gone.onnx", server.add("mine.onnx", BODY))
    assert store.ensure(mine)["model"].read_bytes() == BODY
    assert "gone.onnx: HTTP 404" in caplog.text


def test_second_address_after_wrong_bytes(server: Server) -> None:
    wrong = server.add("wrong.onnx", bytes(len(BODY)))
    assert store.ensure(card(wrong, server.add("mine.onnx", BODY)))["model"].read_bytes() == BODY


def test_a_cut_connection_is_resumed(server: Server, home: Path) -> None:
    mine = card(server.add("mine.onnx", BODY, cuts={0: 327_680}))
    assert store.ensure(mine)["model"].read_bytes() == BODY
    first, second = (headers for _, headers in server.requests)
    assert "Range" not in first
    assert int(second["Range"].removeprefix("bytes=").rstrip("-")) > 0
    assert second["If-Range"] == '"v1"'
    assert sum(server.sent) < 1.5 * len(BODY)
    assert leftovers(home) == ["mine.onnx"]


def test_a_broken_run_is_taken_up_by_the_next(server: Server, home: Path) -> None:
    url = server.add("mine.onnx", BODY, cuts={-1: 65_536}, ranges=True)
    server.routes["/mine.onnx"].cuts = {0: 327_680, -1: 0}
    with pytest.raises(DownloadError):
        store.ensure(card(url))
    assert any(name.endswith(".part") for name in leftovers(home))
    server.routes["/mine.onnx"].cuts = {}
    server.requests.clear()
    assert store.ensure(card(url))["model"].read_bytes() == BODY
    assert "Range" in server.requests[0][1]
    assert leftovers(home) == ["mine.onnx"]


def test_a_file_that_changed_in_between_comes_whole(server: Server) -> None:
    url = server.add("mine.onnx", bytes(len(BODY)), cuts={0: 327_680, -1: 0}, etag='"old"')
    with pytest.raises(DownloadError):
        store.ensure(card(url))
    server.add("mine.onnx", BODY, etag='"new"')
    assert store.ensure(card(url))["model"].read_bytes() == BODY


def test_a_wrong_beginning_without_validators_is_thrown_away(server: Server, home: Path) -> None:
    url = server.add("mine.onnx", bytes(len(BODY)), cuts={0: 327_680, -1: 0}, etag="")
    with pytest.raises(DownloadError):
        store.ensure(card(url))
    server.add("mine.onnx", BODY, etag="")
    assert store.ensure(card(url))["model"].read_bytes() == BODY
    assert leftovers(home) == ["mine.onnx"]


def test_a_corrupted_cache_is_found_and_fetched_again(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    mine = card(server.add("mine.onnx", BODY))
    path = store.ensure(mine)["model"]
    damaged = bytearray(BODY)
    damaged[1234] ^= 1
    path.write_bytes(damaged)
    assert store.verify(mine)[0].state == "corrupt"
    assert store.ensure(mine)["model"].read_bytes() == BODY
    assert "is damaged" in caplog.text


def test_a_corrupted_packaged_file_is_never_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from faceprint.zoo.catalog import get_card

    weights = tmp_path / "weights"
    shutil.copytree(Path(store.__file__).with_name("weights"), weights)
    monkeypatch.setattr(store, "_WEIGHTS", weights)
    mtcnn = get_card("mtcnn")
    assert store.ensure(mtcnn)["pnet"] == weights / "mtcnn_pnet.onnx"
    content = bytearray((weights / "mtcnn_pnet.onnx").read_bytes())
    content[-1] ^= 1
    (weights / "mtcnn_pnet.onnx").write_bytes(content)
    with pytest.raises(ChecksumError, match="install faceprint again"):
        store.ensure(mtcnn)
    (weights / "mtcnn_pnet.onnx").unlink()
    with pytest.raises(ChecksumError, match="is missing"):
        store.ensure(mtcnn)


def test_offline_never_touches_the_network(
    server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = card(server.add("mine.onnx", BODY))
    monkeypatch.setenv("FACEPRINT_OFFLINE", "1")
    for mirror in ("", server.url):
        monkeypatch.setenv("FACEPRINT_MIRROR", mirror)
        with pytest.raises(ModelMissingError) as error:
            store.ensure(mine)
        assert not isinstance(error.value, DownloadError)
        for fact in ("mine.onnx", "600000 bytes", SHA, str(home / "models" / "mine.onnx")):
            assert fact in str(error.value)
    assert server.requests == []


def test_mirror_folder(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "mine.onnx").write_bytes(BODY)
    monkeypatch.setenv("FACEPRINT_MIRROR", str(mirror))
    monkeypatch.setenv("FACEPRINT_OFFLINE", "1")
    mine = card(server.add("mine.onnx", BODY))
    path = store.ensure(mine)["model"]
    assert path.read_bytes() == BODY
    assert server.requests == []
    # a wrong file there is said, and the next address is tried
    path.unlink()
    (mirror / "mine.onnx").write_bytes(b"x" * len(BODY))
    with pytest.raises(ModelMissingError, match="instead of"):
        store.ensure(mine)
    monkeypatch.delenv("FACEPRINT_OFFLINE")
    assert store.ensure(mine)["model"].read_bytes() == BODY
    assert f"{mirror / 'mine.onnx'}: sha256" in caplog.text


def test_mirror_url_is_asked_first_by_file_name(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add("mirror/mine.onnx", BODY)
    monkeypatch.setenv("FACEPRINT_MIRROR", f"{server.url}/mirror/")
    store.ensure(card(server.add("elsewhere.onnx", BODY)))
    assert [path for path, _ in server.requests] == ["/mirror/mine.onnx"]


def test_unpinned_is_refused_then_held_to_what_came(server: Server) -> None:
    mine = card(server.add("mine.onnx", BODY), sha256=None, size=None)
    with pytest.raises(ModelMissingError, match="--allow-unpinned"):
        store.ensure(mine)
    assert server.requests == []
    path = store.ensure(mine, allow_unpinned=True)["model"]
    assert store.ensure(mine)["model"] == path
    path.write_bytes(b"other")
    assert store.verify(mine)[0].state == "corrupt"
    with pytest.raises(ModelMissingError, match="--allow-unpinned"):
        store.ensure(mine)


def test_full_disk_before_the_first_byte(
    server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DownloadError, match="is full: 600000 bytes are needed and 1000 are free"):
        store.ensure(card(server.add("mine.onnx", BODY)))
    assert server.requests == []
    assert leftovers(home) == []


PULL = """
import sys
sys.path.insert(0, sys.argv[1])
from test_store import card
from faceprint.zoo import store
{before}
print(store.ensure(card(sys.argv[2]))["model"])
"""


def child(url: str, before: str = "", stderr: Any = subprocess.PIPE) -> subprocess.Popen[str]:
    code = PULL.format(before=before)
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    folders += filter(None, [os.environ.get("PYTHONPATH")])
    return subprocess.Popen(
        [sys.executable, "-c", code, folders[0], url],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_full_disk_half_way(server: Server, home: Path) -> None:
    """The system itself refuses to write past 200 kB, as a full disk does."""
    limit = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
    )
    process = child(server.add("mine.onnx", BODY), limit)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "DownloadError: the disk of" in errors
    assert "is full" in errors
    assert leftovers(home) == []


def test_two_processes_at_once(server: Server, home: Path, tmp_path: Path) -> None:
    gate = threading.Event()
    url = server.add("mine.onnx", BODY, gate=gate)
    logs = [tmp_path / "one.log", tmp_path / "other.log"]
    processes = []
    for log in logs:
        with log.open("w") as file:
            processes.append(child(url, stderr=file))
    waits = [until(lambda: [log for log in logs if "waiting for it" in log.read_text()])]
    gate.set()
    results = [process.communicate() for process in processes]
    errors = [log.read_text() for log in logs]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert {out.strip() for out, _ in results} == {str(home / "models" / "mine.onnx")}
    assert server.count("mine.onnx") == 1
    assert len(waits[0]) == 1
    assert leftovers(home) == ["mine.onnx"]


@pytest.fixture
def unwritable(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that this process may not write, also when the tests run as root."""
    if sys.platform == "win32":
        pytest.skip("permissions of folders are POSIX")
    folder = Path(tempfile.mkdtemp())
    home = folder / "home"
    (home / "models").mkdir(parents=True)
    root = os.geteuid() == 0
    (home / "models" / "kept.onnx").write_bytes(BODY)
    for path in (home / "models", home):
        path.chmod(0o555)
    folder.chmod(0o755)
    monkeypatch.setenv("FACEPRINT_HOME", str(home))
    if root:
        os.seteuid(65534)
    try:
        yield home
    finally:
        if root:
            os.seteuid(0)
        for path in (home, home / "models"):
            path.chmod(0o755)
        shutil.rmtree(folder)


def test_read_only_cache(server: Server, unwritable: Path) -> None:
    url = server.add("mine.onnx", BODY)
    with pytest.raises(DownloadError, match=r"cannot be written .*; set FACEPRINT_HOME"):
        store.ensure(card(url))
    assert sorted(path.name for path in (unwritable / "models").iterdir()) == ["kept.onnx"]
    # what is there already is used all the same
    kept = card(url)
    kept = ModelCard(
        **{
            **{name: getattr(kept, name) for name in ModelCard.__slots__},
            "files": (ModelFile("kept.onnx", SHA, len(BODY), (url,)),),
        }
    )
    assert store.ensure(kept)["model"] == unwritable / "models" / "kept.onnx"
    assert server.requests == []


def test_cache_that_is_a_file(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "file"))
    with pytest.raises(DownloadError, match="cannot be used as the cache"):
        store.ensure(card(server.add("mine.onnx", BODY)))


def test_external_data_outside_the_folder_is_refused(server: Server, home: Path) -> None:
    import onnx
    from onnx import helper

    tensor = onnx.TensorProto(name="w", data_type=1, dims=[2])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    value = helper.make_tensor_value_info("x", 1, [2])
    node = helper.make_node("Identity", ["x"], ["x2"])
    graph = helper.make_graph([node], "g", [value], [], [tensor])
    body = helper.make_model(graph).SerializeToString()
    url = server.add("mine.onnx", body)
    hostile = card(url, sha256=hashlib.sha256(body).hexdigest(), size=len(body))
    with pytest.raises(CardError, match=r"points outside its folder \(\.\./\.\./etc/passwd\)"):
        store.ensure(hostile)


def test_nothing_is_printed_without_a_terminal(
    server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    store.ensure(card(server.add("mine.onnx", BODY)))
    assert capfd.readouterr() == ("", "")


def test_adopt_takes_files_that_lie_beside_a_card(tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "mine.onnx").write_bytes(BODY)
    assert store.adopt(card(), folder) == (home / "models" / "mine.onnx",)
    assert store.ensure(card())["model"].read_bytes() == BODY
    (home / "models" / "mine.onnx").unlink()
    (folder / "mine.onnx").write_bytes(b"wrong")
    with pytest.raises(ChecksumError):
        store.adopt(card(), folder)
    assert leftovers(home) == []


def test_library_messages_are_of_its_own_logger(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    store.ensure(card(f"{server.url}/gone", server.add("mine.onnx", BODY)))
    assert {record.name for record in caplog.records if record.levelno >= logging.WARNING} == {
        "faceprint.zoo"
    }


def test_an_address_that_does_not_answer_is_told_once_and_shortly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/mine.onnx"
        with pytest.raises(DownloadError) as caught:
            store.ensure(card(url))
    assert f"{url}: no connection (Connection refused)" in str(caught.value)
    for word in ("urllib3", "Max retries", "HTTPConnectionPool"):
        assert word not in str(caught.value)
    assert url not in caplog.text
