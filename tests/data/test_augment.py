"""Augmentation is a function of its generator, and truth follows the pixels."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor

import tiny
from faster_rcnn.data.augment import Labelled, colour_matrix, draw, flip, jitter_scale, photometric, place_on_canvas
from faster_rcnn.structures import GroundTruth, ImageSize, Proposals


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def truth_of(*boxes: list[float]) -> GroundTruth:
    count = len(boxes)
    return GroundTruth(torch.tensor(boxes).reshape(-1, 4), torch.arange(count), torch.zeros(count, dtype=torch.bool))


def noise(height: int = 20, width: int = 30) -> Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator(1))


def test_flip_by_hand() -> None:
    pixels = torch.zeros(3, 4, 10, dtype=torch.uint8)
    pixels[:, 1:3, 2:5] = 255  # the object at columns 2, 3, 4: x from 2 to 5
    proposals = Proposals(torch.tensor([[0.0, 0.0, 4.0, 4.0]]), torch.tensor([0.7]))
    flipped = flip(Labelled(pixels, truth_of([2.0, 1.0, 5.0, 3.0]), proposals))
    assert flipped.truth.boxes.tolist() == [[5, 1, 8, 3]]  # 10 - 5, 10 - 2
    assert flipped.proposals is not None
    assert flipped.proposals.boxes.tolist() == [[6, 0, 10, 4]]  # 10 - 4, 10 - 0
    assert torch.equal(flipped.proposals.scores, proposals.scores)
    assert flipped.pixels[:, 1:3, 5:8].min() == 255
    assert flipped.pixels.sum() == pixels.sum()


def test_an_image_without_boxes_is_flipped() -> None:
    flipped = flip(Labelled(noise(), truth_of()))
    assert flipped.truth.boxes.shape == (0, 4)
    assert flipped.proposals is None


@given(
    st.lists(st.tuples(st.floats(0, 20, width=32), st.floats(0, 20, width=32), st.floats(1, 9, width=32)), max_size=4)
)
def test_flipping_twice_restores_the_image(boxes: list[tuple[float, float, float]]) -> None:
    truth = truth_of(*([x, y, x + side, y + side] for x, y, side in boxes))
    back = flip(flip(Labelled(noise(), truth)))
    torch.testing.assert_close(back.truth.boxes, truth.boxes)
    assert torch.equal(back.pixels, noise())


def test_strength_0_changes_nothing() -> None:
    assert torch.equal(photometric(noise(), 0.0, generator()), noise())


def test_photometric_keeps_the_kind_of_pixels() -> None:
    eight_bit = photometric(noise(), 1.0, generator(3))
    floats = photometric(noise().float() / 255, 1.0, generator(3))
    assert eight_bit.dtype == torch.uint8
    assert floats.dtype == torch.float32
    assert floats.min() >= 0
    assert floats.max() <= 1
    torch.testing.assert_close(eight_bit.float() / 255, floats, atol=0.6 / 255, rtol=0)
    assert not torch.equal(eight_bit, noise())


def test_photometric_depends_on_its_generator_alone() -> None:
    first = photometric(noise(), 0.5, generator(7))
    torch.rand(5)
    assert torch.equal(first, photometric(noise(), 0.5, generator(7)))
    assert not torch.equal(first, photometric(noise(), 0.5, generator(8)))


def test_colour_matrix_by_hand() -> None:
    torch.testing.assert_close(colour_matrix(1, 1, 0), torch.eye(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(colour_matrix(1.5, 1, 0), 1.5 * torch.eye(3), atol=1e-5, rtol=0)
    # without saturation each channel is the luma 0.299 R + 0.587 G + 0.114 B
    luma = torch.tensor([0.299, 0.587, 0.114]).expand(3, 3)
    torch.testing.assert_close(colour_matrix(1, 0, 0), luma, atol=1e-3, rtol=0)


@pytest.mark.parametrize("turn", [0.1, -0.3, 2.0])
def test_turning_hue_changes_neither_grey_nor_luma(turn: float) -> None:
    matrix = colour_matrix(1, 1, turn)
    torch.testing.assert_close(matrix @ torch.ones(3), torch.ones(3), atol=2e-3, rtol=0)
    weights = torch.tensor([0.299, 0.587, 0.114])
    torch.testing.assert_close(weights @ matrix, weights, atol=1e-5, rtol=0)
    back = colour_matrix(1, 1, -turn) @ matrix
    torch.testing.assert_close(back, torch.eye(3), atol=1e-4, rtol=0)


def test_contrast_turns_around_the_mean_luma() -> None:
    """Contrast, saturation and hue do not change a grey image: only brightness does, by at most half."""
    grey = torch.full((3, 4, 4), 100, dtype=torch.uint8)
    for seed in range(20):
        changed = photometric(grey, 1.0, generator(seed))
        assert 49 <= int(changed.min()) <= int(changed.max()) <= 151
        assert int(changed.max()) - int(changed.min()) <= 1


def test_scale_factors_cover_their_range_evenly_in_logarithm() -> None:
    one = generator()
    factors = [jitter_scale(one, 0.5, 2.0) for _ in range(400)]
    assert min(factors) >= 0.5
    assert max(factors) <= 2.0
    assert min(factors) < 0.52
    assert max(factors) > 1.9
    assert abs(sum(math.log(factor) for factor in factors) / 400) < 0.1
    assert jitter_scale(one, 1.0, 1.0) == 1.0


def test_draw_stays_in_its_range() -> None:
    one = generator()
    assert all(3 <= draw(one, 3, 5) <= 5 for _ in range(100))


def test_a_larger_image_is_cut_to_the_canvas_and_its_truths_with_it() -> None:
    pixels = torch.arange(3 * 8 * 10, dtype=torch.uint8).reshape(3, 8, 10)
    truth = tiny.truth_of([[0, 0, 10, 8], [0, 0, 1, 1], [4, 4, 6, 6]], [0, 1, 2])
    for seed in range(20):
        one = torch.Generator().manual_seed(seed)
        whole = Proposals(truth.boxes, torch.tensor([0.9, 0.8, 0.7]))
        cut = place_on_canvas(Labelled(pixels, truth, whole), ImageSize(6, 5), (0.5, 0.5, 0.5), one)
        placed, kept = cut.pixels, cut.truth
        # Proposals go where truths go.
        assert cut.proposals is not None
        assert torch.equal(cut.proposals.boxes, kept.boxes)
        assert torch.equal(cut.proposals.scores, whole.scores[kept.labels])
        # Wherever the window lay, the pixels under it are the image's own.
        down = int((pixels[0, :, 0] == placed[0, 0, 0] - placed[0, 0, 0] % 10).nonzero()[0, 0])
        right = int(placed[0, 0, 0] % 10)
        assert torch.equal(placed, pixels[:, down : down + 6, right : right + 5])
        # The whole image is a truth: what is left of it is the canvas, 30 of 80 pixels, more than 30 %.
        torch.testing.assert_close(kept.boxes[0], torch.tensor([0.0, 0.0, 5.0, 6.0]))
        assert not kept.ignored[0]
        assert (1 in kept.labels) == (down == 0 and right == 0)  # the corner's pixel is there only if the corner is


def test_a_truth_box_with_little_left_is_ignored() -> None:
    truth = tiny.truth_of([[0, 0, 20, 4]])
    pixels = torch.zeros(3, 4, 20, dtype=torch.uint8)
    one = torch.Generator().manual_seed(0)
    assert place_on_canvas(Labelled(pixels, truth), ImageSize(4, 5), (0, 0, 0), one).truth.ignored.tolist() == [
        True
    ]  # 5 of 20 columns, a quarter, are left


def test_a_smaller_image_is_surrounded_by_the_given_colour() -> None:
    pixels = torch.full((3, 2, 3), 9, dtype=torch.uint8)
    one = torch.Generator().manual_seed(3)
    image = Labelled(pixels, tiny.truth_of([[0, 0, 3, 2]]))
    surrounded = place_on_canvas(image, ImageSize(6, 8), (1.0, 0.5, 0.0), one)
    placed = surrounded.pixels
    x1, y1, x2, y2 = (int(value) for value in surrounded.truth.boxes[0])
    assert (x2 - x1, y2 - y1) == (3, 2)
    assert (placed[:, y1:y2, x1:x2] == 9).all()
    assert int((placed[0] == 255).sum()) == 6 * 8 - 6
    assert placed[1].max() == 127


def test_placing_is_a_function_of_the_generator() -> None:
    pixels = torch.randint(0, 256, (3, 9, 9), dtype=torch.uint8)
    truth = tiny.truth_of([[1, 1, 8, 8]])
    first, again = (
        place_on_canvas(Labelled(pixels, truth), ImageSize(5, 5), (0, 0, 0), torch.Generator().manual_seed(7)).pixels
        for _ in range(2)
    )
    assert torch.equal(first, again)
