"""Every kind of image file becomes upright 8-bit RGB, and the conversion is named."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from faster_rcnn.data import jpeg
from faster_rcnn.data.decode import image_header, is_whole, read_image
from faster_rcnn.errors import ImageError
from faster_rcnn.structures import ImageSize

LIMIT = 178_956_970
ORIENTATION = 0x0112

# A 2 x 3 image whose pixels are all different, so that each of the eight orientations can be distinguished.
UPRIGHT = np.arange(6, dtype=np.uint8).reshape(2, 3)[..., None] * np.array([40, 20, 10], dtype=np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def as_array(source: Path | bytes) -> np.ndarray:
    return read_image(source, LIMIT)[0].permute(1, 2, 0).numpy()


def stored_for(orientation: int) -> np.ndarray:
    """The pixels that a camera stores of the scene UPRIGHT, by EXIF's table of the places of row 0 and column 0."""
    return {
        1: UPRIGHT,
        2: UPRIGHT[:, ::-1],  # row 0 top, column 0 right
        3: UPRIGHT[::-1, ::-1],  # bottom, right
        4: UPRIGHT[::-1],  # bottom, left
        5: UPRIGHT.transpose(1, 0, 2),  # left, top
        6: UPRIGHT.transpose(1, 0, 2)[::-1],  # right, top: row 0 is the scene's right side
        7: UPRIGHT.transpose(1, 0, 2)[::-1, ::-1],  # right, bottom
        8: UPRIGHT.transpose(1, 0, 2)[:, ::-1],  # left, bottom
    }[orientation]


def test_an_image_of_many_bands_is_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """600 rows are two bands of 256 and one of 88."""
    monkeypatch.setattr("faster_rcnn.data.decode._BAND_PIXELS", 256 * 7)
    array = np.random.default_rng(0).integers(0, 256, (600, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(as_array(encoded(Image.fromarray(array), "PNG")), array)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_exif_orientation_becomes_upright(tmp_path: Path, orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f"image.{kind.lower()}"
    path.write_bytes(encoded(Image.fromarray(stored_for(orientation)), kind, exif=exif))
    pixels, conversion = read_image(path, LIMIT)
    np.testing.assert_array_equal(pixels.permute(1, 2, 0).numpy(), UPRIGHT)
    assert image_header(path, LIMIT).size == ImageSize(2, 3)
    assert conversion == (None if orientation == 1 else "EXIF rotation")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_orientations_agree_with_the_upright_jpeg(orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    blocks = np.kron(UPRIGHT, np.ones((16, 16, 1), dtype=np.uint8))  # whole JPEG blocks survive compression
    stored = np.kron(stored_for(orientation), np.ones((16, 16, 1), dtype=np.uint8))
    source = encoded(Image.fromarray(stored), "JPEG", exif=exif, quality=100, subsampling=0)
    found = as_array(source)
    assert found.shape == blocks.shape == (32, 48, 3)
    assert np.abs(found.astype(int) - blocks).max() <= 2


RGB = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("image", "kind", "conversion"),
    [
        (RGB, "PNG", None),
        (RGB, "BMP", None),
        (RGB.convert("L"), "PNG", "grey"),
        (RGB.convert("L"), "JPEG", "grey"),
        (RGB.convert("1"), "PNG", "1-bit"),
        (RGB.convert("P"), "PNG", "palette"),
        (RGB.convert("P"), "GIF", "palette"),
        (RGB.convert("CMYK"), "JPEG", "CMYK"),
        (RGB.convert("CMYK"), "TIFF", "CMYK"),
        (RGB.convert("LA"), "PNG", "alpha removed"),
        (RGB.convert("RGBA"), "PNG", "alpha removed"),
        (RGB.convert("YCbCr"), "TIFF", "YCbCr"),
    ],
)
def test_each_mode_becomes_rgb(image: Image.Image, kind: str, conversion: str | None) -> None:
    source = encoded(image, kind)
    pixels, named = read_image(source, LIMIT)
    assert pixels.shape == (3, 5, 7)
    assert pixels.dtype == torch.uint8
    assert pixels.permute(1, 2, 0).is_contiguous()  # which is the order that is resized fastest
    assert named == conversion == image_header(source, LIMIT).conversion
    if kind != "JPEG":
        np.testing.assert_array_equal(pixels.permute(1, 2, 0).numpy(), np.array(image.convert("RGB")))


def test_alpha_is_dropped_not_blended() -> None:
    see_through = np.zeros((1, 1, 4), dtype=np.uint8)
    see_through[0, 0] = [200, 100, 50, 0]
    assert as_array(encoded(Image.fromarray(see_through), "PNG")).tolist() == [[[200, 100, 50]]]


def test_palette_with_transparency_keeps_its_colours() -> None:
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), "L").convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    source = encoded(image, "PNG", transparency=b"\x00\x80")
    assert as_array(source).tolist() == [[[10, 20, 30], [40, 50, 60]]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_cut(kind: str) -> None:
    # 65535 / 257 = 255; 32896 / 257 = 128; 257 / 257 = 1; 128 / 257 rounds to 0
    image = Image.fromarray(np.array([[65535, 32896, 257, 128]], dtype=np.uint16))
    pixels, named = read_image(encoded(image, kind), LIMIT)
    assert pixels[0].tolist() == [[255, 128, 1, 0]]
    assert named == "16-bit"


def test_floats_have_no_range_and_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "depth.tif"
    Image.fromarray(np.zeros((2, 2), dtype=np.float32)).save(path)
    with pytest.raises(ImageError, match=r"^E119 .*depth\.tif holds floats") as caught:
        read_image(path, LIMIT)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"quality": 20}]
)
def test_fast_jpeg_decoder_equals_pillow(options: dict[str, object]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    source = encoded(Image.fromarray(noise), "JPEG", **options)
    np.testing.assert_array_equal(as_array(source), np.array(Image.open(io.BytesIO(source))))


def test_fast_jpeg_decoder_equals_pillow_on_photographs(data_folder: Callable[[str], Path]) -> None:
    for path in sorted((data_folder("coco128") / "images").glob("*.jpg"))[::8]:
        with Image.open(path) as image:
            np.testing.assert_array_equal(as_array(path), np.array(image.convert("RGB")))


def test_without_the_fast_decoder_the_answer_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    source = encoded(RGB, "JPEG")
    expected = as_array(source)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(jpeg, "decode_jpeg", broken)
    np.testing.assert_array_equal(as_array(source), expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_truncated_file_is_found_and_named(tmp_path: Path, kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole = encoded(noise, kind)
    path = tmp_path / "cut.img"
    path.write_bytes(whole)
    assert is_whole(path, LIMIT)
    path.write_bytes(whole + bytes(10_000))  # an appendix behind the end is no damage
    assert is_whole(path, LIMIT)
    path.write_bytes(whole[: len(whole) * 2 // 3])
    assert not is_whole(path, LIMIT)
    with pytest.raises(ImageError, match=r"^E105 cannot decode .*cut\.img: .*truncated"):
        read_image(path, LIMIT)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"])
def test_files_that_are_no_images_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.jpg"
    path.write_bytes(content)
    for reader in (read_image, image_header):
        with pytest.raises(ImageError, match=r"^E105 cannot decode .*notes\.jpg"):
            reader(path, LIMIT)
    with pytest.raises(ImageError, match="E105 cannot decode image"):
        read_image(content, LIMIT)


def test_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"^E104 .*gone\.jpg does not exist"):
        read_image(tmp_path / "gone.jpg", LIMIT)


def test_too_large_image_is_refused_before_decoding() -> None:
    source = encoded(RGB, "PNG")
    with pytest.raises(ImageError, match=r"^E120 image has 7x5 = 35 pixels.*--set data\.max_pixels=35") as caught:
        read_image(source, 34)
    assert caught.value.exit_code == 2
    assert read_image(source, 35)[0].shape == (3, 5, 7)


def test_pillows_own_limit_does_not_interfere() -> None:
    # 1-bit, 14,000 x 14,000 = 196 million pixels: beyond what Pillow opens at all
    source = encoded(Image.new("1", (14_000, 14_000)), "PNG")
    assert image_header(source, 200_000_000).size == ImageSize(14_000, 14_000)
    assert Image.MAX_IMAGE_PIXELS is not None


def test_damaged_exif_is_no_reason_to_lose_an_image() -> None:
    source = encoded(RGB, "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert as_array(source).shape == (5, 7, 3)
