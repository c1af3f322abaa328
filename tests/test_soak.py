"""Slow proofs, run by `make soak`: minutes of real training each."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from faster_rcnn.jobs import demo, evaluate, train


@pytest.fixture(autouse=True)
def _all_threads() -> None:
    """Unlike the quick tests, which share the processors."""
    torch.set_num_threads(os.cpu_count() or 1)


@pytest.mark.soak
def test_the_detector_overfits_sixteen_images(data_folder: Callable[[str], Path], tmp_path: Path) -> None:
    data = data_folder("fruits18")
    train.run(data, epochs=50, batch=4, out=tmp_path / "run")
    evaluate.run(str(tmp_path / "run"), data, split="train", precision="auto", json=str(tmp_path / "metrics.json"))
    assert json.loads((tmp_path / "metrics.json").read_text())["AP50"] >= 0.9


@pytest.mark.soak
def test_the_demo_finds_its_digits(tmp_path: Path) -> None:
    demo.run(tmp_path / "demo")
    assert json.loads((tmp_path / "demo/test.json").read_text())["AP50"] >= 0.9
    assert (tmp_path / "demo/pictures.png").exists()
