"""``faster-rcnn benchmark --target-ms``: the trials, the choice, and the detector that is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from faster_rcnn.benchmark import target
from faster_rcnn.benchmark.target import Goal, Target, Trial, find_target, goal_of, predictor_with
from faster_rcnn.benchmark.values import Spread
from faster_rcnn.cli.benchmark import benchmark
from faster_rcnn.errors import OptionError
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import PreparedDetector, prepare
from faster_rcnn.kernels.int8_layers import weight_limit
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.model_file import load_model, write_loaded
from files import image_file, loaded_model, model_file, quantized, rgb
from made_data import make_squares

CPU = torch.device("cpu")
ROI = {"score_floor": 0.05}


def detector_of(proposals: int) -> PreparedDetector:
    return prepare(loaded_model(rpn={"proposals_after_nms": proposals}, roi=ROI), CPU, torch.float32, exact=False)


@pytest.fixture
def timed_by_hand(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """An image takes its short side and half its proposals in milliseconds; returns what was tried."""
    tried: list[tuple[int, int]] = []

    def time(detector: PreparedDetector, config: Config, images: Sequence[Path], rounds: int) -> Trial:
        side, proposals = config.image.short_side, config.rpn.proposals_after_nms
        tried.append((side, proposals))
        seconds = (side + proposals / 2) / 1000
        return Trial(config, Spread(seconds, seconds, seconds), None)

    monkeypatch.setattr(target, "_time", time)
    return tried


def numbers(trial: Trial | None) -> tuple[int, int]:
    assert trial is not None
    return trial.config.image.short_side, trial.config.rpn.proposals_after_nms


def test_each_size_gets_the_most_proposals_that_fit_until_all_fit(timed_by_hand: list[tuple[int, int]]) -> None:
    # 64 pixels with 200, 100, 50 proposals are 164, 114, 89 ms; 56 pixels 156, 106, 81; 48 pixels 148, 98, 73.
    found = find_target(detector_of(200), 100, [], 1, None)
    assert timed_by_hand[:8] == [(64, 200), (64, 100), (64, 50), (56, 200), (56, 100), (56, 50), (48, 200), (48, 100)]
    assert [numbers(each) for each in found.fitting] == [
        (64, 50),
        (56, 50),
        (48, 100),
        (40, 100),
        (32, 100),
        (24, 100),
        (16, 100),
    ]
    assert numbers(found.chosen) == (64, 50)  # without AP, the largest image
    assert found.facts()[-1][1].endswith("its cost in AP is measured with labelled images (--data)")
    timed_by_hand.clear()
    # 130 ms: 64 pixels with 100, 56 with 100, ...; the smallest, 16 pixels with all 200, takes 116 and 24 pixels 124.
    found = find_target(detector_of(200), 130, [], 1, None)
    assert numbers(found.fitting[-1]) == (24, 200)
    assert timed_by_hand[-1] == (24, 200)  # nothing smaller is tried
    # All fits as it is.
    timed_by_hand.clear()
    found = find_target(detector_of(200), 164, [], 1, None)
    assert (timed_by_hand, numbers(found.chosen)) == ([(64, 200)], (64, 200))


def test_nothing_is_fast_enough(timed_by_hand: list[tuple[int, int]]) -> None:
    found = find_target(detector_of(100), 1, [], 1, None)
    assert found.chosen is None
    assert numbers(found.fastest) == (16, 50)
    assert found.facts()[-1] == (
        "for 1 ms",
        "no trial is fast enough; the fastest is image size 16, 50 proposals: 41.0 ms (41.0 to 41.0 ms)",
    )


def test_the_highest_ap_is_chosen() -> None:
    config = loaded_model().config
    own, first, second = (Trial(config, Spread(1, 1, 1), ap) for ap in (0.5, 0.4, 0.45))
    found = Target(40, own, (first, second), first)
    assert found.chosen is second
    assert found.facts()[-1][1].endswith("AP 0.450; -0.050 AP against the detector's own settings")


def test_other_settings_are_used_and_the_detector_keeps_its_own(tmp_path: Path) -> None:
    detector = detector_of(40)
    image = image_file(tmp_path / "a.png", 100, 120)
    before = Predictor(detector).predict_one(rgb(100, 120), 0.0)
    own = detector.config
    small = own.model_copy(update={"rpn": own.rpn.model_copy(update={"proposals_after_nms": 3})})
    fewer = predictor_with(detector, small)
    assert len(fewer.detector.network.propose([torch.from_numpy(rgb(100, 120)).permute(2, 0, 1)])[0].boxes) == 3
    found = find_target(detector, 1e6, [image], 1, None)
    assert found.own is not None
    assert torch.equal(Predictor(detector).predict_one(rgb(100, 120), 0.0).boxes, before.boxes)


def test_the_command_measures_ap_and_writes_the_detector(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_squares(tmp_path / "data", {"train": 1, "val": 2})
    model = str(model_file(tmp_path / "m.safetensors", ClassMap(("dark", "light"), (3, 7)), roi=ROI))
    out, file = tmp_path / "speed", tmp_path / "speed.json"
    options: dict[str, Any] = {"target_ms": 1e6, "data": data, "split": "val"}
    assert benchmark(model, image_size=48, count=1, rounds=1, **options, out=out, json=str(file)) == 0
    found = json.loads(file.read_text())["target"]
    assert found["chosen"] == found["own"] == found["fitting"][0]
    assert (found["chosen"]["image_size"], found["milliseconds"]) == (48, 1e6)
    assert found["chosen"]["AP"] is not None
    assert "for 1e+06 ms" in capsys.readouterr().out
    assert load_model(out / "target.safetensors").config.image.short_side == 48
    # Nothing is so fast: the exit code is 2.
    assert benchmark(model, count=1, rounds=1, target_ms=1e-3, json=str(file)) == 2
    assert json.loads(file.read_text())["target"]["chosen"] is None


@pytest.mark.skipif(weight_limit() == 0, reason="oneDNN has no int8 convolutions here")
def test_a_detector_that_was_timed_in_int8_keeps_its_ranges(tmp_path: Path) -> None:
    loaded, file, out = quantized(loaded_model(roi=ROI)), tmp_path / "m.safetensors", tmp_path / "speed"
    write_loaded(file, loaded)
    assert benchmark(str(file), count=1, rounds=1, precision="int8", target_ms=1e6, out=out) == 0
    assert load_model(out / "target.safetensors").ranges == loaded.ranges


def test_senseless_goals_are_refused(tmp_path: Path) -> None:
    for milliseconds in (0, -5, float("nan"), float("inf")):
        with pytest.raises(
            OptionError, match=r"E125 --target-ms .*: the limit must be a positive number of milliseconds"
        ):
            Goal(milliseconds)
    with pytest.raises(OptionError, match="E125 --data and --split are for --target-ms, which is missing"):
        goal_of(None, tmp_path, None)
    assert goal_of(None, None, None) is None
