from __future__ import annotations

from collections.abc import Sequence

import pytest
from PIL import Image, ImageDraw

from faster_rcnn.reporting.drawing.colours import Colour, colour_of
from faster_rcnn.reporting.drawing.fonts import Lettering
from faster_rcnn.reporting.drawing.tags import COVERED, LARGEST_SHARE, WIDEST_SHARE, Frame, Tag, placed_tags, write_tag

SIZE = (400, 300)


def lettering(text: str) -> Lettering:
    return Lettering(text, (None,) * len(text))


def tags(
    frames: Sequence[tuple[int, int, int, int]],
    names: Sequence[str],
    scores: Sequence[str] | None = None,
    size: tuple[int, int] = SIZE,
) -> list[Tag]:
    boxes = [Frame(*frame) for frame in frames]
    return placed_tags(boxes, [lettering(name) for name in names], scores, [colour_of(0)] * len(boxes), size)


def drawn(tag: Tag, size: tuple[int, int] = SIZE) -> Image.Image:
    picture = Image.new("RGB", size, (120, 120, 120))
    write_tag(ImageDraw.Draw(picture, "RGBA"), tag)
    return picture


def corner(picture: Image.Image, frame: Frame) -> Colour:
    pixel = picture.getpixel((frame.right - 1, frame.bottom - 1))
    assert isinstance(pixel, tuple)
    return pixel[0], pixel[1], pixel[2]


@pytest.mark.parametrize("name", ["1", "0", "10", "50%", "v1.", "x-", "3:", "cell 2", "½", "a|", "0.99"])
def test_the_score_has_a_background_of_its_own_whatever_the_name_is(name: str) -> None:
    (tag,) = tags([(100, 100, 200, 200)], [name], ["0.99"])
    picture = drawn(tag)
    middle, frame = tag.frame.left + tag.wording.name_width, tag.frame
    left = [picture.getpixel((middle - 1, y)) for y in range(frame.top, frame.bottom)]
    right = [picture.getpixel((middle, y)) for y in range(frame.top, frame.bottom)]
    # Where the fields meet there is no letter: class colour at the left, black at the right.
    assert set(left) == {colour_of(0)}
    assert set(right) == {(0, 0, 0)}


def test_a_tag_of_a_dark_colour_has_its_score_on_white() -> None:
    place = placed_tags([Frame(100, 100, 200, 200)], [lettering("1")], ["0.99"], [colour_of(13)], SIZE)[0]
    assert corner(drawn(place), place.frame) == (255, 255, 255)


def test_a_tag_without_a_score_is_of_one_colour() -> None:
    (tag,) = tags([(100, 100, 200, 200)], ["cell"])
    assert tag.wording.width == tag.wording.name_width == tag.frame.width
    assert corner(drawn(tag), tag.frame) == colour_of(0)


@pytest.mark.parametrize("name", ["x" * 120, "a kind of fruit " * 20, "W" * 60, "i" * 5000])
def test_long_names_lose_their_middle_and_keep_the_score(name: str) -> None:
    (tag,) = tags([(100, 100, 200, 200)], [name], ["0.97"])
    assert tag.wording.score == "0.97"
    head, tail = tag.wording.name.text.split("…")
    assert name.startswith(head)
    assert name.endswith(tail)
    assert len(head) - len(tail) in (0, 1)
    assert tag.frame.width <= WIDEST_SHARE * SIZE[0]
    assert tag.frame.width > 0.9 * WIDEST_SHARE * SIZE[0]  # it fills the room that there is


def test_a_name_that_fits_its_box_is_not_shortened() -> None:
    name = "a kind of fruit from Brazil that is round"
    (tag,) = tags([(10, 100, 390, 200)], [name], ["0.97"])
    assert tag.wording.name.text == name


def test_on_thumbnails_there_are_no_tags() -> None:
    # The smallest letters that can be read are 8 pixels, their tag 11 high: 8 % of 64 x 48 are 22 pixels of width.
    assert tags([(10, 14, 50, 40)], ["raccoon"], ["0.79"], (64, 48)) == []
    assert tags([(2, 14, 62, 40)], ["1"], ["0.79"], (64, 48)) == []


@pytest.mark.parametrize("size", [(80, 80), (99, 140), (128, 96), (200, 99)])
def test_tags_of_small_pictures_cover_no_box(size: tuple[int, int]) -> None:
    frames = [(2, 30, size[0] // 2 - 8, 60), (size[0] // 2, 30, size[0] - 4, 60)]
    placed = tags(frames, ["1", "2"], ["0.99", "0.88"], size)
    assert placed
    for tag in placed:
        assert tag.frame.area <= LARGEST_SHARE * size[0] * size[1]
        assert not any(tag.frame.shared(Frame(*frame)) for frame in frames)


def test_a_small_picture_that_boxes_fill_has_no_tags_and_a_larger_one_has() -> None:
    assert tags([(0, 0, 140, 99)], ["1"], ["0.99"], (140, 99)) == []
    assert len(tags([(0, 0, 140, 100)], ["1"], ["0.99"], (140, 100))) == 1


def test_letters_grow_from_small_pictures_to_large_ones() -> None:
    sizes = [(88, 88), (121, 121), (300, 300), (1000, 1000)]
    found = [tags([(0, 40, 20, 80)], ["1"], None, size)[0].wording.letters for size in sizes]
    assert found == [8, 11, 11, 24]


def test_in_a_crowd_a_narrow_box_has_its_name_alone() -> None:
    frames = [(3 + 28 * i, 100, 3 + 28 * i + 26, 200) for i in range(13)]
    placed = tags(frames, ["1"] * 13, ["0.99"] * 13)
    assert {tag.wording.score for tag in placed} == {None}
    alone = tags(frames[:1], ["1"], ["0.99"])
    assert alone[0].wording.score == "0.99"


def test_a_tag_that_would_hide_another_is_left_out() -> None:
    placed = tags([(100, 100, 104, 104)] * 20, ["cell"] * 20, ["0.99"] * 20)
    assert 1 <= len(placed) < 10
    for index, tag in enumerate(placed):
        covered = sum(tag.frame.shared(other.frame) for other in placed[:index])
        assert covered <= COVERED * tag.frame.area


def test_letters_may_be_of_one_size_for_all_tags() -> None:
    boxes = [Frame(left, 100, left + 12, 112) for left in range(10, 400, 60)]
    names, colours = [lettering("1")] * len(boxes), [colour_of(0)] * len(boxes)
    placed = placed_tags(boxes, names, None, colours, SIZE, 18)
    assert len(placed) == len(boxes)
    assert {tag.wording.letters for tag in placed} == {18}
