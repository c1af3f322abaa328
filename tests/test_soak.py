"""Slow proofs, run by `make soak`: minutes of real training each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from faster_rcnn.cli.compare import compare
from faster_rcnn.cli.demo import demo
from faster_rcnn.cli.evaluate import evaluate
from made_data import train_with


@pytest.fixture(autouse=True)
def _all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unlike the quick tests, which share the processors."""
    torch.set_num_threads(os.cpu_count() or 1)
    monkeypatch.delenv("OMP_NUM_THREADS")


@pytest.mark.soak
def test_the_detector_overfits_sixteen_images(data_folder: Callable[[str], Path], tmp_path: Path) -> None:
    data = data_folder("fruits18")
    train_with(data, epochs=50, batch=4, out=tmp_path / "run")
    evaluate(str(tmp_path / "run"), data, split="train", precision="auto", json=str(tmp_path / "metrics.json"))
    assert json.loads((tmp_path / "metrics.json").read_text())["AP50"] >= 0.9


@pytest.mark.soak
def test_the_demo_finds_its_digits(tmp_path: Path) -> None:
    demo(out=tmp_path / "demo")
    assert json.loads((tmp_path / "demo/test.json").read_text())["AP50"] >= 0.9
    assert (tmp_path / "demo/pictures.png").exists()


@pytest.mark.soak
def test_the_papers_detector_overfits_from_random_weights(data_folder: Callable[[str], Path], tmp_path: Path) -> None:
    """VGG16 from He's random weights, nothing frozen: 43 minutes on two cores with AVX512-BF16, AP50 0.915."""
    data = data_folder("fruits18")
    settings = ["backbone.weights=none", "backbone.frozen_stages=0", "training.flip=0"]
    run = tmp_path / "run"
    train_with(data, model="paper", out=run, settings=settings, image_size=300, batch=2, epochs=100, lr=0.06, workers=0)
    evaluate(str(tmp_path / "run"), data, split="train", precision="auto", json=str(tmp_path / "metrics.json"))
    assert json.loads((tmp_path / "metrics.json").read_text())["AP50"] >= 0.9


@pytest.mark.soak
def test_faster_rcnn_is_faster_and_better_than_fast_rcnn(data_folder: Callable[[str], Path], tmp_path: Path) -> None:
    """The same body and budget on BCCD, both trained here: about an hour on two cores, for an idle machine."""
    out, numbers = tmp_path / "out", tmp_path / "numbers.json"
    compare(data_folder("bccd"), epochs=8, batch=4, seed=0, out=out, json=str(numbers))
    measured = json.loads((tmp_path / "numbers.json").read_text())
    ours, before = measured["faster_rcnn"], measured["fast_rcnn"]
    assert ours["metrics"]["AP50"] >= before["metrics"]["AP50"]
    assert measured["times_cheaper"]["proposals"] >= 20
    assert measured["times_cheaper"]["total"] >= 5
    assert all(each["recall"]["recall"]["300"][0] is not None for each in (ours, before))


@pytest.mark.soak
def test_a_step_of_the_papers_detector_fits_into_8_gigabytes() -> None:
    """One image of 600 x 1000 pixels; in a process of its own, whose peak is all that is counted."""
    peak = subprocess.run([sys.executable, "-c", PAPER_STEP], check=True, capture_output=True, text=True).stdout
    assert float(peak) < 8.0


PAPER_STEP = """
import resource, torch
from faster_rcnn.building import build_model
from faster_rcnn.system.devices import choose_precision
from faster_rcnn.settings.presets import preset
from faster_rcnn.structures import GroundTruth, TrainingBatch
from faster_rcnn.training.optimizer import build_optimizer
from faster_rcnn.training.step import training_step
model = build_model(preset("paper"), 20).to(memory_format=torch.channels_last)
optimizer = build_optimizer(model, lr=0.001, momentum=0.9, weight_decay=5e-4)
truth = GroundTruth(torch.tensor([[50.0, 50, 450, 350]]), torch.tensor([0]), torch.tensor([False]))
precision = choose_precision("auto", torch.device("cpu"))
for seed in range(2):
    training_step(
        model, optimizer, TrainingBatch((torch.rand(3, 600, 1000),), (truth,), (seed,)), lr=1e-3, clip_norm=10.0,
        precision=precision,
    )
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@pytest.mark.soak
def test_training_on_images_of_many_sizes_keeps_its_memory() -> None:
    """2,000 steps of `small`, in a process of its own: its memory in the last quarter against that in the second."""
    resident = subprocess.run([sys.executable, "-c", STEPS_OF_SIZES], check=True, capture_output=True, text=True).stdout
    second, last = (float(each) for each in resident.split())
    assert last - second < 50


STEPS_OF_SIZES = """
import random, statistics, torch
from pathlib import Path
from faster_rcnn.building import build_model
from faster_rcnn.settings.presets import preset
from faster_rcnn.structures import GroundTruth, TrainingBatch
from faster_rcnn.system.memory import keep_freed_memory
from faster_rcnn.training.optimizer import build_optimizer
from faster_rcnn.training.step import training_step
STEPS, PAGE = 2000, 4096
keep_freed_memory()
model = build_model(preset("small"), 3).to(memory_format=torch.channels_last).train()
optimizer = build_optimizer(model, lr=1e-5, momentum=0.9, weight_decay=1e-4)
sizes, resident = random.Random(0), []
for step in range(STEPS):
    height, width = (32 * sizes.randint(2, 7) for _ in range(2))
    truth = GroundTruth(torch.tensor([[8.0, 8, 56, 48]]), torch.tensor([0]), torch.tensor([False]))
    pixels = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
    batch = TrainingBatch((pixels,) * 2, (truth,) * 2, (step, step + 1))
    training_step(model, optimizer, batch, lr=1e-5, clip_norm=10.0, precision=torch.float32)
    resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6)
quarter = STEPS // 4
print(statistics.mean(resident[quarter : 2 * quarter]), statistics.mean(resident[3 * quarter :]))
"""
