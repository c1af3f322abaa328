from __future__ import annotations

import pytest

from explained_images import Kind, tiny_explained
from faster_rcnn.explanation.page_stages import ABSENT, FIRST, PROPOSALS, SECOND, TRUTH, stages_of
from tiny import COARSE, truth_of

ORDER = [
    *("image", "features", "anchors", "grid", "assignment", "sample", "objectness", "first-transform", "proposals"),
    *("pooling", "probabilities", "second-transform", "detections"),
]


def test_with_truth_every_stage_of_the_paper_has_its_picture_and_numbers() -> None:
    stages = stages_of(tiny_explained(truth_of([[10, 10, 60, 70]])))
    assert [stage.key for stage in stages] == ORDER
    for stage in stages:
        assert stage.picture is not None
        assert stage.numbers
        assert not stage.absent
        assert stage.text.count(". ") == 1  # two sentences
    assert len({stage.title for stage in stages}) == len(stages)


@pytest.mark.parametrize(
    ("kind", "reason", "missing"),
    [
        ("faster-rcnn", TRUTH, ["assignment", "sample"]),
        (
            "fast-rcnn",
            FIRST,
            ["anchors", "grid", "assignment", "sample", "objectness", "first-transform", "proposals"],
        ),
        ("rpn", SECOND, ["pooling", "probabilities", "second-transform"]),
    ],
)
def test_stages_that_do_not_apply_say_why(kind: Kind, reason: str, missing: list[str]) -> None:
    names = ("object",) if kind == "rpn" else ("cat", "dog", "hen")
    stages = stages_of(tiny_explained(kind=kind, names=names, conf=0.1))
    without = [stage.key for stage in stages if stage.absent]
    assert [stage.key for stage in stages] == ORDER
    assert set(missing) <= set(without)
    assert set(without) <= {*missing, "assignment", "sample"}
    assert {stage.absent for stage in stages if stage.key in missing} == {ABSENT[reason]}
    assert all((stage.picture is None) == bool(stage.absent) for stage in stages)


def test_without_any_proposal_the_stages_before_them_are_still_shown() -> None:
    stages = stages_of(
        tiny_explained(rpn={"score_floor": 0.9999, "anchor_sizes": ((8.0,), (16.0,), (32.0,), (64.0,), (128.0,))})
    )
    absent = {stage.key: stage.absent for stage in stages if stage.key not in ("assignment", "sample")}
    assert absent["pooling"] == absent["first-transform"] == ABSENT[PROPOSALS]
    assert not absent["objectness"]
    assert not absent["detections"]


def test_a_level_without_anchors_is_left_out_where_anchors_are_shown() -> None:
    explained = tiny_explained(truth_of([[10, 10, 60, 70]]), rpn={"anchor_sizes": COARSE})
    stages = {stage.key: stage for stage in stages_of(explained)}
    assert list(stages) == ORDER
    assert not any(stage.absent for stage in stages.values())
    assert [name for name, _ in stages["features"].numbers] == ["P2", "P3", "P4", "P5", "P6"]
    assert [name for name, _ in stages["grid"].numbers] == ["P3", "P4", "P5", "P6", "all anchors"]
    assert [name for name, _ in stages["objectness"].numbers][:4] == ["P3", "P4", "P5", "P6"]
    assert dict(stages["anchors"].numbers)["anchors at a position"] == "6"
