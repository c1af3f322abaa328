from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from faster_rcnn.building import build_model
from faster_rcnn.data.objects import OBJECT
from faster_rcnn.data.reading import load_split
from faster_rcnn.errors import DatasetError, ImageError, ImageMemoryError, ModelFileError, OptionError
from faster_rcnn.evaluation.run import evaluate_detector
from faster_rcnn.explanation.causes.kinds import Thresholds, VerdictKind
from faster_rcnn.explanation.survey import Survey, survey, survey_data
from faster_rcnn.inference.external_proposals import write_rpn_proposals
from faster_rcnn.inference.inputs import to_pixels
from faster_rcnn.inference.loading import load_detector
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.inference.tiles import Tiling
from faster_rcnn.settings.schema import DataConfig, DetectorConfig
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.model_file import LoadedModel
from files import coco_folder
from made_data import train_with
from made_surveys import TINY_BOXES, judged_image, made_survey, record_of, tiny_detector, tiny_survey
from tiny import tiny_config


@pytest.mark.parametrize("tiling", [None, Tiling(45, 0.2)])
def test_detections_are_those_that_evaluate_measures(tmp_path: Path, tiling: Tiling | None) -> None:
    found = tiny_survey(tmp_path, tiling=tiling)
    metrics = evaluate_detector(tiny_detector(), tmp_path, None, "m", tiling=tiling).metrics
    assert found.impact.ap == metrics.ap
    assert found.impact.ap50 == metrics.ap50


def test_every_truth_has_one_verdict_and_the_funnel_adds_up(tmp_path: Path) -> None:
    found = tiny_survey(tmp_path)
    assert [[each.verdict.truth for each in image.truths] for image in found.images] == [[0, 1], [0], []]
    assert found.funnel.total.truths == sum(found.funnel.total.kinds.values()) == 3
    assert [each.attributes.class_name for each in found.truths] == ["cat", "dog", "cow"]


def test_two_images_are_judged_concurrently_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = coco_folder(tmp_path, TINY_BOXES)
    detector = tiny_detector(exact=False)
    alone = survey_data(detector, data, None, Thresholds(0.3))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    both = survey_data(detector, data, None, Thresholds(0.3))
    assert [each.record.path for each in both.images] == [each.record.path for each in alone.images]
    assert both.to_json() == alone.to_json()


def test_missing_labels_need_training_images(tmp_path: Path) -> None:
    """Images of train have the same labels; the same images under another name are compared with them."""
    data = coco_folder(tmp_path, TINY_BOXES)
    assert "no train split" in (survey_data(tiny_detector(), data, None, Thresholds(0.3)).label_note or "")
    coco_folder(tmp_path, TINY_BOXES, split="train")
    assert "this is train" in (survey_data(tiny_detector(), data, "train", Thresholds(0.3)).label_note or "")
    found = survey_data(tiny_detector(), data, "test", Thresholds(0.3))
    assert (found.label_note, found.notes) == (None, ())


def failing_for(names: set[str]) -> Callable[..., torch.Tensor]:
    """The decoder, but for some files, as if they had been damaged after the data were checked."""

    def decoded(image: Path, *arguments: Any) -> torch.Tensor:
        if image.name in names:
            raise ImageError(f"cannot decode {image}: broken", code="E105")
        return to_pixels(image, *arguments)

    return decoded


def test_a_damaged_image_is_left_out_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faster_rcnn.inference.predictor.to_pixels", failing_for({"1.png"}))
    found = tiny_survey(tmp_path)
    assert [each.record.path.name for each in found.images] == ["2.png", "3.png"]
    assert found.notes[0] == "left out, as they cannot be decoded: 1 image"
    assert found.funnel.total.truths == 1
    monkeypatch.setattr("faster_rcnn.inference.predictor.to_pixels", failing_for({"1.png", "2.png"}))
    with pytest.raises(DatasetError, match="2 of 3 images of test cannot be decoded"):
        tiny_survey(tmp_path)


def test_memory_of_other_programs_never_changes_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(image: Path, *_: Any) -> torch.Tensor:
        raise MemoryError

    monkeypatch.setattr("faster_rcnn.inference.predictor.to_pixels", short)
    with pytest.raises(ImageMemoryError, match=r"E120"):
        tiny_survey(tmp_path)


def test_a_region_proposal_network_is_judged_by_objects(tmp_path: Path) -> None:
    config = tiny_config().model_copy(update={"detector": DetectorConfig(kind="rpn")})
    model = build_model(config, 1)
    detector = prepare(LoadedModel(model, config, OBJECT), torch.device("cpu"), torch.float32)
    found = survey_data(detector, coco_folder(tmp_path, TINY_BOXES), None, Thresholds(0.3))
    assert {each.attributes.class_name for each in found.truths} == {"object"}
    assert found.impact.oracles["proposals"].ap == pytest.approx(1.0)


def test_truths_of_unknown_classes_are_told(tmp_path: Path) -> None:
    classes = ClassMap(("cat", "horse"), (1, 2))
    data = coco_folder(tmp_path / "a", [[(0, 5, 5, 30, 20), (1, 0, 0, 12, 12)]], classes)
    found = survey_data(tiny_detector(), data, None, Thresholds(0.3))
    assert found.to_json()["unknown_classes"] == {"horse": 1}
    assert "horse (1)" in found.table()
    with pytest.raises(ModelFileError, match="no class in common"):
        survey_data(
            tiny_detector(), coco_folder(tmp_path / "b", [[]], ClassMap(("horse",), (1,))), None, Thresholds(0.3)
        )


def test_a_fast_rcnn_takes_proposals_of_a_file(tmp_path: Path) -> None:
    """The proposals are those of the first stage, in a file; the verdicts know no anchors."""
    data = coco_folder(tmp_path / "data", TINY_BOXES)
    split = load_split(data, DataConfig(), "test").split("test")
    write_rpn_proposals(tiny_detector(), "m", tmp_path / "p.safetensors", data, [split])
    found = survey_data(tiny_detector(), data, None, Thresholds(0.3), proposals=tmp_path / "p.safetensors")
    assert_funnel_adds_up(found)
    lives = [each.verdict.life for each in found.truths if each.verdict.life is not None]
    assert lives
    assert all(each.anchor is None for each in lives)


def test_senseless_thresholds_are_refused(tmp_path: Path) -> None:
    for thresholds in (Thresholds(1.5), Thresholds(0.5, -1.0)):
        with pytest.raises(OptionError):
            tiny_survey(tmp_path, thresholds=thresholds)


def test_the_json_is_plain_and_the_table_narrow(tmp_path: Path) -> None:
    found = tiny_survey(tmp_path)
    numbers = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert set(numbers) >= {"split", "images", "funnel", "impact", "tide", "conf", "iou_threshold"}
    assert max(map(len, found.table().splitlines())) <= 80


def test_nothing_to_find_and_nothing_found() -> None:
    found = made_survey(judged_image(record_of([], []), []))
    assert found.funnel.total.truths == 0
    assert "n/a" in found.table()


def assert_funnel_adds_up(found: Survey) -> None:
    """Every truth that is not ignored has exactly one verdict, and the funnel ends with those that are found."""
    given = Counter(each.verdict.kind for each in found.truths)
    wanted = sum(int((~each.truth.ignored).sum()) for each in found.split.records)
    assert sum(given.values()) == found.funnel.total.truths == wanted
    assert found.funnel.steps()[-1].left == given[VerdictKind.FOUND]
    for image in found.images:
        judged = [each.verdict.truth for each in image.truths]
        assert judged == torch.nonzero(~image.record.truth.ignored)[:, 0].tolist()


@pytest.mark.parametrize("name", ["bccd", "voc100"])
def test_real_images(name: str, data_folder: Callable[[str], Path]) -> None:
    data = data_folder(name)
    split = load_split(data, DataConfig(), "val").split("val")
    few = replace(split, records=split.records[:3])
    found = survey(Predictor(tiny_detector(split.classes)), few, Thresholds(0.1))
    assert len(found.images) == 3
    assert_funnel_adds_up(found)
    assert found.impact.oracles["all"].ap == pytest.approx(1.0)


@pytest.mark.soak
@pytest.mark.parametrize(("name", "epochs"), [("bccd", 4), ("voc100", 12)])
def test_a_trained_detector(name: str, epochs: int, data_folder: Callable[[str], Path], tmp_path: Path) -> None:
    """Some minutes of training each: the oracles need a detector that has learned something."""
    torch.set_num_threads(os.cpu_count() or 1)
    data = data_folder(name)
    train_with(data, epochs=epochs, batch=4, image_size=256, out=tmp_path / "run")
    found = survey_data(load_detector(str(tmp_path / "run")), data, "val", Thresholds(0.5))
    assert_funnel_adds_up(found)
    plain = found.impact.ap
    assert plain is not None
    assert all(each.ap is not None and each.ap >= plain for each in found.impact.oracles.values())
    assert all(found.impact.gain(each) >= 0 for each in found.impact.verdicts.values())  # type: ignore[operator]
    assert found.impact.oracles["all"].ap == pytest.approx(1.0)
