"""Files of every kind find what the detector finds in their runtime, and a changed one is recognized."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest
import torch

from exports import C4, PAPER, SIZE, small_detector, written
from faster_rcnn.errors import VerificationError
from faster_rcnn.export import run
from faster_rcnn.export.run import UNVERIFIED, export_verified, verify
from faster_rcnn.export.verification import Differences
from faster_rcnn.inference.sessions import open_exported
from faster_rcnn.weights.exported import ExportFacts
from faster_rcnn.weights.model_file import LoadedModel
from tiny import random_image

pytestmark = pytest.mark.xdist_group("exports")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("onnx", {"prepares": True}),
        ("openvino", {"nms": False}),
        ("pt2", {"prepares": True, "size": SIZE}),
        ("onnx", {"prepares": True, "size": SIZE, "paper": True}),
    ],
)
def test_a_file_finds_what_its_detector_finds(kind: str, options: dict[str, object]) -> None:
    found = verify(small_detector(PAPER if "paper" in options else C4), written(kind, **options))
    assert isinstance(found, Differences)
    assert found.is_good
    assert found.compared > 100
    assert {batch for batch, _ in found.calls} == {1, 2, 5}


def test_a_file_in_bfloat16_is_not_verified_where_nothing_is_sure(tmp_path: Path) -> None:
    facts = ExportFacts("pt2", 1, SIZE, nms=True, prepares=True, precision="bfloat16")
    with pytest.raises(VerificationError, match="give --images with objects"):
        export_verified(small_detector(C4), facts, tmp_path / "m.pt2", [random_image(*SIZE, 1)])
    opened = open_exported((tmp_path / f"m.pt2{UNVERIFIED}").rename(tmp_path / "m.pt2"))
    assert opened.exported.facts.precision == "bfloat16"
    boxes, *_ = opened.session(random_image(*SIZE)[None])
    assert boxes.dtype == torch.float32


def test_one_changed_weight_is_recognized(tmp_path: Path) -> None:
    model = onnx.load(str(written("onnx", prepares=True)))
    weights = max(model.graph.initializer, key=lambda each: len(each.raw_data))
    weights.raw_data = b"\x00\x00\x00\x3f" + weights.raw_data[4:]
    onnx.save(model, str(tmp_path / "m.onnx"))
    with pytest.raises(VerificationError, match="weights were changed") as caught:
        verify(small_detector(C4), tmp_path / "m.onnx")
    assert caught.value.exit_code == 4


def test_a_file_of_another_detector_is_kept_under_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_other(loaded: LoadedModel, facts: ExportFacts, path: Path, images: object) -> None:
        shutil.copyfile(written("pt2", prepares=True, size=SIZE), path)

    monkeypatch.setattr(run, "write_file", write_other)
    other = small_detector({**C4, "roi": {**C4["roi"], "score_floor": 0.3}})
    facts = ExportFacts("pt2", None, SIZE, nms=True, prepares=True)
    with pytest.raises(VerificationError, match="differs from the detector"):
        export_verified(other, facts, tmp_path / "m.pt2")
    assert [each.name for each in tmp_path.iterdir()] == [f"m.pt2{UNVERIFIED}"]
