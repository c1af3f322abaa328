from __future__ import annotations

import pytest
import torch

from faster_rcnn.errors import OptionError
from faster_rcnn.inference.confidence import min_scores, notes_on
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.thresholds import OperatingPoint, Thresholds

CLASSES = ClassMap(("cat", None, "dog"), (1, 2, 3))
# F1 of cat: 2 x 1 x 0.4 / 1.4 = 0.57, then 2 x 0.8 x 0.9 / 1.7 = 0.85.
KEPT = Thresholds("val", 12, ((OperatingPoint(0.9, 1.0, 0.4), OperatingPoint(0.3, 0.8, 0.9)), (), ()))


@pytest.mark.parametrize(
    ("conf", "cat"),
    [("auto", 0.3), ("precision=0.95", 0.9), ("precision=0.8", 0.3), ("recall=0.3", 0.9), ("recall=0.95", 0.3)],
)
def test_each_class_has_its_own_threshold(conf: str, cat: float) -> None:
    found = min_scores(conf, KEPT)
    assert isinstance(found, torch.Tensor)
    assert found.tolist() == [cat, 0.5, 0.5]


def test_numbers_stay_numbers() -> None:
    assert min_scores(0.25, None) == 0.25
    assert notes_on(0.25, None, CLASSES) == []


def test_what_cannot_be_reached_is_named() -> None:
    assert notes_on("auto", KEPT, CLASSES) == [
        "conf auto: lowest scores by 12 images of val: cat 0.30",
        "conf auto: no threshold is known of dog; 0.5 is taken",
    ]
    last = notes_on("recall=0.95", KEPT, CLASSES)[-1]
    assert last == (
        "conf recall=0.95: never reached on these images by cat (precision 0.80, recall 0.90); the nearest is taken"
    )


def test_without_thresholds_one_line_names_the_remedy() -> None:
    with pytest.raises(
        OptionError, match=r"^E125 conf auto: the model holds no thresholds; give a number, or store th"
    ):
        min_scores("auto", None)
