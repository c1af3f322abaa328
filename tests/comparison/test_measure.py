"""Parts of a comparison by hand: images that are timed, medians, and detectors that cannot be compared."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from faster_rcnn.benchmark.stages import StageTimes
from faster_rcnn.comparison.measure import Pair, _medians, _readable, _refuse_unlike
from faster_rcnn.data.reading import load_split
from faster_rcnn.errors import DatasetError, OptionError
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.schema import Config, DataConfig
from made_data import make_squares

PAIR = Pair("a", "b", Path("p"))


def of_kind(kind: str, **training: object) -> Config:
    config = preset("small")
    return config.model_copy(
        update={
            "detector": config.detector.model_copy(update={"kind": kind}),
            "training": config.training.model_copy(update=training),
        }
    )


def test_medians_by_hand() -> None:
    assert _medians([StageTimes(1, 20, 3), StageTimes(2, 10, 5), StageTimes(9, 30, 4)]) == StageTimes(2, 20, 4)


def test_the_first_readable_images_are_timed(tmp_path: Path) -> None:
    data = make_squares(tmp_path / "data", {"train": 1, "val": 3})
    part = load_split(data, DataConfig(), "val").split("val")
    part.records[0].path.write_bytes(b"no image")
    assert [record.path.name for record, _ in _readable(part, preset("small"), 1)] == ["val1.png"]
    for record in part.records:
        record.path.write_bytes(b"no image")
    with pytest.raises(DatasetError, match="E105 no image of val can be decoded, so there is nothing to time"):
        _readable(part, preset("small"), 1)


def test_detectors_that_differ_cannot_be_compared(caplog: pytest.LogCaptureFixture) -> None:
    faster, fast = of_kind("faster-rcnn"), of_kind("fast-rcnn", epochs=3)
    with caplog.at_level(logging.WARNING):
        _refuse_unlike(PAIR, faster, fast)
    assert "a and b were trained differently: training.epochs" in caplog.text
    with pytest.raises(OptionError, match=r"--fast b: its detector\.kind is faster-rcnn, it must be fast-rcnn"):
        _refuse_unlike(PAIR, faster, faster)
    larger = fast.model_copy(update={"image": fast.image.model_copy(update={"short_side": 999})})
    with pytest.raises(OptionError, match="a and b differ in image size or backbone"):
        _refuse_unlike(PAIR, faster, larger)
