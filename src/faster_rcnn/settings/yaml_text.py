"""A configuration as YAML text, each field below a comment that states its meaning, unit and source."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import yaml

from faster_rcnn.settings.schema import Config
from faster_rcnn.settings.section import Section
from faster_rcnn.system.terminal import printable_lines

WIDTH = 110
"""Characters of a comment line, its indent included."""


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


def _fields(section: Section) -> Iterator[str]:
    for name, field in type(section).model_fields.items():
        yield from _comment(field.description or "", "  ")
        yield f"  {name}: {_scalar(getattr(section, name))}"


def _comment(text: str, indent: str) -> list[str]:
    plain = " ".join(text.replace("``", "").split())
    return textwrap.wrap(plain, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _scalar(value: Any) -> str:
    """One value on one line; characters that control a terminal become YAML escapes."""
    text = _dumped(value, allow_unicode=True)
    if printable_lines(text) != text:
        text = _dumped(value, allow_unicode=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _dumped(value: Any, *, allow_unicode: bool) -> str:
    return yaml.safe_dump(_listed(value), default_flow_style=True, width=float("inf"), allow_unicode=allow_unicode)


def _listed(value: Any) -> Any:
    return [_listed(each) for each in value] if isinstance(value, tuple) else value
