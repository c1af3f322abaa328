"""Examples are evenly spread over the images; where one cannot be read, another takes its place."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from faster_rcnn.errors import DatasetError
from faster_rcnn.inference.examples import read_examples
from faster_rcnn.inference.inputs import to_pixels
from files import image_file


def read(paths: list[Path], count: int) -> list[int]:
    """The places of the images that are read."""
    found = list(read_examples(paths, count, 10**6))
    every = [to_pixels(path, str(path), 10**6) if path.stat().st_size > 100 else None for path in paths]
    return [
        next(place for place, one in enumerate(every) if one is not None and torch.equal(each, one)) for each in found
    ]


def test_another_image_takes_the_place_of_one_that_cannot_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = [image_file(tmp_path / f"{number}.png", seed=number) for number in range(6)]
    assert read(paths, 2) == [0, 3]
    assert read(paths, 32) == [0, 1, 2, 3, 4, 5]
    assert not caplog.text
    paths[3].write_bytes(b"no image")
    with caplog.at_level(logging.WARNING):
        assert read(paths, 2) == [0, 1]
    assert "3.png" in caplog.messages[0]
    assert caplog.messages[1] == "1 of 3 images cannot be read; 2 are used"


def test_images_of_which_none_can_be_read_are_an_error(tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    with pytest.raises(DatasetError, match="E122 no image of 2 can be read"):
        read([bad, bad], 1)
    assert read([], 4) == []


def test_an_image_of_more_pixels_than_the_detector_reads_is_left_out(tmp_path: Path) -> None:
    paths = [image_file(tmp_path / "large.png", 60, 60), image_file(tmp_path / "small.png", 20, 20)]
    assert [tuple(each.shape) for each in read_examples(paths, 2, 1000)] == [(3, 20, 20)]
