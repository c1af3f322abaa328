"""A file says what it is to programs that do not know faster-rcnn; a missing package is named with its pip command."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import onnx
import pytest

from exports import SIZE, written
from faster_rcnn.errors import MissingExtraError
from faster_rcnn.export.files import require_packages

pytestmark = pytest.mark.xdist_group("exports")


def test_an_onnx_file_has_names_of_inputs_outputs_and_classes() -> None:
    model = onnx.load(str(written("onnx", prepares=True)))
    assert [each.name for each in model.graph.input] == ["images"]
    assert [each.name for each in model.graph.output] == ["boxes", "scores", "labels", "num"]
    metadata = {each.key: each.value for each in model.metadata_props}
    assert json.loads(metadata["names"]) == {"0": "a", "1": "b", "2": "c"}
    assert json.loads(metadata["ids"]) == {"0": 1, "1": 5, "2": 9}


def test_the_two_parts_of_an_onnx_graph_share_the_name_of_no_side_but_the_batch() -> None:
    graph = onnx.load(str(written("onnx", prepares=True))).graph
    names: dict[bool, set[str]] = {True: set(), False: set()}
    for value in (*graph.value_info, *graph.output):
        sides = {side.dim_param for side in value.type.tensor_type.shape.dim if side.dim_param}
        names[value.name.startswith("prepare/")] |= sides
    assert names[True] & names[False] <= {"batch"}


@pytest.mark.parametrize("kind", ["onnx", "pt2"])
def test_a_file_holds_no_path_of_this_machine(kind: str) -> None:
    content = written(kind, prepares=True, size=None if kind == "onnx" else SIZE).read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in content


@pytest.mark.parametrize(
    ("kind", "package"), [("onnx", "onnxscript"), ("onnx", "onnxruntime"), ("openvino", "openvino")]
)
def test_a_missing_package_is_named(kind: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.import_module

    def without(name: str, *more: Any) -> Any:
        if name == package:
            raise ImportError(name)
        return found(name, *more)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(MissingExtraError, match=rf"'{package}': pip install 'faster-rcnn\[{kind}\]'"):
        require_packages(kind)
    require_packages("pt2")
