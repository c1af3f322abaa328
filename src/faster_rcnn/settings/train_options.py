"""The options of a training run, as ``faster-rcnn train`` and ``Detector.train`` take them.

A new option is a new field here: the command shows its docstring as help, and a field whose metadata name a setting
reaches the configuration by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from cyclopts import Parameter

from faster_rcnn.choices import TrainingPrecision
from faster_rcnn.settings.option_types import (
    DeviceOption,
    Integer,
    IntegerOrAuto,
    ModelOption,
    PathOption,
    PixelsOfSide,
    SettingsOption,
    Switch,
    TransformOption,
)

SETTING = "setting"
"""Key of the setting that an option stands for, in the metadata of its field; its default leaves the setting alone."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How a detector is trained; ``None`` leaves the choice to the preset or to the run that goes on."""

    model: str | None = None
    """Preset that the settings start from: small, small-plus, fast, base, base-v2, mobile, mobile-320, paper, c4."""
    weights: ModelOption | None = None
    """Model file, run folder or published name to start from instead of ImageNet weights."""
    out: PathOption | None = None
    """Run folder; a new one below runs/ where not given."""
    epochs: IntegerOrAuto | None = field(default=None, metadata={SETTING: "training.epochs"})
    """Passes over the training images; auto, where not given, is at least 12 and at least 480 steps, but at most 60."""
    batch: IntegerOrAuto | None = field(default=None, metadata={SETTING: "training.batch"})
    """Images per step; auto is the largest number that the memory of the GPU holds, at most 16, and the preset's on a
    CPU."""
    lr: float | None = field(default=None, metadata={SETTING: "training.lr"})
    """Learning rate for 16 images per step; scaled to the batch."""
    image_size: PixelsOfSide | None = field(default=None, metadata={SETTING: "image.short_side"})
    """Pixels of the shorter side; the longer side's limit follows."""
    seed: Integer | None = field(default=None, metadata={SETTING: "training.seed"})
    """Seed of the random numbers for weights, order, augmentation and sampling."""
    workers: Integer | None = field(default=None, metadata={SETTING: "training.workers"})
    """Processes that decode images ahead."""
    device: DeviceOption | None = field(default=None, metadata={SETTING: "training.device"})
    """Device that computes: auto, cpu, cuda or cuda:N."""
    precision: TrainingPrecision | None = field(default=None, metadata={SETTING: "training.precision"})
    """Number format of convolutions and matrix products; auto is bfloat16 where that is fast. A run that goes on keeps
    its own, unless another one is given."""
    threads: Integer | None = field(default=None, metadata={SETTING: "training.threads"})
    """CPU threads that compute; where not given, torch's own number, at most the CPUs that this process may use. A run
    that goes on keeps its own."""
    config: PathOption | None = None
    """YAML file of settings, as `faster-rcnn config` prints it."""
    settings: SettingsOption = None
    """Single settings, as section.key=value; several may follow."""
    proposals: PathOption | None = field(default=None, metadata={SETTING: "data.proposals"})
    """File of proposals; the second stage alone is trained on them (Fast R-CNN)."""
    val_share: float | None = field(default=None, metadata={SETTING: "data.val_share"})
    """Share of the training images to validate on, such as 0.2, where the data has no validation split."""
    processes: Integer | None = field(default=None, metadata={SETTING: "training.processes"})
    """Processes on this machine that share the images of each step, on a GPU each where there are GPUs. A run that goes
    on keeps its number, unless another one is given."""
    log: str | None = None
    """Services that get the numbers, pictures and files of the run: tensorboard, mlflow, wandb, with commas between
    them. Runs that go on are followed by those that are named then."""
    transform: TransformOption = None
    """Own augmentation, as FILE.py:NAME or module:NAME: a function (image, boxes, labels) -> (image, boxes, labels). A
    run that goes on needs it named again."""
    resume: Switch = False
    """Go on with the run in --out."""

    def arguments(self) -> list[str]:
        """The options as a command line has them, so that another process has the same; a function is left out."""
        given = ((_on_command_line(each.name), getattr(self, each.name)) for each in fields(TrainOptions))
        values = [(name, value) for name, several in given for value in (several if _is_list(several) else [several])]
        chosen = [
            (name, value) for name, value in values if value is not None and value is not False and not callable(value)
        ]
        return [name if value is True else f"{name}={value}" for name, value in chosen]

    def flags(self) -> dict[str, object]:
        """Values of the options that stand for a setting, by the names of ``SETTINGS``; paths are text."""
        values = {name: getattr(self, name) for name in SETTINGS}
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def _on_command_line(name: str) -> str:
    return "--set" if name == "settings" else f"--{name.replace('_', '-')}"


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


SETTINGS = {each.name: str(each.metadata[SETTING]) for each in fields(TrainOptions) if SETTING in each.metadata}
"""Settings that options stand for, as ``section.key``, by the name of the option."""
