from __future__ import annotations

from pathlib import Path

import yaml

from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.resolve import all_keys, resolve_config
from faster_rcnn.settings.schema import BackboneConfig, Config, DataConfig
from faster_rcnn.settings.yaml_text import as_yaml


def test_awkward_values_are_read_back_equal(tmp_path: Path) -> None:
    config = Config(
        backbone=BackboneConfig(body="no", norm_epsilon=1e-20),
        data=DataConfig(train="1e3", val="a: b # c", test="", images="Fotos/Äpfel\n"),
    )
    path = tmp_path / "printed.yaml"
    path.write_text(as_yaml(config), encoding="utf-8")
    assert resolve_config(None, path, (), {}) == config


def test_a_value_that_a_terminal_would_obey_is_escaped_and_read_back_equal(tmp_path: Path) -> None:
    config = Config(data=DataConfig(train="a\x1b[2J\x9b", val="\u202egnp\u2028\x85", images="Äpfel"))
    path = tmp_path / "printed.yaml"
    path.write_text(as_yaml(config), encoding="utf-8")
    text = path.read_text(encoding="utf-8")
    assert '"a\\e[2J\\x9B"' in text
    assert '"\\u202Egnp\\L\\N"' in text
    assert "images: Äpfel" in text
    assert resolve_config(None, path, (), {}) == config


def test_every_field_stands_below_its_comment() -> None:
    lines = as_yaml(preset("small")).splitlines()
    for section, key in (name.split(".") for name in all_keys()):
        place = next(i for i in range(lines.index(f"{section}:"), len(lines)) if lines[i].startswith(f"  {key}: "))
        assert lines[place - 1].startswith("  # "), key
    assert max(map(len, lines)) <= 120
    assert list(yaml.safe_load("\n".join(lines))) == list(Config.model_fields)
