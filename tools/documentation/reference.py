"""Reference pages, as Markdown from the code: commands, settings, error codes, Python names, file formats."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

import faster_rcnn
from documentation.text import as_code, escaped, plain, values_of
from faster_rcnn import errors
from faster_rcnn.cli.app import app
from faster_rcnn.error_codes import CODES, ErrorCode
from faster_rcnn.settings.presets import PRESETS
from faster_rcnn.settings.schema import Config

FORMAT_MODULES = {
    "Model file": "weights.model_file",
    "Proposals file": "proposals.file",
    "Results files": "evaluation.results",
    "COCO": "data.formats.coco",
    "VOC": "data.formats.voc",
    "YOLO": "data.formats.yolo",
    "YOLO's label files": "data.formats.yolo_labels",
    "CSV": "data.formats.table",
    "Outlines": "data.formats.outline",
}
"""Modules whose docstrings define a file format, by the heading that they get."""
INNER_NAMES = (
    "inference.result.Result",
    "inference.frame.Frame",
    "films.reader.FilmFacts",
    "films.reader.FilmTally",
    "evaluation.metrics.Metrics",
    "evaluation.metrics.ClassMetrics",
    "structures.ClassMap",
    "structures.Detections",
    "model.FasterRCNN",
    "explanation.causes.explained.Explained",
    "explanation.causes.kinds.VerdictKind",
    "explanation.causes.kinds.Thresholds",
    "explanation.causes.false_positives.FalsePositive",
    "explanation.causes.false_positives.FalseKind",
    "explanation.record.lives.Life",
    "explanation.record.recording.Recording",
    "explanation.record.recording.PartRecording",
    "explanation.record.fates.AnchorFates",
    "explanation.record.fates.RegionFates",
    "explanation.record.fates.Fate",
    "training.call.TrainCall",
    "settings.train_options.TrainOptions",
    "training.callback.RunStart",
    "training.callback.EpochStart",
    "training.callback.StepEnd",
    "training.callback.ValidationStart",
    "training.callback.ValidationStep",
    "training.callback.ValidationEnd",
    "training.callback.EpochEnd",
    "training.callback.RunEnd",
    "serving.ray_batch.RayBatch",
)
"""Classes that the public functions take and return, in the order of their page."""


def commands() -> str:
    """Return a section for each command: its usage, arguments and options with their defaults."""
    text = app.generate_docs(output_format="markdown", recursive=True)
    _, _, sections = text.partition("\n## faster-rcnn ")
    return re.sub(r"^## (faster-rcnn \S+)$", r"## `\1`", "## faster-rcnn " + sections, flags=re.MULTILINE)


def settings() -> str:
    """Return a section for each group of settings, and in it a heading for each setting."""
    schema = Config.model_json_schema()
    parts = []
    for group, field in Config.model_fields.items():
        section = field.annotation
        if inspect.isclass(section) and issubclass(section, BaseModel):
            properties = schema["$defs"][section.__name__]["properties"]
            parts += [f"## {group}", plain(section.__doc__)]
            parts += [_setting(group, name, properties[name]) for name in section.model_fields]
    return "\n\n".join(parts)


def error_codes() -> str:
    """Return a section for each error code, in the order of their numbers."""
    return "\n\n".join(map(_error, CODES))


def exceptions() -> str:
    """Return the tree of exceptions with their exit codes, as the module of errors draws it."""
    tree = (errors.__doc__ or "").split("\n\n")[1]
    return f"```text\n{tree}\n```"


def python_names() -> str:
    """Return the directives by which mkdocstrings renders the public names and the classes behind them."""
    public = [name for name in faster_rcnn.__all__ if not name.startswith("__")]
    paths = [f"{getattr(faster_rcnn, name).__module__}.{name}" for name in public]
    paths += [f"faster_rcnn.{name}" for name in INNER_NAMES]
    return "\n\n".join(f"::: {path}" for path in dict.fromkeys(paths))


def file_formats() -> str:
    """Return the definitions of file formats, which are the docstrings of the modules that read and write them."""
    parts = []
    for heading, name in FORMAT_MODULES.items():
        module = importlib.import_module(f"faster_rcnn.{name}")
        parts.append(f"## {heading}\n\n{plain(module.__doc__)}")
    return "\n\n".join(parts)


def _setting(group: str, name: str, schema: Mapping[str, Any]) -> str:
    """Return the heading of one setting, what it means, what it may be, and its value in each preset."""
    key = f"{group}.{name}"
    lines = [f"### `{key}` {{ #{key} }}", "", plain(schema.get("description", "")), ""]
    allowed = _allowed(schema)
    if allowed:
        lines.append(f"Allowed: {allowed}.  ")
    lines.append(f"Value: {_by_preset(key)}.")
    return "\n".join(lines)


def _by_preset(key: str) -> str:
    """Return the values of a setting with the presets that have them, that of ``small`` first."""
    presets_of: dict[str, list[str]] = {}
    for name, make in PRESETS.items():
        presets_of.setdefault(as_code(values_of(make())[key]), []).append(f"`{name}`")
    if len(presets_of) == 1:
        return f"{next(iter(presets_of))} in every preset"
    return "; ".join(f"{value} in {', '.join(names)}" for value, names in presets_of.items())


def _allowed(schema: Mapping[str, Any]) -> str:
    """Return the values that a setting takes, from its JSON schema."""
    return " or ".join(dict.fromkeys(_alternatives(schema)))


def _alternatives(schema: Mapping[str, Any]) -> Iterator[str]:
    if "anyOf" in schema:
        for each in schema["anyOf"]:
            yield from _alternatives(each)
    elif "enum" in schema:
        yield ", ".join(as_code(each) for each in schema["enum"])
    elif "const" in schema:
        yield as_code(schema["const"])
    elif "type" in schema:
        yield _kind(schema) + _bounds(schema)


def _kind(schema: Mapping[str, Any]) -> str:
    """Return the words for a type of JSON schema."""
    words = {
        "integer": "an integer",
        "number": "a number",
        "string": "text",
        "boolean": "`true`, `false`",
        "null": "`null`",
    }
    if schema["type"] != "array":
        return words[schema["type"]]
    items = schema.get("prefixItems") or [schema.get("items", {})]
    inner = dict.fromkeys(alternative for item in items for alternative in _alternatives(item))
    count = f" of {len(schema['prefixItems'])}" if "prefixItems" in schema else ""
    return f"a list{count}, each {' or '.join(inner)}"


def _bounds(schema: Mapping[str, Any]) -> str:
    """Return the limits of a number, such as ``, above 0 and at most 1``."""
    words = {"exclusiveMinimum": "above", "minimum": "at least", "exclusiveMaximum": "below", "maximum": "at most"}
    limits = [f"{word} {_number(schema[key])}" for key, word in words.items() if key in schema]
    return f", {' and '.join(limits)}" if limits else ""


def _number(value: float) -> str:
    """Return a number with commas between thousands and without an exponent."""
    return f"{value:,.6f}".rstrip("0").rstrip(".")


def _error(code: ErrorCode) -> str:
    numbers = " or ".join(map(str, code.exit_codes))
    parts = [
        f"### {code.code}: {escaped(code.title)} {{ #{code.code} }}",
        escaped(code.meaning),
        f"```text\nerror: {code.code} {code.example}\n```",
        f"{escaped(code.remedy)} Exit code {numbers}.",
    ]
    return "\n\n".join(parts)
