"""Configuration of a command: preset < ``--config`` file < ``--set`` and flags.

Every value is checked strictly by its type, and an error names the value as it was typed and its place.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import yaml
from pydantic.fields import FieldInfo

from faster_rcnn.errors import DatasetError, OptionError
from faster_rcnn.parsing.text import read_text_argument
from faster_rcnn.parsing.values import cut
from faster_rcnn.parsing.yaml_values import composed, place_of, plain_value
from faster_rcnn.settings.presets import PRESETS, preset
from faster_rcnn.settings.removed import REMOVED, is_removed
from faster_rcnn.settings.schema import Config
from faster_rcnn.settings.section import Section
from faster_rcnn.settings.train_options import SETTINGS, TrainOptions
from faster_rcnn.settings.validation import NUMBER, Key, Setting, validated

_LOG = logging.getLogger(__name__)

FLAGS = SETTINGS
"""Settings that flags of the command line stand for, by the name of the flag."""

ALIASES = {"learning_rate": "lr", "lr0": "lr", "batch_size": "batch", "imgsz": "short_side", "image_size": "short_side"}
"""Keys of this project by their names in other projects, for the hint after an unknown key."""


def resolve_config(
    model: str | None,
    config: Path | None,
    settings: Sequence[str],
    flags: Mapping[str, object],
    start: Config | None = None,
) -> Config:
    """Build the configuration from options; raises ``OptionError`` for a value that does not fit.

    ``model`` is a preset, None for ``start``, or else for the file's own or ``small``. ``flags`` are values by the
    names of ``FLAGS``; None is a flag that was not given.
    """
    in_file = _read_file(config) if config else []
    base = start if start and model is None else preset(_preset_name(model, config, in_file))
    typed = [_from_text(text) for text in settings] + _from_flags(flags)
    _refuse_contradictions(typed)
    values = base.model_dump(mode="json")
    for setting in in_file:
        _put(values, setting)
    proportion = values["image"]["long_side"], values["image"]["short_side"]
    for setting in typed:
        _put(values, setting)
    if flags.get("image_size") is not None and not any(setting.key == ("image", "long_side") for setting in typed):
        values["image"]["long_side"] = _scaled(proportion, values["image"]["short_side"])
    found = validated(values, [*in_file, *typed])
    _log_origins(found, "the run or detector that it starts from" if base is start else base.preset, in_file, typed)
    return found


def _log_origins(config: Config, base: str, in_file: Sequence[Setting], typed: Sequence[Setting]) -> None:
    _LOG.debug(f"settings start from {base}")
    for setting in (*in_file, *typed):
        if len(setting.key) > 1:
            section, key = setting.key
            _LOG.debug(f"{section}.{key} = {getattr(getattr(config, section), key)!r}, from {setting.origin}")


def resolved(options: TrainOptions, start: Config | None = None) -> Config:
    """Build the configuration from the options of a training run, as ``resolve_config`` does."""
    config = None if options.config is None else Path(options.config)
    settings = [options.settings] if isinstance(options.settings, str) else options.settings or ()
    return resolve_config(options.model, config, settings, options.flags(), start)


def _preset_name(model: str | None, config: Path | None, in_file: Sequence[Setting]) -> str:
    given = next((setting for setting in in_file if setting.key == ("preset",)), None)
    if given is None:
        return model or "small"
    if str(given.value) not in PRESETS:
        raise OptionError(f"{given.origin}: there is no such preset; presets are {', '.join(PRESETS)}", code="E125")
    if model is not None and model != given.value:
        raise OptionError(
            f"--model {model}, but {config} starts from preset '{given.value}': give one of them", code="E125"
        )
    return str(given.value)


def _scaled(proportion: tuple[object, object], short_side: object) -> object:
    """The long side that belongs to a short side; other types are left to the check of types."""
    long, short = proportion
    if isinstance(long, int) and isinstance(short, int) and isinstance(short_side, int) and short > 0:
        return max(1, round(short_side * long / short))
    return long


def _from_flags(flags: Mapping[str, object]) -> list[Setting]:
    return [
        Setting(tuple(FLAGS[name].split(".")), value, f"--{name.replace('_', '-')} {value}")
        for name, value in flags.items()
        if value is not None
    ]


def _from_text(text: str) -> Setting:
    """Parse a setting of ``--set``: a YAML scalar or list, or plain text where the field holds text."""
    name, equals, raw = text.partition("=")
    if not equals:
        raise OptionError(f"--set {cut(text, 200)}: a setting is written section.key=value", code="E125")
    key = tuple(name.strip().split("."))
    origin = f"--set {cut(text, 200)}"
    if key == ("preset",):
        raise OptionError(f"{origin}: the preset is chosen by --model {raw}", code="E125")
    field = _field(key, origin)
    if field is None:
        raise OptionError(f"{origin}: '{name}' is a section; a setting is written section.key=value", code="E125")
    if _holds_text(field):
        return Setting(key, None if raw == "null" else raw, origin)
    try:
        value = None if (node := composed(raw)) is None else plain_value(node)
    except yaml.YAMLError:
        value = raw
    return Setting(key, float(raw) if NUMBER.fullmatch(raw) else value, origin)


def _holds_text(field: FieldInfo) -> bool:
    return field.annotation in (str, str | None)


def _field(key: Key, origin: str) -> FieldInfo | None:
    """The field of a key, or None for a whole section; raises ``OptionError`` with a hint for an unknown key."""
    section: type[Section] = Config
    for depth, part in enumerate(key):
        if part not in section.model_fields:
            _refuse_unknown(key[:depth], part, origin)
        found = section.model_fields[part]
        if not (isinstance(found.annotation, type) and issubclass(found.annotation, Section)):
            if depth + 1 < len(key):
                _refuse_unknown(key[: depth + 1], key[depth + 1], origin)
            return found
        section = found.annotation
    return None


def all_keys() -> list[str]:
    """Every setting as ``section.key``, in the order of the configuration."""
    return [f"{name}.{key}" for name, each in _sections() for key in each.model_fields]


def _sections() -> Iterator[tuple[str, type[Section]]]:
    for name, field in Config.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield name, field.annotation


def _refuse_unknown(parents: Key, part: str, origin: str) -> NoReturn:
    """Raise an error with the unknown key and the likeliest correct one, of the same section first."""
    if (*parents, part) in REMOVED:
        raise OptionError(f"{origin}: this setting was removed; leave it out", code="E125")
    known = all_keys()
    wanted = ALIASES.get(part, part)
    own = [key for key in known if not parents or key.startswith(f"{parents[0]}.")]
    section = [] if parents else get_close_matches(part, [name for name, _ in _sections()], n=1)
    same_word = [key for key in own + known if key.split(".")[1] == wanted]
    close = get_close_matches(wanted, [key.split(".")[1] for key in own], n=1)
    likely = section or same_word or [key for key in own if key.split(".")[1] in close]
    hint = f"; did you mean '{likely[0]}'?" if likely else "; `faster-rcnn config` prints all settings"
    raise OptionError(f"{origin}: there is no setting '{'.'.join((*parents, part))}'{hint}", code="E125")


def _refuse_contradictions(typed: Sequence[Setting]) -> None:
    seen: dict[Key, Setting] = {}
    for setting in typed:
        other = seen.setdefault(setting.key, setting)
        if repr(other.value) != repr(setting.value):  # so that nan equals itself
            raise OptionError(f"{other.origin} and {setting.origin} contradict each other: give one", code="E125")


def _read_file(path: Path) -> list[Setting]:
    """The settings of a YAML file, in the order of the file."""
    try:
        root = composed(read_text_argument(path))
        return [] if root is None else list(_walk(root, (), path))
    except DatasetError as error:
        raise OptionError(f"--config: {error.text}", code="E101") from error
    except yaml.YAMLError as error:
        raise OptionError(f"{path} is not plain YAML{place_of(error)}", code="E125") from error


def _walk(node: yaml.Node, parents: Key, path: Path) -> Iterator[Setting]:
    if parents and isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null"):  # an empty section
        return
    if not isinstance(node, yaml.MappingNode):
        name = ".".join(parents) or "the file"
        raise OptionError(f"{path} line {node.start_mark.line + 1}: {name} must hold 'key: value' lines", code="E125")
    seen: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        where = f"{path} line {line}"
        if not isinstance(key_node, yaml.ScalarNode):
            raise OptionError(f"{where}: a list or mapping cannot be the name of a setting", code="E125")
        name = key_node.value
        if name in seen:
            raise OptionError(f"{where}: '{name}' is given twice, first in line {seen[name]}", code="E125")
        seen[name] = line
        key = (*parents, name)
        if key in REMOVED and is_removed(key, plain_value(value_node), where):
            continue
        if _field(key, where) is None:
            yield from _walk(value_node, key, path)
        else:
            value = plain_value(value_node)
            yield Setting(key, value, f"{where}: {name}: {cut(repr(value))}")


def _put(values: dict[str, Any], setting: Setting) -> None:
    section = values
    for part in setting.key[:-1]:
        section = section[part]
    section[setting.key[-1]] = setting.value
