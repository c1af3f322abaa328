"""The change of metrics between two detectors, as numbers and as lines."""

from __future__ import annotations

import torch

from faster_rcnn.evaluation.bootstrap import BootstrapInterval
from faster_rcnn.evaluation.change import MetricChange, change_between, metric_lines, verdict_on
from faster_rcnn.evaluation.coco import ExactDetections, TruthOfImage
from faster_rcnn.structures import ClassMap, Detections, GroundTruth, ImageSize

CLASSES = ClassMap(("cat",), (1,))


def test_detections_of_any_precision_are_compared() -> None:
    """Twelve images with a cat each: the first detector finds half of them, the second all."""
    boxes, label = torch.tensor([[0.0, 0.0, 20.0, 20.0]]), torch.tensor([0])
    truth = GroundTruth(boxes, label, torch.tensor([False]))
    truths = [TruthOfImage(place, ImageSize(40, 60), truth, torch.tensor([400.0]).double()) for place in range(12)]
    found = Detections(boxes, torch.tensor([0.9]), label)
    exact = ExactDetections.of(found)
    nothing = ExactDetections(exact.boxes_xywh[:0], exact.scores[:0], exact.labels[:0])
    change = change_between(truths, [found] * 6 + [nothing] * 6, [exact] * 12, CLASSES)
    assert (change.before.ap, change.after.ap) == (change.metrics["AP"].before, change.metrics["AP"].after)
    assert change.after.ap == 1
    assert change.metrics["AP50"].is_significant
    assert not change_between(truths, [exact] * 12, [exact] * 12, CLASSES).metrics["AP"].is_significant


def test_numbers_as_json() -> None:
    change = MetricChange(0.25, 0.5, BootstrapInterval(-0.125, 0.5, 0.75))
    assert change.to_json() == {
        "before": 0.25,
        "after": 0.5,
        "change": 0.25,
        "interval": {"lower": -0.125, "upper": 0.5, "share_above_0": 0.75, "confidence": 0.95, "samples": 1000},
    }
    assert MetricChange(None, 0.5, None).to_json() == {"before": None, "after": 0.5, "change": None, "interval": None}
    assert MetricChange(0.5, 0.25, BootstrapInterval(-0.5, -0.125, 0)).is_significant


def test_metrics_have_their_interval() -> None:
    changes = {
        "AP": MetricChange(0.5, 0.53, BootstrapInterval(0.011, 0.049, 0.999)),
        "AP50": MetricChange(0.8, 0.79, BootstrapInterval(-0.02, 0.001, 0.05)),
        "AP75": MetricChange(0.6, 0.6, BootstrapInterval(0, 0, 0)),
    }
    assert metric_lines(changes) == [
        "                      before   after  change  interval of 95 %",
        "AP                     0.500   0.530  +0.030  +0.011 to +0.049, significant",
        "AP50                   0.800   0.790  -0.010  -0.020 to +0.001, may be chance",
        "AP75                   0.600   0.600  +0.000  +0.000 to +0.000, no change",
    ]
    assert [verdict_on(each) for each in changes.values()] == ["significant", "may be chance", "no change"]
    undefined = metric_lines({"AP": MetricChange(None, None, None)})
    assert undefined[1:] == [
        "AP                       n/a     n/a     n/a",
        "intervals of the change need hotcoco, and at least one object",
    ]
