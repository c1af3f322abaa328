"""The gradient of a step is the same whole, in parts, and in several processes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from faster_rcnn.system.distributed import ALONE
from faster_rcnn.training.gradients import in_parallel
from several import in_processes
from several_gradients import gradients
from tiny import tiny_model

pytestmark = pytest.mark.xdist_group("several processes")


def assert_same_step(
    found: tuple[list[float], dict[str, Tensor | None]], expected: tuple[list[float], dict[str, Tensor | None]]
) -> None:
    """Losses to 1e-5 of each, gradients to 1e-4 of the largest entry of each weight's."""
    assert_close(torch.tensor(found[0]), torch.tensor(expected[0]), rtol=1e-5, atol=1e-7)
    assert found[1].keys() == expected[1].keys()
    for name, gradient in expected[1].items():
        other = found[1][name]
        assert (other is None) == (gradient is None), name
        if gradient is not None and other is not None:
            assert_close(other, gradient, rtol=0, atol=1e-4 * float(gradient.abs().max()) + 1e-9, msg=name)


@pytest.mark.parametrize("kind", ["tiny", "rpn", "fast-rcnn", "base", "paper"])
@pytest.mark.parametrize("micro_batch", [1, 2, 3])
def test_parts_of_a_batch_add_up_to_its_gradient(kind: str, micro_batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "paper" and micro_batch > 1:
        pytest.skip("one size of parts is enough for the largest body")
    monkeypatch.setattr(torch.nn.Dropout, "forward", lambda _, values: values)  # it draws other numbers for parts
    assert_same_step(gradients(ALONE, kind, micro_batch=micro_batch), gradients(ALONE, kind))


def test_a_micro_batch_of_all_images_is_the_batch() -> None:
    whole, parts = gradients(ALONE), gradients(ALONE, micro_batch=4)
    assert whole[0] == parts[0]
    assert all(torch.equal(one, parts[1][name]) for name, one in whole[1].items() if one is not None)  # type: ignore[arg-type]


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("micro_batch", [None, 1])
def test_several_processes_have_the_gradient_of_one(processes: int, micro_batch: int | None) -> None:
    expected = gradients(ALONE, images=5)
    for found in in_processes(processes, gradients, "tiny", 5, micro_batch):
        assert_same_step(found, expected)


@pytest.mark.parametrize("kind", ["rpn", "fast-rcnn"])
def test_a_process_without_an_image_changes_nothing(kind: str) -> None:
    expected = gradients(ALONE, kind, images=1)
    for found in in_processes(2, gradients, kind, 1):
        assert_same_step(found, expected)


def test_batch_norm_has_the_statistics_of_all_images() -> None:
    expected, _ = gradients(ALONE, "base-v2", images=3)
    for losses, _ in in_processes(2, gradients, "base-v2", 3):
        # The coarsest maps have two values a channel: what follows from their variance is noise.
        assert losses[0] == pytest.approx(expected[0], rel=1e-5)


def test_one_process_trains_the_model_itself() -> None:
    model = tiny_model()
    assert in_parallel(model, ALONE) is model
