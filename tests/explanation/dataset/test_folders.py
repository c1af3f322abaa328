from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from faster_rcnn.errors import ImageError
from faster_rcnn.explanation.causes.kinds import Verdict, VerdictKind
from faster_rcnn.explanation.dataset.folders import SIDE, false_picture, missed_picture, write_folders
from faster_rcnn.explanation.dataset.judged import JudgedImage
from faster_rcnn.explanation.record.lives import Life
from faster_rcnn.reporting.drawing.colours import colour_of
from faster_rcnn.structures import ImageSize
from files import image_file
from made_surveys import CLASSES, judged_image, record_of

TRUTH, FALSE = [5, 5, 25, 25], [30, 10, 50, 30]


def image_in(folder: Path) -> JudgedImage:
    """A missed cat and a false dog in an image of 60 x 40 pixels."""
    path = image_file(folder / "an image.png")
    record = replace(record_of([TRUTH], [0], ImageSize(40, 60)), path=path)
    return judged_image(record, [(FALSE, 0.9, 1)])


def test_there_is_a_picture_for_each_miss_and_each_false_positive(tmp_path: Path) -> None:
    empty = judged_image(replace(record_of([], []), path=tmp_path / "absent.png"), [])
    images = [image_in(tmp_path), empty]  # an image without errors is not even read
    assert write_folders(tmp_path / "out" / "new", images, CLASSES, 10**6) == (1, 1)
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.jpg"))
    assert written == ["new/false/background-an_image-00001.jpg", "new/missed/background-an_image-00001.jpg"]
    with Image.open(tmp_path / "out" / written[0]) as picture:
        assert max(picture.size) == SIDE


def test_nothing_is_left_behind_after_an_error(tmp_path: Path) -> None:
    image = image_in(tmp_path)
    image.record.path.write_bytes(b"nothing")
    with pytest.raises(ImageError):
        write_folders(tmp_path / "out", [image], CLASSES, 10**6)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["an image.png"]


def shows(picture: Image.Image, label: int) -> bool:
    """Whether the colour of a class is on a picture."""
    pixels = torch.frombuffer(bytearray(picture.convert("RGB").tobytes()), dtype=torch.uint8).reshape(-1, 3)
    return bool((pixels == torch.tensor(colour_of(label), dtype=torch.uint8)).all(dim=1).any())


def test_a_missed_truth_is_drawn_with_the_box_that_came_furthest(tmp_path: Path) -> None:
    image, pixels = image_in(tmp_path), torch.full((3, 40, 60), 90, dtype=torch.uint8)
    nothing = Verdict(0, 0, VerdictKind.NO_PROPOSAL, None)
    assert not shows(missed_picture(image, nothing, pixels, CLASSES), 0)
    life = Life(0, 0, proposal_box=(6.0, 6.0, 24.0, 24.0), score=0.2)
    assert shows(missed_picture(image, replace(nothing, life=life), pixels, CLASSES), 0)


def test_a_false_positive_has_the_colour_of_its_class(tmp_path: Path) -> None:
    image, pixels = image_in(tmp_path), torch.full((3, 40, 60), 90, dtype=torch.uint8)
    assert shows(false_picture(image, image.false_positives[0], pixels, CLASSES), 1)
