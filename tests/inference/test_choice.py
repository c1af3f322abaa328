"""Options that choose detections: on every kind of optimized detector, and computed by hand on a few boxes."""

from __future__ import annotations

from typing import Any

import jaxtyping
import pytest
import torch

from faster_rcnn.errors import OptionError
from faster_rcnn.inference.choice import Choice, choice_of
from faster_rcnn.inference.merging import merge
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.inference.result import Result
from faster_rcnn.inference.tiles import Tile, tiling_of
from faster_rcnn.kernels.int8_layers import weight_limit
from faster_rcnn.structures import ClassMap, Detections, ImageSize
from files import CLASSES, loaded_model, quantized, rgb
from tiny import boxes_of, tiny_model

CPU = torch.device("cpu")
KINDS: dict[str, dict[str, Any]] = {
    "exact": {"precision": torch.float32, "exact": True},
    "fast": {"precision": torch.float32, "exact": False},
    "bfloat16": {"precision": torch.bfloat16, "exact": False},
    "int8": {"precision": torch.int8, "exact": False},
    "tiles": {"precision": torch.float32, "exact": False},
}


@pytest.fixture(scope="module", params=KINDS)
def predictor(request: pytest.FixtureRequest) -> Predictor:
    if request.param == "int8" and weight_limit() == 0:
        pytest.skip("oneDNN has no int8 convolutions here")
    loaded = quantized(loaded_model()) if request.param == "int8" else loaded_model()
    detector = prepare(loaded, CPU, **KINDS[request.param])
    return Predictor(detector, tiling=tiling_of(40, 0.25) if request.param == "tiles" else None)


def found(predictor: Predictor, choice: Choice) -> Result:
    chosen = Predictor(predictor.detector, tiling=predictor.tiling, choice=choice)
    return chosen.predict_one(rgb(), conf=0.0)


def best_iou_of_pairs(result: Result, *, of_one_class: bool) -> float:
    """The largest IoU of two detections, by brute force."""
    boxes, labels = result.boxes.double().tolist(), result.labels.tolist()
    best = 0.0
    for one in range(len(boxes)):
        for other in range(one):
            if labels[one] == labels[other] or not of_one_class:
                (a, b, c, d), (e, f, g, h) = boxes[one], boxes[other]
                shared = max(0.0, min(c, g) - max(a, e)) * max(0.0, min(d, h) - max(b, f))
                best = max(best, shared / ((c - a) * (d - b) + (g - e) * (h - f) - shared))
    return best


def test_no_choice_changes_nothing(predictor: Predictor) -> None:
    usual = predictor.predict_one(rgb(), conf=0.0)
    for choice in (Choice(), choice_of(CLASSES.names, None, False), choice_of(None, 0.5, False)):  # type: ignore[arg-type]
        assert torch.equal(found(predictor, choice).boxes, usual.boxes)
    assert {"cat", "dog", "cow"} == set(usual.names)


def test_only_the_classes_that_are_named(predictor: Predictor) -> None:
    usual = predictor.predict_one(rgb(), conf=0.0)
    both = found(predictor, choice_of(["dog", "cow"], None, False))
    assert set(both.names) == {"dog", "cow"}
    # The limit of detections applies to these classes alone, so it may keep more of them than with all classes.
    assert len(both) >= sum(name in ("dog", "cow") for name in usual.names)
    first = both.scores[0]
    assert first == max(score for score, name in zip(usual.scores, usual.names, strict=True) if name in ("dog", "cow"))
    assert set(found(predictor, choice_of("dog", None, False)).names) == {"dog"}


def test_the_threshold_of_nms(predictor: Predictor) -> None:
    strict, loose = (found(predictor, choice_of(None, iou, False)) for iou in (0.1, 0.9))
    assert best_iou_of_pairs(strict, of_one_class=True) <= 0.1 + 1e-6 < best_iou_of_pairs(loose, of_one_class=True)


def test_nms_across_classes(predictor: Predictor) -> None:
    usual, across = found(predictor, Choice()), found(predictor, choice_of(None, None, True))
    assert best_iou_of_pairs(across, of_one_class=False) <= 0.5 + 1e-6 < best_iou_of_pairs(usual, of_one_class=False)


def test_a_choice_affects_one_call_only(predictor: Predictor) -> None:
    usual = predictor.predict_one(rgb(), conf=0.0)
    assert len(found(predictor, choice_of("cat", 0.1, True))) > 0
    assert torch.equal(predictor.predict_one(rgb(), conf=0.0).boxes, usual.boxes)


def test_merging_across_classes_by_hand() -> None:
    # IoU 80 / 100 = 0.8; the better one stays, whatever their classes are.
    boxes, scores = boxes_of([[0, 0, 10, 10], [0, 0, 8, 10]]), torch.tensor([0.6, 0.9])
    part = (Tile(0, 0, 20, 20), Detections(boxes, scores, torch.tensor([0, 1])))
    assert len(merge([part], ImageSize(20, 20), 0.5)) == 2
    kept = merge([part], ImageSize(20, 20), 0.5, across_classes=True)
    assert (kept.labels.tolist(), kept.boxes.tolist()) == ([1], [[0, 0, 8, 10]])


NAMES = ClassMap(("Red cell", "nut, green", "green", None, "nut"), (1, 2, 3, 4, 5))


@pytest.mark.parametrize(
    ("text", "labels"),
    [("nut", {4}), ("nut, green", {1}), ("green,nut", {2, 4}), (["nut, green", "Red cell"], {0, 1}), ({"nut"}, {4})],
)
def test_names_with_and_without_commas(text: Any, labels: set[int]) -> None:
    rule = choice_of(text, None, False).filter_of(tiny_model(5), NAMES)
    assert rule is not None
    assert set(range(5)) - set(rule.holes) == labels


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("nuts", None, False), "classes: the detector has no class 'nuts'; did you mean 'nut'"),
        (("RED CELL", None, False), "no class 'RED CELL'; did you mean 'Red cell'"),
        (("zebra", None, False), "no class 'zebra'; it has Red cell, nut, green, green, nut$"),
        (([0], None, False), r"classes 0: classes are chosen by their names, such as \['cat'\]"),
        ((3, None, False), "classes 3: classes are chosen by their names"),
        (([], None, False), "classes names none"),
        ((" ", None, False), "classes names none"),
        ((None, "0.5", False), "iou '0.5' is text; it must be a number: iou=0.5"),
        ((None, 45, False), "iou 45: IoUs are between 0 and 1; 45 % is 0.45"),
        ((None, float("nan"), False), "iou nan"),
        ((None, None, "false"), "agnostic_nms 'false' must be True or False"),
    ],
)
def test_choices_that_make_no_sense_are_refused(options: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # users have no type checks
    with pytest.raises(OptionError, match=f"^E125 .*{message}"):
        choice_of(*options).filter_of(tiny_model(5), NAMES)


def test_a_first_stage_alone_has_one_class_and_its_own_nms() -> None:
    model, objects = tiny_model(1), ClassMap(("object",), (1,))
    model.roi = None  # type: ignore[assignment]
    assert choice_of("object", None, False).filter_of(model, objects) is None
    for choice in (choice_of(None, 0.5, False), choice_of(None, None, True)):
        with pytest.raises(OptionError, match="E125 iou and agnostic_nms are of the second stage"):
            choice.filter_of(model, objects)
