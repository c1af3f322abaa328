from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from faster_rcnn.errors import ImageError
from faster_rcnn.inference.inputs import to_pixels
from files import image_file, rgb

MANY = 10**9
PIXELS = torch.from_numpy(rgb()).permute(2, 0, 1)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def test_every_kind_of_the_same_image_gives_the_same_pixels(tmp_path: Path) -> None:
    path = image_file(tmp_path / "a.png")
    kinds: dict[str, Any] = {
        "path": path,
        "text": str(path),
        "bytes": path.read_bytes(),
        "Pillow": Image.open(path),
        "array": rgb(),
        "array of floats": rgb().astype(np.float64) / 255,
        "array, read backwards": rgb()[:, :, ::-1].copy()[:, :, ::-1],
        "array of the other byte order": (rgb().astype(np.float32) / 255).astype(">f4"),
        "tensor": PIXELS,
        "tensor of floats": PIXELS.float() / 255,
        "tensor of halves": (PIXELS.float() / 255).half(),
    }
    for kind, image in kinds.items():
        pixels = to_pixels(image, "image", MANY)
        assert pixels.shape == (3, 40, 60), kind
        torch.testing.assert_close(pixels, PIXELS.contiguous(), rtol=0, atol=0, msg=f"{kind} differs")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_to_pillow_images_as_to_files(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(rgb()), exif=exif)
    from_file = to_pixels(data, "image", MANY)
    assert from_file.shape == ((3, 60, 40) if orientation >= 5 else (3, 40, 60))
    torch.testing.assert_close(to_pixels(Image.open(io.BytesIO(data)), "image", MANY), from_file, rtol=0, atol=0)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK", "HSV"])
def test_kinds_of_pixels_are_converted_as_in_files(mode: str) -> None:
    image = Image.fromarray(rgb()).convert("L" if mode == "I;16" else "RGB" if mode == "HSV" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    expected = to_pixels(encoded(image, kind), "image", MANY)
    given = image.convert("HSV") if mode == "HSV" else image
    # 8-bit HSV is coarser than RGB.
    torch.testing.assert_close(to_pixels(given, "image", MANY), expected, rtol=0, atol=12 if mode == "HSV" else 0)


def test_grey_arrays_are_read_as_grey_files(tmp_path: Path) -> None:
    grey = rgb()[:, :, 1]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    from_file = to_pixels(tmp_path / "grey.png", "image", MANY)
    tensor = torch.from_numpy(grey.copy())
    given: list[Any] = [grey, grey[:, :, None], grey / 255.0, tensor, tensor[None], tensor[None].float() / 255]
    for image in given:
        torch.testing.assert_close(to_pixels(image, "image", MANY), from_file, rtol=0, atol=0)


def test_alpha_is_removed_from_arrays_as_from_files(tmp_path: Path) -> None:
    rgba = np.concatenate((rgb(), rgb(seed=1)[:, :, :1]), axis=2)
    Image.fromarray(rgba, "RGBA").save(tmp_path / "alpha.png")
    from_file = to_pixels(tmp_path / "alpha.png", "image", MANY)
    tensor = torch.from_numpy(rgba).permute(2, 0, 1)
    given: list[Any] = [rgba, rgba / 255.0, tensor, tensor.float() / 255]
    for image in given:
        torch.testing.assert_close(to_pixels(image, "image", MANY), from_file, rtol=0, atol=0)


def test_pixels_are_a_copy() -> None:
    array, tensor = rgb(), PIXELS.clone()
    from_array, from_tensor = to_pixels(array, "image", MANY), to_pixels(tensor, "image", MANY)
    array[:], tensor[:] = 0, 0
    assert from_array.any()
    assert from_tensor.any()


def test_a_read_only_array_is_an_image_too() -> None:
    array = rgb()
    array.flags.writeable = False
    assert to_pixels(array, "image", MANY).shape == (3, 40, 60)


def test_overshoot_of_resampling_is_clipped() -> None:
    image = torch.full((3, 4, 4), 0.5)
    image[0, 0, 0], image[0, 0, 1] = 1.2, -0.2
    pixels = to_pixels(image, "image", MANY)
    assert pixels[0, 0, :3].tolist() == [255, 0, 128]  # 0.5 * 255 = 127.5, to the even 128


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (rgb().astype(np.float32), "image 3 holds floats up to 255; floats must be in 0..1, or give uint8"),
        (PIXELS.float(), "image 3 holds floats up to 255; floats must be in 0..1, or give uint8"),
        (torch.full((3, 4, 4), -2.0), "image 3 holds floats down to -2; .* the detector normalises by itself"),
        (torch.full((3, 4, 4), torch.nan), "image 3 holds numbers that are not finite"),
        (np.full((4, 4, 3), np.inf), "image 3 holds numbers that are not finite"),
        (rgb().transpose(2, 0, 1), r"an array of 3x40x60, channels first; .* transpose\(1, 2, 0\)"),
        (PIXELS.permute(1, 2, 0), r"a tensor of 40x60x3, channels last; .* permute\(2, 0, 1\)"),
        (rgb()[0, 0], r"an array of 3; RGB is \(height, width, 3\), and grey is one channel or none"),
        (rgb()[:, :, :2], "an array of 40x60x2; RGB"),
        (rgb()[None, :, :, 0], "an array of 1x40x60, channels first"),
        (PIXELS[0, :, :, None], "a tensor of 40x60x1, channels last"),
        (PIXELS[:2], r"a tensor of 2x40x60; RGB is \(3, height, width\), and grey is one channel or none"),
        (rgb().astype(np.uint16), r"image 3 holds uint16; .*: divide by the largest value that is possible$"),
        (np.zeros((2, 4, 4, 3), np.uint8), "an array of 2x4x4x3, which is many images; give them one by one"),
        (torch.zeros(2, 3, 4, 4), "a tensor of 2x3x4x4, which is many images"),
        (rgb().astype(np.int64), r"image 3 holds int64; give 8-bit numbers \(uint8\)"),
        (torch.zeros(3, 4, 4, dtype=torch.bool), "image 3 holds bool"),
        (np.zeros((0, 4, 3), np.uint8), "0x4x3 has no pixels"),
        (torch.zeros(3, 4, 0), "3x4x0 has no pixels"),
        (torch.zeros(3, 4, 4, device="meta"), "image 3 is a tensor of torch's device meta, which has a shape and no"),
        (
            torch.zeros(3, 4, 4).to_sparse(),
            r"is a sparse tensor \(torch.sparse_coo\); give a dense one: \.to_dense\(\)$",
        ),
    ],
)
def test_objects_that_are_no_images_are_refused(image: Any, message: str) -> None:
    with pytest.raises(ImageError, match=f"^E121 .*{message}"):
        to_pixels(image, "image 3", MANY)


def test_files_that_are_no_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "cut.png").write_bytes(image_file(tmp_path / "a.png").read_bytes()[:500])
    cut = Image.open(tmp_path / "cut.png")
    cases: list[tuple[Any, str]] = [
        (tmp_path / "notes.txt", "E105 cannot decode .*notes.txt: it is not an image of a known format"),
        (tmp_path / "cut.png", "E105 cannot decode .*cut.png: "),
        (cut, "E105 cannot decode .*cut.png: "),
        (b"", "E105 cannot decode image"),
        (tmp_path / "absent.png", "E104 .*absent.png does not exist"),
        (tmp_path, "E122 .* is a folder; give its images"),
        (Image.new("F", (4, 4)), "E119 image holds floats"),
    ]
    for image, message in cases:
        with pytest.raises(ImageError, match=message):
            to_pixels(image, "image", MANY)
    cut.close()


def test_a_huge_image_is_refused_without_naming_a_setting_of_training(tmp_path: Path) -> None:
    message = (
        r"E120 .*60x40 = 2,400 pixels, more than the limit of 100; detect it in tiles \(--tile 800, up to "
        r"1,000,000,000 pixels\), or make the image smaller first$"
    )
    with pytest.raises(ImageError, match=message):
        to_pixels(image_file(tmp_path / "a.png"), "image", 100)


def test_an_image_with_an_absurd_side_is_refused_with_the_remedy_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faster_rcnn.data.opening.LONGEST_SIDE", 50)
    with pytest.raises(ImageError, match=r"E120 .* has 60x40 pixels; boxes are exact .*, so cut it into parts$"):
        to_pixels(image_file(tmp_path / "a.png"), "image", 10_000)
