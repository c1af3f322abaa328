"""Options of an export become facts, or one line that names what a format cannot hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.errors import OptionError
from faster_rcnn.export.request import facts_of, format_of, refuse_unexportable, refuse_vanishing
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.schema import DetectorConfig
from faster_rcnn.structures import ImageSize
from faster_rcnn.weights.exported import ExportFacts
from tiny import tiny_config


def test_facts_are_those_that_were_asked_for() -> None:
    found = facts_of("openvino", "4", "480x640", "none", "in-graph")
    assert found == ExportFacts("openvino", 4, ImageSize(480, 640), nms=False, prepares=True)
    assert facts_of("onnx", "dynamic", "dynamic", "in-graph", "in-graph").size is None


@pytest.mark.parametrize(
    ("batch", "size", "part"),
    [
        ("0", "dynamic", "--batch 0"),
        ("65", "dynamic", "1 to 64"),
        ("two", "dynamic", "--batch two"),
        ("²", "dynamic", "--batch"),
        ("1", "480", "480x640"),
        ("1", "0x640", "--size 0x640"),
    ],
)
def test_other_numbers_are_refused(batch: str, size: str, part: str) -> None:
    with pytest.raises(OptionError, match=part):
        facts_of("onnx", batch, size, "in-graph", "in-graph")


@pytest.mark.parametrize("kind", ["openvino", "pt2"])
def test_resizing_of_any_size_is_for_onnx_alone(kind: str) -> None:
    with pytest.raises(OptionError, match="cannot hold the resizing"):
        facts_of(kind, "dynamic", "dynamic", "in-graph", "in-graph")
    assert not facts_of(kind, "dynamic", "dynamic", "in-graph", "none").prepares


def test_a_size_of_which_resizing_leaves_nothing_is_refused() -> None:
    facts = facts_of("onnx", "1", "1x20000", "in-graph", "in-graph")
    with pytest.raises(OptionError, match=r"--size 1x20000: .*half a pixel"):
        refuse_vanishing(facts, preset("small"))
    refuse_vanishing(facts_of("onnx", "1", "480x640", "in-graph", "in-graph"), preset("small"))


@pytest.mark.parametrize(
    ("kind", "precision", "instead"),
    [("onnx", "bfloat16", "openvino or pt2"), ("onnx", "int8", "openvino"), ("pt2", "int8", "bfloat16")],
)
def test_a_precision_that_a_format_cannot_hold_is_refused(kind: str, precision: str, instead: str) -> None:
    with pytest.raises(OptionError, match=rf"--precision {precision}: .*{instead}"):
        facts_of(kind, "dynamic", "dynamic", "in-graph", "none", precision)
    assert facts_of("openvino", "1", "dynamic", "in-graph", "none", precision).precision == precision


def test_the_ending_decides_the_format() -> None:
    names = {
        "a.onnx": "onnx",
        "a.xml": "openvino",
        "a.pt2": "pt2",
        "a.pth": "torchvision",
        "a.safetensors": "torchvision",
    }
    assert {name: format_of(None, Path(name)) for name in names} == names
    with pytest.raises(OptionError, match=r"ends in \.onnx"):
        format_of("onnx", Path("a.xml"))


@pytest.mark.parametrize(("kind", "part"), [("fast-rcnn", "proposals"), ("rpn", "second stage")])
def test_a_detector_of_one_stage_is_refused(kind: str, part: str) -> None:
    config = tiny_config().model_copy(update={"detector": DetectorConfig.model_validate({"kind": kind})})
    with pytest.raises(OptionError, match=part):
        refuse_unexportable("m", config)
    refuse_unexportable("m", tiny_config())
