from __future__ import annotations

import json
from dataclasses import replace

from faster_rcnn.evaluation.details import mean_of
from made_details import made_metrics


def test_json_holds_the_numbers_of_each_part() -> None:
    metrics = made_metrics()
    found = json.loads(json.dumps(metrics.to_json("val")))
    assert metrics.details is not None
    assert found["VOC2007"] == metrics.details.voc2007
    assert found["confusion"]["classes"] == ["<b>", "cow", "dog", "background"]
    assert found["thresholds"] == "the best F1 on these images"
    assert set(found["sizes"]) == {"small", "medium", "large"}
    for each in metrics.details.classes:
        assert each.point is not None
        assert found["per_class"][each.name]["precision"] == each.point.precision
        assert found["per_class"][each.name]["sizes"]["small"]["truths"] == each.sizes[0].truths


def test_a_class_without_a_point_has_null() -> None:
    metrics = made_metrics()
    assert metrics.details is not None
    found = replace(metrics.details.classes[0], point=None).to_json()
    assert [found[name] for name in ("precision", "recall", "F1", "score")] == [None] * 4


def test_a_mean_leaves_out_what_is_undefined() -> None:
    assert mean_of([0.25, None, 0.75]) == 0.5
    assert mean_of([None]) is None


def test_the_table_has_intervals_and_a_point_for_each_class() -> None:
    metrics = made_metrics()
    lines = metrics.table().splitlines()
    assert metrics.details is not None
    interval = metrics.details.intervals["AP50"]
    assert f"IoU 0.50; {interval.lower:.3f} to {interval.upper:.3f} (interval of 95 %)" in lines[1]
    assert any(line.startswith("VOC12") for line in lines)
    assert max(map(len, lines)) <= 80
    for each in metrics.details.classes:
        assert each.point is not None
        [line] = [line for line in lines if line.endswith(f"  {each.name}")]
        assert (
            f"{each.point.precision:.3f}  {each.point.recall:.3f}  {each.point.f1:.3f}  {each.point.score:.3f}" in line
        )
