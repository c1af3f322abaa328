"""The text of a model card, by the package that reads it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from huggingface_hub import ModelCard

from faster_rcnn.evaluation.metrics import ClassMetrics, Metrics
from faster_rcnn.integrations.model_card import model_card
from faster_rcnn.structures import ClassMap
from tiny import tiny_config

CLASSES = ClassMap(("red cell", None, "a|b <c>"), (1, 2, 7))


def metrics(ap: float | None) -> Metrics:
    classes = (ClassMetrics("red cell", ap, 0.5, 1200), ClassMetrics("a|b <c>", None, None, 0))
    half = dict.fromkeys((each.name for each in fields(Metrics)), 0.5)
    numbers: dict[str, Any] = {**half, "ap": ap, "per_class": classes, "images": 10, "truths": 1200, "ignored": 0}
    return Metrics(**{**numbers, "engine": "hotcoco", "notes": (), "details": None})


def data_of(text: str) -> Any:
    """The metadata of a card; the package's types lack the fields."""
    return ModelCard(text).data


def test_the_hub_reads_its_metadata() -> None:
    text = model_card("owner/cells", tiny_config(), CLASSES, metrics=metrics(0.25), data="bccd test", licence="mit")
    data = data_of(text)
    assert (data.library_name, data.pipeline_tag, data.license) == ("faster-rcnn", "object-detection", "mit")
    assert data.tags == ["object-detection", "faster-rcnn"]
    assert data.model_name == "cells"
    assert [(each.metric_type, each.metric_value) for each in data.eval_results] == [
        ("AP", 0.25),
        ("AP50", 0.5),
        ("AP75", 0.5),
    ]
    assert {each.dataset_name for each in data.eval_results} == {"bccd test"}


def test_people_read_how_it_is_used_and_what_was_measured() -> None:
    text = model_card("owner/cells", tiny_config(), CLASSES, metrics=metrics(0.25), data="bccd test")
    assert 'Detector.load("hf://owner/cells")' in text
    assert "faster-rcnn predict hf://owner/cells photo.jpg" in text
    assert "finds 2 classes of objects" in text
    assert "red cell (1), a\\|b &lt;c> (7)" in text
    assert "| body | test\\_resnet |" in text
    assert "On bccd test: 10 images with 1,200 objects, by COCO's rules." in text
    assert "| AP | 0.250 |" in text
    assert "| a\\|b &lt;c> | n/a | 0 |" in text


def test_nothing_is_said_of_what_was_not_measured() -> None:
    text = model_card("owner/cells", tiny_config(), CLASSES)
    assert "Measured" not in text
    assert data_of(text).eval_results is None
    assert data_of(text).license is None
    undefined = model_card("owner/cells", tiny_config(), CLASSES, metrics=metrics(None))
    assert [each.metric_type for each in data_of(undefined).eval_results or ()] == ["AP50", "AP75"]
    assert "| AP | n/a |" in undefined
