"""The packaged catalog, entry by entry, and the user's cards beside it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from example_card import CARD

from faceprint import settings
from faceprint.errors import CardError, UnknownModelError
from faceprint.zoo import catalog, packs, store
from faceprint.zoo.card import ModelCard
from faceprint.zoo.card_io import card_toml, parse_card

# Names that scripts use: docs/cli.md. None of them may go.
PROMISED = {
    *("mtcnn", "dlib-resnet", "yunet-2023mar", "scrfd-500m", "scrfd-2.5g", "scrfd-10g"),
    *("retinaface-mnet025", "ultraface-rfb-320", "ultraface-rfb-640", "arcface-r100"),
    *("arcface-r100-int8", "w600k-mbf", "w600k-r50", "mobileface", "edgeface-xs", "sface"),
    *("sface-int8", "auraface"),
}
FOLDER = Path(catalog.__file__).with_name("cards")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(params=sorted(path.stem for path in FOLDER.glob("*.toml")))
def card(request: pytest.FixtureRequest) -> ModelCard:
    return catalog.get_card(str(request.param))


def test_every_promised_name_is_there() -> None:
    assert set(catalog.card_ids()) >= PROMISED


def test_entry(card: ModelCard) -> None:
    assert card.origin == "packaged"
    assert card.license.url.startswith("https://")
    assert card.homepage.startswith("https://")
    assert card.description
    assert parse_card(card_toml(card), where="x", origin="packaged") == card
    for file in card.files:
        assert file.size is not None or not file.sha256, "a hash without a size"
        # http is for user cards; addresses that move are no use to anybody
        assert all(url.startswith("https://") for url in file.urls)
        assert file.bundled or file.urls or card.id == "retinaface-mnet025"
        if file.archive is not None:
            assert file.archive.sha256
            assert file.archive.size
    for figure in card.published:
        assert 0 < figure.value <= 1
        assert figure.source.startswith("https://")
    if card.task == "embed":
        assert card.alignment is not None
        assert card.dim in (128, 512)


def test_only_edgeface_is_unpinned() -> None:
    assert [card.id for card in catalog.all_cards() if not card.pinned] == ["edgeface-xs"]


def test_research_weights_are_never_called_free(card: ModelCard) -> None:
    words = f"{card.license.weights} {card.license.note}".lower()
    if re.search(r"non-commercial|research only|-nc-", words):
        assert card.license.commercial_use != "yes"


def test_bundled_weights_are_those_of_the_cards() -> None:
    bundled = {
        file.name: file.sha256
        for card in catalog.all_cards()
        for file in card.files
        if file.bundled
    }
    folder = Path(store.__file__).with_name("weights")
    assert {path.name for path in folder.glob("*.onnx")} == set(bundled)
    for name, sha256 in bundled.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256


def test_file_names_are_unique() -> None:
    seen: dict[str, str] = {}
    for card in catalog.all_cards():
        for file in card.files:
            assert seen.setdefault(file.name, card.id) == card.id


def test_the_mirror_of_test_models_fits_the_cards(shared_models: Path) -> None:
    import tomllib

    facts = tomllib.loads((shared_models / "MODELS.toml").read_text("utf-8"))
    published = {row["name"]: row for row in facts["file"] if not row["derived"]}
    published |= {row["name"]: row for row in facts["absent"]}
    files = {file.name: file for card in catalog.all_cards() for file in card.files}
    for name, row in published.items():
        assert (files[name].sha256, files[name].size) == (row["sha256"], row["size"])


def test_packs_name_cards_of_the_right_task() -> None:
    names = [pack.name for pack in packs.all_packs()]
    assert names[0] == "starter"
    assert {"arcface", "arcface-int8", "sface", "buffalo-s", "buffalo-l"} <= set(names)
    for pack in packs.all_packs():
        assert catalog.get_card(pack.detector).task == "detect"
        assert catalog.get_card(pack.embedder).task == "embed"
        assert packs.get_pack(pack.name) == pack
    with pytest.raises(UnknownModelError, match="did you mean buffalo-s or buffalo-l"):
        packs.get_pack("buffalo_s")


@pytest.mark.parametrize("name", ["../x", "", "a/b", "no-such-thing", "..", "x\0y", "é"])
def test_unknown_ids(name: str) -> None:
    with pytest.raises(UnknownModelError):
        catalog.get_card(name)


def test_close_matches_are_named() -> None:
    with pytest.raises(UnknownModelError, match="did you mean yunet-2023mar"):
        catalog.get_card("yunet-2023")
    with pytest.raises(KeyError):
        catalog.get_card("yunet-2023")


def test_one_card_parses_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    original = catalog.read_card

    def counting(path: Path, *, origin: str | None = None) -> ModelCard:
        read.append(path)
        return original(path, origin=origin)

    monkeypatch.setattr(catalog, "read_card", counting)
    catalog.get_card("mtcnn")
    assert [path.name for path in read] == ["mtcnn.toml"]


def write(folder: Path, text: str, name: str = "mine.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_add_and_remove(tmp_path: Path, home: Path) -> None:
    path = write(tmp_path, CARD)
    card = catalog.add_card(path)
    assert catalog.get_card("my-model") == card
    assert card.origin == str(home / "cards" / "my-model.toml")
    assert "my-model" in catalog.card_ids()
    with pytest.raises(CardError, match="user's own card"):
        catalog.add_card(path)
    write(tmp_path, CARD.replace("Mine", "Newer"))
    assert catalog.add_card(path, replace=True).title == "Newer"
    assert catalog.remove_card("my-model")
    assert not catalog.remove_card("my-model")
    with pytest.raises(UnknownModelError):
        catalog.get_card("my-model")


def test_a_packaged_id_is_replaced_on_purpose_alone(tmp_path: Path) -> None:
    text = CARD.replace("my-model", "sface")
    path = write(tmp_path, text)
    with pytest.raises(CardError, match="packaged card"):
        catalog.add_card(path)
    # a file dropped into the folder by hand does not stand in for the packaged card either
    write(settings.home() / "cards", text, "sface.toml")
    assert catalog.get_card("sface").origin == "packaged"
    assert catalog.add_card(path, replace=True).title == "Mine"
    assert catalog.get_card("sface").title == "Mine"
    assert catalog.remove_card("sface")
    assert catalog.get_card("sface").origin == "packaged"


def test_a_user_card_claims_no_packaged_file(tmp_path: Path) -> None:
    bundled = CARD.replace("size = 10", "size = 10\nbundled = true")
    with pytest.raises(CardError, match="bundled"):
        catalog.add_card(write(tmp_path, bundled))
    write(settings.home() / "cards", bundled, "my-model.toml")
    with pytest.raises(CardError, match="bundled"):
        catalog.get_card("my-model")


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, CARD.replace("mine.onnx", "det_500m.onnx"))
    with pytest.raises(CardError, match=r"'det_500m\.onnx' is that of a different file"):
        catalog.add_card(path)


def test_a_card_under_another_name_is_refused() -> None:
    write(settings.home() / "cards", CARD, "other-name.toml")
    with pytest.raises(CardError, match="file's name says 'other-name'"):
        catalog.get_card("other-name")
