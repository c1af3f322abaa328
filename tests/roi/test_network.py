"""Which output belongs to which class, the losses by hand, and which parts have a gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.testing import assert_close

from faster_rcnn.ops.losses import BoxLoss
from faster_rcnn.roi.detections import DetectionFilter
from faster_rcnn.roi.heads import RegionHead
from faster_rcnn.roi.network import RegionClassifier
from faster_rcnn.roi.pooling import Pooling
from faster_rcnn.roi.targets import RegionSampling
from faster_rcnn.structures import Detections, ImageSize, Proposals
from tiny import boxes_of, truth_of

WEIGHTS = (10.0, 10.0, 5.0, 5.0)
SIZE = ImageSize(64, 64)


def classifier(
    num_classes: int = 3,
    convs: Sequence[int] = (),
    box_loss_weight: float = 1.0,
    class_agnostic: bool = False,
) -> RegionClassifier:
    """Reads two levels of four channels."""
    return RegionClassifier(
        RegionHead(4, side=2, convs=convs, hidden=(8,)),
        num_classes=num_classes,
        pooling=Pooling("align", 2, 2, 224.0, (4, 8)),
        sampling=RegionSampling(0.5, 0.5, 64, 0.25, WEIGHTS),
        detection_filter=DetectionFilter(0.0, 0.01, 0.5, 100, WEIGHTS),
        loss=BoxLoss(beta=1.0, weight=box_loss_weight),
        class_agnostic=class_agnostic,
    )


def features_of(count: int) -> list[Tensor]:
    # A third level that no region reads, as the pyramid gives it.
    return [torch.rand(count, 4, 64 // stride, 64 // stride) for stride in (4, 8, 16)]


def proposals_of(boxes: Sequence[Sequence[float]]) -> Proposals:
    return Proposals(boxes_of(boxes), torch.zeros(len(boxes)))


def set_biases(roi: RegionClassifier) -> None:
    """Let every output give its own number, whatever the region."""
    with torch.no_grad():
        for layer in (roi.classes, roi.deltas):
            layer.weight.zero_()
            layer.bias.copy_(torch.arange(len(layer.bias)))


def detect(
    roi: RegionClassifier, features: list[Tensor], proposals: list[Proposals], sizes: list[ImageSize]
) -> list[Detections]:
    return roi.select(roi(features, [each.boxes for each in proposals]), proposals, sizes)


def test_outputs_are_classes_then_background_and_four_deltas_per_class() -> None:
    roi = classifier()
    set_biases(roi)
    output = roi(features_of(1), [boxes_of([[0, 0, 20, 20], [5, 5, 9, 9]])])
    assert_close(output.logits, torch.arange(4.0).expand(2, 4))
    assert_close(output.deltas, torch.arange(12.0).reshape(3, 4).expand(2, 3, 4))


def test_new_weights_are_those_of_the_paper() -> None:
    # Gaussians of deviation 0.01 for classes and 0.001 for deltas (Fast R-CNN, section 2.3).
    roi = RegionClassifier(
        RegionHead(4, side=2, convs=(), hidden=(1024,)),
        num_classes=9,
        pooling=Pooling("align", 2, 2, 224.0, (4, 8)),
        sampling=RegionSampling(0.5, 0.5, 64, 0.25, WEIGHTS),
        detection_filter=DetectionFilter(0.0, 0.01, 0.5, 100, WEIGHTS),
        loss=BoxLoss(beta=1.0),
    )
    assert abs(float(roi.classes.weight.detach().std()) - 0.01) < 0.0005
    assert abs(float(roi.deltas.weight.detach().std()) - 0.001) < 0.00005
    assert not bool(roi.classes.bias.any() | roi.deltas.bias.any())


def test_losses_by_hand() -> None:
    roi = classifier(box_loss_weight=10.0)
    with torch.no_grad():
        for layer in (roi.classes, roi.deltas):
            layer.weight.zero_()
            layer.bias.zero_()
        roi.classes.bias[3] = math.log(3)  # background 3/6, each class 1/6
        roi.deltas.bias[4 * 1 + 1] = 2.0  # dy of class 1
        roi.deltas.bias[4 * 2] = 100.0  # class 2 may say what it likes
    truth = truth_of([[0, 0, 10, 10]], labels=[1])
    losses = roi.losses(features_of(1), [proposals_of([[0, 0, 10, 8], [40, 40, 50, 50]])], [truth], [0])
    # Regions: the proposal on the truth and the truth itself (class 1), one of background.
    assert_close(losses.classes.mean, torch.tensor((2 * math.log(6) + math.log(2)) / 3))
    # The proposal wants dy = 10 * 1/8 = 1.25 and dh = 5 log(10/8) = 1.116: errors 0.75 and 1.116; the truth wants
    # nothing and has the error 2 in dy. Smooth L1 at beta 1, weight 10, over 3 regions.
    box = 0.75**2 / 2 + (5 * math.log(1.25) - 0.5) + (2.0 - 0.5)
    assert_close(losses.box.mean, torch.tensor(10 * box / 3))


def test_one_transform_may_be_that_of_every_class() -> None:
    roi = classifier(class_agnostic=True)
    assert roi.deltas.weight.shape == (4, 8)
    set_biases(roi)
    features, regions = features_of(1), [boxes_of([[0, 0, 20, 20], [5, 5, 9, 9]])]
    assert_close(roi(features, regions).deltas, torch.arange(4.0).expand(2, 3, 4))
    # Whatever the true class, it is this transform that learns.
    for label in range(3):
        roi.zero_grad()
        truth = truth_of([[0, 0, 10, 10]], labels=[label])
        roi.losses(features, [proposals_of([])], [truth], [0]).box.mean.backward()
        # The truth itself is the region: the errors are 0, 1, 2 and 3, of which smooth L1 has the slopes 0, 1, 1, 1.
        assert_close(roi.deltas.bias.grad, torch.tensor([0.0, 1.0, 1.0, 1.0]))


def test_without_classes_for_transforms_all_classes_of_a_region_have_one_box() -> None:
    roi = classifier(class_agnostic=True)
    set_biases(roi)
    found = detect(roi, features_of(1), [proposals_of([[10, 10, 20, 20]])], [SIZE])[0]
    assert sorted(found.labels.tolist()) == [0, 1, 2]
    assert_close(found.boxes, found.boxes[:1].expand(3, 4))


def test_the_losses_of_a_batch_weigh_every_region_equally() -> None:
    roi = classifier()
    set_biases(roi)
    proposals = [proposals_of([[0, 0, 9, 9], [20, 20, 40, 40], [3, 3, 30, 30]]), proposals_of([[0, 0, 30, 30]])]
    losses = roi.losses(features_of(2), proposals, [truth_of([]), truth_of([])], [0, 1])
    # Four regions of background, whose logit is 3 of 0, 1, 2, 3.
    assert_close(losses.classes.mean.detach(), torch.logsumexp(torch.arange(4.0), 0) - 3)
    assert_close(losses.box.mean.detach(), torch.tensor(0.0))


def test_detections_belong_to_their_image() -> None:
    roi = classifier()
    features = features_of(3)
    proposals = [proposals_of([[0, 0, 20, 20], [30, 30, 60, 50]]), proposals_of([]), proposals_of([[5, 5, 25, 45]])]
    together = detect(roi, features, proposals, [SIZE] * 3)
    assert len(together[1]) == 0
    for index in (0, 2):
        alone = detect(roi, [each[index : index + 1] for each in features], [proposals[index]], [SIZE])
        assert_close(together[index].boxes, alone[0].boxes)
        assert_close(together[index].scores, alone[0].scores)


def test_no_proposals_in_any_image() -> None:
    found = detect(classifier(), features_of(2), [proposals_of([]), proposals_of([])], [SIZE, SIZE])
    assert [len(each) for each in found] == [0, 0]


def test_losses_of_no_regions_are_zero_and_reach_every_parameter() -> None:
    for convs in ((), (4,)):
        roi = classifier(convs=convs)
        losses = roi.losses(features_of(1), [proposals_of([])], [truth_of([])], [0])
        (losses.classes.mean + losses.box.mean).backward()
        assert float(losses.classes.mean.detach()) == float(losses.box.mean.detach()) == 0
        for name, parameter in roi.named_parameters():
            assert parameter.grad is not None, name
            assert bool(torch.isfinite(parameter.grad).all()), name
        for name, buffer in roi.named_buffers():
            assert bool(torch.isfinite(buffer).all()), name
