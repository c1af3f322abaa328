"""Anchors fitted to objects: clusters, limits of levels and IoUs on numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faster_rcnn.building import build_model
from faster_rcnn.data.anchor_fitting import (
    MAX_STRIDES,
    MIN_STRIDES,
    Reach,
    fitted_ratios,
    fitted_sizes,
    fitted_to,
    fitted_to_split,
    reach_of,
    shapes_of,
    spread_sizes,
)
from faster_rcnn.data.reading import load_split
from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.settings.schema import DataConfig, ImageConfig, RpnConfig
from faster_rcnn.structures import ImageSize
from files import coco_folder
from tiny import tiny_config, truth_of

STRIDES = (4, 8, 16, 32, 64)
SQUARES = RpnConfig(anchor_heights_over_widths=(1.0,))


def sides(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def squares(*numbers: float) -> torch.Tensor:
    return torch.stack((sides(*numbers), sides(*numbers)), dim=1)


def test_best_ious_are_those_of_boxes_with_one_centre() -> None:
    """A square of 16 in one of 32: 256 / 1024; of 40: 1024 / 1600; of 32: 1."""
    reach = reach_of(squares(16, 40, 32), [(32.0,)], [(1.0,)])
    assert (reach.mean, reach.half, reach.positive) == pytest.approx(((0.25 + 0.64 + 1) / 3, 2 / 3, 1 / 3))


def test_the_best_of_all_levels_and_ratios_counts() -> None:
    """An anchor of size 32 and ratio 4 is 64 high and 16 wide; an object of 64 x 16 is equal to it."""
    shapes = torch.tensor([[64.0, 16.0]], dtype=torch.float64)
    assert reach_of(shapes, [(8.0,), (32.0,)], [(1.0,), (0.25, 4.0)]).mean == pytest.approx(1)
    # 32 x 32 shares 32 x 16 of it: 512 / (1024 + 1024 - 512).
    assert reach_of(shapes, [(32.0,)], [(1.0,)]).mean == pytest.approx(1 / 3)


def test_sizes_are_the_medians_of_clusters() -> None:
    """Five groups of three, each within the limits of its level: the medians are the middle ones."""
    of_groups = [number * factor for number in (10, 30, 90, 270, 810) for factor in (0.9, 1, 1.2)]
    assert fitted_sizes(sides(*of_groups), STRIDES, 1) == ((10.0,), (30.0,), (90.0,), (270.0,), (810.0,))


def test_several_sizes_of_a_level_are_several_clusters() -> None:
    assert fitted_sizes(sides(10, 10, 20, 20, 40, 40, 100, 100), (4, 8), 2) == ((10.0, 20.0), (40.0, 100.0))


def test_sizes_stay_within_what_the_positions_of_a_level_serve() -> None:
    """Objects of 6 pixels: one stride of the finest level is 4, two strides of the others are 16, 32, 64, 128."""
    assert fitted_sizes(sides(6, 6, 6), STRIDES, 1) == ((6.0,), (16.0,), (32.0,), (64.0,), (128.0,))
    assert fitted_sizes(sides(1, 1, 1), STRIDES, 1)[0] == (4.0,)
    # 32 strides of the levels are 128, 256, 512, 1024, 2048.
    assert fitted_sizes(sides(3000, 3000), STRIDES, 1) == ((128.0,), (256.0,), (512.0,), (1024.0,), (2048.0,))


def test_equal_objects_give_sizes_that_differ() -> None:
    """Three sizes of one level around objects of 50: 50, 50 * 1.12 = 56, 56 * 1.12 = 62.72."""
    assert fitted_sizes(sides(50, 50, 50), (16,), 3) == ((50.0, 56.0, 63.0),)


def test_sizes_are_spread_evenly_from_small_to_large() -> None:
    """Of 21 objects the second and the second largest are the ends, 10 and 160: four steps of factor 2."""
    assert spread_sizes(sides(1, 10, *[100] * 17, 160, 500), STRIDES, 1) == (
        (10.0,),
        (20.0,),
        (40.0,),
        (80.0,),
        (160.0,),
    )


def test_of_two_fits_the_one_that_reaches_more_objects_is_taken() -> None:
    """Sixteen objects of 60 to 75 pixels draw both medians to themselves, and leave four of 16 alone."""
    numbers = sides(*[16.0] * 2, *range(60, 76), *[16.0] * 2)
    rpn = RpnConfig(anchor_sizes=((32.0, 64.0),), anchor_heights_over_widths=(1.0,))
    assert fitted_sizes(numbers, (8,), 2) == ((60.0, 70.0),)
    fit = fitted_to(torch.stack((numbers, numbers), dim=1), rpn, (8,))
    assert fit is not None
    assert (fit.sizes, fit.after.half) == (((16.0, 74.0),), 1.0)


@given(st.lists(st.floats(1, 5000), min_size=1, max_size=40), st.integers(1, 3))
def test_sizes_ascend_within_their_limits(numbers: list[float], count: int) -> None:
    sizes = fitted_sizes(sides(*numbers), STRIDES, count)
    flat = [size for level in sizes for size in level]
    assert [len(level) for level in sizes] == [count] * len(STRIDES)
    assert flat == sorted(flat)
    for stride, level in zip(STRIDES[1:], sizes[1:], strict=True):  # two digits round by 5 % at most
        assert all(0.95 * MIN_STRIDES * stride <= size <= 1.05 * MAX_STRIDES * stride for size in level)


def test_ratios_are_the_medians_of_clusters_that_differ() -> None:
    assert fitted_ratios(sides(0.5, 0.5, 0.52, 1.0, 1.0, 1.02, 3.0, 3.0, 3.2), 3) == (0.5, 1.0, 3.0)
    # 1.0 and 1.1 are nearer than the step of 1.25: one ratio stands for both.
    assert fitted_ratios(sides(1.0, 1.0, 1.1, 1.1, 4.0, 4.0), 3) == (1.0, 4.0)
    assert fitted_ratios(sides(1.5, 1.5, 1.5), 3) == (1.5,)
    assert fitted_ratios(sides(0.7), 3) == (0.7,)


def test_a_fit_has_the_numbers_of_both() -> None:
    """Squares of 8 pixels: the preset's smallest anchor, 32, has an IoU of 64 / 1024 with them, the fitted one of 1."""
    fit = fitted_to(squares(8, 8, 8), SQUARES, STRIDES)
    assert fit is not None
    assert fit.before == Reach(1 / 16, 0.0, 0.0)
    assert (fit.objects, fit.sizes) == (3, ((8.0,), (16.0,), (32.0,), (64.0,), (128.0,)))
    assert (fit.heights_over_widths, fit.after) == ((1.0,), Reach(1.0, 1.0, 1.0))
    assert fit.improves
    assert not replace(fit, after=fit.before).improves


def test_the_words_are_settings_of_training() -> None:
    fit = fitted_to(torch.tensor([[8.0, 4.0], [4.0, 8.0], [20.0, 40.0]]), RpnConfig(), STRIDES)
    assert fit is not None
    assert fit.settings == (
        "rpn.anchor_sizes=[[5.7], [16], [32], [64], [128]]",
        "rpn.anchor_heights_over_widths=[0.5, 2]",
    )
    assert fit.words == (
        "--set 'rpn.anchor_sizes=[[5.7], [16], [32], [64], [128]]' 'rpn.anchor_heights_over_widths=[0.5, 2]'"
    )
    config = resolve_config(None, None, fit.settings, {})
    assert (config.rpn.anchor_sizes, config.rpn.anchor_heights_over_widths) == (fit.sizes, fit.heights_over_widths)
    build_model(tiny_config(rpn=config.rpn.model_dump()), 2)


def test_levels_with_their_own_ratios_are_measured_with_them() -> None:
    """An object of 64 x 16 fits the ratio 4 of the second level alone."""
    rpn = RpnConfig(anchor_sizes=((32.0,), (32.0,)), anchor_heights_over_widths=((1.0,), (4.0,)))
    fit = fitted_to(torch.tensor([[64.0, 16.0]]), rpn, (4, 8))
    assert fit is not None
    assert fit.before.mean == pytest.approx(1)
    assert fit.heights_over_widths == (4.0,)


def test_without_objects_there_is_no_fit() -> None:
    assert fitted_to(torch.zeros(0, 2), SQUARES, STRIDES) is None
    assert fitted_to(torch.tensor([[0.0, 5.0]]), SQUARES, STRIDES) is None


def test_shapes_are_those_after_resizing_without_ignored_objects() -> None:
    """An image of 40 x 60 pixels becomes 80 x 120, so a box of 10 x 20 becomes 40 high and 20 wide."""
    truth = truth_of([(0, 0, 10, 20), (0, 0, 30, 30)], ignored=[False, True])
    image = ImageConfig(short_side=80, long_side=200)
    assert shapes_of(truth, ImageSize(40, 60), image).tolist() == [[40.0, 20.0]]


def test_a_split_is_fitted_at_the_image_size_of_its_settings(tmp_path: Path) -> None:
    """Images of 40 x 60 pixels become 64 x 96; boxes of 10 x 10 become 16 x 16."""
    data = coco_folder(tmp_path, [[(0, 5, 5, 10, 10), (1, 20, 20, 10, 10)], []])
    split = load_split(data, DataConfig(), "test").split("test")
    fit = fitted_to_split(split, tiny_config(), STRIDES)
    assert fit is not None
    assert (fit.objects, fit.sizes[0], fit.heights_over_widths) == (2, (16.0,), (1.0,))
    assert fitted_to_split(replace(split, records=()), tiny_config(), STRIDES) is None
    assert fitted_to_split(replace(split, records=split.records[1:]), tiny_config(), STRIDES) is None


def test_levels_without_anchors_stay_without() -> None:
    rpn = RpnConfig(anchor_sizes=((), (32,), (64,), (128,), (256,)), anchor_heights_over_widths=(1.0,))
    fit = fitted_to(squares(*[10] * 5, *[50] * 5, *[100] * 5, *[200] * 5), rpn, STRIDES)
    assert fit is not None
    assert fit.sizes == ((), (10.0,), (50.0,), (100.0,), (200.0,))
    assert fit.settings[0] == "rpn.anchor_sizes=[[], [10], [50], [100], [200]]"
