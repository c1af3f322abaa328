from __future__ import annotations

import numpy as np
import torch

from drawn_pictures import pixels_of
from explained_images import tiny_explained
from faster_rcnn.explanation.plots.figure import cell_height, cell_width
from faster_rcnn.explanation.plots.view import HATCH, OUTSIDE, crop_of, picture_of, view_of
from faster_rcnn.inference.tiles import Tiling
from tiny import boxes_of


def test_a_view_shows_the_image_as_large_as_the_cell() -> None:
    recording = tiny_explained(size=(96, 128)).recording
    view = view_of(recording, recording.whole)
    assert view.picture.size == (cell_width(1), round(96 * cell_width(1) / 128))
    assert view.point(64, 48) == (view.picture.width / 2, 48 * view.scale)
    assert pixels_of(view.picture, OUTSIDE) == 0


def test_a_high_image_is_as_high_as_a_cell_and_a_large_one_is_reduced() -> None:
    for size in ((300, 30), (1500, 900)):
        recording = tiny_explained(size=size).recording
        view = view_of(recording, recording.whole, 2)
        assert view.picture.height == cell_height(2)
        assert view.picture.width == round(size[1] * cell_height(2) / size[0])


def test_boxes_outside_the_image_get_room_but_not_without_end() -> None:
    recording = tiny_explained(size=(96, 128)).recording
    view = view_of(recording, recording.whole, around=boxes_of([[-20, 10, 50, 60]]))
    # 2 % of 128 pixels are room for a line; nothing is added at the other sides.
    assert view.left == -20 - 0.02 * 128
    assert view.top == 0
    outside = view.picture.crop((0, 0, int(20 * view.scale), view.picture.height))
    assert pixels_of(outside, OUTSIDE) + pixels_of(outside, HATCH) > 0.9 * outside.width * outside.height
    far = view_of(recording, recording.whole, around=boxes_of([[-5000, -5000, 5000, 5000]]))
    assert (far.left, far.top) == (-0.35 * 128, -0.35 * 128)


def test_boxes_inside_the_image_change_nothing() -> None:
    recording = tiny_explained().recording
    assert view_of(recording, recording.whole, around=boxes_of([[1, 1, 50, 60]])).left == 0


def test_frames_are_boxes_at_the_scale_of_the_view() -> None:
    recording = tiny_explained(size=(96, 128)).recording
    view = view_of(recording, recording.whole)
    [frame, empty] = view.frames(boxes_of([[10, 20, 30, 60], [5, 5, 5, 5]]))
    assert tuple(frame) == tuple(round(side * view.scale) for side in (10, 20, 30, 60))
    assert (empty.width, empty.short_side) == (1, 1)


def test_a_view_of_a_tile_shows_its_pixels() -> None:
    recording = tiny_explained(size=(100, 200), tiling=Tiling(100, 0.2)).recording
    last = recording.parts[-1]
    view = view_of(recording, last)
    assert (view.left, view.top) == (100, 0)
    expected = picture_of(recording.pixels[:, :, 100:]).resize(view.picture.size, 1)
    difference = np.asarray(view.picture, dtype=int) - np.asarray(expected, dtype=int)
    assert abs(difference).mean() < 2


def test_a_faded_view_is_grey_and_light() -> None:
    recording = tiny_explained().recording
    pixels = np.asarray(view_of(recording, recording.whole, faded=0.5).picture)
    assert (pixels.max(axis=-1) == pixels.min(axis=-1)).all()
    assert pixels.min() >= 127


def test_a_copy_is_drawn_on_by_itself() -> None:
    recording = tiny_explained().recording
    view = view_of(recording, recording.whole)
    view.copy().canvas.rectangle((0, 0, 50, 50), fill=(255, 0, 0))
    assert pixels_of(view.picture, (255, 0, 0), (0, 0, 40, 40)) == 0


def test_a_crop_is_cut_at_the_border_and_fits() -> None:
    recording = tiny_explained(size=(96, 128)).recording
    crop = crop_of(recording, (-10.0, 40.0, 20.0, 50.0), (200, 200))
    assert crop.size == (200, 100)
    expected = picture_of(recording.pixels[:, 40:50, :20]).resize((200, 100), 1)
    assert torch.equal(torch.from_numpy(np.array(crop)), torch.from_numpy(np.array(expected)))
    assert crop_of(recording, (500.0, 500.0, 500.0, 500.0), (50, 50)).size == (50, 50)
