from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pycocotools.coco import COCO

from faster_rcnn.explanation.causes.kinds import Thresholds, Verdict, VerdictKind
from faster_rcnn.explanation.dataset.coco_output import coco_of
from made_surveys import CLASSES, judged_image, judged_truth, record_of
from tiny import truth_of

BOX, FAR = [0, 0, 10, 10], [50, 50, 60, 80]
IMAGE = judged_image(record_of([BOX, FAR], [0, 1]), [(BOX, 0.9, 0), ([80, 0, 90, 10], 0.7, 1), (FAR, 0.2, 1)])


def test_every_truth_and_every_reported_detection_has_a_verdict() -> None:
    found = coco_of([IMAGE], CLASSES, Thresholds(0.5))["annotations"]
    assert [(each["kind"], each["verdict"]) for each in found] == [
        *(("truth", "found"), ("truth", "background")),
        *(("detection", "found"), ("detection", "false")),
    ]
    assert [each["category_id"] for each in found] == [1, 2, 1, 2]
    assert (found[1]["bbox"], found[1]["area"]) == ([50.0, 50.0, 10.0, 30.0], 300.0)
    assert (found[3]["false_kind"], found[3]["tide"], found[3]["score"]) == ("background", "Bkg", 0.7)
    assert found[3]["bbox"] == [80.0, 0.0, 10.0, 10.0]
    for each in found:
        assert each["attributes"].items() <= each.items()


def test_the_numbers_of_a_verdict_are_beside_it() -> None:
    verdict = Verdict(0, 0, VerdictKind.LOW_SCORE, None, 0.3, 0.5, "conf")
    image = replace(IMAGE, truths=(replace(judged_truth(VerdictKind.FOUND), verdict=verdict),))
    first, second, *_ = coco_of([image], CLASSES, Thresholds(0.5))["annotations"]
    assert (first["value"], first["limit"], first["setting"], first["size"]) == (0.3, 0.5, "conf", "small")
    assert (second["iscrowd"], "verdict" in second) == (1, False)  # it was not judged


def test_detections_on_ignored_truths_are_ignored() -> None:
    record = replace(record_of([BOX], [0]), truth=truth_of([BOX], [0], [True]))
    found = coco_of([replace(judged_image(record, [(BOX, 0.9, 0)]), truths=())], CLASSES, Thresholds(0.5))
    assert [each.get("verdict") for each in found["annotations"]] == [None, "ignored"]


@pytest.mark.parametrize(("ids", "expected"), [((7, 5), [7, 5]), (("a", 5), [1, 2])])
def test_pycocotools_reads_it(ids: tuple[int | str, int], expected: list[int], tmp_path: Path) -> None:
    images = [replace(IMAGE, record=replace(IMAGE.record, image_id=each)) for each in ids]
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(coco_of(images, CLASSES, Thresholds(0.5)), allow_nan=False))
    coco = COCO(str(path))
    assert list(coco.imgs) == expected
    assert len(coco.anns) == 8
    assert {each["name"] for each in coco.cats.values()} == {"cat", "dog"}
