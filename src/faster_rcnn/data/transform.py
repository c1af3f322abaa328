"""The user's own augmentation: a function of one training image, its boxes and its labels.

It is called as ``transform(image, boxes, labels)`` on the decoded upright image, before the image is resized and the
settings augment it. It returns an image, boxes and labels:

* ``image``: RGB as a uint8 array (height, width, 3); the size of the result may be another one;
* ``boxes``: float32 (boxes, 4), (x1, y1, x2, y2) in pixels of that image;
* ``labels``: int64 (boxes,), 0..K-1 in the order of the classes, and ``IGNORED`` for a region that is ignored.

``random``, ``numpy.random`` and ``torch`` draw the same numbers for the same seed, epoch and image, in whatever process
the image is read.
"""

from __future__ import annotations

import multiprocessing
import pickle
import random
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from faster_rcnn.errors import OptionError
from faster_rcnn.structures import GroundTruth

Array = np.ndarray[Any, np.dtype[Any]]
TransformFunction = Callable[..., Any]
"""A function ``transform(image, boxes, labels) -> (image, boxes, labels)``."""

IGNORED = -1
"""Label of an ignored region (crowd, difficult), which is neither required nor penalized."""
SLACK = 1.0
"""A box may leave the image by as many pixels, through rounding; it is clipped."""


@dataclass(frozen=True, slots=True, eq=False)
class Transform:
    """A function of the user, and what it is called in messages."""

    function: TransformFunction
    name: str
    """Such as ``augment.py:turn``."""
    digest: str | None
    """Digest of its source text, by which a run that goes on detects a change; ``None`` where it has none."""
    reload: Callable[[str], Transform] | None = None
    """Loads it by its name in another process; ``None`` where the function itself is sent there."""

    def __reduce__(self) -> tuple[Callable[..., Transform], tuple[object, ...]]:
        """Pickle a function that was loaded by its name as that name, since no other process knows its module."""
        if self.reload is not None:
            return self.reload, (self.name,)
        return Transform, (self.function, self.name, self.digest)


def refuse_unsendable(transform: Transform | None, workers: int) -> None:
    """Raise ``OptionError`` (E139) where a function cannot be sent to the processes that read images."""
    if transform is None or workers == 0 or multiprocessing.get_start_method() == "fork":
        return
    try:
        pickle.dumps(transform)
    except Exception as error:  # pickle raises several kinds
        raise OptionError(
            f"the transform {transform.name} cannot be sent to the processes that read images ({error}): define it at "
            "the top of a file, or train with workers=0",
            code="E139",
        ) from error


def transformed(
    transform: Transform,
    pixels: UInt8[Tensor, "3 _ _"],
    truth: GroundTruth,
    *,
    num_classes: int,
    seed: int,
    image: str,
) -> tuple[UInt8[Tensor, "3 _ _"], GroundTruth]:
    """Apply a transform to an image and check what it returns.

    Args:
        transform: the user's function; it gets copies, which it may change.
        pixels: the decoded image.
        truth: its boxes, in its pixels.
        num_classes: K.
        seed: seed of all random numbers that the function draws.
        image: name of the image in messages.

    Raises:
        OptionError: the function failed, or returned something that cannot be trained on (E139).
    """
    labels = truth.labels.masked_fill(truth.ignored, IGNORED)
    given = np.array(pixels.permute(1, 2, 0).numpy(), order="C"), truth.boxes.numpy().copy(), labels.numpy().copy()
    with _drawing_from(seed):
        try:
            returned = transform.function(*given)
        except Exception as error:  # whatever a user's code raises
            reason = (str(error).splitlines() or [""])[0]
            raise OptionError(
                f"{image}: {transform.name} failed{_place(error, transform.function)}: {type(error).__name__}: "
                f"{reason}",
                code="E139",
            ) from error
    return _Returned(transform.name, image).checked(returned, num_classes)


@contextmanager
def _drawing_from(seed: int) -> Iterator[None]:
    """Within it the generators that a program usually draws from begin at ``seed``; afterwards they are as before."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would change the generators of GPUs, too
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


def _place(error: BaseException, function: TransformFunction) -> str:
    """The line of the function's own file where it failed, in words; nothing where that is not known."""
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" in line {lines[-1]}" if lines else ""


@dataclass(frozen=True, slots=True)
class _Returned:
    """Checks what a transform returned for an image."""

    name: str
    image: str

    def checked(self, returned: object, num_classes: int) -> tuple[Tensor, GroundTruth]:
        """The image and its truth as tensors."""
        if not isinstance(returned, tuple | list) or len(returned) != 3:
            count = f" of {len(returned)}" if isinstance(returned, tuple | list) else ""
            self._refuse(f"a value of type {type(returned).__name__}{count}, not (image, boxes, labels)")
        pixels = self._pixels(returned[0])
        boxes = self._boxes(returned[1], width=pixels.shape[1], height=pixels.shape[0])
        labels = torch.from_numpy(self._labels(returned[2], len(boxes), num_classes))
        truth = GroundTruth(torch.from_numpy(boxes), labels.clamp(min=0), labels == IGNORED)
        return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1), truth

    def _refuse(self, what: str) -> NoReturn:
        raise OptionError(f"{self.image}: {self.name} returned {what}", code="E139")

    def _pixels(self, image: object) -> Array:
        wanted = "uint8 array (height, width, 3)"
        if not isinstance(image, np.ndarray):
            self._refuse(f"an image of type {type(image).__name__}, not a {wanted}")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            self._refuse(f"an image of {image.dtype} {image.shape}, not a {wanted}")
        return image

    def _boxes(self, given: object, *, width: int, height: int) -> Array:
        """The boxes, clipped to the image."""
        boxes = self._array(given, "boxes")
        boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            self._refuse(f"boxes of shape {boxes.shape}, not (boxes, 4)")
        limits = np.array([width, height, width, height], dtype=np.float64)
        inside = boxes.clip(0, limits).astype(np.float32)
        for fault, wrong in (
            ("is not finite", ~np.isfinite(boxes)),
            (f"leaves the image of {width}x{height} pixels", (boxes < -SLACK) | (boxes > limits + SLACK)),
            ("has no area", np.repeat(inside[:, 2:] <= inside[:, :2], 2, axis=1)),
        ):
            if wrong.any():
                index = int(wrong.any(axis=1).argmax())
                numbers = ", ".join(f"{value:g}" for value in boxes[index])
                self._refuse(f"box {index} [{numbers}], which {fault}")
        return inside

    def _labels(self, given: object, boxes: int, num_classes: int) -> Array:
        labels = self._array(given, "labels")
        if labels.shape != (boxes,) and (labels.size or boxes):
            self._refuse(f"labels of shape {labels.shape} for {boxes} boxes")
        wrong = ~np.isin(labels, range(IGNORED, num_classes))
        if wrong.any():
            index = int(wrong.argmax())
            self._refuse(
                f"label {labels[index]:g} for box {index}, not one of 0..{num_classes - 1}, or {IGNORED} for a region "
                "that is ignored"
            )
        return labels.reshape(boxes).astype(np.int64)

    def _array(self, given: object, what: str) -> Array:
        try:
            return np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError):
            self._refuse(f"{what} of type {type(given).__name__} that are no array of numbers")
