"""Trains Faster R-CNN and Fast R-CNN with selective search with the same body and budget, or takes both as given."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from faster_rcnn.comparison.measure import Pair, refuse_unusable, searched
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.errors import OptionError
from faster_rcnn.settings.resolve import resolved
from faster_rcnn.settings.schema import Config
from faster_rcnn.settings.train_options import TrainOptions
from faster_rcnn.training import run_folder
from faster_rcnn.training.resume import config_to_resume, data_differences
from faster_rcnn.training.run import train
from faster_rcnn.weights.finding import find_model_file
from faster_rcnn.weights.model_file import read_model_config

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Given:
    """Detectors and proposals that need not be made."""

    faster: str | None = None
    """Run folder or model file; both detectors are given, or none."""
    fast: str | None = None
    proposals: Path | None = None
    """File of selective search for all images that are used."""


def both_systems(data: Path, given: Given, training: TrainOptions, split: str | None, folder: Path) -> Pair:
    """The two detectors, as given or trained below ``folder``, and the proposals of selective search.

    Whatever would stop the comparison at its end stops it before the training.

    Raises:
        OptionError: one detector is given alone, or an earlier run in ``folder`` has other settings or data.
        DatasetError: the data or the proposals cannot be used.
    """
    if given.faster is not None and given.fast is not None:
        return Pair(
            given.faster,
            given.fast,
            given.proposals or searched(data, read_model_config(find_model_file(given.fast)), folder),
        )
    if given.faster is not None or given.fast is not None:
        raise OptionError("give both detectors with --faster and --fast, or none: then both are trained")
    config = resolved(training)
    _refuse_other_kinds(config)
    refuse_unusable(data, config, split, given.proposals)
    proposals = given.proposals or searched(data, config, folder)
    faster = _trained(data, training, None, folder / "faster-rcnn")
    fast = _trained(data, training, proposals, folder / "fast-rcnn")
    return Pair(str(faster), str(fast), proposals)


def _refuse_other_kinds(config: Config) -> None:
    if config.detector.kind != "faster-rcnn" or config.training.scheme != "joint":
        raise OptionError(
            "compare trains both stages jointly, and the second one on selective search: leave out detector.kind and "
            "training.scheme"
        )


def _trained(data: Path, training: TrainOptions, proposals: Path | None, folder: Path) -> Path:
    """A run folder; a run that an earlier call finished is taken, and one that it began is continued."""
    options = replace(training, out=folder, proposals=proposals)
    if run_folder.is_finished(folder):
        config = config_to_resume(folder, options)  # refuses other settings
        if found := data_differences(folder, data, load_dataset(data, config.data)):
            raise OptionError(
                f"{folder} holds a detector that was trained on other data: {'; '.join(found)}; choose another folder "
                "with --out",
                code="E132",
            )
        _LOG.info(f"was trained before: {folder}")
        return folder
    return train(data, replace(options, resume=run_folder.holds_begun_run(folder)))
