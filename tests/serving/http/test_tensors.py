from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from faster_rcnn.serving.http.options import Limits
from faster_rcnn.serving.http.problems import ProblemError
from faster_rcnn.serving.http.tensors import InputTensor, images_of, tensors_of
from files import rgb
from made_results import result_of


def test_tensors_are_padded_to_the_image_with_the_most_detections() -> None:
    results = [result_of([[1, 2, 3, 4]], [0.5], [1]), result_of([[0, 0, 1, 1], [5, 6, 7, 8]], [0.75, 0.25], [0, 2])]
    assert {each["name"]: (each["shape"], each["data"]) for each in tensors_of(results)} == {
        "boxes": ([2, 2, 4], [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 1, 1, 5, 6, 7, 8]),
        "scores": ([2, 2], [0.5, 0, 0.75, 0.25]),
        "labels": ([2, 2], [5, -1, 1, 7]),
        "num": ([2], [1, 2]),
    }
    assert [each["shape"] for each in tensors_of([result_of([], [], [])])] == [[1, 0, 4], [1, 0], [1, 0], [1]]


def tensor(datatype: str, shape: list[int], data: list[Any]) -> InputTensor:
    return InputTensor(name="image", shape=shape, datatype=datatype, data=data)


def test_images_come_from_texts_and_from_numbers() -> None:
    [first, second] = images_of([tensor("BYTES", [2, 1], [["YQ=="], ["Yg=="]])], Limits())
    assert (first, second) == (b"a", b"b")
    images = images_of(
        [tensor("UINT8", [2, 40, 60, 3], [*rgb(seed=1).ravel().tolist(), *rgb().ravel().tolist()])], Limits()
    )
    assert len(images) == 2
    np.testing.assert_array_equal(images[0], rgb(seed=1))
    np.testing.assert_array_equal(images[1], rgb())


def test_two_inputs_are_refused() -> None:
    one = tensor("BYTES", [1], ["YQ=="])
    with pytest.raises(ProblemError) as refused:
        images_of([one, one], Limits())
    assert refused.value.detail == "inputs are image, image; there is one: image"
