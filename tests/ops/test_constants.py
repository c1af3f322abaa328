"""Numbers of the program on a device."""

from __future__ import annotations

from unittest.mock import patch

import torch

from faster_rcnn.ops.constants import constant


def test_numbers_have_the_type_that_is_asked_for() -> None:
    cpu = torch.device("cpu")
    assert constant([1, 2], cpu).dtype == torch.int64
    assert constant([1, 2], cpu, torch.float32).tolist() == [1.0, 2.0]
    assert constant([], torch.device("meta")).device.type == "meta"


def test_a_gpu_is_not_waited_for() -> None:
    with patch.object(torch, "tensor") as made:
        made.return_value.to.return_value = torch.ones(1)
        constant([1.0], torch.device("cuda:0"))
    made.assert_called_once_with([1.0], dtype=None, device="cpu")
    made.return_value.to.assert_called_once_with(torch.device("cuda:0"), non_blocking=True)
