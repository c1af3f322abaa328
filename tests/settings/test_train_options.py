from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import pytest

from faster_rcnn.cli.app import app
from faster_rcnn.cli.main import CommandLine
from faster_rcnn.cli.train import train
from faster_rcnn.settings import option_types
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.resolve import all_keys, resolved
from faster_rcnn.settings.train_options import SETTINGS, TrainOptions

FIELDS = {each.name for each in dataclasses.fields(TrainOptions)}


def test_options_stand_for_settings_that_exist() -> None:
    assert set(SETTINGS) < FIELDS
    assert set(SETTINGS.values()) <= set(all_keys())
    assert len(set(SETTINGS.values())) == len(SETTINGS)


def test_options_that_are_not_given_leave_the_settings_alone() -> None:
    assert set(TrainOptions().flags().values()) == {None}
    assert resolved(TrainOptions()) == preset("small")
    assert resolved(TrainOptions(), start=preset("paper")) == preset("paper")


def test_options_reach_the_configuration() -> None:
    options = TrainOptions(model="base", lr=0.5, image_size=400, val_share=0.25, proposals=Path("a"), threads=3)
    config = resolved(dataclasses.replace(options, settings=["training.flip=0"]))
    assert (config.preset, config.training.lr, config.training.threads, config.training.flip) == ("base", 0.5, 3, 0)
    assert (config.image.short_side, config.data.val_share, config.data.proposals) == (400, 0.25, "a")


EXAMPLES: dict[str, list[object]] = {
    "model": ["base", "-odd name"],
    "weights": ["torchvision:fasterrcnn_resnet50_fpn", "-w", "a b"],
    "out": [Path("runs/a b"), Path("-o=x"), Path("--quiet")],
    "epochs": ["auto", 3],
    "batch": [2],
    "lr": [0.1, 1e-05, -1.0, float("inf")],
    "image_size": [400],
    "seed": [0, -1],
    "workers": [0, 3],
    "device": ["cuda:1"],
    "precision": ["float32"],
    "threads": [2],
    "config": [Path("a.yaml")],
    "settings": [["training.flip=0"], ["a=b=c d", "rpn.sizes=[1, 2]", "data.train=-x"]],
    "proposals": [Path("a.safetensors")],
    "val_share": [0.0, 0.25],
    "processes": [4],
    "log": ["mlflow", "tensorboard,wandb"],
    "transform": ["augment.py:turn", "own.augment:turn", "C:\\a b.py:f"],
    "resume": [True, False],
}


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_options_are_a_command_line(name: str) -> None:
    for value in EXAMPLES[name]:
        options = TrainOptions(**{name: value})  # type: ignore[arg-type]
        assert parsed(options.arguments()) == (options, Path("-data"))


def test_all_options_together_are_a_command_line() -> None:
    options = TrainOptions(**{name: values[-1] for name, values in EXAMPLES.items()})  # type: ignore[arg-type]
    assert parsed(options.arguments()) == (options, Path("-data"))
    assert TrainOptions().arguments() == []


def parsed(arguments: list[str]) -> tuple[TrainOptions, Path]:
    """Options and data as the command gets them, after all that is done with the options of all commands."""
    line = CommandLine.of(["--verbose", "train", *arguments, "--", "-data"])
    assert (line.verbose, line.quiet) == (True, False)
    _, bound, *_ = app.parse_args(line.command, exit_on_error=False, print_error=False)
    return bound.kwargs.get("options", TrainOptions()), bound.args[0]


def test_a_function_is_no_part_of_a_command_line() -> None:
    assert TrainOptions(transform=print, seed=3).arguments() == ["--seed=3"]


def test_options_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainOptions().lr = 0.5  # type: ignore[misc]


def test_the_command_has_the_options_and_no_others() -> None:
    assert list(inspect.signature(train).parameters) == ["data", "options", "preview", "dry_run"]


def test_types_of_options_need_no_torch() -> None:
    assert not hasattr(option_types, "torch")
