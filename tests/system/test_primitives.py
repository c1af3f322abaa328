"""oneDNN keeps as many operations as the package asks for, unless the user has decided."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from faster_rcnn.system.primitives import KEPT, OF_USER, keep_primitives

SOURCE = str(Path(__file__).parents[2] / "src")
NAME, VALUE = KEPT
TWICE = """
import torch, faster_rcnn
layer = torch.nn.Conv2d(3, 8, 3, padding=1)
shapes = [(height, width) for height in (8, 9, 10) for width in range(20, 1120)]
with torch.inference_mode():
    for height, width in [*shapes, *shapes]:
        layer(torch.zeros(1, 3, height, width))
"""
"""Convolutions of 3,300 shapes, a third of which oneDNN computes; all of them twice."""


def environment(**given: str) -> dict[str, str]:
    """That of this process without a user's decision."""
    own = {name: value for name, value in os.environ.items() if name not in OF_USER}
    return {**own, "PYTHONPATH": SOURCE, **given}


def test_no_operation_is_compiled_twice() -> None:
    command = [sys.executable, "-c", TWICE]
    output = subprocess.run(command, env=environment(ONEDNN_VERBOSE="2"), capture_output=True, text=True, check=True)
    lines = [line for line in output.stdout.splitlines() if ",convolution," in line]
    compiled, found = (sum(f"create:cache_{kind}" in line for line in lines) for kind in ("miss", "hit"))
    if compiled <= 1024:
        pytest.skip(f"oneDNN computes {compiled} of these convolutions here, no more than it keeps by itself")
    assert found == compiled


@pytest.mark.parametrize("program", ["import faster_rcnn", "import torch, faster_rcnn"])
def test_the_package_sets_it(program: str) -> None:
    command = [sys.executable, "-c", f"{program}, os; print(os.environ.get({NAME!r}))"]
    assert subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout == f"{VALUE}\n"


@pytest.mark.parametrize("own", OF_USER)
def test_the_variable_of_a_user_is_respected(own: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OF_USER:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(own, "7")
    assert not keep_primitives()
    assert os.environ[own] == "7"


def test_it_is_set_where_the_user_has_not_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OF_USER:
        monkeypatch.setenv(name, "")
    assert keep_primitives()
    assert os.environ[NAME] == VALUE
