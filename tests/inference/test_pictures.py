"""The names of pictures in the folder of their images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from faster_rcnn.errors import OptionError
from faster_rcnn.images import size_of
from faster_rcnn.inference.inputs import to_pixels
from faster_rcnn.inference.pictures import PictureFolder
from faster_rcnn.inference.result import Prediction, Result
from faster_rcnn.structures import Detections
from files import CLASSES, image_file


def draw(folder: Path, *names: str) -> PictureFolder:
    """Draw the pictures of some images of a folder into the same folder."""
    images = [str(folder / name) for name in names]
    pictures = PictureFolder(folder, images)
    for number, image in enumerate(images):
        pixels = to_pixels(image, "image", 10_000)
        found = Detections(torch.tensor([[1.0, 1.0, 9.0, 9.0]]), torch.tensor([0.5]), torch.tensor([0]))
        pictures.save(number, Prediction(Result(found, CLASSES, size_of(pixels), image), pixels))
    return pictures


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_second_run_replaces_the_pictures_of_the_first_one_beside_the_images(tmp_path: Path) -> None:
    image_file(tmp_path / "a.bmp")
    assert draw(tmp_path, "a.bmp").replaced == 0
    assert names_in(tmp_path) == ["a.bmp", "a.jpg"]
    assert draw(tmp_path, "a.bmp").replaced == 1
    assert names_in(tmp_path) == ["a.bmp", "a.jpg"]


def test_an_image_of_a_user_keeps_its_name_beside_the_pictures(tmp_path: Path) -> None:
    image_file(tmp_path / "a.bmp")
    content = image_file(tmp_path / "a.jpg").read_bytes()
    for replaced in (0, 1):
        assert draw(tmp_path, "a.bmp").replaced == replaced
        assert names_in(tmp_path) == ["a.bmp", "a.bmp.jpg", "a.jpg"]
    assert (tmp_path / "a.jpg").read_bytes() == content


@pytest.mark.parametrize("kind", ["link to a picture", "folder", "broken link"])
def test_anything_but_a_picture_of_an_earlier_run_keeps_its_name(tmp_path: Path, kind: str) -> None:
    image_file(tmp_path / "a.bmp")
    if kind == "folder":
        (tmp_path / "a.jpg").mkdir()
    else:
        (tmp_path / "pictures").mkdir()
        (tmp_path / "a.jpg").symlink_to("pictures/b.jpg")
    if kind == "link to a picture":
        image_file(tmp_path / "pictures" / "b.bmp")
        draw(tmp_path / "pictures", "b.bmp")
    before = (tmp_path / "a.jpg").lstat()
    draw(tmp_path, "a.bmp")
    assert (tmp_path / "a.jpg").lstat() == before
    assert (tmp_path / "a.bmp.jpg").is_file()


def test_two_images_that_differ_in_their_ending_have_the_same_pictures_in_every_run(tmp_path: Path) -> None:
    image_file(tmp_path / "a.bmp")
    draw(tmp_path, "a.bmp")
    image_file(tmp_path / "a.tif")
    for _ in range(2):
        draw(tmp_path, "a.tif")
        assert names_in(tmp_path) == ["a.bmp", "a.jpg", "a.tif", "a.tif.jpg"]
    with pytest.raises(OptionError, match=r"E132 .*a\.jpg is one of the images"):
        draw(tmp_path, "a.bmp", "a.jpg")
