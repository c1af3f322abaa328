"""Findings about one image, from what its file and its labels say."""

from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.checking.image_faults import judge_images
from faster_rcnn.checking.pictures import Picture
from faster_rcnn.data.layout.folders import Folders
from faster_rcnn.data.layout.listing import Fault, ListedImage, Listing
from faster_rcnn.structures import ImageSize

SIZE = ImageSize(40, 60)
TURNED = ImageSize(60, 40)


def judged(
    tmp_path: Path,
    picture: Picture,
    name: str = "a.jpg",
    size: ImageSize | None = SIZE,
    fault: Fault | None = None,
    on_disk: str | None = None,
) -> tuple[list[tuple[ImageSize, str | None]], list[tuple[str, str]]]:
    """Sizes and redrawing of usable images, and kinds and values of the findings."""
    (tmp_path / (on_disk or name)).touch()
    path = tmp_path / name
    image = ListedImage(name, path, 1, size, (), "train.json", fault)
    listing = Listing("COCO JSON", "train", tmp_path / "train.json", (image,), "xywh", ())
    usable, findings = judge_images(listing, {path: picture}, Folders())
    return [(one.size, one.redraw) for one in usable], [(each.kind, each.value) for each in findings]


def test_a_sound_image_is_used_as_it_is(tmp_path: Path) -> None:
    assert judged(tmp_path, Picture(SIZE, type="JPEG")) == ([(SIZE, None)], [])
    assert judged(tmp_path, Picture(SIZE, type="JPEG"), size=None) == ([(SIZE, None)], [])


def test_images_that_cannot_be_used(tmp_path: Path) -> None:
    absent = judged(tmp_path, Picture(SIZE), name="b.jpg", on_disk="b.JPG")
    assert absent == ([], [("image.missing", "does not exist (a file 'b.JPG' exists: letter case?)")])
    for code, kind in (("E105", "undecodable"), ("damaged", "damaged"), ("E119", "values"), ("E120", "too-large")):
        assert judged(tmp_path, Picture(None, fault=(code, "why"))) == ([], [(f"image.{kind}", "why")])
    assert judged(tmp_path, Picture(SIZE), fault=Fault("E102", "no XML")) == (
        [],
        [("image.labels-unreadable", "no XML")],
    )
    assert judged(tmp_path, Picture(SIZE), size=ImageSize(80, 120)) == (
        [],
        [("image.size-differs", "60x40, but train.json has 120x80")],
    )


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_a_turned_image_is_written_upright(tmp_path: Path, orientation: int) -> None:
    found = judged(tmp_path, Picture(SIZE, orientation, "EXIF rotation", "JPEG"))
    assert found == ([(SIZE, "upright")], [("image.orientation", f"EXIF orientation {orientation}")])


def test_boxes_on_stored_pixels_keep_the_stored_size(tmp_path: Path) -> None:
    found = judged(tmp_path, Picture(TURNED, 6, "EXIF rotation", "JPEG"))  # upright 40 wide, the labels have 60
    assert found == (
        [(SIZE, "stored")],
        [("image.turned-boxes", "EXIF orientation 6; train.json has the stored size 60x40")],
    )


def test_types_and_channels(tmp_path: Path) -> None:
    assert judged(tmp_path, Picture(SIZE, type="PNG")) == ([(SIZE, "renamed")], [("image.type", "its content is PNG")])
    for odd in ("CMYK", "16-bit", "1-bit", "LAB", "YCbCr"):
        found = judged(tmp_path, Picture(SIZE, 1, odd, "JPEG"))
        assert found == ([(SIZE, "upright")], [("image.channels", odd)])
    assert judged(tmp_path, Picture(SIZE, 1, "grey", "JPEG")) == ([(SIZE, None)], [("image.converted", "grey")])
    assert judged(tmp_path, Picture(SIZE, 3, "grey, EXIF rotation", "JPEG")) == (
        [(SIZE, "upright")],
        [("image.orientation", "EXIF orientation 3"), ("image.converted", "grey")],
    )
    remark = Picture(SIZE, type="JPEG", remark="2 extraneous bytes")
    assert judged(tmp_path, remark) == ([(SIZE, None)], [("image.decoder", "2 extraneous bytes")])
    assert judged(tmp_path, Picture(SIZE, type="MPO")) == ([(SIZE, None)], [])
    assert judged(tmp_path, Picture(SIZE, type="PNG"), name="a.xyz") == ([(SIZE, None)], [])
