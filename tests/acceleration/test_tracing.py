"""Several threads of one process load and use detectors concurrently."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, fx, nn
from torch.testing import assert_close

from faster_rcnn import Detector
from faster_rcnn.acceleration.tracing import traced_part
from faster_rcnn.inference.result import Result
from files import loaded_model, rgb


class Waiting(nn.Module):
    """A module whose trace waits until another thread has used modules."""

    def __init__(self, inside: threading.Event, done: threading.Event) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.inside = inside
        self.done = done

    def forward(self, values: Tensor) -> Tensor:
        self.inside.set()
        assert self.done.wait(60)
        result: Tensor = self.layer(values)
        return result


def test_modules_are_used_by_a_thread_while_another_one_traces() -> None:
    inside, done = threading.Event(), threading.Event()
    other = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    values = torch.rand(4, 3)
    alone = other(values)
    with ThreadPoolExecutor(1) as pool:
        graph = pool.submit(traced_part, Waiting(inside, done))
        try:
            assert inside.wait(60)
            together = other(values)
        finally:
            done.set()
    assert_close(together, alone)
    traced = graph.result()
    assert isinstance(traced, fx.GraphModule)
    # The graph has its own layer only, and no call of the other thread.
    assert [node.op for node in traced.graph.nodes] == ["placeholder", "call_module", "output"]


def test_detectors_are_made_by_several_threads_while_another_one_predicts() -> None:
    loaded = loaded_model(roi={"score_floor": 0.05})
    image = rgb(40, 60, 0)
    detector = Detector(loaded, device="cpu", compile=False)
    alone = detector.predict(image, conf=0.05)

    def made(number: int) -> Tensor:
        own = Detector(loaded, device="cpu", compile=False) if number % 2 else detector
        result = own.predict(image, conf=0.05)
        assert isinstance(result, Result)
        return result.boxes

    with ThreadPoolExecutor(4) as pool:
        for boxes in pool.map(made, range(12)):
            assert_close(boxes, alone.boxes)
    assert nn.Module.__call__.__name__ == "_wrapped_call_impl"  # PyTorch's own, not that of a trace
