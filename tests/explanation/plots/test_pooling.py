from __future__ import annotations

import pytest
import torch
from jaxtyping import Float
from torch import Tensor
from torch.testing import assert_close

from drawn_pictures import differ, pixels_of
from explained_images import tiny_explained
from faster_rcnn.choices import PoolingMethod
from faster_rcnn.errors import OptionError
from faster_rcnn.explanation.plots.figure import WIDTH
from faster_rcnn.explanation.plots.marks import NEGATIVE, POSITIVE
from faster_rcnn.explanation.plots.pooling import both_results, plot_pooling, pool_bins, sampling_points
from faster_rcnn.explanation.record.numbers import RegionNumbers, region_numbers
from faster_rcnn.ops.roi_align import roi_align, roi_pool
from faster_rcnn.roi.pooling import Pooling

BOXES = ((1.2, 2.7, 9.6, 8.1), (0.0, 0.0, 0.4, 0.3), (3.5, 1.5, 4.5, 11.5), (-2.0, 5.0, 14.0, 13.9))


def region_of(box: tuple[float, float, float, float]) -> RegionNumbers:
    return RegionNumbers(0, "P2", 1, box)


def rois_of(box: tuple[float, float, float, float]) -> Float[Tensor, "1 5"]:
    return torch.tensor([[0.0, *box]])


def bilinear(features: Float[Tensor, "rows columns"], x: float, y: float) -> float:
    """The value between four features, as torchvision: points outside by more than one feature count as 0."""
    rows, columns = features.shape
    if not (-1 <= y <= rows and -1 <= x <= columns):
        return 0.0
    x, y = min(max(x, 0.0), columns - 1.0), min(max(y, 0.0), rows - 1.0)
    left, top = min(int(x), columns - 2), min(int(y), rows - 2)
    right, down = x - left, y - top
    upper = (1 - right) * features[top, left] + right * features[top, left + 1]
    lower = (1 - right) * features[top + 1, left] + right * features[top + 1, left + 1]
    return float((1 - down) * upper + down * lower)


@pytest.mark.parametrize("box", BOXES)
def test_roi_pooling_is_the_maximum_of_the_bins(box: tuple[float, float, float, float]) -> None:
    features = torch.rand(1, 1, 14, 15)
    bins = pool_bins(region_of(box), 3, (14, 15))
    maxima = [
        float(features[0, 0, top:bottom, left:right].max()) if right > left and bottom > top else 0.0
        for left, top, right, bottom in bins
    ]
    assert_close(roi_pool(features, rois_of(box), stride=1, side=3).flatten(), torch.tensor(maxima))


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("method", ["align", "aligned-align"])
@pytest.mark.parametrize("ratio", [0, 2])
def test_roi_align_is_the_mean_at_the_sampling_points(
    box: tuple[float, float, float, float], method: PoolingMethod, ratio: int
) -> None:
    features, rule = torch.rand(1, 1, 14, 15), Pooling(method, 3, ratio, 224.0, (1,))
    points = sampling_points(region_of(box), rule)  # (side, down, side, across, 2)
    values = torch.tensor([bilinear(features[0, 0], x, y) for x, y in points.reshape(-1, 2).tolist()])
    means = values.reshape(points.shape[:-1]).mean(dim=(1, 3)).flatten()
    pooled = roi_align(features, rois_of(box), stride=1, side=3, sampling_ratio=ratio, aligned=rule.aligned)
    assert_close(pooled.flatten(), means, rtol=1e-4, atol=1e-5)


def test_sampling_points_of_a_simple_region() -> None:
    # Two bins of 4 features along each side, two samples in each: at 1, 3, 5, 7 from the region's beginning.
    points = sampling_points(region_of((10.0, 20.0, 18.0, 28.0)), Pooling("align", 2, 2, 224.0, (1,)))
    assert points.shape == (2, 2, 2, 2, 2)
    assert points[0, 0, :, :, 0].flatten().tolist() == [11, 13, 15, 17]
    assert points[:, :, 0, 0, 1].flatten().tolist() == [21, 23, 25, 27]


def test_the_results_are_those_of_the_detector() -> None:
    for method in ("align", "pool"):
        part = tiny_explained(roi={"pooling": method, "head_hidden": (32,)}).recording.whole
        assert part.second is not None
        results = both_results(part, 3, region_numbers(part, 3))
        own = results[0] if method == "pool" else results[1]
        assert_close(own, part.second.pooled[3], rtol=1e-4, atol=1e-5)


def test_both_methods_are_drawn_whatever_the_detector_uses() -> None:
    explained = tiny_explained()
    picture = plot_pooling(explained.recording, explained.fates[0])
    assert picture.width == WIDTH
    # Bins of RoI pooling at the left; bins and points of RoIAlign at the right.
    left, right = (16, 43, 492, 300), (508, 43, 984, 300)
    assert pixels_of(picture, NEGATIVE, left) > 300
    assert pixels_of(picture, NEGATIVE, right) > 300
    assert pixels_of(picture, POSITIVE, right) > 100
    assert pixels_of(picture, POSITIVE, left) == 0
    assert differ(picture, plot_pooling(explained.recording, explained.fates[0], 3))


def test_a_first_stage_alone_has_no_regions() -> None:
    alone = tiny_explained(kind="rpn")
    with pytest.raises(OptionError, match="no regions to classify"):
        plot_pooling(alone.recording, alone.fates[0])
