"""A benchmark of a tiny detector: what is requested is timed, and what contradicts itself is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from faster_rcnn.benchmark.run import Request, run_benchmark
from faster_rcnn.benchmark.target import Goal
from faster_rcnn.benchmark.values import Amount
from faster_rcnn.errors import OptionError
from faster_rcnn.kernels.int8_layers import weight_limit
from faster_rcnn.structures import ImageSize
from files import image_file, loaded_model, quantized

CPU = torch.device("cpu")


def test_a_made_up_picture_stands_for_every_image() -> None:
    found = run_benchmark(loaded_model(), Request("m", CPU, "float32", amount=Amount(2, 1)))
    assert (found.setup.images, found.setup.rounds, len(found.times)) == (2, 1, 2)
    short = loaded_model().config.image.short_side
    assert found.setup.made_up_size == ImageSize(short, round(short * 4 / 3))
    assert (found.layout, found.contenders, found.target) == (None, (), None)


def test_given_images_are_timed_and_a_goal_is_searched(tmp_path: Path) -> None:
    images = [image_file(tmp_path / "a.png")]
    request = Request("m", CPU, "float32", images, Amount(1, 2), goal=Goal(1e6))
    found = run_benchmark(loaded_model(), request)
    assert (found.setup.made_up_size, len(found.times)) == (None, 2)
    assert found.target is not None
    assert found.target.chosen is not None


@pytest.mark.skipif(weight_limit() == 0, reason="oneDNN has no int8 convolutions here")
def test_int8_is_not_compiled() -> None:
    loaded = quantized(loaded_model())
    with pytest.raises(OptionError, match="E125 --compile: m computes in int8, which is not compiled"):
        run_benchmark(loaded, Request("m", CPU, "int8", compiled=True))
