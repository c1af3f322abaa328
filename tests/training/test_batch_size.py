"""``batch: auto``: the largest batch that a memory holds, found by steps whose memory is made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from faster_rcnn.data.records import Dataset, ImageRecord, Split
from faster_rcnn.errors import MachineError, OptionError
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap, ImageSize
from faster_rcnn.system.distributed import Processes
from faster_rcnn.training import batch_size
from faster_rcnn.training.batch_size import MARGIN, Found, Trial, largest_batch, made_batch, with_batch
from faster_rcnn.training.machine_settings import with_training
from made_data import settings_file, train_with
from tiny import tiny_config, truth_of

CPU = torch.device("cpu")


def step_within(limit: float, tried: list[int]) -> Callable[[int], float]:
    """A step whose memory suffices for ``limit`` images, each of which takes an equal share."""

    def step(images: int) -> float:
        tried.append(images)
        if images > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return images / limit

    return step


@pytest.mark.parametrize(
    ("limit", "images", "tried"),
    [
        # 8 of 11 images take 0.73 of the memory; 16 are too many.
        (11.0, 8, [1, 2, 4, 8, 16]),
        # 8 of 8.5 images would leave 0.06 free, less than the margin.
        (8.5, 4, [1, 2, 4, 8]),
        (1000.0, 16, [1, 2, 4, 8, 16]),
        (1.5, 1, [1, 2]),
    ],
)
def test_the_largest_power_of_two_that_leaves_the_margin(limit: float, images: int, tried: list[int]) -> None:
    steps: list[int] = []
    assert MARGIN == 0.1
    assert largest_batch(step_within(limit, steps), 16) == Found(images, images / limit)
    assert steps == tried


def test_no_more_images_are_tried_than_the_limit() -> None:
    steps: list[int] = []
    assert largest_batch(step_within(100.0, steps), 7).images == 4
    assert steps == [1, 2, 4]
    assert largest_batch(step_within(100.0, []), 0).images == 1


@pytest.mark.parametrize("limit", [0.5, 1.05])
def test_a_memory_that_holds_no_image_is_refused(limit: float) -> None:
    with pytest.raises(
        MachineError, match=r"--batch auto: the memory of the device .* \(--image-size\), or on the CPU"
    ):
        largest_batch(step_within(limit, []), 16)


def test_another_error_of_a_step_is_raised() -> None:
    def step(images: int) -> float:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="illegal memory access"):
        largest_batch(step, 16)


def images_of(count: int) -> Dataset:
    """A data set of two classes with so many training images."""
    classes, none = ClassMap(("a", "b"), (1, 2)), torch.zeros(0, dtype=torch.float64)
    record = ImageRecord(Path("x"), "x", 1, ImageSize(4, 4), truth_of([]), none, none.reshape(0, 4))
    return Dataset(Path("data"), "coco", classes, {"train": Split("train", (record,) * count, classes, ())}, ("train",))


def auto(name: str = "small", **training: object) -> Config:
    return with_training(preset(name), batch="auto", device="cpu", **training)


@pytest.mark.parametrize(("images", "batch"), [(10, 4), (32, 4), (64, 8), (127, 8), (128, 16), (100_000, 16)])
def test_an_epoch_keeps_steps_unless_the_batch_is_the_presets(images: int, batch: int) -> None:
    # A batch above the preset's 4 leaves 8 steps of an epoch: 64 images are 8 steps of 8.
    assert with_batch(auto(), images_of(images), step=step_within(1000.0, [])).training.batch == batch


def test_a_small_memory_may_ask_for_less_than_the_preset() -> None:
    assert with_batch(auto(), images_of(100), step=step_within(2.5, [])).training.batch == 2


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_the_images_of_a_step(processes: int) -> None:
    tried: list[int] = []
    found = with_batch(auto(), images_of(10_000), Processes(count=processes), step_within(1000.0, tried))
    assert found.training.batch == 16
    assert max(tried) * processes == 16


@pytest.mark.parametrize(("name", "batch"), [("small", 4), ("paper", 1)])
def test_a_cpu_takes_the_number_of_the_preset_and_says_so(
    name: str, batch: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert with_batch(auto(name), images_of(1000)).training.batch == batch
    assert f"batch auto: {batch} images per step, the number of preset {name}, on a CPU" in capsys.readouterr().err


def test_the_number_and_its_memory_are_stated(capsys: pytest.CaptureFixture[str]) -> None:
    with_batch(auto(), images_of(1000), step=step_within(10.0, []))
    assert (
        "batch auto: 8 images per step, which take 80 % of the memory of cpu (tried up to 16, with 10 % left free); "
        "--batch N sets another number"
    ) in capsys.readouterr().err


def test_a_number_stays() -> None:
    config = with_training(preset("small"), batch=7)
    assert with_batch(config, images_of(1000), step=step_within(1.0, [])) is config


@pytest.mark.parametrize("kind", ["faster-rcnn", "rpn", "fast-rcnn"])
def test_a_trial_trains_and_leaves_the_random_numbers_of_the_run(kind: str) -> None:
    config = tiny_config()
    config = config.model_copy(update={"detector": config.detector.model_copy(update={"kind": kind})})
    torch.manual_seed(5)
    state = torch.get_rng_state()
    with Trial(config, 1 if kind == "rpn" else 3, CPU) as trial:
        before = [each.detach().clone() for each in trial._model.parameters()]
        assert [trial(images) for images in (1, 2)] == [0.0, 0.0]  # a CPU's memory is not measured
        after = list(trial._model.parameters())
        assert any(each.grad is not None and bool(each.grad.any()) for each in after)
        assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert not hasattr(trial, "_model")


@pytest.mark.parametrize(
    ("name", "size", "dtype"), [("small", (416, 640), torch.uint8), ("base", (800, 1333), torch.float32)]
)
def test_made_images_are_as_large_as_any_of_the_run(name: str, size: tuple[int, int], dtype: torch.dtype) -> None:
    batch = made_batch(preset(name), 3, 2)
    assert batch_size.largest_size(preset(name)) == ImageSize(*size)
    assert [(each.shape, each.dtype) for each in batch.images] == [((3, *size), dtype)] * 2
    for truth in batch.truths:
        assert truth.boxes.shape == (100, 4)
        assert bool((truth.boxes >= 0).all())
        assert bool((truth.boxes <= torch.tensor([size[1], size[0]] * 2)).all())
        assert bool((truth.boxes[:, 2:] >= truth.boxes[:, :2] + 1).all())
        assert set(truth.labels.tolist()) == {0, 1, 2}


def test_a_run_stores_the_number_and_goes_on_with_it(
    squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, out = settings_file(tmp_path, epochs=1), tmp_path / "run"
    train_with(squares, config=config, out=out, batch="auto", device="cpu")
    assert yaml.safe_load((out / "config.yaml").read_text())["training"]["batch"] == 4
    assert "batch auto: 4 images per step" in capsys.readouterr().err
    train_with(squares, out=out, resume=True, epochs=2, batch="auto")
    assert json.loads((out / "summary.json").read_text())["steps"] == 4  # 6 images are 2 steps of an epoch
    assert "batch auto" not in capsys.readouterr().err
    with pytest.raises(OptionError, match=r"training\.batch 4 -> 2"):
        train_with(squares, out=out, resume=True, epochs=3, batch=2)


def test_a_run_without_a_number_cannot_go_on(squares: Path, tmp_path: Path) -> None:
    out = train_with(squares, config=settings_file(tmp_path, epochs=1), out=tmp_path / "run")
    text = (out / "config.yaml").read_text()
    (out / "config.yaml").write_text(text.replace("batch: 4", "batch: auto"))
    with pytest.raises(OptionError, match=r"config\.yaml holds no number of training\.batch, as a run does"):
        train_with(squares, out=out, resume=True, epochs=2)
