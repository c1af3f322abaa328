"""A transform gets copies in numpy's arrays, draws the same numbers for the same seed, and its result is checked."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from faster_rcnn.data.transform import IGNORED, Transform, refuse_unsendable, transformed
from faster_rcnn.errors import OptionError
from faster_rcnn.structures import GroundTruth
from tiny import random_image, truth_of

TRUTH = truth_of([[10, 20, 30, 40], [0, 0, 100, 80]], [1, 0], [False, True])


def mirrored(image: Any, boxes: Any, labels: Any) -> Any:
    width = image.shape[1]
    image, boxes = image[:, ::-1], boxes.copy()
    boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
    return image, boxes, labels


def applied(
    function: Callable[..., Any], truth: GroundTruth = TRUTH, seed: int = 5
) -> tuple[torch.Tensor, GroundTruth]:
    """The result for an image of 80 rows and 100 columns, with three classes."""
    transform = Transform(function, "augment.py:turn", None)
    return transformed(transform, random_image(80, 100), truth, num_classes=3, seed=seed, image="012.png")


def test_it_gets_rgb_boxes_in_pixels_and_labels_with_ignored_regions() -> None:
    got: list[Any] = []

    def kept(*given: Any) -> Any:
        got.extend(given)
        return given

    pixels, truth = applied(kept)
    image, boxes, labels = got
    assert (image.dtype, image.shape, image.flags.writeable) == (np.uint8, (80, 100, 3), True)
    np.testing.assert_array_equal(image, random_image(80, 100).permute(1, 2, 0).numpy())
    assert (boxes.dtype, boxes.tolist()) == (np.float32, [[10, 20, 30, 40], [0, 0, 100, 80]])
    assert (labels.dtype, labels.tolist()) == (np.int64, [1, IGNORED])
    assert torch.equal(pixels, random_image(80, 100))
    assert torch.equal(truth.boxes, TRUTH.boxes)
    assert (truth.labels.tolist(), truth.ignored.tolist()) == ([1, 0], [False, True])


def test_a_mirror() -> None:
    pixels, truth = applied(mirrored)
    assert torch.equal(pixels, random_image(80, 100).flip(-1))
    assert truth.boxes.tolist() == [[70, 20, 90, 40], [0, 0, 100, 80]]  # 100 - 30 and 100 - 10


def test_what_it_gets_is_its_own() -> None:
    def overwrite(image: Any, boxes: Any, labels: Any) -> Any:
        image[:], boxes[:], labels[:] = 0, [0, 0, 9, 9], 2
        return image, boxes, labels

    truth = truth_of([[10, 20, 30, 40]], [1])
    pixels, changed = applied(overwrite, truth)
    assert (int(pixels.max()), changed.boxes.tolist(), changed.labels.tolist()) == (0, [[0, 0, 9, 9]], [2])
    assert (truth.boxes.tolist(), truth.labels.tolist()) == ([[10, 20, 30, 40]], [1])


def test_another_size_lists_and_no_boxes() -> None:
    pixels, truth = applied(lambda image, boxes, labels: (image[:40, :50], [[1, 2, 50.5, 40]], (2.0,)))
    assert pixels.shape == (3, 40, 50)
    assert truth.boxes.tolist() == [[1, 2, 50, 40]]  # within a pixel of the edge: clipped
    _, truth = applied(lambda image, boxes, labels: (image, [], []))
    assert (truth.boxes.shape, truth.labels.shape, truth.ignored.dtype) == ((0, 4), (0,), torch.bool)


def drawn(image: Any, boxes: Any, labels: Any) -> Any:
    numbers = [random.randrange(256), np.random.randint(256), int(torch.randint(256, ()))]
    return image * 0 + np.array(numbers, dtype=np.uint8), boxes, labels


def test_random_numbers_follow_the_seed_and_no_other_generator_moves() -> None:
    def states() -> list[Any]:
        return [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]  # type: ignore[index]

    before = states()
    colours = [applied(drawn, seed=seed)[0][:, 0, 0].tolist() for seed in (5, 5, 6, 2**62)]
    assert states() == before
    assert colours[0] == colours[1]
    assert len({tuple(each) for each in colours}) == 3


WANTED = "not a uint8 array (height, width, 3)"
ONE_OF = "not one of 0..2, or -1 for a region that is ignored"
FAULTS: dict[str, tuple[Callable[..., Any], str]] = {
    "nothing": (lambda i, b, n: None, "a value of type NoneType, not (image, boxes, labels)"),
    "two": (lambda i, b, n: (i, b), "a value of type tuple of 2, not (image, boxes, labels)"),
    "tensor": (lambda i, b, n: (torch.zeros(3, 8, 8), b, n), f"an image of type Tensor, {WANTED}"),
    "floats": (lambda i, b, n: (i / 255, b, n), f"an image of float64 (80, 100, 3), {WANTED}"),
    "grey": (lambda i, b, n: (i[:, :, 0], b, n), f"an image of uint8 (80, 100), {WANTED}"),
    "empty": (lambda i, b, n: (i[:0], b, n), f"an image of uint8 (0, 100, 3), {WANTED}"),
    "words": (lambda i, b, n: (i, ["a", "b"], n), "boxes of type list that are no array of numbers"),
    "columns": (lambda i, b, n: (i, b[:, :3], n), "boxes of shape (2, 3), not (boxes, 4)"),
    "nan": (lambda i, b, n: (i, b * float("nan"), n), "box 0 [nan, nan, nan, nan], which is not finite"),
    "inf": (lambda i, b, n: (i, [[0, 0, 9, 9], [0, 0, np.inf, 9]], n), "box 1 [0, 0, inf, 9], which is not finite"),
    "out": (lambda i, b, n: (i, b + 2, n), "box 1 [2, 2, 102, 82], which leaves the image of 100x80 pixels"),
    "left": (lambda i, b, n: (i, b - 12, n), "box 0 [-2, 8, 18, 28], which leaves the image of 100x80 pixels"),
    "swapped": (lambda i, b, n: (i, b[:, [2, 1, 0, 3]], n), "box 0 [30, 20, 10, 40], which has no area"),
    "count": (lambda i, b, n: (i, b, n[:1]), "labels of shape (1,) for 2 boxes"),
    "label": (lambda i, b, n: (i, b, n + 2), f"label 3 for box 0, {ONE_OF}"),
    "half": (lambda i, b, n: (i, b, n + 0.5), f"label 1.5 for box 0, {ONE_OF}"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_trained_on_is_refused_with_the_image_and_the_value(fault: str) -> None:
    function, expected = FAULTS[fault]
    with pytest.raises(OptionError) as caught:
        applied(function)
    assert str(caught.value) == f"E139 012.png: augment.py:turn returned {expected}"


def test_an_exception_is_one_line_that_names_the_image_and_the_place() -> None:
    def broken(image: Any, boxes: Any, labels: Any) -> Any:
        raise ValueError("no such\nthing")

    line = broken.__code__.co_firstlineno + 1
    with pytest.raises(OptionError) as caught:
        applied(broken)
    assert str(caught.value) == f"E139 012.png: augment.py:turn failed in line {line}: ValueError: no such"


def test_a_function_travels_by_itself_and_a_loaded_one_by_its_name() -> None:
    there = pickle.loads(pickle.dumps(Transform(mirrored, "mirrored", "d")))
    assert (there.function, there.name, there.digest) == (mirrored, "mirrored", "d")
    loaded = pickle.loads(pickle.dumps(Transform(lambda: None, "a.py:f", None, reloaded)))
    assert (loaded.name, loaded.digest) == ("a.py:f again", None)


def test_a_function_that_cannot_be_sent_is_refused_where_processes_are_not_forked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    local = Transform(lambda *given: given, "<lambda>", None)
    refuse_unsendable(local, 0)
    for method in ("fork", "spawn"):
        monkeypatch.setattr("multiprocessing.get_start_method", lambda method=method: method)
        refuse_unsendable(Transform(mirrored, "mirrored", None), 2)
        refuse_unsendable(None, 2)
        if method == "fork":
            refuse_unsendable(local, 2)
    with pytest.raises(OptionError, match=r"^E139 the transform <lambda> cannot be sent to the processes that read im"):
        refuse_unsendable(local, 2)


def reloaded(name: str) -> Transform:
    return Transform(mirrored, f"{name} again", None)
