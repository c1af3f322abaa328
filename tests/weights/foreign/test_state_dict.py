"""Where a checkpoint keeps a detector's tensors: wrappers, prefixes, several sets; and what else may be in it."""

from __future__ import annotations

import argparse
import collections
import os
import pathlib
import pickle
import types
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from faster_rcnn.errors import ModelFileError
from faster_rcnn.weights.foreign.state_dict import read_checkpoint

NAMES = ("backbone.body.conv.weight", "rpn.head.conv.bias", "roi_heads.box_predictor.cls_score.weight")
WEIGHTS = {name: torch.full((2,), float(number)) for number, name in enumerate(NAMES)}
AVERAGED = {name: tensor + 10 for name, tensor in WEIGHTS.items()}
OPTIMIZER = {"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]}


def prefixed(prefix: str, weights: dict[str, Tensor] = WEIGHTS) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in weights.items()}


def saved(folder: Path, content: object, *, zipped: bool = True) -> Path:
    path = folder / "checkpoint.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def assert_weights(found: dict[str, Tensor], expected: dict[str, Tensor] = WEIGHTS) -> None:
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor)


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "model.", "detector.net.", "a.b.c.d."]
)
def test_a_prefix_that_all_names_share_is_taken_off(prefix: str, tmp_path: Path) -> None:
    found = read_checkpoint(saved(tmp_path, OrderedDict(prefixed(prefix))))
    assert_weights(found.tensors)
    assert found.notes == (f"the prefix '{prefix}' of all names is taken off",)


@pytest.mark.parametrize("wrapper", ["_orig_mod.", "module.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."])
@pytest.mark.parametrize("prefix", ["", "model."])
def test_parts_that_were_wrapped_by_themselves(prefix: str, wrapper: str, tmp_path: Path) -> None:
    # torch.compile(model.backbone), and a layer inside of a part.
    names = (f"backbone.{wrapper}body.conv.weight", NAMES[1], f"roi_heads.box_predictor.{wrapper}cls_score.weight")
    wrapped = {prefix + name: tensor for name, tensor in zip(names, WEIGHTS.values(), strict=True)}
    found = read_checkpoint(saved(tmp_path, wrapped))
    assert_weights(found.tensors)
    assert found.notes[-1] == f"2 tensors ('{names[0]}', '{names[2]}') are taken without '{wrapper}' in the name"


def test_names_that_would_meet_without_a_wrapper_are_left_to_the_layout(tmp_path: Path) -> None:
    both = {**WEIGHTS, "rpn.head._orig_mod.conv.bias": torch.ones(2)}
    assert list(read_checkpoint(saved(tmp_path, both)).tensors) == list(both)


def test_names_without_a_prefix_stay(tmp_path: Path) -> None:
    found = read_checkpoint(saved(tmp_path, WEIGHTS))
    assert_weights(found.tensors)
    assert found.notes == ()


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        ({"net": WEIGHTS, "epoch": 3}, "net"),
        ({"weights": WEIGHTS, "optimizer": OPTIMIZER}, "weights"),
        ({"optimizer": OPTIMIZER, "model_state": WEIGHTS}, "model_state"),
        ({"ckpt": {"student": {"state_dict": WEIGHTS}}}, "ckpt.student.state_dict"),
        ({"ema": AVERAGED, "model": WEIGHTS}, "model"),
    ],
)
def test_wrappers_of_any_name(content: object, keys: str, tmp_path: Path) -> None:
    found = read_checkpoint(saved(tmp_path, content))
    assert_weights(found.tensors)
    assert found.notes[0] == f"weights taken from '{keys}'"


def test_of_two_sets_of_weights_the_averaged_one_is_taken_where_it_is_asked_for(tmp_path: Path) -> None:
    # As torchvision's own script saves them: its average is a module with a counter beside the weights.
    average = {"n_averaged": torch.tensor(5), **prefixed("module.", AVERAGED)}
    path = saved(tmp_path, {"model_ema": average, "model": WEIGHTS, "epoch": 3})
    found = read_checkpoint(path)
    assert_weights(found.tensors)
    assert found.notes == (
        "weights taken from 'model'",
        "the file holds weights under 'model_ema.module', too, which are left out; --key model_ema.module takes them",
    )
    for key in ("model_ema", "model_ema.module"):
        asked = read_checkpoint(path, key)
        assert_weights(asked.tensors, AVERAGED)
        assert "the file holds weights under 'model', too, which are left out; --key model takes them" in asked.notes
    with pytest.raises(ModelFileError, match=r"no weights under --key ema; it has 'model', 'model_ema\.module'$"):
        read_checkpoint(path, "ema")


def test_two_sets_in_one_state_dict(tmp_path: Path) -> None:
    both = {**prefixed("teacher.", AVERAGED), **prefixed("student."), "loss.weight": torch.ones(1)}
    path = saved(tmp_path, {"state_dict": both})
    found = read_checkpoint(path)
    assert_weights(found.tensors)
    assert found.notes[2].startswith("the file holds weights under 'state_dict.teacher', too")
    assert found.notes[3] == "1 tensor ('loss.weight') is outside of 'student.' and left out"
    assert_weights(read_checkpoint(path, "state_dict.teacher").tensors, AVERAGED)
    beside = saved(tmp_path, {**WEIGHTS, **prefixed("ema.", AVERAGED), "ema.n_averaged": torch.tensor(1)})
    assert_weights(read_checkpoint(beside).tensors)
    assert_weights(read_checkpoint(beside, "ema").tensors, AVERAGED)
    assert read_checkpoint(beside, "ema").notes[-1].endswith("left out; --key '' takes them")
    assert_weights(read_checkpoint(beside, "").tensors)


def test_values_beside_tensors_are_told(tmp_path: Path) -> None:
    found = read_checkpoint(saved(tmp_path, {**WEIGHTS, "epoch": 3, "names": ["a"]}))
    assert_weights(found.tensors)
    assert found.notes == ("2 values ('epoch', 'names') are no tensor and left out",)


class Settings(dict[str, Any]):
    """As the configuration classes of many packages are."""


class Callback:
    def __init__(self) -> None:
        self.best = np.float64(0.5)
        self.history = [1, 2]


@pytest.mark.parametrize("zipped", [True, False])
def test_objects_of_other_packages_beside_the_weights_are_passed_over(zipped: bool, tmp_path: Path) -> None:
    settings = Settings(lr=0.1, nested=Settings(steps=[1, 2]))
    beside = {
        "args": argparse.Namespace(lr=0.1, device="cuda", path=pathlib.PurePosixPath("x")),
        "hyper_parameters": settings,
        "callbacks": {"EarlyStopping": Callback()},
        "best": np.float32(0.5),
        "history": collections.defaultdict(list, loss=[1.0]),
        "names": types.SimpleNamespace(a=1),
        "mean": np.ones(3),
        "optimizer_states": [OPTIMIZER],
    }
    path = saved(tmp_path, {**beside, "model": prefixed("_orig_mod.")}, zipped=zipped)
    assert_weights(read_checkpoint(path).tensors)


class Runs:
    def __init__(self, function: Any, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


RAN: list[str] = []


def note() -> None:
    RAN.append("x")


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_beside_the_weights_is_run(zipped: bool, tmp_path: Path) -> None:
    beside = {"call": Runs(note), "eval": Runs(eval, "1/0"), "open": Runs(open, str(tmp_path / "made"), "w")}
    assert_weights(read_checkpoint(saved(tmp_path, {**beside, "model": WEIGHTS}, zipped=zipped)).tensors)
    assert RAN == []
    assert not (tmp_path / "made").exists()
    path = saved(tmp_path, {"model": WEIGHTS, "call": Runs(os.system, f"touch {tmp_path}/made")}, zipped=zipped)
    with pytest.raises(ModelFileError, match=r"is a pickle that asks for 'posix\.system', so it could run any code"):
        read_checkpoint(path)
    assert not (tmp_path / "made").exists()


def test_a_whole_module_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"is a pickled object of 'torch\.nn\.modules\.container\.Sequential'"):
        read_checkpoint(saved(tmp_path, nn.Sequential(nn.Linear(2, 2))))
    message = r"its keys are 'model' \(an object of torch\.nn\.modules\.linear\.Linear\), 'epoch' \(int\); save"
    with pytest.raises(ModelFileError, match=message):
        read_checkpoint(saved(tmp_path, {"model": nn.Linear(2, 2), "epoch": 3}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "it is empty"),
        ([torch.ones(2)], "but a list"),
        (torch.ones(2), "but a Tensor"),
        (3, "but a int"),
        (
            {f"key{number}": number for number in range(6)},
            r"its keys are 'key0' \(int\), .*'key4' \(int\), \.\.\.; save model",
        ),
        ({"optimizer": OPTIMIZER["param_groups"]}, r"its keys are 'optimizer' \(list\)"),
    ],
)
def test_what_holds_no_state_dict_names_what_it_holds(content: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=rf"^E123 .*holds no state dict \(tensors by name\).*{message}"):
        read_checkpoint(saved(tmp_path, content))


def test_a_state_dict_of_something_else_is_left_to_the_layout(tmp_path: Path) -> None:
    other = {"model.0.conv.weight": torch.ones(3)}
    path = saved(tmp_path, {"other": {"x": torch.ones(1)}, "model": other})
    assert list(read_checkpoint(path).tensors) == ["model.0.conv.weight"]


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_a_torchscript_archive_is_named(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), str(tmp_path / "model.pt"))
    with pytest.raises(ModelFileError, match=r"model\.pt is a TorchScript archive, not a checkpoint"):
        read_checkpoint(tmp_path / "model.pt")


@pytest.mark.parametrize("kept", [10, 200, 900])
def test_a_file_that_is_cut(kept: int, tmp_path: Path) -> None:
    path = saved(tmp_path, {"model": WEIGHTS, "args": argparse.Namespace(lr=0.1)})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelFileError, match=r"is incomplete or damaged \(.+\); was the copy interrupted\?$") as raised:
        read_checkpoint(path)
    assert "\n" not in str(raised.value)


def test_arrays_under_a_prefix(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"model": {name: each.numpy() for name, each in prefixed("module.").items()}}, 2))
    assert_weights(read_checkpoint(path).tensors)
