"""What a new run begins with: data, settings with a number in the place of each ``auto``, detector, transform."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from faster_rcnn.data.batches import steps_of_epoch
from faster_rcnn.data.records import Dataset
from faster_rcnn.data.transform import Transform
from faster_rcnn.data.transform_source import transform_of
from faster_rcnn.errors import OptionError
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.resolve import resolved
from faster_rcnn.settings.schema import Config
from faster_rcnn.settings.train_options import TrainOptions
from faster_rcnn.system.distributed import ALONE, Processes
from faster_rcnn.training.batch_size import with_batch
from faster_rcnn.training.data_settings import following_data
from faster_rcnn.training.labelled import load_for_training, with_val_seed
from faster_rcnn.training.loggers.choice import loggers_of
from faster_rcnn.training.machine_settings import with_machine_settings, with_training
from faster_rcnn.training.optimizer import remark_on_rate
from faster_rcnn.training.schedule import MAX_EPOCHS, MIN_EPOCHS, MIN_STEPS, number_of_epochs
from faster_rcnn.training.score_floor import remark_on_floor_of
from faster_rcnn.training.transform_record import refuse_without_images_of_its_own
from faster_rcnn.weights.model_file import LoadedModel
from faster_rcnn.weights.resolve import resolve_model

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Beginning:
    """All that a new run begins with, in this process alone."""

    dataset: Dataset
    config: Config
    """Settings with a number in the place of each ``auto``."""
    processes: int
    """Number of processes that the settings ask for."""
    start: LoadedModel | None
    transform: Transform | None


def beginning_of(data: Path, options: TrainOptions) -> Beginning:
    """Read the data and choose the settings of a new run as ``train`` does; raises as ``train`` does."""
    loggers_of(options.log)
    transform = transform_of(options.transform)
    config, start = chosen_settings(options)
    refuse_without_images_of_its_own(transform, config)
    dataset = load_for_training(data, config)
    chosen = for_this_run(config, start, dataset, ALONE)
    return Beginning(dataset, chosen, config.training.processes, start, transform)


def chosen_settings(options: TrainOptions) -> tuple[Config, LoadedModel | None]:
    """The settings that the options mean, and the detector whose weights are the initial ones, if one is named."""
    start = resolve_model(str(options.weights)) if options.weights else None
    config = with_val_seed(_with_external_proposals(resolved(options, settings_of(start))))
    _refuse_alternating_with_one_stage(config)
    remark_on_floor_of(start, config)
    return config, start


def for_this_run(config: Config, start: LoadedModel | None, dataset: Dataset, processes: Processes) -> Config:
    """The configuration with a number in the place of each ``auto``, by these images and this machine."""
    remark_on_rate(config.training, preset(config.preset).training)
    if start is None:  # a trained first stage keeps its anchors
        config = following_data(config, dataset.splits["train"])
    config = with_batch(config, dataset, processes)  # decides the steps, and with them the epochs
    return with_machine_settings(_with_epochs(config, dataset), processes)


def _with_external_proposals(config: Config) -> Config:
    """The configuration of a Fast R-CNN where external proposals are given."""
    if config.data.proposals is None or config.detector.kind == "fast-rcnn":
        return config
    if config.detector.kind == "rpn":
        raise OptionError("--proposals: with detector.kind=rpn proposals are what is learnt, and none can be given")
    _LOG.info("--proposals: the second stage is trained alone (detector.kind=fast-rcnn)")
    return config.model_copy(update={"detector": config.detector.model_copy(update={"kind": "fast-rcnn"})})


def _with_epochs(config: Config, dataset: Dataset) -> Config:
    """The configuration with the number of epochs that ``auto`` means for these images, which is stated."""
    settings = config.training
    if settings.epochs != "auto":
        return config
    steps = steps_of(config, dataset)
    epochs = number_of_epochs(settings, steps)
    _LOG.info(
        f"epochs auto: {epochs} epochs of {steps} steps, {epochs * steps:,} steps in all (at least {MIN_EPOCHS} epochs "
        f"and {MIN_STEPS} steps, but at most {MAX_EPOCHS} epochs); --epochs N sets another number"
    )
    return with_training(config, epochs=epochs)


def steps_of(config: Config, dataset: Dataset) -> int:
    """Steps of an epoch."""
    return steps_of_epoch([record.size for record in dataset.splits["train"].records], config.training.images_per_step)


def _refuse_alternating_with_one_stage(config: Config) -> None:
    kind = config.detector.kind
    if config.training.scheme == "alternating" and kind != "faster-rcnn":
        why = ", which --proposals makes it," if config.data.proposals is not None else ""
        raise OptionError(
            f"training.scheme=alternating trains both stages in turn, and detector.kind={kind}{why} has one: leave out "
            "the scheme, or the rest"
        )


def settings_of(start: LoadedModel | None) -> Config | None:
    """Settings of the detector that training starts from, without those of its training and of its data."""
    if start is None:
        return None
    fresh = preset(start.config.preset)
    return start.config.model_copy(update={"training": fresh.training, "data": fresh.data})
