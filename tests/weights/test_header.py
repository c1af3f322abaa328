"""The header of a model file: equal settings are equal texts, and damaged texts are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from faster_rcnn.errors import ModelFileError
from faster_rcnn.kernels.int8_layers import Range
from faster_rcnn.settings.presets import PRESETS, preset
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.header import (
    FORMAT,
    MAX_SETTINGS,
    NO_CHECKSUM,
    header_text,
    parse_header,
    place_of_checksum,
)

CLASSES = ClassMap(("cat", None, "dog"), (3, 7, 90))


def changed(**values: Any) -> str:
    return json.dumps({**json.loads(header_text(preset("small"), CLASSES, None)), **values})


@pytest.mark.parametrize("name", PRESETS)
def test_a_header_round_trips(name: str) -> None:
    ranges = {"body.conv1": Range.around_zero(-1.5, 2.0)}
    text = header_text(preset(name), CLASSES, ranges)
    header = parse_header("x", text)
    assert (header.config, header.classes, header.checksum) == (preset(name), CLASSES, NO_CHECKSUM)
    assert header.ranges is not None
    assert {key: (each.low, each.high) for key, each in header.ranges.items()} == {"body.conv1": (-1.5, 2.0)}
    assert header_text(header.config, header.classes, header.ranges) == text


def test_a_detector_that_was_not_quantized_has_no_ranges() -> None:
    assert parse_header("x", header_text(preset("small"), CLASSES, None)).ranges is None


def test_the_checksum_is_found_in_the_bytes_of_a_file() -> None:
    # As in a safetensors file, where the header is a string within JSON.
    content = b"12345678" + json.dumps({"faster_rcnn": header_text(preset("small"), CLASSES, None)}).encode()
    place = place_of_checksum(content)
    assert place is not None
    assert content[place : place + len(NO_CHECKSUM)] == NO_CHECKSUM.encode()
    assert place_of_checksum(b"12345678{}") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            changed(format=FORMAT + 1),
            f"x has format {FORMAT + 1}, written by a newer faster-rcnn; this one reads",
        ),
        (changed(config={"rpn": {"nms_iou": 3}}), r"x: its setting rpn\.nms_iou is not usable: "),
        (changed(config={"a": "b" * MAX_SETTINGS}), "its metadata is damaged: .* characters long, more than"),
        (changed(classes={"names": ["a"], "ids": [1.5]}), "its metadata is damaged: .* an id that is not an integer"),
        (changed(classes={"names": [3], "ids": [1]}), "its metadata is damaged: .* a name that is not text"),
        (changed(ranges={"a": [0]}), "its metadata is damaged"),
        ("[" * 100_000, "its metadata is damaged"),
        ("{", "its metadata is damaged"),
        ("[]", "its metadata is damaged"),
    ],
    ids=["newer", "setting", "settings", "id", "name", "range", "nested", "cut", "list"],
)
def test_damaged_headers_are_refused(text: str, message: str) -> None:
    with pytest.raises(ModelFileError, match=message) as raised:
        parse_header("x", text)
    assert raised.value.code == "E123"
