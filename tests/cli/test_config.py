from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from faster_rcnn.building import build_model
from faster_rcnn.cli.bodies import config as job
from faster_rcnn.errors import OptionError
from faster_rcnn.settings.presets import PRESETS, preset
from faster_rcnn.settings.resolve import all_keys, resolve_config
from faster_rcnn.settings.schema import BackboneConfig, Config, DataConfig
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.model_file import save_model


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_printed_is_read_back_equal(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert job.run(name) == 0
    path = tmp_path / "printed.yaml"
    path.write_text(capsys.readouterr().out)
    assert resolve_config(None, path, (), {}) == preset(name)


def test_awkward_values_are_read_back_equal(tmp_path: Path) -> None:
    config = Config(
        backbone=BackboneConfig(body="no", norm_epsilon=1e-20),
        data=DataConfig(train="1e3", val="a: b # c", test="", images="Fotos/Äpfel\n"),
    )
    path = tmp_path / "printed.yaml"
    path.write_text(job.as_yaml(config), encoding="utf-8")
    assert resolve_config(None, path, (), {}) == config


def test_a_value_that_a_terminal_would_obey_is_escaped_and_read_back_equal(tmp_path: Path) -> None:
    config = Config(data=DataConfig(train="a\x1b[2J\x9b", val="\u202egnp\u2028\x85", images="Äpfel"))
    path = tmp_path / "printed.yaml"
    path.write_text(job.as_yaml(config), encoding="utf-8")
    text = path.read_text(encoding="utf-8")
    assert '"a\\e[2J\\x9B"' in text
    assert '"\\u202Egnp\\L\\N"' in text
    assert "images: Äpfel" in text
    assert resolve_config(None, path, (), {}) == config


def test_every_field_stands_below_its_comment() -> None:
    lines = job.as_yaml(preset("small")).splitlines()
    for section, key in (name.split(".") for name in all_keys()):
        place = next(i for i in range(lines.index(f"{section}:"), len(lines)) if lines[i].startswith(f"  {key}: "))
        assert lines[place - 1].startswith("  # "), key
    assert max(map(len, lines)) <= 120
    assert list(yaml.safe_load("\n".join(lines))) == list(Config.model_fields)


def test_e125_a_preset_that_does_not_exist() -> None:
    with pytest.raises(OptionError, match=r"^E125 there is no preset 'smal'; presets are small, base"):
        job.run("smal")


def test_a_model_file_and_a_run_folder_print_their_own_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["image.short_side=64", "image.long_side=96", "roi.head_hidden=[8]", "backbone.pyramid_channels=16"]
    config = resolve_config("small", None, settings, {})
    save_model(tmp_path / "best.safetensors", build_model(config, 1), config, ClassMap(("cell",), (1,)))
    for model in (tmp_path, tmp_path / "best.safetensors"):
        assert job.run(str(model)) == 0
        assert capsys.readouterr().out == job.as_yaml(config) + "\n"
