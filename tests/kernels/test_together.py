"""Which images share their operations, by device and by number of boxes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from faster_rcnn.kernels import together
from faster_rcnn.kernels.together import MAX_BOXES, computed_together, groups_of_images
from faster_rcnn.losses import Losses
from faster_rcnn.structures import Detections
from tiny import decided_model, random_image, tiny_model, training_batch, truth_of

CPU, GPU = torch.zeros(1), torch.zeros(1, device="meta")


def test_images_are_computed_together_except_on_a_cpu() -> None:
    assert (computed_together(CPU), computed_together(GPU)) == (False, True)


def test_on_a_cpu_each_image_is_alone() -> None:
    assert groups_of_images(3, 10, CPU) == [slice(0, 1), slice(1, 2), slice(2, 3)]


def test_elsewhere_as_many_as_nms_may_compare() -> None:
    assert groups_of_images(5, MAX_BOXES // 2, GPU) == [slice(0, 2), slice(2, 4), slice(4, 6)]
    assert groups_of_images(2, MAX_BOXES + 1, GPU) == [slice(0, 1), slice(1, 2)]
    [all_images] = groups_of_images(32, 0, GPU)
    assert range(32)[all_images] == range(32)


def test_no_images_are_no_groups() -> None:
    assert groups_of_images(0, 10, CPU) == groups_of_images(0, 10, GPU) == []


def images_of_several_sizes() -> list[torch.Tensor]:
    """Of one padded size, so that they share a batch, but of several sizes inside it."""
    return [random_image(64, 96 - 4 * (index % 3), seed=index) for index in range(5)]


@pytest.mark.parametrize("max_boxes", [MAX_BOXES, 1500])
@pytest.mark.parametrize("across_classes", [False, True])
def test_a_batch_has_the_detections_of_its_images(
    max_boxes: int, across_classes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = decided_model()
    if across_classes:
        model.roi.detection_filter = replace(model.roi.detection_filter, across_classes=True, holes=(1,))

    def found() -> list[Detections]:
        return model.detect(images_of_several_sizes())

    alone = found()
    monkeypatch.setattr(together, "computed_together", lambda _: True)
    monkeypatch.setattr(together, "MAX_BOXES", max_boxes)
    for one, other in zip(found(), alone, strict=True):
        assert len(one) > 5
        for name in ("boxes", "scores", "labels", "proposals"):
            assert torch.equal(getattr(one, name), getattr(other, name))


def test_a_step_has_the_losses_of_its_images(monkeypatch: pytest.MonkeyPatch) -> None:
    truths = [truth_of([[5, 5, 40, 40], [30, 10, 60, 50]], [0, 1]), truth_of([]), truth_of([[0, 0, 9, 9]], [2])]
    batch = training_batch([random_image(64, 96, seed) for seed in range(3)], truths, range(3))

    def losses() -> dict[str, float]:
        of_stages: Losses = tiny_model()(batch)
        return {name: float(each.detach()) for name, each in of_stages.named().items()}

    alone = losses()
    monkeypatch.setattr(together, "computed_together", lambda _: True)
    assert losses() == alone
