"""The two detectors of a comparison: given or trained, and refused before the work where they do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.comparison.run import Given, both_systems
from faster_rcnn.errors import DatasetError, OptionError
from faster_rcnn.settings.train_options import TrainOptions
from made_data import make_squares


def test_given_detectors_and_proposals_are_taken_as_they_are(tmp_path: Path) -> None:
    pair = both_systems(tmp_path, Given("a", "b", tmp_path / "p"), TrainOptions(), None, tmp_path / "out")
    assert (pair.faster, pair.fast, pair.proposals) == ("a", "b", tmp_path / "p")


def test_one_detector_alone_is_refused(tmp_path: Path) -> None:
    for given in (Given(faster="a"), Given(fast="b")):
        with pytest.raises(OptionError, match="give both detectors with --faster and --fast, or none"):
            both_systems(tmp_path, given, TrainOptions(), None, tmp_path / "out")


@pytest.mark.parametrize("setting", ["detector.kind=rpn", "training.scheme=alternating"])
def test_other_kinds_of_training_are_refused(setting: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"leave out detector\.kind and training\.scheme"):
        both_systems(tmp_path, Given(), TrainOptions(settings=[setting]), None, tmp_path / "out")


def test_unusable_data_are_refused_before_the_training(tmp_path: Path) -> None:
    data = make_squares(tmp_path / "data", {"train": 2, "val": 1})
    with pytest.raises((OptionError, DatasetError), match="nosuch"):
        both_systems(data, Given(), TrainOptions(), "nosuch", tmp_path / "out")
    assert not (tmp_path / "out").exists()
