"""Values move, are pinned and compared as wholes; labels and names find each other."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor

from faster_rcnn.structures import (
    ClassMap,
    Detections,
    ImageBatch,
    ImageSize,
    Matches,
    Proposals,
    RoiTargets,
    RpnOutput,
    RpnTargets,
    Sample,
)
from tiny import anchors_of, boxes_of, truth_of


def values() -> list[Any]:
    """One of each kind that holds tensors."""
    size = (ImageSize(4, 4),)
    some = torch.zeros(2)
    return [
        ImageBatch(torch.zeros(1, 3, 4, 4), size),
        truth_of([[0, 0, 1, 1]]),
        anchors_of([[0, 0, 1, 1]]),
        Proposals(torch.zeros(2, 4), some),
        Detections(torch.zeros(2, 4), some, some.long()),
        Matches(some.long(), some, some.bool(), some.bool()),
        RpnOutput(torch.zeros(1, 2, 1), torch.zeros(1, 2, 4)),
        Sample(some.long(), some.bool(), some.bool()),
        RpnTargets(some.long(), some.bool(), some.bool(), torch.zeros(2, 4)),
        RoiTargets(torch.zeros(2, 4), some.long(), some.bool(), some.bool(), torch.zeros(2, 4)),
    ]


def tensors_of(value: Any) -> list[Tensor]:
    found = [getattr(value, field.name) for field in fields(value)]
    return [each for each in found if isinstance(each, Tensor)]


@pytest.mark.parametrize("value", values(), ids=lambda value: type(value).__name__)
def test_trap_07_moving_a_value_gives_a_new_one_with_every_tensor_moved(value: Any) -> None:
    moved = value.to("meta")
    assert type(moved) is type(value)
    assert {each.device.type for each in tensors_of(moved)} == {"meta"}
    assert {each.device.type for each in tensors_of(value)} == {"cpu"}


@pytest.mark.parametrize("value", values(), ids=lambda value: type(value).__name__)
def test_trap_15_values_are_equal_to_themselves_only_and_never_change(value: Any) -> None:
    twin = value.to("cpu")
    assert value == value  # comparing tensors by element would raise here
    assert value != twin
    assert len({value, twin}) == 2
    with pytest.raises(AttributeError):
        setattr(value, fields(value)[0].name, None)


@pytest.mark.parametrize("value", values(), ids=lambda value: type(value).__name__)
def test_trap_15_every_tensor_of_a_value_is_pinned(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Pinning needs a GPU; here it is enough that each tensor is asked and that the copies come back in their places.
    monkeypatch.setattr(Tensor, "pin_memory", lambda self: self.clone())
    pinned = value.pin_memory()
    assert type(pinned) is type(value)
    for copy, original in zip(tensors_of(pinned), tensors_of(value), strict=True):
        assert copy is not original
        assert torch.equal(copy, original)


def test_trap_15_nobody_waits_for_a_copy_to_the_cpu_so_it_must_block(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool]] = []

    def remember(self: Tensor, device: str, non_blocking: bool) -> Tensor:
        asked.append((device, non_blocking))
        return self

    monkeypatch.setattr(Tensor, "to", remember)
    truth_of([]).to("cpu")
    truth_of([]).to("cuda")
    assert asked == [("cpu", False)] * 3 + [("cuda", True)] * 3


@pytest.mark.parametrize(("score", "most", "count"), [(0.0, None, 3), (0.5, None, 2), (0.0, 1, 1), (0.95, 5, 0)])
def test_detections_above_a_score(score: float, most: int | None, count: int) -> None:
    boxes = boxes_of([[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 3, 3]])
    found = Detections(boxes, torch.tensor([0.9, 0.5, 0.1]), torch.tensor([2, 0, 1])).above(score, most)
    assert len(found) == count
    assert torch.equal(found.boxes, boxes[:count])
    assert found.labels.tolist() == [2, 0, 1][:count]


def test_class_ids_may_have_holes_and_need_not_begin_at_0() -> None:
    classes = ClassMap(names=("cat", "dog", None), ids=(17, 5, 90))
    assert len(classes) == 3
    assert [classes.name_of(label) for label in range(3)] == ["cat", "dog", "unused 90"]
    assert classes.holes == (2,)


@pytest.mark.parametrize(
    ("names", "ids"), [(("a", "b"), (1,)), (("a", "a"), (1, 2)), (("a", "b"), (1, 1))], ids=["length", "names", "ids"]
)
def test_class_maps_that_contradict_themselves_are_refused(names: tuple[str, ...], ids: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"class"):
        ClassMap(names, ids)


def test_several_classes_may_be_unused_and_there_may_be_none() -> None:
    assert ClassMap((None, None), (1, 2)).holes == (0, 1)
    assert len(ClassMap((), ())) == 0
