"""The floor of objectness: chosen by hand, and stored by runs of every kind that end in every way."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import yaml

from faster_rcnn.data.reading import load_dataset
from faster_rcnn.evaluation.recall import measure_proposals
from faster_rcnn.evaluation.split import truths_of
from faster_rcnn.inference.external_proposals import rpn_proposals
from faster_rcnn.inference.loading import loaded_with, ready_detector
from faster_rcnn.settings.schema import DataConfig
from faster_rcnn.settings.train_options import TrainOptions
from faster_rcnn.structures import GroundTruth, Proposals
from faster_rcnn.training.callback import Callback, EpochEnd
from faster_rcnn.training.new_run import chosen_settings
from faster_rcnn.training.score_floor import choose_floor
from faster_rcnn.training.validation import Validation
from faster_rcnn.weights.model_file import LoadedModel, load_model
from made_data import make_squares, settings_file, train_with
from tiny import boxes_of, truth_of


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = settings_file(tmp_path_factory.mktemp("config"), epochs=2, lr=0.8)
    settings = yaml.safe_load(path.read_text())
    settings["rpn"] |= {"score_floor": "auto", "proposals_after_nms": 1000}
    path.write_text(yaml.safe_dump(settings))
    return path


def floor_in(path: Path) -> float | str:
    return load_model(path).config.rpn.score_floor


def row_of(count: int) -> list[list[float]]:
    """Boxes of 8 x 8 pixels that do not touch each other."""
    return [[10.0 * place, 0, 10.0 * place + 8, 8] for place in range(count)]


def proposals_of(boxes: Sequence[Sequence[float]], scores: Sequence[float]) -> Proposals:
    return Proposals(boxes_of(boxes), torch.tensor(scores, dtype=torch.float32))


def test_a_floor_by_hand() -> None:
    # The first image's objects are found with 0.9 and 0.8349; its best proposal lies on background, and one of 0.95
    # covers 3 of the 8 pixels of an object's width: IoU 3/8. The other image's only object is found by nothing.
    first = proposals_of(
        [[500, 0, 508, 8], [0, 0, 3, 8], *row_of(2), row_of(2)[1], [600, 0, 608, 8]],
        [0.99, 0.95, 0.9, 0.8349, 0.82, 0.1],
    )
    second = proposals_of([[300, 0, 308, 8]], [0.4])
    found = choose_floor([truth_of(row_of(2)), truth_of(row_of(1))], [first, second])
    assert found.floor == 0.83
    assert (found.objects, found.found, found.found_above) == (3, 2, 2)
    assert (found.images, found.proposals, found.proposals_above) == (2, 7, 4)
    assert str(found) == (
        "0.83: proposals find 66.67 % of 3 objects (IoU 0.5), and 66.67 % without it; 2.0 proposals an image instead "
        "of 3.5"
    )


@pytest.mark.parametrize(("objects", "expected"), [(999, 0.1), (1000, 0.2), (1999, 0.2), (2000, 0.49)])
def test_one_of_a_thousand_objects_may_be_lost(objects: int, expected: float) -> None:
    scores = [0.9] * (objects - 3) + [0.5, 0.2, 0.1]  # in float32 the last two are above 0.2 and 0.1
    boxes = row_of(objects)
    found = choose_floor([truth_of(boxes)], [proposals_of(boxes, scores)])
    assert found.floor == expected
    assert found.found == objects
    assert found.found - found.found_above <= objects / 1000


@pytest.mark.parametrize(("score", "expected"), [(1.0, 0.99), (0.5, 0.49), (0.00123, 0.0012), (0.1, 0.1)])
def test_a_floor_has_two_digits_and_is_below_the_score(score: float, expected: float) -> None:
    found = choose_floor([truth_of(row_of(1))], [proposals_of(row_of(1), [score])])
    assert found.floor == expected  # 0.1 is 0.100000001 in float32
    assert found.floor < torch.tensor(score).item()


def test_regions_that_are_ignored_need_no_proposal() -> None:
    truth = truth_of(row_of(2), ignored=[False, True])
    found = choose_floor([truth], [proposals_of(row_of(2), [0.9, 0.3])])
    assert (found.floor, found.objects) == (0.89, 1)


@pytest.mark.parametrize(
    ("truths", "proposals"),
    [
        ([], []),
        ([truth_of([])], [proposals_of([], [])]),
        ([truth_of(row_of(1))], [proposals_of([], [])]),
        ([truth_of([])], [proposals_of(row_of(1), [0.5])]),
        ([truth_of(row_of(1))], [proposals_of(row_of(1), [0.0])]),
    ],
)
def test_without_objects_or_proposals_there_is_no_floor(truths: list[GroundTruth], proposals: list[Proposals]) -> None:
    assert choose_floor(truths, proposals).floor == 0


def test_a_run_stores_the_largest_floor_that_loses_no_object(squares: Path, finished: Path) -> None:
    best = load_model(finished / "best.safetensors")
    floor = best.config.rpn.score_floor
    assert isinstance(floor, float)
    assert yaml.safe_load((finished / "config.yaml").read_text())["rpn"]["score_floor"] == "auto"
    every, kept, fewer = (
        recall_with(best, squares, value) for value in (0.0, floor, floor + 0.01)
    )  # the last is the next floor
    assert every[0] == kept[0] > fewer[0]
    assert every[1] >= kept[1] > fewer[1]


def recall_with(loaded: LoadedModel, data: Path, floor: float) -> tuple[float, int]:
    """Recall at IoU 0.5 of a detector with a floor, and the number of its proposals, by the code of ``proposals``."""
    split = load_dataset(data, DataConfig()).splits["val"]
    detector = ready_detector(loaded_with(loaded, f"rpn.score_floor={floor}"), "float32", "cpu")
    found = [each for _, each in rpn_proposals(detector, split.records) if each is not None]
    recall = measure_proposals(truths_of(split.records), found).recall[2000][0]
    assert recall is not None
    return recall, sum(len(each.boxes) for each in found)


def test_best_and_last_model_have_the_floors_of_their_own_weights(
    squares: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter((0.5, 0.4))
    measured = Validation.columns
    monkeypatch.setattr(Validation, "columns", lambda own: measured(own) | {"AP": next(values)})
    settings = ["training.patience=1", "training.epochs=9"]
    run = train_with(squares, config=config, out=tmp_path / "early", settings=settings)
    assert json.loads((run / "summary.json").read_text())["epochs"] == 2  # the second one was worse
    floors = [floor_in(run / name) for name in ("best.safetensors", "last.safetensors")]
    assert all(isinstance(each, float) and each > 0 for each in floors)
    assert floors[0] != floors[1]


def test_an_interrupted_run_has_no_floor_and_chooses_it_when_it_has_gone_on(
    squares: Path, config: Path, finished: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Callback):
        def on_epoch_end(self, event: EpochEnd) -> None:
            raise RuntimeError

    with caplog.at_level(logging.INFO), pytest.raises(RuntimeError):
        train_with(squares, config=config, out=tmp_path / "run", callbacks=[Failing()])
    assert "the floor is chosen when training has ended; models written before hold 0" in caplog.text
    assert floor_in(tmp_path / "run/best.safetensors") == 0
    run = train_with(squares, out=tmp_path / "run", resume=True)
    for name in ("best.safetensors", "last.safetensors"):
        assert (run / name).read_bytes() == (finished / name).read_bytes()
        assert floor_in(run / name) != 0


def test_a_run_that_was_killed_after_the_choice_makes_the_same_choice_again(
    squares: Path, finished: Path, run: Path
) -> None:
    train_with(squares, out=run, resume=True)
    assert (run / "best.safetensors").read_bytes() == (finished / "best.safetensors").read_bytes()


def test_without_validation_split_or_objects_the_reason_is_logged(
    config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alone = make_squares(tmp_path / "alone", {"train": 4})
    empty = make_squares(tmp_path / "empty", {"train": 4, "val": 2})
    labels = json.loads((empty / "annotations/val.json").read_text())
    (empty / "annotations/val.json").write_text(json.dumps({**labels, "annotations": []}))
    reasons = {
        alone: "there is no validation split; --val-share 0.2 takes one from the training images",
        empty: "no image of val has an object",
    }
    for data, reason in reasons.items():
        with caplog.at_level(logging.INFO):
            run = train_with(data, config=config, out=tmp_path / f"run-{data.name}", epochs=1)
        assert f"no floor of objectness was chosen, and the models hold 0: {reason}" in caplog.text
        assert floor_in(run / "best.safetensors") == 0


def test_a_first_stage_that_finds_nothing_has_no_floor(
    squares: Path, config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = ["rpn.min_side=500"]
    with caplog.at_level(logging.INFO):
        run = train_with(squares, config=config, out=tmp_path / "run", settings=settings, epochs=1)
    assert floor_in(run / "best.safetensors") == 0
    assert "best.safetensors holds 0: proposals find 0 of 2 objects of val" in caplog.text


@pytest.mark.parametrize("kind", ["rpn", "fast-rcnn"])
def test_detectors_of_one_stage(
    kind: str, squares: Path, config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = [f"detector.kind={kind}"]
    with caplog.at_level(logging.INFO):
        run = train_with(squares, config=config, out=tmp_path / "run", settings=settings, epochs=1)
    found = floor_in(run / "best.safetensors")
    if kind == "rpn":
        assert found != 0
    else:
        assert found == 0
        assert "the models hold 0: a Fast R-CNN has no first stage" in caplog.text


def test_alternating_training_chooses_for_the_detector_of_all_steps(
    squares: Path, config: Path, tmp_path: Path
) -> None:
    settings = ["training.scheme=alternating"]
    run = train_with(squares, config=config, out=tmp_path / "run", settings=settings, epochs=1)
    assert [floor_in(run / f"step-{step}/best.safetensors") for step in (1, 2, 3, 4)] == [0, 0, 0, 0]
    chosen = floor_in(run / "best.safetensors")
    assert isinstance(chosen, float)
    assert chosen > 0
    assert (run / "best.safetensors").read_bytes() == (run / "last.safetensors").read_bytes()


def test_training_from_a_model_names_the_floor_that_it_keeps(finished: Path, caplog: pytest.LogCaptureFixture) -> None:
    weights = str(finished / "best.safetensors")
    words = f"rpn.score_floor={floor_in(finished / 'best.safetensors')} of the detector that training starts from"
    with caplog.at_level(logging.WARNING):
        chosen_settings(TrainOptions(weights=weights, settings=["rpn.score_floor=0"]))
        config, _ = chosen_settings(TrainOptions(weights=weights, settings=["rpn.score_floor=auto"]))
        assert words not in caplog.text
        chosen_settings(TrainOptions(weights=weights))
    assert f"{words} drops proposals in training, too" in caplog.text
    assert config.rpn.score_floor == "auto"
