"""One line of text about each capability of this machine: devices, instruction sets, precision, fast operators."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torchvision.ops import nms, roi_align

from faster_rcnn.errors import MachineError
from faster_rcnn.kernels.fused_layers import OPERATIONS, fused_works
from faster_rcnn.kernels.int8_layers import int8_works
from faster_rcnn.system.devices import (
    choose_device,
    choose_precision,
    instruction_sets,
    int8_is_fast,
    precision_name,
)
from faster_rcnn.system.threads import default_threads, found_processors
from faster_rcnn.system.wording import count_of


def devices() -> str:
    """The CPU with the threads of a command, the processors that this process may use and why, and every GPU."""
    gpus = [f"cuda:{index} {torch.cuda.get_device_name(index)}" for index in range(torch.cuda.device_count())]
    return ", ".join([f"cpu ({count_of(default_threads(), 'thread')} on {found_processors()})", *gpus])


def instructions() -> str:
    """The CPU's instruction sets that matter for speed."""
    return ", ".join(instruction_sets())


def precision() -> str:
    """The precision that ``auto`` chooses on this machine, and whether int8 is faster on its CPU."""
    device = choose_device("auto")
    int8 = "int8 is faster on the CPU (faster-rcnn quantize)" if int8_is_fast() else "int8 is not faster"
    return f"auto is {precision_name(choose_precision('auto', device))} on {device}; {int8}"


def fused_operations() -> str:
    """The kinds of operations that oneDNN fuses, by precision; it computes the parts of the others one by one."""
    precisions: dict[str, list[str]] = {}
    for name, number_type in (("float32", torch.float32), ("bfloat16", torch.bfloat16), ("int8", None)):
        kinds = dict.fromkeys((each.name for each in OPERATIONS), True)
        for each in OPERATIONS:
            kinds[each.name] &= int8_works(each) if number_type is None else fused_works(each, number_type)
        precisions.setdefault(_working(kinds), []).append(name)
    return "; ".join(f"{kinds} in {', '.join(names)}" for kinds, names in precisions.items())


def _working(kinds: Mapping[str, bool]) -> str:
    """All kinds by name, ``none``, or the kinds that do not work.

    >>> _working({"conv": True, "sum": False, "linear": True})
    'no sum'
    """
    missing = [name for name, works in kinds.items() if not works]
    return ", ".join(kinds) if not missing else "none" if len(missing) == len(kinds) else f"no {', '.join(missing)}"


def torchvision_operations() -> str:
    """Run torchvision's compiled operations, which are missing where its version does not match torch's.

    Raises:
        MachineError: an operation gives a wrong result.
    """
    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 3.9]])
    kept = nms(boxes, torch.tensor([0.5, 0.9]), 0.5).tolist()
    pooled = roi_align(torch.ones(1, 1, 8, 8), [boxes], output_size=2, aligned=True)
    if kept != [1] or pooled.shape != (2, 1, 2, 2):
        raise MachineError(f"torchvision's nms kept {kept} instead of [1]; do its version and torch's belong together?")
    return "torchvision's nms and roi_align work"
