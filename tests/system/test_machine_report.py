from __future__ import annotations

import pytest
import torch
from torch import Tensor

from faster_rcnn.errors import MachineError
from faster_rcnn.kernels import fused_layers
from faster_rcnn.kernels.fused_layers import Operation
from faster_rcnn.system import machine_report, threads
from faster_rcnn.system.devices import using_threads
from faster_rcnn.system.threads import Processors


@pytest.mark.parametrize(
    ("processors", "line"),
    [
        (Processors(8, 8, None), "cpu (2 threads on 8 processors)"),
        (Processors(8, 8, 0.5), "cpu (1 thread on 1 of 8 processors: CPU quota 0.5)"),
        (Processors(64, 4, 3.0), "cpu (2 threads on 3 of 64 processors: affinity 4, CPU quota 3)"),
    ],
)
def test_the_processors_that_may_be_used_are_shown_with_the_reason(
    processors: Processors, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for module in (machine_report, threads):
        monkeypatch.setattr(module, "found_processors", lambda root=None: processors)
    with using_threads(2):
        assert machine_report.devices() == line


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        ((), "conv, depthwise, sum, linear in float32, bfloat16, int8"),
        (("bfloat16",), "conv, depthwise, sum, linear in float32, int8; none in bfloat16"),
        (("sum in bfloat16",), "conv, depthwise, sum, linear in float32, int8; no sum in bfloat16"),
        (("sum in int8", "conv in int8"), "conv, depthwise, sum, linear in float32, bfloat16; no conv, sum in int8"),
        (("float32", "bfloat16", "int8"), "none in float32, bfloat16, int8"),
    ],
)
def test_fused_operations_are_listed_by_precision(
    missing: tuple[str, ...], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def works(operation: Operation, precision: torch.dtype = torch.int8) -> bool:
        name = str(precision).removeprefix("torch.")
        return name not in missing and f"{operation.name} in {name}" not in missing

    monkeypatch.setattr(machine_report, "fused_works", works)
    monkeypatch.setattr(machine_report, "int8_works", works)
    found = machine_report.fused_operations()
    assert found == line
    assert len(f"{'fused on CPU':<14}{found}") <= 80 or len(missing) > 1


def test_a_kind_with_one_missing_operation_is_reported_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    one = fused_layers.OPERATIONS[1]
    assert one.name == "conv"
    monkeypatch.setattr(machine_report, "fused_works", lambda operation, precision: operation != one)
    monkeypatch.setattr(machine_report, "int8_works", lambda operation: True)
    assert machine_report.fused_operations() == "no conv in float32, bfloat16; conv, depthwise, sum, linear in int8"


def test_an_operation_of_torchvision_that_is_wrong_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def keep_all(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
        return torch.arange(len(boxes))

    assert machine_report.torchvision_operations() == "torchvision's nms and roi_align work"
    monkeypatch.setattr(machine_report, "nms", keep_all)
    with pytest.raises(MachineError, match=r"nms kept \[0, 1\] instead of \[1\]"):
        machine_report.torchvision_operations()
