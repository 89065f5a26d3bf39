"""Large JPEGs are decoded as far as detection needs, and wholly only where a crop is worth it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import faceprint
from faceprint.errors import DecodeError, ImageTooLargeError, ModelMissingError
from faceprint.geometry import iou_matrix
from faceprint.vision import headers, images, jpeg_decoder
from faceprint.vision.detect.box_crops import box_crops
from faceprint.vision.detect.pyramid import levels_of, pyramid
from faceprint.vision.images import ImageLimits, decode, decode_scaled
from faceprint.vision.mipmaps import Mipmaps

SAMPLES = Path(faceprint.__file__).parent / "samples"


def enlarged(side: int, *, faces_at: float = 1.0, orientation: int = 1, **save: object) -> bytes:
    """The portrait of a sample as a JPEG of `side` pixels a side, or a small part of it."""
    portrait = PIL.Image.open(SAMPLES / "collins.jpg").convert("RGB")
    inner = round(side * faces_at)
    picture = PIL.Image.new("RGB", (side, side), (90, 110, 120))
    picture.paste(portrait.resize((inner, inner)), ((side - inner) // 2, (side - inner) // 2))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90, exif=exif, **save)
    return out.getvalue()


@pytest.fixture(scope="module")
def fp() -> faceprint.FaceAnalyzer:
    return faceprint.load("starter")


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The (width, height) of everything that is decoded."""
    sizes: list[tuple[int, int]] = []
    real = images._decode_bytes

    def noted(*given: object) -> tuple[np.ndarray, int, tuple[int, int]]:
        made = real(*given)  # type: ignore[arg-type]
        sizes.append((made[0].shape[1], made[0].shape[0]))
        return made

    monkeypatch.setattr(images, "_decode_bytes", noted)
    return sizes


@pytest.mark.parametrize("share, halvings", [(1.0, 0), (0.51, 0), (0.5, 1), (0.3, 1), (0.1, 3)])
def test_the_scale_is_the_smallest_that_is_enough(share: float, halvings: int) -> None:
    mips = decode_scaled(enlarged(1001), lambda width, height: share)
    assert (mips.width, mips.height, mips.halvings) == (1001, 1001, halvings)
    side = -(-1001 // 2**halvings)
    assert mips.level(halvings).shape == (side, side, 3)
    assert mips.level(0).shape == (1001, 1001, 3), "decoded anew on demand"


def test_a_reduced_photograph_looks_like_the_halved_one() -> None:
    data = enlarged(1600)
    reduced = decode_scaled(data, lambda width, height: 0.5).level(1).astype(int)
    whole = PIL.Image.fromarray(decode(data)).reduce(2)
    assert np.abs(reduced - np.asarray(whole, int)).mean() < 1.0


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_orientation_is_applied_at_every_scale(orientation: int) -> None:
    portrait = PIL.Image.open(SAMPLES / "collins.jpg").convert("RGB").resize((1200, 2000))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    portrait.save(out, "JPEG", exif=exif)
    mips = decode_scaled(out.getvalue(), lambda width, height: 0.25)
    upright = decode(out.getvalue())
    assert (mips.height, mips.width) == upright.shape[:2]
    small = PIL.Image.fromarray(upright).reduce(4)
    assert np.abs(mips.level(2).astype(int) - np.asarray(small, int)).mean() < 2.0


def test_a_large_face_is_never_decoded_whole(
    fp: faceprint.FaceAnalyzer, decodes: list[tuple[int, int]]
) -> None:
    data = enlarged(3000)
    (face,) = fp.analyze(data)
    assert decodes == [(1500, 1500)]
    (same,) = fp.analyze(decode(data))
    assert iou_matrix(face.box[None], same.box[None])[0, 0] > 0.95
    assert face.embedding is not None and same.embedding is not None
    assert faceprint.compare(face.embedding, same.embedding) > 0.995


def test_a_small_face_is_cut_from_the_whole_photograph(
    fp: faceprint.FaceAnalyzer, decodes: list[tuple[int, int]]
) -> None:
    data = enlarged(3000, faces_at=0.2)
    (face,) = fp.analyze(data, keep_crops=True)
    assert decodes == [(1500, 1500), (3000, 3000)]
    (same,) = fp.analyze(decode(data), keep_crops=True)
    assert iou_matrix(face.box[None], same.box[None])[0, 0] > 0.9
    assert face.embedding is not None and same.embedding is not None
    assert faceprint.compare(face.embedding, same.embedding) > 0.99


def test_places_alone_need_no_crop_and_no_second_decoding(
    fp: faceprint.FaceAnalyzer, decodes: list[tuple[int, int]]
) -> None:
    data = enlarged(3000, faces_at=0.2)
    (face,) = fp.analyze(data, embed=False, quality=False)
    (streamed,) = next(iter(fp.analyze_many([data], embed=False, quality=False))).faces
    assert decodes == [(1500, 1500)] * 2
    assert face.quality is face.embedding is face.crop is None
    (whole,) = fp.analyze(data, embed=False)
    assert whole.quality is not None
    for found in (face, streamed):
        np.testing.assert_allclose(found.box, whole.box, atol=1e-3)
        assert found.landmarks is not None and whole.landmarks is not None
        np.testing.assert_allclose(found.landmarks, whole.landmarks, atol=1e-3)
    (kept,) = fp.analyze(data, embed=False, quality=False, keep_crops=True)
    assert kept.crop is not None and kept.quality is None


def test_every_way_of_running_gives_the_same(fp: faceprint.FaceAnalyzer, tmp_path: Path) -> None:
    data = enlarged(2600)
    path = tmp_path / "large.jpg"
    path.write_bytes(data)
    (one,) = fp.analyze(path)
    (many,) = next(fp.analyze_many([path])).faces
    (of_bytes,) = fp.analyze(data)
    for other in (many, of_bytes):
        np.testing.assert_allclose(one.box, other.box, atol=1e-3)
        assert one.embedding is not None and other.embedding is not None
        assert faceprint.compare(one.embedding, other.embedding) > 1 - 1e-6


def test_a_photograph_that_fails_on_second_reading_is_one_error_of_the_stream(
    fp: faceprint.FaceAnalyzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = enlarged(3000, faces_at=0.2)
    portrait = (SAMPLES / "obama.jpg").read_bytes()

    real, seen = images._decode_bytes, []

    def once(data: bytes, *given: object) -> tuple[np.ndarray, int, tuple[int, int]]:
        if data in seen:
            raise DecodeError("<bytes>: not enough memory for the pixels it claims")
        seen.extend([data] if data == small else [])
        return real(data, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(images, "_decode_bytes", once)
    first, broken, last = fp.analyze_many([portrait, small, portrait])
    assert isinstance(broken.error, DecodeError)
    assert not broken.faces
    assert len(first.faces) == len(last.faces) == 1
    seen.clear()
    with pytest.raises(DecodeError, match="not enough memory"):
        fp.analyze(small)


def test_limits_and_damage_are_told_as_ever() -> None:
    data = enlarged(2600)
    with pytest.raises(ImageTooLargeError):
        decode_scaled(data, lambda *size: 0.1, limits=ImageLimits(max_pixels=10_000))
    with pytest.raises(DecodeError, match="truncated"):
        decode_scaled(data[: len(data) // 2], lambda *size: 0.1)


def test_other_formats_are_decoded_whole() -> None:
    out = io.BytesIO()
    PIL.Image.new("RGB", (900, 900)).save(out, "PNG")
    assert decode_scaled(out.getvalue(), lambda *size: 0.1).halvings == 0


@pytest.mark.parametrize("halvings", [0, 1, 2, 3])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_both_decoders_give_the_same_pixels(
    mode: str, orientation: int, halvings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = PIL.Image.open(SAMPLES / "obama.jpg").convert(mode).resize((336, 248))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    picture.save(out, "JPEG", exif=exif)
    share = 2.0**-halvings
    fast = decode_scaled(out.getvalue(), lambda *size: share)
    monkeypatch.setattr(jpeg_decoder, "decode", lambda *given: None)
    slow = decode_scaled(out.getvalue(), lambda *size: share)
    assert (fast.width, fast.height, fast.halvings) == (slow.width, slow.height, halvings)
    assert np.array_equal(fast.level(halvings), slow.level(halvings))


@pytest.mark.parametrize(
    "orientation, halvings", [(1, 3), (2, 1), (3, 1), (4, 1), (5, 3), (6, 1), (7, 1), (8, 1)]
)
def test_a_turned_photograph_is_halved_as_often_as_it_can_be_exactly(
    orientation: int, halvings: int
) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    PIL.Image.open(SAMPLES / "obama.jpg").resize((334, 250)).save(out, "JPEG", exif=exif)
    mips = decode_scaled(out.getvalue(), lambda *size: 0.125)
    assert mips.halvings == halvings, "the half pixel of an odd side would come first"
    assert (mips.width, mips.height) == ((334, 250) if orientation < 5 else (250, 334))


ODD = [(1001, 1003), (1003, 1000), (1285, 963), (251, 203), (96, 64)]
"""Widths and heights; those above 64,000 pixels have odd sides evened out."""


def edged(width: int, height: int, reduced: int) -> tuple[Mipmaps, tuple[int, int]]:
    """White up to 37 and 29 pixels from the far edges, black beyond; and where that is."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height - 29, : width - 37] = 255
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, "JPEG", quality=98, subsampling=0)
    return decode_scaled(out.getvalue(), lambda *size: 0.5**reduced), (width - 37, height - 29)


def edge_of(image: np.ndarray, span: tuple[float, float]) -> tuple[float, float]:
    """Where the white ends, in the photograph's pixels, by how much of it there is."""
    white = image[..., 0].astype(float) / 255
    across, down = white[0].sum() / image.shape[1], white[:, 0].sum() / image.shape[0]
    return across * span[0], down * span[1]


@pytest.mark.parametrize("sides", ODD)
@pytest.mark.parametrize("reduced", [0, 1, 3])
def test_a_level_shows_what_it_says(sides: tuple[int, int], reduced: int) -> None:
    mips, edge = edged(*sides, reduced)
    assert mips.halvings == reduced
    for index in range(reduced, 5):
        image, span = mips.view(index)
        assert image.shape[:2] == tuple(-(-side // 2**index) for side in sides[::-1])
        assert edge_of(image, span) == pytest.approx(edge, abs=0.5)


@pytest.mark.parametrize("sides", ODD)
@pytest.mark.parametrize("reduced", [0, 1])
def test_a_pyramid_shows_what_it_says(sides: tuple[int, int], reduced: int) -> None:
    mips, edge = edged(*sides, reduced)
    levels = levels_of(mips, 0.23, octave=2, border=0)
    assert levels
    for level, pictures in zip(levels, pyramid([mips, mips], levels, 2), strict=True):
        assert pictures.shape == (2, level.height, level.width, 3)
        np.testing.assert_array_equal(pictures[0], pictures[1])
        assert edge_of(pictures[0], level.span) == pytest.approx(edge, abs=0.75)


@pytest.mark.parametrize("reduced", [0, 1, 3])
def test_crops_from_a_reduced_photograph_lie_where_they_do_in_the_whole(reduced: int) -> None:
    mips, (right, bottom) = edged(1001, 1003, reduced)
    box = np.asarray([[right - 240, bottom - 240, right + 30, bottom + 20]], np.float32)
    (crop,) = box_crops([mips], box, np.zeros(1, int), 48)
    across, down = edge_of(crop, (270, 260))
    assert (across, down) == pytest.approx((240, 240), abs=1.0)


def test_what_opencv_would_not_tell_is_left_to_pillow() -> None:
    whole = enlarged(400)
    header = headers.read(whole)
    assert header is not None
    assert jpeg_decoder.decode(whole, header, 0) is not None
    assert jpeg_decoder.decode(whole + bytes(20), header, 0) is not None, "padding of a camera"
    assert jpeg_decoder.decode(whole[:-2], header, 0) is None
    assert jpeg_decoder.decode(whole[: len(whole) // 2], header, 0) is None
    out = io.BytesIO()
    PIL.Image.new("CMYK", (40, 30), (10, 200, 30, 40)).save(out, "JPEG")
    inks = headers.read(out.getvalue())
    assert inks is not None
    assert jpeg_decoder.decode(out.getvalue(), inks, 0) is None


def test_a_detector_that_is_missing_is_not_the_photographs_fault() -> None:
    def enough(width: int, height: int) -> float:
        raise ModelMissingError("detector.onnx is not on this machine")

    with pytest.raises(ModelMissingError, match="not on this machine"):
        decode_scaled(enlarged(64), enough)
