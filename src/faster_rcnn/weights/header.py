"""The header of a model file: settings, classes and checksum as JSON in the metadata of the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from faster_rcnn.errors import ModelFileError, OptionError
from faster_rcnn.kernels.int8_layers import Range
from faster_rcnn.settings.limits import MAX_CLASSES
from faster_rcnn.settings.removed import without_removed
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.thresholds import Thresholds

METADATA_KEY = "faster_rcnn"
FORMAT = 1
"""Version of the format of model files; higher versions are refused."""

NO_CHECKSUM = "0" * 8
"""Placeholder of the checksum while it is computed."""

CHECKSUM_KEY = "checksum"
"""Key of the checksum: the first one of the JSON in alphabetical order, so that its place in a file is certain."""

MAX_SETTINGS = 100_000
"""Maximum number of characters of all settings; a detector has some 4,000."""


@dataclass(frozen=True, slots=True)
class Header:
    """Settings, classes, activation ranges, thresholds and checksum of a model file."""

    config: Config
    classes: ClassMap
    ranges: Mapping[str, Range] | None
    """Activation ranges by the names of layers: a detector needs them to compute in int8."""
    thresholds: Thresholds | None = None
    """Thresholds of scores by class; ``None`` where nothing was measured."""
    checksum: str | None = None
    """CRC-32 of the file in hexadecimal digits; files of version 0.1.0 have none."""


def header_text(
    config: Config,
    classes: ClassMap,
    ranges: Mapping[str, Range] | None,
    thresholds: Thresholds | None = None,
) -> str:
    """Return the header as JSON with sorted keys, with ``NO_CHECKSUM`` as its checksum."""
    header: dict[str, Any] = {
        CHECKSUM_KEY: NO_CHECKSUM,
        "format": FORMAT,
        "config": config.model_dump(mode="json"),
        "classes": {"names": list(classes.names), "ids": list(classes.ids)},
    }
    if ranges is not None:
        header["ranges"] = {name: [each.low, each.high] for name, each in ranges.items()}
    if thresholds is not None:
        header["thresholds"] = thresholds.to_json()
    return json.dumps(header, sort_keys=True, separators=(",", ":"))


def place_of_checksum(content: bytes) -> int | None:
    """Position of the checksum in the bytes of a file that begins with ``content``; ``None`` where it has none."""
    key = rb"{\"checksum\":\""
    found = content.find(key)
    return None if found < 0 else found + len(key)


def parse_header(source: Path | str, text: str) -> Header:
    """Parse and validate the JSON; raises ``ModelFileError`` (E123) where it is damaged or exceeds a limit."""
    try:
        header: dict[str, Any] = json.loads(text)
        version = header["format"]
        if version <= FORMAT:
            config = _config(source, header["config"])
            classes = _classes(header["classes"])
            return Header(config, classes, _ranges(header), _thresholds(header, classes), header.get(CHECKSUM_KEY))
    except OptionError as error:
        raise ModelFileError(error.text, code="E123") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        fault = first["msg"].removeprefix("Value error, ")
        raise ModelFileError(f"{source}: its setting {key} is not usable: {fault}", code="E123") from error
    except RecursionError as error:
        raise ModelFileError(f"{source}: its metadata is damaged: it is nested too deeply", code="E123") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ModelFileError(f"{source}: its metadata is damaged: {str(error)!r:.200}", code="E123") from error
    raise ModelFileError(
        f"{source} has format {version}, written by a newer faster-rcnn; this one reads up to {FORMAT}: "
        "pip install --upgrade faster-rcnn",
        code="E123",
    )


def _config(source: Path | str, values: object) -> Config:
    if (length := len(json.dumps(values))) > MAX_SETTINGS:
        raise ValueError(f"its settings are {length} characters long, more than {MAX_SETTINGS}")
    return Config.model_validate(without_removed(values, str(source)) if isinstance(values, dict) else values)


def _classes(columns: Mapping[str, Any]) -> ClassMap:
    names, ids = columns["names"], columns["ids"]
    if len(names) > MAX_CLASSES:
        raise ValueError(f"it has {len(names)} classes; a detector has {MAX_CLASSES} at most")
    if not all(name is None or isinstance(name, str) for name in names):
        raise ValueError("a class has a name that is not text")
    if not all(type(number) is int and abs(number) < 2**63 for number in ids):
        raise ValueError("a class has an id that is not an integer of 64 bits")
    return ClassMap(tuple(names), tuple(ids))


def _thresholds(header: Mapping[str, Any], classes: ClassMap) -> Thresholds | None:
    return Thresholds.from_json(header["thresholds"], len(classes)) if "thresholds" in header else None


def _ranges(header: Mapping[str, Any]) -> Mapping[str, Range] | None:
    ranges = {
        name: Range.around_zero(float(low), float(high)) for name, (low, high) in header.get("ranges", {}).items()
    }
    return ranges or None
