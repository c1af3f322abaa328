from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from faster_rcnn.errors import ModelFileError
from faster_rcnn.evaluation.detector import measure_detector
from faster_rcnn.explanation.against import Against, against, against_on_data
from faster_rcnn.explanation.causes.kinds import Thresholds
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.tiles import Tiling
from faster_rcnn.structures import ClassMap
from files import coco_folder
from made_surveys import TINY_BOXES, judged_image, made_survey, record_of, tiny_detector

CAT, DOG = (0.0, 0.0, 20.0, 20.0), (50.0, 10.0, 90.0, 60.0)
RECORD = record_of([CAT, DOG], [0, 0])
WITH_CAT = made_survey(judged_image(RECORD, [(CAT, 0.9, 0)]))
WITH_DOG = made_survey(judged_image(RECORD, [(DOG, 0.9, 0)]))


def test_gained_and_lost_truths_of_made_surveys() -> None:
    found = against(WITH_CAT, WITH_DOG, ("old", "new"))
    assert [pair.box for pair in found.gained] == [DOG]
    assert [pair.box for pair in found.lost] == [CAT]
    numbers = found.to_json()
    assert (numbers["before"], numbers["after"], numbers["truths"], numbers["images"]) == ("old", "new", 2, 1)
    assert numbers["verdicts"] == [
        {"before": "background", "after": "found", "truths": 1},
        {"before": "found", "after": "background", "truths": 1},
    ]
    [gained] = numbers["gained"]
    assert (gained["image"], gained["class"], gained["box"]) == ("1.png", "cat", list(DOG))
    assert (gained["before"]["kind"], gained["after"]["kind"]) == ("background", "found")
    assert numbers["metrics"]["AP50"]["change"] == 0
    lines = found.table().splitlines()
    assert lines[:3] == ["val: 1 image; detections of at least 0.5, IoU 0.5", "before: old", "after:  new"]
    assert max(map(len, lines)) <= 80


def test_detectors_without_a_common_class_are_refused() -> None:
    other = made_survey(judged_image(RECORD, []), classes=ClassMap(("cow", "pig"), (1, 2)))
    with pytest.raises(ModelFileError, match=r"^E123 old and new have no class of val in common, .* has cat, dog; the"):
        against(WITH_CAT, other, ("old", "new"))


def test_classes_and_images_of_one_side_only_are_told() -> None:
    other = made_survey(judged_image(RECORD, []), classes=ClassMap(("cat", "pig"), (1, 2)))
    assert against(WITH_CAT, other).notes == ("left out, as only one of the detectors has them: 2 classes, dog, pig",)
    more = made_survey(*WITH_CAT.images, judged_image(record_of([CAT], [0], image_id=2), []))
    assert against(more, WITH_CAT).notes == ("left out, as only one of the detectors can use them: 1 image",)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coco_folder(tmp_path_factory.mktemp("against") / "data", TINY_BOXES)


def compared(data: Path, tiling: Tiling | None = None) -> Against:
    """Two tiny detectors of the same weights, of which the second one reports at most one detection."""
    detectors = tiny_detector(), tiny_detector(roi={"max_detections": 1})
    return against_on_data(detectors, data, None, Thresholds(0.3, 0.05), tiling=tiling)


def test_two_detectors_on_labelled_images(data: Path) -> None:
    found = compared(data)
    assert len(found.common.pairs) == 3
    assert len(found.lost) > 0
    assert {pair.after.kind for pair in found.lost} == {"max-detections"}
    assert found.gained == ()
    for side, detector in ((found.before, tiny_detector()), (found.after, tiny_detector(roi={"max_detections": 1}))):
        metrics = measure_detector(Predictor(detector), side.split, "tiny")
        field = "before" if side is found.before else "after"
        assert getattr(found.changes["AP"], field) == metrics.ap
        assert getattr(found.changes["AP75"], field) == metrics.ap75


def test_a_detector_against_itself_changes_nothing(data: Path) -> None:
    one = compared(data).before
    same = against(one, replace(one))
    assert (same.gained, same.lost) == ((), ())
    assert {each.change for each in same.changes.values()} <= {0, None}
    assert "no truth was gained or lost" in same.table()


def test_tiles_are_compared_too(data: Path) -> None:
    assert len(compared(data, Tiling(30, 0.2)).common.pairs) == 3
