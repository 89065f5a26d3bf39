"""Small photographs that would cost much are refused by their header, and sound ones are not."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import faceprint
from faceprint.errors import DecodeError, ImageTooLargeError, UsageError
from faceprint.evaluation.report import thumbnail
from faceprint.vision import headers, images, pillow_decoder
from faceprint.vision.images import ImageLimits, decode, decode_scaled

SAMPLES = Path(str(resources.files("faceprint") / "samples"))
PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def encoded(kind: str, picture: np.ndarray = PICTURE, **options: object) -> bytes:
    out = io.BytesIO()
    PIL.Image.fromarray(picture).save(out, kind, **options)  # type: ignore[arg-type]
    return out.getvalue()


def jpeg_with(segments: bytes) -> bytes:
    data = encoded("JPEG")
    return data[:2] + segments + data[2:]


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    packed = struct.pack(">I", len(content)) + kind + content
    return packed + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *chunks: bytes, kind: tuple[int, int] = (1, 0)) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, *kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunks) + chunk(b"IEND")


def tiff(*tags: tuple[int, int, int, int], rest: bytes = b"", order: str = "<") -> bytes:
    """A TIFF of 2 x 4 gray pixels with further tags."""
    given = {256: (3, 1, 2), 257: (3, 1, 4), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1)}
    given |= {273: (4, 1, 8), 277: (3, 1, 1), 278: (3, 1, 4), 279: (4, 1, 8)}
    entries = [(tag, *value) for tag, value in given.items()]
    entries = sorted([e for e in entries if e[0] not in {t[0] for t in tags}] + list(tags))
    packed = []
    for tag, kind, count, value in entries:
        short = kind == 3 and count == 1
        packed.append(
            struct.pack(f"{order}HHI", tag, kind, count)
            + (struct.pack(f"{order}HH", value, 0) if short else struct.pack(f"{order}I", value))
        )
    magic = b"II*\0" if order == "<" else b"MM\0*"
    head = magic + struct.pack(f"{order}I", 8) + struct.pack(f"{order}H", len(entries))
    return head + b"".join(packed) + bytes(4) + rest


def bmp(width: int, height: int, compression: int, data: bytes) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, compression, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 1078 + len(data), 0, 0, 1078) + info + bytes(1024) + data


def many_scans() -> bytes:
    data = encoded("JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * 600 + b"\xff\xd9"


def thin() -> bytes:
    return png(500, 90_000, chunk(b"IDAT", zlib.compress(b"")))


DEAR: dict[str, tuple[Callable[[], bytes], str]] = {
    "EXIF in segments of 18 bytes": (
        lambda: jpeg_with((b"\xff\xe1\x00\x12Exif\0\0" + bytes(10)) * 5000),
        "segments",
    ),
    "empty application segments": (lambda: jpeg_with(b"\xff\xe5\x00\x02" * 5000), "segments"),
    "empty comments": (lambda: jpeg_with(b"\xff\xfe\x00\x02" * 5000), "segments"),
    "a JPEG of many scans": (many_scans, "scans"),
    "chunks without number": (lambda: png(1, 1, chunk(b"teXt") * 70_000), "chunks"),
    "empty chunks of pixels": (lambda: png(1, 1, chunk(b"IDAT") * 70_000), "chunks"),
    "a tall PNG": (lambda: png(1, 88_000_000), "a side may have"),
    "a thin PNG": (thin, "times as long"),
    "a TIFF of strips": (
        lambda: tiff((273, 3, 300_000, 200), rest=b"\x08\0" * 300_000),
        "tag 273",
    ),
    "tags that share a blob": (
        lambda: tiff(*((40_000 + i, 7, 50_000, 4096) for i in range(300)), rest=bytes(60_000)),
        "holds more",
    ),
    "tags without number": (lambda: tiff(*((40_000 + i, 3, 1, 0) for i in range(2000))), "tags"),
    "a TIFF of many numbers": (
        lambda: tiff((40_000, 5, 250_000, 200), rest=bytes(2_000_200)),
        "tag 40000",
    ),
    "a huge tile": (lambda: tiff((322, 4, 1, 60_000), (323, 4, 1, 60_000)), "tiles"),
    "runs of a BMP": (lambda: bmp(2000, 2000, 1, b"\0\1"), "to decode"),
    "a bottom-up BMP in four bits": (lambda: bmp(2000, -2000, 2, b"\0\1"), "to decode"),
}


@pytest.mark.parametrize("name", DEAR)
def test_what_would_cost_much_is_refused_before_a_library_sees_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, words = DEAR[name]
    data = make()
    seen: list[object] = []
    monkeypatch.setattr(pillow_decoder, "open_photo", lambda *given: seen.append(given))
    with pytest.raises(DecodeError, match=words):
        decode(data)
    with pytest.raises(DecodeError, match=words):
        decode_scaled(data, lambda width, height: 0.1)
    assert not seen


def test_a_webp_counts_as_what_its_canvases_take() -> None:
    def webp(side: int) -> bytes:
        body = b"VP8L" + struct.pack("<I", 10) + b"\x2f"
        body += struct.pack("<I", (side - 1) | (side - 1) << 14) + bytes(5)
        return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body

    with pytest.raises(ImageTooLargeError, match="MB to decode"):
        decode(webp(9400))
    with pytest.raises(DecodeError) as smaller:
        decode(webp(6000))
    assert not isinstance(smaller.value, ImageTooLargeError)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"big_tiff": True}),
    ],
)
def test_headers_say_what_pillow_says(kind: str, options: dict[str, object]) -> None:
    data = encoded(kind, **options)
    header = headers.read(data)
    assert header is not None
    assert (header.width, header.height) == PIL.Image.open(io.BytesIO(data)).size == (64, 48)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_a_tiff_is_turned_by_its_tag(order: str, turn: int) -> None:
    pixels = bytes(range(8))
    start = 8 + 2 + 12 * 10 + 4
    data = tiff((274, 3, 1, turn), (273, 4, 1, start), rest=pixels, order=order)
    stored = np.frombuffer(pixels, np.uint8).reshape(4, 2)
    # The first row and column of what is stored, by the TIFF standard's table.
    upright = {
        1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1],
        5: stored.T, 6: stored[::-1].T, 7: stored[::-1, ::-1].T, 8: stored[:, ::-1].T,
    }[turn]  # fmt: skip
    np.testing.assert_array_equal(decode(data)[:, :, 0], upright)


def test_metadata_does_not_change_a_pixel() -> None:
    plain = encoded("JPEG")
    for extra in (b"\xff\xe1\x00\x12Exif\0\0" + bytes(10), b"\xff\xe5\x00\x02", b"\xff\xfe\0\2"):
        np.testing.assert_array_equal(decode(jpeg_with(extra * 4000)), decode(plain))


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "I;16", "1"])
def test_bands_are_the_whole(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = PIL.Image.fromarray(PICTURE)
    if mode == "I;16":
        picture = PIL.Image.fromarray(PICTURE[:, :, 0].astype(np.uint16) * 257)
    else:
        picture = picture.convert(mode)
    whole = pillow_decoder.upright_rgb(picture)
    monkeypatch.setattr(pillow_decoder, "_BAND_PIXELS", 64 * 7)
    np.testing.assert_array_equal(pillow_decoder.upright_rgb(picture), whole)


# --- the pixels that are made --------------------------------------------------------------------


def test_a_jpeg_is_judged_by_the_pixels_that_are_made() -> None:
    data = encoded("JPEG", np.zeros((400, 640, 3), np.uint8))
    limits = ImageLimits(max_pixels=640 * 400 // 8)
    mips = decode_scaled(data, lambda width, height: 1 / 4, limits=limits)
    assert (mips.width, mips.height, mips.halvings) == (640, 400, 2)
    with pytest.raises(ImageTooLargeError, match="640 x 400"):
        decode_scaled(data, lambda width, height: 1 / 2, limits=limits)
    with pytest.raises(ImageTooLargeError, match="FACEPRINT_MAX_PIXELS"):
        decode(data, limits=limits)


def test_crops_of_a_jpeg_that_is_too_large_come_from_the_largest_scale_that_fits() -> None:
    ramp = np.tile(np.linspace(0, 255, 640), (400, 1)).astype(np.uint8)
    data = encoded("JPEG", np.repeat(ramp[:, :, None], 3, axis=2), quality=95)
    limits = ImageLimits(max_pixels=320 * 200)
    mips = decode_scaled(data, lambda width, height: 1 / 8, limits=limits)
    level, span = mips.view(0)
    assert (level.shape, span, mips.halvings) == ((200, 320, 3), (640.0, 400.0), 1)
    # A crop's pixels lie where they did: the value tells the column.
    shift = np.asarray([[[1, 0, -300], [0, 1, -100]]], np.float32)
    crop = mips.crops(shift, 16)[0]
    np.testing.assert_allclose(crop[8, :, 0], ramp[0, 300:316], atol=2)


def test_the_environment_raises_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPRINT_MAX_PIXELS", "3000")
    array = np.zeros((60, 51, 3), np.uint8)
    sources = [encoded("PNG", array), PIL.Image.fromarray(array), array, encoded("JPEG", array)]
    for source in sources:
        with pytest.raises(ImageTooLargeError, match="51 x 60 pixels; the limit is 3,000"):
            decode(source)
    monkeypatch.setenv("FACEPRINT_MAX_PIXELS", "3060")
    for source in sources:
        assert decode(source).shape == (60, 51, 3)
    monkeypatch.setenv("FACEPRINT_MAX_PIXELS", "many")
    with pytest.raises(UsageError, match="FACEPRINT_MAX_PIXELS"):
        decode(array)


def test_a_telephones_photograph_and_a_panorama_are_analyzed() -> None:
    # As 108 megapixels are to the limit by default; one size is enough to know the rule.
    with PIL.Image.open(SAMPLES / "obama.jpg") as opened:
        face = opened.convert("RGB").resize((1600, 2000))
    fp = faceprint.load(threads=1)
    for size in ((4800, 3600), (12000, 2400)):
        page = PIL.Image.new("RGB", size, (90, 110, 130))
        page.paste(face, (400, 40))
        data = encoded("JPEG", np.asarray(page), quality=85)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FACEPRINT_MAX_PIXELS", str(size[0] * size[1] * 89 // 108))
            assert len(fp.analyze(data)) == 1
            with pytest.raises(ImageTooLargeError):
                decode(data)


# --- orientation ---------------------------------------------------------------------------------

DAMAGED = bytes.fromhex(
    "ffe100c24578696600004d4d002a000000080005010f00020000000463616d0001120003000000010006000001"
    "1a0005000000010000004a876900040000000100000052882500040000000100000084000000000000004800000"
    "001000290030002000000140000007092860001000000036162630000000000323032303a30313a30312030303a"
    "30303a303000f20200010002000000024e0000000002000500000003000000a200009000010000010000000100"
    "000002000000010000000300000001"
)


def test_thumbnails_are_turned_as_photographs_are() -> None:
    upright = np.zeros((80, 80, 3), np.uint8)
    upright[:20] = 255  # its upper quarter is white
    turned = {1: upright, 6: np.rot90(upright), 8: np.rot90(upright, -1), 3: upright[::-1]}
    for turn, stored in turned.items():
        block = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHHI", 0x0112, 3, 1, turn, 0, 0)
        data = encoded("JPEG", np.ascontiguousarray(stored), exif=b"Exif\0\0" + block)
        small = np.asarray(PIL.Image.open(io.BytesIO(thumbnail(data, 16))).convert("L"))
        assert small[:3].min() > 200, turn
        assert small[6:].max() < 50, turn


def test_a_photograph_with_damaged_exif_has_a_thumbnail() -> None:
    data = encoded("JPEG", np.zeros((60, 90, 3), np.uint8))
    damaged = data[:2] + DAMAGED + data[2:]
    assert decode(damaged).shape == (90, 60, 3)  # its orientation is 6
    assert PIL.Image.open(io.BytesIO(thumbnail(damaged))).size == (128, 128)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_decoded_has_a_thumbnail(seed: int) -> None:
    random = np.random.default_rng(seed)
    data = encoded("JPEG")
    for _ in range(50):
        block = bytearray(DAMAGED)
        for place in random.integers(4, len(block), 4):
            block[place] = random.integers(256)
        mutated = data[:2] + bytes(block) + data[2:]
        try:
            decode(mutated)
        except DecodeError:
            continue
        thumbnail(mutated)


def test_what_is_no_photograph_says_what_it_is() -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n"
    with pytest.raises(DecodeError, match="Git LFS pointer"):
        decode(pointer)
    for bits, code, words in ((16, 3, "16-bit float"), (64, 3, "64-bit float"), (64, 1, "64-bit")):
        data = tiff((258, 3, 1, bits), (339, 3, 1, code), (279, 4, 1, bits), rest=bytes(200))
        with pytest.raises(DecodeError, match=f"{words}.*no agreed range"):
            decode(data)
    assert images.DEFAULT_LIMITS.max_pixels == 89_000_000
