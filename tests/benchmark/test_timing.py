"""Times of a detector: how many there are, and of what."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from faster_rcnn import __version__
from faster_rcnn.benchmark.runtimes import Runner
from faster_rcnn.benchmark.timing import machine_of, peak_memory, pixels_of, roofline_of, time_contenders, time_detector
from faster_rcnn.errors import ImageError
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from files import image_file, loaded_model


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(prepare(loaded_model(), torch.device("cpu"), torch.float32))


def test_every_image_is_timed_in_every_round(predictor: Predictor, tmp_path: Path) -> None:
    images = [image_file(tmp_path / name) for name in ("a.png", "b.png")]
    measured = time_detector(predictor, images, rounds=3)
    assert (len(measured.times), len(measured.latency), len(measured.stream)) == (6, 6, 3)
    assert min(measured.latency) > 0
    assert min(measured.stream) > 0


def test_contenders_get_the_same_pixels_in_turn(predictor: Predictor, tmp_path: Path) -> None:
    images = [image_file(tmp_path / "a.png", 40, 60), image_file(tmp_path / "b.png", 50, 60)]
    heights: list[int] = []

    def detect(pixels: torch.Tensor) -> torch.Tensor:
        heights.append(pixels.shape[1])
        return torch.zeros(2, 4)

    ours, other = time_contenders(predictor, [Runner("other", "float32", detect)], images, rounds=2)
    assert heights == [40, 50, 40, 50, 40, 50]  # a round that warms up, then two
    # Detections are those of one round: two in each of two images.
    assert (ours.name, other.name, other.detections) == ("ours", "other", 4)


def test_the_roofline_is_that_of_the_image_in_the_middle(predictor: Predictor, tmp_path: Path) -> None:
    sizes = ((40, 60), (40, 120), (40, 60))
    images = [image_file(tmp_path / f"{number}.png", *size) for number, size in enumerate(sizes)]
    alone = roofline_of(predictor, images[:1])
    assert roofline_of(predictor, images).operations == alone.operations


def test_an_image_that_cannot_be_decoded_cannot_be_timed(predictor: Predictor, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_text("no image")
    with pytest.raises(ImageError, match=r"^E105 cannot decode .*broken\.jpg: .*; it cannot be timed"):
        pixels_of(predictor, broken)


def test_the_machine_is_this_one(predictor: Predictor) -> None:
    machine = machine_of(predictor)
    assert (machine.device, machine.threads, machine.onednn_bfloat16) == ("cpu", torch.get_num_threads(), False)
    assert machine.versions["faster-rcnn"] == __version__
    assert peak_memory() > 50e6
