"""NMS and sorting are those of ONNX: no operator of our own is in a file."""

from __future__ import annotations

from collections import Counter

import onnx
import pytest

from exports import written

pytestmark = pytest.mark.xdist_group("exports")


def test_a_file_holds_one_nms_of_each_stage_and_no_operator_of_our_own() -> None:
    model = onnx.load(str(written("onnx", prepares=True)))
    kinds = Counter(node.op_type for node in model.graph.node)
    assert kinds["NonMaxSuppression"] == 2
    assert kinds["RoiAlign"] == 1
    assert not any(node.domain for node in model.graph.node)
