"""A file that no runtime can use, or that faster-rcnn did not write, is refused in one line."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from faster_rcnn.errors import ModelFileError
from faster_rcnn.inference.sessions import digest_of_parts, open_exported


@pytest.mark.parametrize("ending", [".onnx", ".xml", ".pt2"])
def test_a_damaged_file_is_refused(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"m{ending}"
    path.write_bytes(b"not a graph")
    with pytest.raises(ModelFileError, match=r"E123 .*not a usable"):
        open_exported(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="there is no exported file"):
        open_exported(tmp_path / "m.onnx")


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "ab"]
    graph = helper.make_graph([helper.make_node("Relu", ["a"], ["b"])], "g", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, str(tmp_path / "m.onnx"))
    with pytest.raises(ModelFileError, match="faster-rcnn did not write it"):
        open_exported(tmp_path / "m.onnx")


def test_the_digest_is_that_of_all_bytes() -> None:
    assert digest_of_parts([b"ab", b"c"]) == digest_of_parts([b"abc"]) == "352441c2"  # CRC-32 of "abc"
