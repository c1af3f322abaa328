from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest
import torch

from faster_rcnn import Callback, Detector
from faster_rcnn.errors import OptionError
from faster_rcnn.settings.train_options import TrainOptions
from faster_rcnn.training.call import TrainCall, called_with


@called_with(TrainCall)
def returned(call: TrainCall) -> TrainCall:
    """Return what it was called with."""
    return call


def test_the_arguments_are_data_the_options_of_the_command_and_two_more() -> None:
    options = [each.name for each in dataclasses.fields(TrainOptions)]
    parameters = inspect.signature(Detector.train).parameters
    assert list(parameters) == ["data", *options, "callbacks", "progress"]
    assert [name for name, each in parameters.items() if each.kind is not inspect.Parameter.KEYWORD_ONLY] == ["data"]
    assert {name for name, each in parameters.items() if each.default is inspect.Parameter.empty} == {"data"}


def test_arguments_are_stored_as_the_options_of_the_command_are() -> None:
    callback = Callback()
    found = returned(
        "cells",
        out="run",
        weights=Path("old"),
        config=Path("a.yaml"),
        device=torch.device("cpu"),
        settings="training.flip=0",
        epochs="auto",
        callbacks=[callback],
    )
    expected = TrainCall(
        data=Path("cells"),
        out=Path("run"),
        weights="old",
        config=Path("a.yaml"),
        device="cpu",
        settings=["training.flip=0"],
        epochs="auto",
        callbacks=[callback],
    )
    assert found == expected
    assert returned(data="cells", settings=("a=1", "b=2")).settings == ["a=1", "b=2"]
    assert returned("cells").settings is None


def test_no_path_and_unknown_names_are_refused() -> None:
    wrong: Any = 5
    for name in ("data", "out", "config", "proposals"):
        with pytest.raises(OptionError, match=rf"^E125 {name} is of type int; it must be a path$"):
            returned(**{"data": "cells", name: wrong})
    with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'"):
        returned("cells", epoch=wrong)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="missing a required argument: 'data'"):
        returned()  # type: ignore[call-arg]
