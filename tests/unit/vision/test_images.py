"""The decoder: every mode on every way in, upright once, and every bad input with its reason."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import sys
import tempfile
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faceprint.errors import (
    DecodeError,
    ImageTooLargeError,
    InvalidImageArrayError,
    SourceNotFoundError,
    UsageError,
)
from faceprint.types import Image
from faceprint.vision.images import ImageLimits, decode, describe

RGB = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)
LARGE = np.random.default_rng(1).integers(0, 256, (240, 320, 3)).astype(np.uint8)
SMOOTH = np.stack(
    np.broadcast_arrays(
        np.linspace(0, 255, 32)[None, :], np.linspace(255, 0, 24)[:, None], np.full((24, 32), 90.0)
    ),
    axis=-1,
).astype(np.uint8)


def encode(array: Image | PIL.Image.Image, kind: str, **options: object) -> bytes:
    image = array if isinstance(array, PIL.Image.Image) else PIL.Image.fromarray(array)
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png(width: int, height: int, *chunks: tuple[bytes, bytes], depth: int = 8) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + body


# --- every way in, every format and mode ---------------------------------------------------------


def gray(mode: str) -> PIL.Image.Image:
    return PIL.Image.fromarray(SMOOTH).convert(mode)


def rgba() -> PIL.Image.Image:
    alpha = np.broadcast_to(np.linspace(0, 255, 24)[:, None, None], (24, 32, 1)).astype(np.uint8)
    return PIL.Image.fromarray(np.concatenate([SMOOTH, alpha], axis=2))


def palette(transparent: bool) -> bytes:
    image = PIL.Image.fromarray(SMOOTH).quantize(16)
    return encode(image, "PNG", **({"transparency": 3} if transparent else {}))


DEEP = (np.arange(24 * 32, dtype=np.uint16) * 83).reshape(24, 32)

ENCODED: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: encode(RGB, "JPEG"),
    "jpeg gray": lambda: encode(gray("L"), "JPEG"),
    "jpeg cmyk": lambda: encode(PIL.Image.fromarray(SMOOTH).convert("CMYK"), "JPEG"),
    "jpeg progressive": lambda: encode(RGB, "JPEG", progressive=True),
    "mpo": lambda: encode(RGB, "MPO", save_all=True, append_images=[PIL.Image.fromarray(SMOOTH)]),
    "png": lambda: encode(RGB, "PNG"),
    "png bilevel": lambda: encode(gray("1"), "PNG"),
    "png gray": lambda: encode(gray("L"), "PNG"),
    "png gray alpha": lambda: encode(gray("LA"), "PNG"),
    "png rgba": lambda: encode(rgba(), "PNG"),
    "png palette": lambda: palette(False),
    "png palette transparent": lambda: palette(True),
    "png color key": lambda: encode(SMOOTH, "PNG", transparency=tuple(map(int, SMOOTH[0, 0]))),
    "png 16-bit gray": lambda: encode(PIL.Image.fromarray(DEEP), "PNG"),
    "apng": lambda: encode(RGB, "PNG", save_all=True, append_images=[PIL.Image.fromarray(SMOOTH)]),
    "webp": lambda: encode(RGB, "WEBP"),
    "webp lossless alpha": lambda: encode(rgba(), "WEBP", lossless=True),
    "webp animated": lambda: encode(
        RGB, "WEBP", save_all=True, append_images=[PIL.Image.fromarray(SMOOTH)]
    ),
    "bmp": lambda: encode(RGB, "BMP"),
    "bmp palette": lambda: encode(gray("P"), "BMP"),
    "tiff": lambda: encode(RGB, "TIFF"),
    "tiff deflate": lambda: encode(RGB, "TIFF", compression="tiff_deflate"),
    "tiff cmyk": lambda: encode(PIL.Image.fromarray(SMOOTH).convert("CMYK"), "TIFF"),
    "tiff 16-bit": lambda: encode(PIL.Image.fromarray(DEEP), "TIFF"),
    "tiff 16-bit big-endian": lambda: encode(
        PIL.Image.frombytes("I;16B", (32, 24), DEEP.astype(">u2").tobytes()), "TIFF"
    ),
    "tiff pages": lambda: encode(
        RGB, "TIFF", save_all=True, append_images=[PIL.Image.fromarray(SMOOTH)]
    ),
}


@pytest.mark.parametrize("name", ENCODED)
def test_every_way_in_gives_the_same_pixels(name: str, tmp_path: Path) -> None:
    data = ENCODED[name]()
    path = tmp_path / "photo"  # no suffix: the content decides
    path.write_bytes(data)
    pixels = decode(path)
    assert pixels.shape == (24, 32, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    np.testing.assert_array_equal(decode(str(path)), pixels)
    np.testing.assert_array_equal(decode(data), pixels)
    with PIL.Image.open(path) as image:
        np.testing.assert_array_equal(decode(image), pixels)
        np.testing.assert_array_equal(decode(image), pixels, "decoding twice")
    np.testing.assert_array_equal(decode(pixels), pixels)


@pytest.mark.parametrize("name", ["png", "bmp", "tiff", "tiff deflate", "apng", "tiff pages"])
def test_lossless_formats_and_first_frames_are_exact(name: str) -> None:
    np.testing.assert_array_equal(decode(ENCODED[name]()), RGB)


@pytest.mark.parametrize("name", ["jpeg", "jpeg gray", "webp", "png gray", "bmp palette"])
def test_agrees_with_opencv(name: str) -> None:
    cv2 = pytest.importorskip("cv2")
    data = ENCODED[name]()
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert np.abs(decode(data).astype(int) - expected).max() <= 3


def test_transparency_is_laid_on_white() -> None:
    alpha = np.linspace(0, 255, 24)[:, None, None].astype(np.uint8) / 255
    expected = SMOOTH * alpha + 255 * (1 - alpha)
    for name in ("png rgba", "webp lossless alpha"):
        assert np.abs(decode(ENCODED[name]()) - expected).max() <= 1
    clear = PIL.Image.new("LA", (4, 4), (0, 0))
    assert (decode(clear) == 255).all()
    for mode, color in (("RGBa", (0, 0, 0, 0)), ("La", (0, 0))):
        assert (decode(PIL.Image.new(mode, (4, 4), color)) == 255).all()
    keyed = decode(ENCODED["png color key"]())
    assert (keyed[0, 0] == 255).all()
    np.testing.assert_array_equal(keyed[1:, 1:], SMOOTH[1:, 1:])


@pytest.mark.parametrize("name", ["png 16-bit gray", "tiff 16-bit", "tiff 16-bit big-endian"])
def test_16_bits_are_scaled_and_not_clipped(name: str) -> None:
    expected = np.round(DEEP / 257).astype(np.uint8)
    np.testing.assert_array_equal(decode(ENCODED[name]()), np.repeat(expected[..., None], 3, 2))


@pytest.mark.parametrize("name", ["jpeg cmyk", "tiff cmyk"])
def test_cmyk_comes_out_in_its_own_colors(name: str) -> None:
    # A negative would be about 255 - x; JPEG and the missing profile cost a few levels.
    assert np.abs(decode(ENCODED[name]()).astype(int) - SMOOTH).mean() < 6


def test_inverted_cmyk_jpeg_agrees_with_opencv() -> None:
    cv2 = pytest.importorskip("cv2")
    data = ENCODED["jpeg cmyk"]()
    assert b"Adobe" in data
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert np.abs(decode(data).astype(int) - expected).max() <= 3


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "CMYK", "RGBX"])
def test_other_modes_of_pil_images_are_converted(mode: str) -> None:
    image = PIL.Image.fromarray(SMOOTH).convert(mode)
    assert np.abs(decode(image).astype(int) - SMOOTH).mean() < 6


@pytest.mark.parametrize(("mode", "word"), [("F", "float"), ("I", "integer")])
def test_pixels_without_a_range_are_refused(mode: str, word: str) -> None:
    data = encode(PIL.Image.new(mode, (8, 8)), "TIFF")
    with pytest.raises(DecodeError, match=f"{word} pixels have no agreed range"):
        decode(data)


# --- orientation ---------------------------------------------------------------------------------

STORED = {  # EXIF 2.32, 4.6.4: how the upright picture lies in the file
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


def with_orientation(value: int, kind: str) -> bytes:
    exif = PIL.Image.Exif()
    exif[0x0112] = value
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
    return encode(np.ascontiguousarray(STORED[value](SMOOTH)), kind, exif=exif, **options)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("value", STORED)
def test_orientation_is_applied_once_on_every_way_in(value: int, kind: str, tmp_path: Path) -> None:
    data = with_orientation(value, kind)
    path = tmp_path / "photo"
    path.write_bytes(data)
    pixels = decode(path)
    assert pixels.shape == SMOOTH.shape
    assert np.abs(pixels.astype(int) - SMOOTH).max() <= (4 if kind == "JPEG" else 0)
    np.testing.assert_array_equal(decode(data), pixels)
    with PIL.Image.open(path) as image:
        np.testing.assert_array_equal(decode(image), pixels)
        np.testing.assert_array_equal(decode(image), pixels, "a second time")
        np.testing.assert_array_equal(decode(image.copy()), pixels, "a copy")


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0",  # orientation 9
        b"Exif\0\0II*\0\xff\xff\xff\xff",  # a directory past the end
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",  # 65,535 entries, none there
        b"Exif\0\0garbage",
        b"Exif\0\0",
    ],
)
def test_damaged_exif_leaves_the_photograph_as_it_is(exif: bytes) -> None:
    data = encode(SMOOTH, "JPEG", exif=exif)
    np.testing.assert_array_equal(decode(data), decode(encode(SMOOTH, "JPEG")))


# --- bad input -----------------------------------------------------------------------------------


def test_missing_path() -> None:
    with pytest.raises(SourceNotFoundError, match=r"nowhere\.jpg: no such file") as caught:
        decode("nowhere.jpg")
    assert isinstance(caught.value, FileNotFoundError)
    with pytest.raises(SourceNotFoundError, match="null byte"):
        decode("a\0b")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="a folder"):
        decode(tmp_path)


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.jpg"
    path.touch()
    with pytest.raises(DecodeError, match="empty, 0 bytes"):
        decode(path)


def test_text_renamed(tmp_path: Path) -> None:
    path = tmp_path / "letter.jpg"
    path.write_text("Dear all,")
    with pytest.raises(DecodeError, match=r"letter\.jpg: not an image .*Dear all"):
        decode(path)


@pytest.mark.parametrize(
    ("data", "word"),
    [(b"GIF89a" + bytes(20), "GIF"), (b"%PDF-1.7", "PDF"), (b"\0\0\0 ftypavif", "AVIF")],
)
def test_other_formats_are_named(data: bytes, word: str) -> None:
    with pytest.raises(DecodeError, match=f"{word}; JPEG, PNG, WebP, BMP and TIFF are read"):
        decode(data)


@pytest.mark.parametrize("source", ["https://example.org/a.jpg", "s3://b/a.jpg", "data:image/png,"])
def test_urls_are_not_fetched(source: str) -> None:
    with pytest.raises(DecodeError, match="URLs are not fetched"):
        decode(source)


def test_heic_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(DecodeError, match=r"HEIC.*faceprint\[heif\]"):
        decode(b"\0\0\0\x18ftypheic" + bytes(40))


@pytest.mark.parametrize("name", ["jpeg", "jpeg progressive", "png", "webp", "bmp", "tiff"])
@pytest.mark.parametrize("part", [0.002, 0.02, 0.1, 0.3, 0.5, 0.8, 0.99])
def test_truncated(name: str, part: float) -> None:
    kind, *options = name.split()
    data = encode(LARGE, kind.upper(), **dict.fromkeys(options, True))
    with pytest.raises(DecodeError, match="<bytes>: "):
        decode(data[: int(len(data) * part)])


def test_truncated_pil_image_says_so_too() -> None:
    data = encode(LARGE, "JPEG")
    image = PIL.Image.open(io.BytesIO(data[: len(data) // 2]))
    with pytest.raises(DecodeError, match="truncated"):
        decode(image)


def test_bomb_is_refused_by_its_header() -> None:
    row = zlib.compress(bytes(120_001))
    data = png(40_000, 40_000, (b"IDAT", row))
    assert len(data) < 1_100
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageTooLargeError, match="40000 x 40000 pixels; the limit is 89,000,0"):
            decode(data)


def test_webp_is_refused_before_its_canvas_exists() -> None:
    extended = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\xff\xff" * 2
    lossless = b"VP8L" + struct.pack("<I", 10) + b"\x2f\xff\xff\xff\x0f" + bytes(8)
    lossy = b"VP8 " + struct.pack("<I", 10) + bytes(3) + b"\x9d\x01\x2a" + b"\xff\x3f" * 2
    for body in (extended, lossless, lossy):
        data = b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
        with pytest.raises(ImageTooLargeError):
            decode(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_limits_are_the_callers(kind: str, tmp_path: Path) -> None:
    data = encode(RGB, kind)
    path = tmp_path / "photo"
    path.write_bytes(data)
    assert decode(data, limits=ImageLimits(24 * 32, len(data))).shape == (24, 32, 3)
    for source in (data, path, PIL.Image.open(path)):
        with pytest.raises(ImageTooLargeError, match="32 x 24 pixels"):
            decode(source, limits=ImageLimits(max_pixels=24 * 32 - 1))
    for encoded in (data, path):
        with pytest.raises(ImageTooLargeError, match="bytes; the limit"):
            decode(encoded, limits=ImageLimits(max_bytes=len(data) - 1))


def test_global_settings_of_pillow_stay() -> None:
    from PIL import ImageFile

    before = PIL.Image.MAX_IMAGE_PIXELS
    decode(ENCODED["jpeg"]())
    assert before == PIL.Image.MAX_IMAGE_PIXELS
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_one_pixel(kind: str) -> None:
    pixel = np.full((1, 1, 3), 128, np.uint8)
    assert np.abs(decode(encode(pixel, kind)).astype(int) - 128).max() <= 2


def test_no_pixels() -> None:
    with pytest.raises(DecodeError, match="no pixels"):
        decode(PIL.Image.new("RGB", (0, 5)))


def test_no_permission() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "secret.jpg"
        path.write_bytes(ENCODED["jpeg"]())
        path.chmod(0)
        assert words_of_an_ordinary_user(path) == f"{path}: no permission to read it"


def words_of_an_ordinary_user(path: Path) -> str:
    """What decode says to a user who isn't root, who reads everything: asked of a child."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads
        child = os.fork()
    if child == 0:  # pragma: no cover
        words = "it was read"
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            decode(path)
        except DecodeError as error:
            words = str(error)
        finally:
            os.write(write, words.encode())
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as answer:
        return answer.read()


def test_fifo_and_device_are_refused_and_not_waited_for(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe.jpg"
    os.mkfifo(fifo)
    for path in (fifo, Path("/dev/zero")):
        with pytest.raises(DecodeError, match="not a regular file"):
            decode(path)


@pytest.mark.parametrize(
    ("array", "hint"),
    [
        (np.full((8, 8, 3), np.nan), "NaN"),
        (np.zeros((8, 8, 3), np.float32), "float32"),
        (np.zeros((3, 8, 8), np.uint8), "transpose"),
        (np.zeros((8, 8), np.uint8), "gray"),
        (np.zeros((8, 8, 4), np.uint8), "RGBA"),
        (np.zeros((0, 8, 3), np.uint8), "empty"),
    ],
)
def test_arrays_in_another_layout(array: np.ndarray, hint: str) -> None:
    with pytest.raises(InvalidImageArrayError, match=hint):
        decode(array)


def test_strided_array_becomes_contiguous() -> None:
    flipped = RGB[:, :, ::-1]
    assert decode(flipped).flags.c_contiguous
    np.testing.assert_array_equal(decode(flipped), flipped)


def test_something_else() -> None:
    with pytest.raises(UsageError, match="got int"):
        decode(12)  # type: ignore[arg-type]


def test_metadata_bomb_is_refused_or_harmless() -> None:
    text = b"Comment\0\0" + zlib.compress(bytes(200_000_000), 9)
    with pytest.raises(DecodeError, match="too large"):
        decode(png(4, 4, (b"zTXt", text), (b"IDAT", zlib.compress(bytes(4 * 13)))))
    international = b"Comment\0\1\0\0\0" + text[9:]
    with pytest.raises(DecodeError, match="too large"):
        decode(png(4, 4, (b"iTXt", international), (b"IDAT", zlib.compress(bytes(4 * 13)))))


@pytest.mark.parametrize("claim", [0, 1, 10, 2**31, 2**32 - 1])
@pytest.mark.parametrize("compression", ["raw", "tiff_deflate"])
def test_lying_tiff_strip_sizes(claim: int, compression: str) -> None:
    data = bytearray(encode(RGB, "TIFF", compression=compression))
    start = struct.unpack_from("<I", data, 4)[0]
    for entry in range(start + 2, start + 2 + 12 * struct.unpack_from("<H", data, start)[0], 12):
        tag, _, _, value = struct.unpack_from("<HHII", data, entry)
        if tag == 279:  # StripByteCounts
            struct.pack_into("<HHII", data, entry, tag, 4, 1, claim)
            assert value
    with contextlib.suppress(DecodeError):  # either the lie did not matter, or it is refused
        np.testing.assert_array_equal(decode(bytes(data)), RGB)


def test_lying_tiff_tile_is_refused() -> None:
    data = bytearray(encode(RGB, "TIFF"))
    start = struct.unpack_from("<I", data, 4)[0]
    for entry in range(start + 2, start + 2 + 12 * struct.unpack_from("<H", data, start)[0], 12):
        if struct.unpack_from("<H", data, entry)[0] in (256, 257):
            struct.pack_into(
                "<HHII", data, entry, *struct.unpack_from("<H", data, entry), 4, 1, 65_000
            )
    with pytest.raises(ImageTooLargeError):
        decode(bytes(data))


def test_names() -> None:
    assert describe("a/b.jpg") == "a/b.jpg"
    assert describe(Path("a") / "b.jpg") == os.path.join("a", "b.jpg")  # noqa: PTH118
    assert describe(b"") == "<bytes>"
    assert describe(RGB) == "<array>"
    assert describe(PIL.Image.new("L", (1, 1))) == "<image>"


# --- fuzz ----------------------------------------------------------------------------------------


def decodes_or_refuses(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own, about a TIFF's tags
        try:
            pixels = decode(data, limits=ImageLimits(max_pixels=4_000_000))
        except DecodeError as error:
            assert str(error).startswith("<bytes>: ")
        else:
            assert pixels.ndim == 3
            assert pixels.shape[2] == 3


MAGIC = [
    b"\xff\xd8\xff\xe0",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF\0\0\0\0WEBPVP8X",
    b"BM",
    b"II*\0",
    b"MM\0*",
]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([b"", *MAGIC]), st.binary(max_size=200))
def test_random_bytes(magic: bytes, rest: bytes) -> None:
    decodes_or_refuses(magic + rest)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated_files(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(ENCODED)))
    content = bytearray(ENCODED[name]())
    places = st.one_of(st.integers(0, 300), st.integers(0, len(content) - 1))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(places) % len(content)] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    decodes_or_refuses(bytes(content[:cut] if data.draw(st.booleans()) else content))
