from __future__ import annotations

import pytest
from pydantic import ValidationError

from faster_rcnn.errors import OptionError
from faster_rcnn.inference.choice import Choice
from faster_rcnn.serving.http.asking import Asked
from faster_rcnn.serving.http.options import ServeOptions
from faster_rcnn.serving.http.queue import Wanted

OPTIONS = ServeOptions("m", conf=0.3, max_det=7)


def test_the_options_of_the_server_stand_in() -> None:
    assert Asked().wanted(OPTIONS) == Wanted(0.3, 7, Choice())


def test_those_of_the_request_hold() -> None:
    asked = Asked(conf=0.0, max_det=2, classes="cat,dog", iou=0.1, agnostic_nms=True)
    assert asked.wanted(OPTIONS) == Wanted(0.0, 2, Choice(("cat,dog",), 0.1, True))


@pytest.mark.parametrize(
    ("given", "conf"), [("0.25", 0.25), (0.25, 0.25), ("auto", "auto"), ("recall=0.9", "recall=0.9")]
)
def test_a_lowest_score_is_a_number_or_a_rule(given: object, conf: float | str) -> None:
    """In an address a number is text."""
    assert Asked.model_validate({"conf": given}).wanted(OPTIONS).conf == conf


@pytest.mark.parametrize("conf", [2, "nan", "best", "precision=2", ""])
def test_another_lowest_score_is_refused(conf: object) -> None:
    with pytest.raises(OptionError, match=r"^E125 conf "):
        Asked.model_validate({"conf": conf}).wanted(OPTIONS)


@pytest.mark.parametrize("values", [{"conf": [1]}, {"iou": -0.1}, {"max_det": 0}, {"classes": ""}, {"other": 1}])
def test_others_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Asked.model_validate(values)
    with pytest.raises(OptionError, match="classes names none"):
        Asked(classes=" ").wanted(OPTIONS)
