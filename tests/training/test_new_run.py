from __future__ import annotations

from pathlib import Path

from faster_rcnn.building import build_model
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.train_options import TrainOptions
from faster_rcnn.structures import ClassMap
from faster_rcnn.training.new_run import beginning_of, settings_of
from faster_rcnn.weights.model_file import LoadedModel
from made_data import settings_file
from tiny import tiny_config


def test_each_auto_becomes_a_number(squares: Path, tmp_path: Path) -> None:
    found = beginning_of(squares, TrainOptions(config=settings_file(tmp_path), epochs="auto", batch="auto"))
    training = found.config.training
    assert (training.precision, training.epochs) == ("float32", 60)  # of few images
    assert all(isinstance(each, int) for each in (training.epochs, training.batch, training.threads))
    assert (found.start, found.transform) == (None, None)
    assert len(found.dataset.splits["train"].records) == 6


def test_a_detector_to_start_from_keeps_its_settings_but_those_of_training_and_data() -> None:
    config = tiny_config().model_copy(update={"data": preset("small").data.model_copy(update={"val_share": 0.5})})
    start = LoadedModel(build_model(config, 1), config, ClassMap(("a",), (1,)))
    found = settings_of(start)
    assert found is not None
    assert (found.roi, found.data, found.training) == (config.roi, preset("small").data, preset("small").training)
    assert settings_of(None) is None
