"""What only a GPU can show, for `benchmarks/gpu.py` and for machines that have one: results, waits, and whole runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.optim import SGD
from torch.testing import assert_close

from faster_rcnn import Detector
from faster_rcnn.kernels.nms import survivors_of_groups, survivors_of_levels
from faster_rcnn.model import FasterRCNN
from faster_rcnn.ops import nms as plain
from faster_rcnn.ops.assignment import sample
from faster_rcnn.structures import Matches
from faster_rcnn.training.step import training_step
from files import rgb
from made_data import make_squares
from tiny import decided_model, random_image, tiny_model, training_batch, truth_of

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    pytest.mark.filterwarnings("ignore:Synchronization debug mode"),
]

GPU = torch.device("cuda:0")


@pytest.fixture(autouse=True)
def _ieee_float32(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without TensorFloat-32, so that results are near those of a CPU."""
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    yield
    torch.cuda.set_sync_debug_mode("default")


def boxes_with_scores(images: int, candidates: int) -> tuple[Tensor, Tensor, Tensor]:
    """Crowded boxes with whole corners, scores that are often equal, and whether each box is fit."""
    generator = torch.Generator().manual_seed(candidates)
    corners = torch.randint(0, 60, (images, candidates, 2), generator=generator)
    sides = torch.randint(0, 30, (images, candidates, 2), generator=generator)
    scores = torch.randint(0, 50, (images, candidates), generator=generator) / 50
    fit = torch.randint(0, 5, (images, candidates), generator=generator) > 0
    return torch.cat((corners, corners + sides), dim=-1).float(), scores, fit


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("threshold", [0.25, 0.5, 0.75, 1.0])
def test_nms_of_all_levels_and_images_keeps_what_a_cpu_keeps(images: int, threshold: float) -> None:
    per_level = [300, 200, 50, 0, 7]
    given = boxes_with_scores(images, sum(per_level))
    boxes, scores, fit = (each.to(GPU) for each in given)
    found = survivors_of_levels(boxes, scores, fit, per_level, threshold, 100)
    expected = plain.survivors_of_levels(*given, per_level, threshold, 100)
    assert [own.tolist() for own in found] == [own.tolist() for own in expected]


@pytest.mark.parametrize("images", [1, 3])
def test_nms_of_all_classes_and_images_keeps_what_a_cpu_keeps(images: int) -> None:
    boxes, scores, fit = (each.flatten(0, 1) for each in boxes_with_scores(images, 400))
    groups = torch.arange(images * 400) // 100
    moved = boxes.to(GPU), scores.to(GPU), fit.to(GPU), groups.to(GPU)
    found = survivors_of_groups(*moved, 4, images, 0.5, 50)
    expected = plain.survivors_of_groups(boxes, scores, fit, groups, 4, images, 0.5, 50)
    assert [own.tolist() for own in found] == [own.tolist() for own in expected]


def test_a_gpu_samples_the_references_that_a_cpu_samples() -> None:
    generator = torch.Generator().manual_seed(0)
    positive = torch.rand(5000, generator=generator) < 0.1
    matches = Matches(torch.zeros(5000).long(), torch.zeros(5000), positive, ~positive)
    one, other = (sample(each, size=256, positive_fraction=0.5, seed=7) for each in (matches, matches.to(GPU)))
    for name in ("indices", "positive", "used"):
        assert torch.equal(getattr(one, name), getattr(other, name).cpu())


def test_detections_are_near_those_of_a_cpu_whatever_the_batch() -> None:
    images = [random_image(64, 96 - 4 * (index % 3), seed=index) for index in range(4)]
    model = decided_model()
    with torch.inference_mode():
        expected = model.detect(images)
        on_gpu = model.to(GPU)
        moved = [image.to(GPU) for image in images]
        batch, alone = on_gpu.detect(moved), [on_gpu.detect([image])[0] for image in moved]
    for found in (batch, alone):
        for one, other in zip(found, expected, strict=True):
            assert abs(len(one) - len(other)) <= 2  # equal scores may be ordered otherwise
            assert_close(one.scores[:5].cpu(), other.scores[:5], rtol=0, atol=1e-3)
            assert_close(one.boxes[:5].cpu(), other.boxes[:5], rtol=0, atol=0.1)


def losses_of_a_step(device: torch.device, precision: torch.dtype) -> dict[str, float]:
    model, truths = tiny_model().to(device), [truth_of([[5, 5, 40, 40], [30, 10, 60, 50]], [0, 1]), truth_of([])]
    batch = training_batch([random_image(64, 96), random_image(64, 80, 1)], truths, [0, 1])
    optimizer = SGD(model.parameters(), lr=0.01)
    return dict(training_step(model, optimizer, batch, lr=0.01, clip_norm=10.0, precision=precision).named)


@pytest.mark.parametrize(("precision", "tolerance"), [(torch.float32, 1e-3), (torch.bfloat16, 0.1)])
def test_losses_are_near_those_of_a_cpu(precision: torch.dtype, tolerance: float) -> None:
    found, expected = losses_of_a_step(GPU, precision), losses_of_a_step(torch.device("cpu"), torch.float32)
    assert found == pytest.approx(expected, rel=tolerance, abs=tolerance)


def waits_of(work: Callable[[], object]) -> int:
    """How often ``work`` waits for the GPU, as CUDA counts it, once it ran before."""
    work()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        work()
        torch.cuda.set_sync_debug_mode("default")
    return sum("called a synchronizing" in str(each.message) for each in caught)


def detection_of(model: FasterRCNN, images: int) -> Callable[[], object]:
    moved = [random_image(64, 96, seed).to(GPU) for seed in range(images)]
    return torch.inference_mode()(lambda: model.detect(moved))


def test_detection_of_many_images_waits_as_often_as_of_two() -> None:
    model = decided_model().to(GPU)
    assert waits_of(detection_of(model, 1)) <= waits_of(detection_of(model, 2)) == waits_of(detection_of(model, 8))


def test_a_training_step_of_many_images_waits_as_often_as_of_two() -> None:
    model = tiny_model().to(GPU)
    optimizer = SGD(model.parameters(), lr=0.0)

    def step(images: int) -> Callable[[], object]:
        truths = [truth_of([[5, 5, 40, 40], [30, 10, 60, 50]], [0, 1]).to(GPU)] * images
        moved = [random_image(64, 96, seed).to(GPU) for seed in range(images)]
        batch = training_batch(moved, truths, range(images))
        return lambda: training_step(model, optimizer, batch, lr=0.0, clip_norm=10.0, precision=torch.float32)

    assert waits_of(step(2)) == waits_of(step(8))


def test_a_run_trains_resumes_and_predicts(tmp_path: Path) -> None:
    data, out = make_squares(tmp_path / "data", {"train": 6, "val": 2}), tmp_path / "run"
    new = ["backbone.weights=none"]
    Detector.train(
        data, model="small", image_size=64, settings=new, out=out, epochs=1, batch="auto", workers=0, device="cuda"
    )
    Detector.train(data, out=out, epochs=2, resume=True)
    for precision in ("float32", "bfloat16"):
        detector = Detector.load(out, device="cuda", precision=precision)
        found = list(detector.predict([rgb() for _ in range(11)], conf=0.0))
        assert len(found) == 11
        assert all(one.boxes.device.type == "cpu" and one.boxes.isfinite().all() for one in found)
