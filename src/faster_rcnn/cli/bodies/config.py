"""``faster-rcnn config``: the whole configuration as YAML, each field below what it means."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from typing import Any

import yaml

from faster_rcnn.settings.presets import PRESETS, preset
from faster_rcnn.settings.schema import Config, Section
from faster_rcnn.system.console import show
from faster_rcnn.system.terminal import printable_lines

WIDTH = 110


def run(model: str) -> int:
    """Print the configuration of a preset, a model file, a run folder or published weights; returns the exit code."""
    show(as_yaml(_configuration(model)))
    return 0


def as_yaml(config: Config) -> str:
    """YAML that ``--config`` reads back to an equal configuration."""
    lines = [f"# {Config.__doc__} `faster-rcnn train DATA --config FILE` reads them back.", ""]
    for name, field in Config.model_fields.items():
        value = getattr(config, name)
        if isinstance(value, Section):
            lines += ["", f"# {type(value).__doc__}", f"{name}:", *_fields(value)]
        else:
            lines += [*_comment(field.description or "", ""), f"{name}: {_scalar(value)}"]
    return "\n".join(lines)


def _configuration(model: str) -> Config:
    if model in PRESETS or not (os.path.exists(model) or model.startswith(("torchvision:", "detectron2:"))):
        return preset(model)
    from faster_rcnn.weights.finding import find_model_file
    from faster_rcnn.weights.foreign.published import resolve_model
    from faster_rcnn.weights.model_file import read_model_config

    return read_model_config(find_model_file(model)) if os.path.exists(model) else resolve_model(model).config


def _fields(section: Section) -> Iterator[str]:
    for name, field in type(section).model_fields.items():
        yield from _comment(field.description or "", "  ")
        yield f"  {name}: {_scalar(getattr(section, name))}"


def _comment(text: str, indent: str) -> list[str]:
    plain = " ".join(text.replace("``", "").split())
    return textwrap.wrap(plain, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _scalar(value: Any) -> str:
    """One value on one line; characters that a terminal obeys are YAML's escapes."""
    text = _dumped(value, allow_unicode=True)
    if printable_lines(text) != text:
        text = _dumped(value, allow_unicode=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _dumped(value: Any, *, allow_unicode: bool) -> str:
    return yaml.safe_dump(_listed(value), default_flow_style=True, width=float("inf"), allow_unicode=allow_unicode)


def _listed(value: Any) -> Any:
    return [_listed(each) for each in value] if isinstance(value, tuple) else value
