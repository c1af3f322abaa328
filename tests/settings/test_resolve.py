from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from faster_rcnn.errors import OptionError
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.resolve import FLAGS, all_keys, resolve_config
from faster_rcnn.settings.schema import Config

Written = Callable[[str], Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(text: str) -> Path:
        path = tmp_path / "run.yaml"
        path.write_text(text)
        return path

    return write


def refused(config: Path | None = None, *settings: str, model: str | None = None, **flags: object) -> str:
    with pytest.raises(OptionError) as caught:
        resolve_config(model, config, settings, flags)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{config}", "FILE")


def test_nothing_given_is_the_preset() -> None:
    assert resolve_config(None, None, (), {}) == preset("small")
    assert resolve_config("mobile-320", None, (), {"epochs": None}) == preset("mobile-320")


def test_file_wins_over_preset_and_flags_over_file(written: Written) -> None:
    path = written("training:\n  epochs: 3\n  batch: 2\n")
    config = resolve_config("base", path, ["training.seed=7"], {"batch": 8})
    assert (config.training.epochs, config.training.batch, config.training.seed) == (3, 8, 7)
    assert config.training.lr == preset("base").training.lr == 0.02


def test_the_file_may_name_its_preset(written: Written) -> None:
    path = written("preset: base\n")
    assert resolve_config(None, path, (), {}) == resolve_config("base", path, (), {}) == preset("base")
    assert refused(path, model="small") == ("E125 --model small, but FILE starts from preset 'base': give one of them")


@pytest.mark.parametrize(("value", "read"), [("smal", "'smal'"), ("[base, base]", "['base', 'base']"), ("", "None")])
def test_a_preset_that_does_not_exist_is_named_with_its_file_and_line(written: Written, value: str, read: str) -> None:
    assert refused(written(f"rpn:\npreset: {value}\n")).startswith(
        f"E125 FILE line 2: preset: {read}: there is no such preset; presets are small, small-plus, fast, base, "
    )


def test_an_empty_file_and_an_empty_section_change_nothing(written: Written) -> None:
    assert (
        resolve_config(None, written(""), (), {}) == resolve_config(None, written("rpn:\n"), (), {}) == preset("small")
    )


def test_image_size_keeps_the_proportion_of_the_preset() -> None:
    image = resolve_config("small", None, (), {"image_size": 208}).image
    assert (image.short_side, image.long_side) == (208, 320)  # 640 * 208 / 416
    image = resolve_config("base", None, (), {"image_size": 600}).image
    assert (image.short_side, image.long_side) == (600, 1000)  # 1333 * 600 / 800 = 999.75
    image = resolve_config("small", None, ["image.long_side=999"], {"image_size": 208}).image
    assert (image.short_side, image.long_side) == (208, 999)


def test_set_reads_values_by_the_type_of_their_field() -> None:
    texts = [
        "training.lr=1e-3",
        "data.train=0123",
        "data.val=null",
        "backbone.levels=[2, 3]",
        "rpn.anchor_sizes=[[32], [64, 90.5]]",
        "rpn.anchor_rounding=false",
        "training.schedule=multistep",
        "roi.canonical_size=200",
    ]
    config = resolve_config(None, None, texts, {})
    assert config.training.lr == 0.001
    assert (config.data.train, config.data.val) == ("0123", None)
    assert config.backbone.levels == (2, 3)
    assert config.rpn.anchor_sizes == ((32,), (64, 90.5))
    assert config.rpn.anchor_rounding is False
    assert config.training.schedule == "multistep"
    assert config.roi.canonical_size == 200.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "training:\n  learning_rate: 1\n",
            "line 2: there is no setting 'training.learning_rate'; did you mean 'training.lr'?",
        ),
        ("epochs: 3\n", "line 1: there is no setting 'epochs'; did you mean 'training.epochs'?"),
        ("\n\ntrainin:\n  lr: 1\n", "line 3: there is no setting 'trainin'; did you mean 'training'?"),
        ("roi:\n  pooled_sid: 7\n", "line 2: there is no setting 'roi.pooled_sid'; did you mean 'roi.pooled_side'?"),
        ("roi: {zzz: 7}\n", "line 1: there is no setting 'roi.zzz'; `faster-rcnn config` prints all settings"),
        ("training:\n  lr: 1e-3\n", "line 2: lr: '1e-3' is text: write 1.0e-3 in YAML"),
        ("training:\n  lr: '2.5E4'\n", "line 2: lr: '2.5E4' is text: write 2.5e+4 in YAML"),
        ("training:\n  lr: fast\n", "line 2: lr: 'fast': it must be a valid number"),
        ("training:\n  epochs: true\n", "line 2: epochs: True: it must be a valid integer or 'auto'"),
        ("training:\n  lr: -.inf\n", "line 2: lr: -inf: not a finite number"),
        ("training: {momentum: 1.0}\n", "line 1: momentum: 1.0: it must be less than 1"),
        ("rpn: {nms_iou: 0}\n", "line 1: nms_iou: 0: it must be greater than 0"),
        ("image: {std: [1, 1]}\n", "line 1: std: [1, 1]: too few values, number 3 is missing"),
        ("training:\n  lr: 1\n  lr: 2\n", "line 3: 'lr' is given twice, first in line 2"),
        ("training:\n  lr: 2001-99-99\n", "line 2: lr: '2001-99-99': it must be a valid number"),
        ("training:\n  seed: 99999999999999999999\n", "line 2: seed: 99999999999999999999: it has more than 18 digits"),
        ("training:\n  ? [lr]\n  : 1\n", "line 2: a list or mapping cannot be the name of a setting"),
        (f"data:\n  train: [{'x' * 100}]\n", f"line 2: train: ['{'x' * 75}...: it must be a valid string"),
        ("training:\n  lr: !!int soon\n", "is not plain YAML at line 2 column 7: 'soon' is not of the kind int"),
        ("training: 5\n", "line 1: training must hold 'key: value' lines"),
        ("- 1\n", "line 1: the file must hold 'key: value' lines"),
        ("a: [1\nb: 2\n", "is not plain YAML at line 2 column 2: expected ',' or ']', but got ':'"),
        (
            "data: {train: !!python/name:os.system x}\n",
            "is not plain YAML at line 1 column 15: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/name:os.system'",
        ),
    ],
)
def test_e125_in_a_file_names_its_line(written: Written, text: str, message: str) -> None:
    assert refused(written(text)) == f"E125 FILE {message}"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training", "a setting is written section.key=value"),
        ("training=3", "'training' is a section; a setting is written section.key=value"),
        ("training.epochs=", "it must be a valid integer or 'auto'"),
        ("training.epochs=2.5", "it must be a valid integer or 'auto'"),
        ("training.epochs=0", "it must be greater than 0 or 'auto'"),
        ("training.schedule=cosin", "it must be 'cosine' or 'multistep'"),
        ("training.scale_jitter=[1, .inf]", "not a finite number"),
        ("training.scale_jitter=[2, 1]", "the first training.scale_jitter 2.0 exceeds the second 1.0"),
        ("rpn.negative_iou=0.8", "rpn.negative_iou 0.8 exceeds rpn.positive_iou 0.7"),
        ("roi.negative_iou_from=0.6", "roi.negative_iou_from 0.6 exceeds roi.negative_iou 0.5"),
        ("training.lr.x=1", "there is no setting 'training.lr.x'; `faster-rcnn config` prints all settings"),
        ("preset=base", "the preset is chosen by --model base"),
        ("image.std=[0.2, 0, 0.2]", "it must be greater than or equal to 0.000001"),
        ("rpn.head_convs=1000000", "it must be less than or equal to 64"),
        (
            "backbone.body=hf-hub:owner/name",
            "'hf-hub:owner/name' is no name of an architecture, such as resnet50 or torchvision:mobilenet_v3_large; "
            "nothing is read from a hub or a folder",
        ),
    ],
)
def test_e125_of_a_setting_names_it_as_typed(setting: str, message: str) -> None:
    assert refused(None, setting) == f"E125 --set {setting}: {message}"


def test_e125_of_a_flag_names_it_as_typed() -> None:
    assert refused(image_size=-5) == "E125 --image-size -5: it must be greater than 0"
    assert refused(lr=0.0) == "E125 --lr 0.0: it must be greater than 0"
    assert refused(model="smal").startswith("E125 there is no preset 'smal'; presets are small, small-plus, fast, base")


def test_contradictions_are_refused_and_repetitions_are_not() -> None:
    assert refused(None, "training.lr=0.1", lr=0.2) == (
        "E125 --set training.lr=0.1 and --lr 0.2 contradict each other: give one"
    )
    assert "contradict" in refused(None, "training.lr=0.1", "training.lr=0.2")
    assert resolve_config(None, None, ["training.lr=0.1"], {"lr": 0.1}).training.lr == 0.1


def test_e101_a_file_that_is_not_there(tmp_path: Path) -> None:
    missing = tmp_path / "missing.yaml"
    assert refused(missing) == "E101 --config: cannot read FILE: No such file or directory"


def test_e125_aliases_that_stand_for_more_than_a_file_holds(written: Written) -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 12)]
    text = "\n".join([*lines, "training: {lr: *a11}"])
    assert "its aliases (*name) expand to millions of values" in refused(written(text))
    assert "it must be a valid number" in refused(None, f"training.lr={{{', '.join(lines)}}}")


def test_a_named_pipe_is_no_file_of_settings(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.yaml")
    assert refused(tmp_path / "run.yaml").startswith("E101 --config: cannot read FILE: it is a named pipe, not a file")


def test_settings_may_come_out_of_a_stream_that_the_shell_opened() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"training: {lr: 0.5}")
    os.close(writing)
    assert resolve_config(None, Path(f"/dev/fd/{reading}"), [], {}).training.lr == 0.5
    os.close(reading)


def test_flags_are_settings_that_exist() -> None:
    assert set(FLAGS.values()) <= set(all_keys())
    assert len(all_keys()) == len(set(all_keys()))
    assert all(len(key.split(".")) == 2 for key in all_keys())
    assert {key.split(".")[0] for key in all_keys()} == set(Config.model_fields) - {"preset"}


def test_the_origin_of_each_setting_is_logged_in_detail(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("preset: base\ntraining:\n  lr: 0.25\n")
    with caplog.at_level(logging.DEBUG, "faster_rcnn"):
        resolve_config(None, path, ["training.flip=0"], {"image_size": 400})
    assert caplog.messages == [
        "settings start from base",
        f"training.lr = 0.25, from {path} line 3: lr: 0.25",
        "training.flip = 0.0, from --set training.flip=0",
        "image.short_side = 400, from --image-size 400",
    ]
