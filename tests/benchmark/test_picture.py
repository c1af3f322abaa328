"""The made-up picture of a benchmark."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.benchmark.picture import made_up_picture, own_size
from faster_rcnn.data.decode import read_image
from faster_rcnn.images import resize
from faster_rcnn.settings.presets import PRESETS, preset


def test_the_made_up_picture_is_the_same_every_time_and_needs_no_resizing(tmp_path: Path) -> None:
    for name in PRESETS:
        size = own_size(preset(name))
        image = preset(name).image
        pixels = read_image(made_up_picture(tmp_path / f"{name}.jpg", size), 10**8)[0]
        assert tuple(pixels.shape[1:]) == size
        rule = image.short_side, image.long_side, image.resize, image.size_rounding
        assert resize(pixels, *rule).shape == pixels.shape
    again = made_up_picture(tmp_path / "again.jpg", own_size(preset("small")))
    assert again.read_bytes() == (tmp_path / "small.jpg").read_bytes()
