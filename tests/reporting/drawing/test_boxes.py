from __future__ import annotations

import pytest
import torch
from PIL import Image

from faster_rcnn.reporting.drawing.boxes import draw_boxes, draw_detections
from faster_rcnn.reporting.drawing.colours import colour_of
from faster_rcnn.structures import ClassMap, Detections, GroundTruth

CELLS = ClassMap(("red", "white"), (1, 2))
GREY = (120, 120, 120)


def grey(height: int, width: int) -> torch.Tensor:
    return torch.full((3, height, width), 120, dtype=torch.uint8)


def detections(boxes: list[list[float]]) -> Detections:
    corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return Detections(corners, torch.linspace(0.9, 0.5, len(boxes)), torch.zeros(len(boxes), dtype=torch.int64))


def changed(picture: Image.Image) -> tuple[int, int, int, int] | None:
    """The smallest rectangle around all pixels that are not grey."""
    return Image.eval(picture, lambda value: 0 if value == 120 else 255).getbbox()


def test_a_picture_without_detections_is_the_image_itself() -> None:
    pixels = torch.randint(0, 256, (3, 40, 60), dtype=torch.uint8)
    picture = draw_detections(pixels, detections([]), CELLS)
    assert picture.size == (60, 40)
    assert picture.getpixel((7, 3)) == tuple(pixels[:, 3, 7].tolist())


def test_outline_lies_on_the_box() -> None:
    # Continuous pixels: a box from 50 to 150 covers the pixels 50 to 149, and its line is drawn inside of it.
    picture = draw_boxes(grey(300, 400), torch.tensor([[50.0, 100, 150, 220]]), [1], CELLS)
    for x, y in ((50, 160), (149, 160), (100, 219)):
        assert picture.getpixel((x, y)) == colour_of(1)
    assert picture.getpixel((100, 160)) == GREY
    assert picture.getpixel((153, 160)) == GREY


def test_the_callers_pixels_are_not_changed() -> None:
    pixels = grey(50, 50)
    draw_detections(pixels, detections([[5, 5, 40, 40]]), CELLS)
    assert (pixels == 120).all()


@pytest.mark.parametrize("box", [[-50.0, -50, 900, 900], [0, 0, 0, 0], [399.5, 299.5, 400, 300], [10, 10, 10.2, 250]])
def test_boxes_that_stick_out_or_are_tiny(box: list[float]) -> None:
    picture = draw_detections(grey(300, 400), detections([box]), CELLS)
    assert picture.size == (400, 300)
    assert changed(picture) is not None


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (300, 7), (5, 5)])
def test_images_smaller_than_a_tag(shape: tuple[int, int]) -> None:
    truth = GroundTruth(torch.tensor([[0.0, 0, 5, 5]]), torch.tensor([1]), torch.tensor([True]))
    picture = draw_detections(grey(*shape), detections([[0, 0, 4, 4]]), CELLS, truth)
    assert picture.size == shape[::-1]


def test_tags_of_boxes_at_the_edges_stay_inside() -> None:
    # Boxes in all corners: each tag is on the image, filled with the class colour, and written on.
    boxes = [[0, 0, 80, 60], [320, 0, 400, 60], [0, 240, 80, 300], [320, 240, 400, 300]]
    tagged = draw_detections(grey(300, 400), detections([[float(v) for v in box] for box in boxes]), CELLS)
    for left, top, right, bottom in boxes:
        around = (max(left - 20, 0), max(top - 20, 0), min(right + 20, 400), min(bottom + 20, 300))
        # The line: two rows and two columns on each side, 2 * 2 * 80 + 2 * 2 * (60 - 4) = 544.
        assert _count(tagged.crop(around), colour_of(0)) > 544 + 200


def test_crowded_pictures_have_fewer_tags_than_boxes() -> None:
    boxes = [[100 + i, 100 + i, 108 + i, 108 + i] for i in range(60)]
    apart = draw_detections(grey(300, 400), detections([[float(v) for v in boxes[0]]]), CELLS)
    heap = draw_detections(grey(300, 400), detections([[float(v) for v in box] for box in boxes]), CELLS)
    one = _count(apart, colour_of(0))
    assert _count(heap, colour_of(0)) < 20 * one


def test_line_width_grows_with_the_image() -> None:
    widths = []
    for side in (300, 1200, 4800):
        picture = draw_boxes(grey(side, side), torch.tensor([[0.2, 0.2, 0.8, 0.8]]) * side, [0], CELLS)
        row = [picture.getpixel((x, side // 2)) for x in range(round(side * 0.2) - 9, round(side * 0.2) + 40)]
        widths.append(row.count(colour_of(0)))
    assert widths == [2, 4, 17]  # 0.0036 of the side, and no less than 2


def test_scale_enlarges_picture_and_boxes() -> None:
    picture = draw_detections(grey(100, 150), detections([[20, 30, 120, 90]]), CELLS, scale=2.0)
    assert picture.size == (300, 200)
    assert picture.getpixel((40, 120)) == colour_of(0)
    assert picture.getpixel((239, 120)) == colour_of(0)


def test_truth_is_dashed_and_without_colour_beside_detections() -> None:
    truth = GroundTruth(torch.tensor([[50.0, 50, 350, 250]]), torch.tensor([0]), torch.tensor([False]))
    picture = draw_detections(grey(300, 400), detections([]), CELLS, truth)
    line = {picture.getpixel((50, y)) for y in range(50, 250)}
    assert line == {(0, 0, 0), (255, 255, 255)}


def test_boxes_have_the_colour_of_their_class_and_dashed_ones_have_none() -> None:
    boxes = torch.tensor([[50.0, 50, 150, 250], [200, 50, 350, 250]])
    picture = draw_boxes(grey(300, 400), boxes[:1], [1], CELLS, dashed=boxes[1:])
    assert picture.getpixel((50, 150)) == colour_of(1)
    assert _count(picture, colour_of(0)) == 0
    assert {picture.getpixel((200, y)) for y in range(60, 240)} == {(0, 0, 0), (255, 255, 255)}


def test_the_smallest_boxes_have_lines_around_them_that_hide_nothing() -> None:
    # A line of 2 pixels inside of 6 would leave 2 of them: it is drawn outside, from 48 to 49 and from 56 to 57.
    picture = draw_boxes(grey(300, 400), torch.tensor([[50.0, 100, 56, 106]]), [0], CELLS)
    assert [picture.getpixel((x, 103)) == colour_of(0) for x in range(47, 60)] == (
        [False, True, True, *[False] * 6, True, True, False, False]
    )


@pytest.mark.parametrize("label", range(20))
@pytest.mark.parametrize("ground", [0, 60, 128, 200, 255])
def test_a_line_is_visible_on_any_background(label: int, ground: int) -> None:
    # Either the line or the edge beside it differs by 45 of 255 in luma from the background.
    classes = ClassMap(tuple(map(str, range(20))), tuple(range(20)))
    pixels = torch.full((3, 240, 320), ground, dtype=torch.uint8)
    picture = draw_boxes(pixels, torch.tensor([[100.0, 100, 200, 200]]), [label], classes).convert("L")
    row = picture.crop((96, 150, 106, 151)).tobytes()
    assert max(abs(value - ground) for value in row) >= 45


def test_edges_grow_with_the_line() -> None:
    picture = draw_boxes(grey(4000, 6000), torch.tensor([[1000.0, 1000, 4000, 3000]]), [0], CELLS)
    row = [picture.getpixel((x, 2000)) for x in range(980, 1060)]
    assert row.count(colour_of(0)) == 18  # 0.0036 * sqrt(4000 * 6000) = 17.6
    dark = [colour for colour in row if colour not in (GREY, colour_of(0))]
    assert len(dark) == 2 * 4  # a quarter of the line, on both sides


def _count(picture: Image.Image, colour: tuple[int, int, int]) -> int:
    counts = picture.getcolors(picture.width * picture.height)
    assert counts is not None
    return sum(count for count, found in counts if found == colour)
