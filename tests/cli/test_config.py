from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.building import build_model
from faster_rcnn.cli.config import config
from faster_rcnn.errors import OptionError
from faster_rcnn.settings.presets import PRESETS, preset
from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.settings.yaml_text import as_yaml
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.model_file import save_model


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_printed_is_read_back_equal(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert config(model=name) == 0
    path = tmp_path / "printed.yaml"
    path.write_text(capsys.readouterr().out)
    assert resolve_config(None, path, (), {}) == preset(name)


def test_e125_a_preset_that_does_not_exist() -> None:
    with pytest.raises(
        OptionError, match=r"^E125 there is no preset 'smal'; presets are small, small-plus, fast, base"
    ):
        config(model="smal")


def test_a_model_file_and_a_run_folder_print_their_own_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["image.short_side=64", "image.long_side=96", "roi.head_hidden=[8]", "backbone.pyramid_channels=16"]
    settings = resolve_config("small", None, given, {})
    save_model(tmp_path / "best.safetensors", build_model(settings, 1), settings, ClassMap(("cell",), (1,)))
    for model in (tmp_path, tmp_path / "best.safetensors"):
        assert config(model=str(model)) == 0
        assert capsys.readouterr().out == as_yaml(settings) + "\n"
