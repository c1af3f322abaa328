from __future__ import annotations

import numpy as np
import torch

from faster_rcnn.inference.frame import Frame
from faster_rcnn.inference.given import images_given
from faster_rcnn.inference.inputs import to_pixels
from files import rgb


def test_a_frame_is_an_image_with_a_name() -> None:
    frame = Frame(rgb(), 12, 0.48, "street.mp4")
    assert frame.name == "frame 12 of street.mp4"
    pixels = to_pixels(frame, frame.name, max_pixels=10**6)
    assert torch.equal(pixels, torch.from_numpy(rgb()).permute(2, 0, 1))
    assert images_given(frame) is frame
    assert list(images_given(iter([frame]))) == [frame]  # type: ignore[arg-type]  # an iterator gives an iterator


def test_pixels_are_a_copy() -> None:
    frame = Frame(rgb(), 0, 0.0, "a.mp4")
    pixels = to_pixels(frame, frame.name, max_pixels=10**6)
    frame.pixels[:] = 0
    assert np.asarray(pixels).any()
