"""What makes a GPU wait: operations whose result decides a shape or a branch, counted on the CPU, each with a reason.

A GPU runs behind the program that feeds it. Where the program asks for a number, or for the size of what was found,
it has to wait until the GPU has caught up. A wait that is not in these lists fails the test.
"""

from __future__ import annotations

import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import SGD
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import faster_rcnn
from faster_rcnn.data.loading import StepImages, TrainingLoader
from faster_rcnn.data.training_image import TrainingImage
from faster_rcnn.kernels import matching, roi_align_cpu, together
from faster_rcnn.ops.constants import constant
from faster_rcnn.structures import ClassMap, ImageSize
from faster_rcnn.system.console import shown
from faster_rcnn.training.averaging import AveragedModel
from faster_rcnn.training.display import TrainingDisplay
from faster_rcnn.training.loop import run_training
from faster_rcnn.training.running import Run
from faster_rcnn.training.state import Progress
from faster_rcnn.training.step import training_step
from made_data import training_config
from tiny import random_image, tiny_model, training_batch, truth_of

ASKING = {"_local_scalar_dense", "is_nonzero", "nonzero", "nonzero_numpy", "masked_select", "equal", "nms", "_unique2"}
"""Names of operations that answer to the program; torchvision's NMS counts on the host."""
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}
"""They ask where an index is a mask."""

PACKAGE, TORCH = (str(Path(str(each.__file__)).parent) for each in (faster_rcnn, torch))

Wait = tuple[str, str]
"""Function, and operation."""

OF_PROPOSALS = {
    ("nms", "nms"): 1,  # suppression of the proposals of all levels of all images
    ("survivors_together", "tolist"): 1,  # how many survivors each image has
    ("_pool_levels", "tolist"): 1,  # how many regions read each level
}
OF_TRAINING = {
    **OF_PROPOSALS,
    ("training_step", "tolist"): 1,  # whether the gradient is finite and the loss is small: else no step is made
}
OF_DETECTION = {
    ("_select", "nonzero_numpy"): 1,  # candidates: the scores above the floor
    ("nms", "nms"): 2,  # suppression of all proposals, then of the detections of all classes of all images
    ("survivors_together", "tolist"): 2,  # how many survivors each image has
    ("_pool_levels", "tolist"): 1,  # how many regions read each level
}
OF_ONE_IMAGE = {wait: count for wait, count in OF_DETECTION.items() if wait != ("survivors_together", "tolist")}


class Waits(TorchDispatchMode):
    """Counts what would make a GPU wait, by the innermost function of the package."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.counted: Counter[Wait] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket._qualified_op_name.rpartition("::")[2]
        if name in ASKING or (name in INDEXING and any(_is_mask(each) for each in args[1])):
            self.counted[_asking_function(), name] += 1
        return func(*args, **(kwargs or {}))


class Copies(TorchFunctionMode):
    """Counts what is no operation on a CPU, though a copy that is waited for on a GPU, in either direction."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: Counter[Wait] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.tolist or _uploads(func, args, kwargs or {}):
            self.counted[_asking_function(), func.__name__] += 1
        return func(*args, **(kwargs or {}))


def _asking_function() -> str:
    """The innermost one of the package."""
    own = [frame.name for frame in traceback.extract_stack() if frame.filename.startswith(PACKAGE)]
    return own[-1] if own else "elsewhere"


def _uploads(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether numbers of the program are copied to the device of a tensor in a way that waits for it.

    ``structures`` moves its values without waiting towards every device but a CPU, which a test of its own shows.
    """
    if kwargs.get("non_blocking") or _asking_function() == "_each" or _called_by_torch():
        return False
    device = kwargs.get("device", args[1] if func is torch.Tensor.to else None)
    return (func is torch.Tensor.new_tensor and device != "cpu") or (
        func in (torch.tensor, torch.as_tensor, torch.Tensor.to) and isinstance(device, torch.device)
    )


def _called_by_torch() -> bool:
    """Whether torch itself moves tensors, which it does among tensors of one device in a step."""
    callers = [frame for frame in traceback.extract_stack() if frame.filename != __file__]
    return callers[-1].filename.startswith(TORCH)


def _is_mask(index: Any) -> bool:
    return isinstance(index, torch.Tensor) and index.dtype == torch.bool


def waits_of(work: Callable[[], object]) -> dict[Wait, int]:
    with Waits() as waits, Copies() as copies:
        work()
    return dict(waits.counted + copies.counted)


@pytest.fixture(autouse=True)
def _as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the ways that are a CPU's."""
    monkeypatch.setattr(roi_align_cpu, "gather_pays", lambda *_: False)
    monkeypatch.setattr(together, "computed_together", lambda _: True)
    monkeypatch.setattr(matching, "MIN_PAIRS_FOR_BLOCKS", sys.maxsize)


def test_a_training_step_waits_only_where_it_is_listed() -> None:
    model = tiny_model()
    truths = [truth_of([[5, 5, 40, 40], [30, 10, 60, 50]], [0, 1]), truth_of([[5, 5, 40, 40]])]
    images = [random_image(64, 96), random_image(64, 80)]
    optimizer = SGD(model.parameters(), lr=0.01)
    found = waits_of(
        lambda: training_step(
            model, optimizer, training_batch(images, truths, [0, 1]), lr=0.01, clip_norm=10.0, precision=torch.float32
        )
    )
    assert found == OF_TRAINING


class Batches(TrainingLoader):
    """A loader whose images were read before."""

    def __init__(self, batches: list[StepImages]) -> None:
        self.batches = batches

    def steps(self) -> int:
        return len(self.batches)

    def epoch(self, epoch: int, skip_batches: int = 0) -> Iterator[StepImages]:
        return iter(self.batches[skip_batches:])


def waits_of_a_run(steps: int, folder: Path) -> Counter[Wait]:
    """Waits of a run of one epoch, with its sums and its display."""
    truths = [truth_of([[5, 5, 40, 40], [30, 10, 60, 50]], [0, 1]), truth_of([[5, 5, 40, 40]])]
    images = [
        TrainingImage(random_image(64, 96 - 16 * index), truth, index, index, index, ImageSize(64, 96))
        for index, truth in enumerate(truths)
    ]
    batch = StepImages(tuple(images), (0, 1))
    model, config = tiny_model(), training_config(epochs=1, ema_decay=0.9)
    folder.mkdir()
    run = Run(
        folder=folder,
        config=config,
        classes=ClassMap(("a", "b"), (1, 2)),
        model=model,
        trained=model,
        optimizer=SGD(model.parameters(), lr=0.01),
        average=AveragedModel(model, 0.9),
        train=Batches([batch] * steps),
        val=None,
        precision=torch.float32,
        progress=Progress(),
    )
    with shown():
        return Counter(waits_of(lambda: run_training(run, lambda *_: {}, [TrainingDisplay(())], lambda: 0)))


def test_a_step_of_a_run_waits_no_more_often_than_a_step_alone(tmp_path: Path) -> None:
    found = waits_of_a_run(3, tmp_path / "three")
    found.subtract(waits_of_a_run(2, tmp_path / "two"))
    assert {wait: count for wait, count in found.items() if count} == OF_TRAINING


def test_detection_waits_only_where_it_is_listed() -> None:
    model = tiny_model().eval()
    images = [random_image(64, 96), random_image(64, 96, seed=1)]
    with torch.inference_mode():
        found = waits_of(lambda: model.detect(images))
    assert found == OF_DETECTION


def test_no_wait_is_for_an_image_or_a_level_of_its_own() -> None:
    model = tiny_model().eval()
    one, many = ([random_image(64, 96, seed) for seed in range(count)] for count in (1, 6))
    with torch.inference_mode():
        assert waits_of(lambda: model.detect(many)) == OF_DETECTION
        assert waits_of(lambda: model.detect(one)) == OF_ONE_IMAGE


def test_an_upload_is_counted_unless_nothing_waits_for_it() -> None:
    ones, cpu = torch.ones(2), torch.device("cpu")
    work = lambda: (torch.tensor([1.0], device=cpu), ones.new_tensor([1.0]), ones.to(cpu), ones.to(torch.float64))  # noqa: E731
    assert waits_of(work) == {("elsewhere", each): 1 for each in ("tensor", "new_tensor", "to")}
    assert waits_of(lambda: constant([1.0], cpu)) == {}


def test_a_mask_a_number_and_a_list_are_counted() -> None:
    values = torch.arange(4.0)
    found = waits_of(lambda: (float(values[values > 1].sum()), values.tolist()))
    assert found == {("elsewhere", each): 1 for each in ("index", "_local_scalar_dense", "tolist")}
