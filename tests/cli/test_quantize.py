"""``faster-rcnn quantize``: a file with activation ranges, what int8 gains and costs, and refused inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from faster_rcnn.benchmark import quantization
from faster_rcnn.benchmark.quantization import Gain
from faster_rcnn.building import build_model
from faster_rcnn.cli.main import main
from faster_rcnn.cli.quantize import quantize
from faster_rcnn.errors import DatasetError, FasterRCNNError, ImageError, MachineError, OptionError
from faster_rcnn.inference import calibration, examples
from faster_rcnn.inference.inputs import to_pixels
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.kernels import int8_layers
from faster_rcnn.kernels.int8_layers import weight_limit
from faster_rcnn.settings.schema import Config, DetectorConfig
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.model_file import load_model, save_model
from files import coco_folder, model_file, rgb
from made_data import make_squares
from made_gain import gain
from tiny import tiny_config

needs_int8 = pytest.mark.skipif(weight_limit() == 0, reason="oneDNN has no int8 convolutions here")

SQUARES = ClassMap(("dark", "light"), (3, 7))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    return str(model_file(folder / "tiny.safetensors", SQUARES, roi={"score_floor": 0.05}))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_squares(tmp_path / "data", {"train": 4, "val": 1, "test": 2})


def run(model: str, data: Path, out: Path, **options: Any) -> int:
    given: dict[str, Any] = {"count": 32, "split": None, "json": None, **options}
    return quantize(model, data, out=out, **given)


@pytest.fixture
def gained(monkeypatch: pytest.MonkeyPatch) -> Gain:
    """The gain of int8, without the work."""
    found = gain(1.36, 0.5435, 0.5419)
    monkeypatch.setattr(quantization, "measure_gain", lambda *_: found)
    return found


@needs_int8
def test_the_file_is_the_same_detector_with_ranges(
    model: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, numbers = tmp_path / "quantized.safetensors", tmp_path / "numbers.json"
    assert run(model, data, out, json=str(numbers)) == 0
    before, after = load_file(model), load_file(out)
    assert list(after) == list(before)
    assert all(torch.equal(after[name], each) for name, each in before.items())
    original, loaded = load_model(Path(model)), load_model(out)
    assert (loaded.config, loaded.classes) == (original.config, original.classes)
    assert original.ranges is None
    assert loaded.ranges is not None
    assert {name.partition(".")[0] for name in loaded.ranges} == {"body", "pyramid", "rpn", "head"}
    int8 = Predictor(prepare(loaded, torch.device("cpu"), torch.int8, exact=False))
    assert len(int8.predict_one(rgb(), conf=0.05)) > 5
    text, err = capsys.readouterr()
    assert text == ""
    assert f"wrote {out}: the detector of {model} with activation ranges from 4 images of train" in err
    assert "calibration images  4/4" in err
    assert f"numbers in {numbers}" in err

    found = json.loads(numbers.read_text())
    assert (found["part"], found["eight_bits"]["precision"]) == ("test", "int8")
    assert found["floats"]["precision"] in ("float32", "bfloat16")
    medians = [found[name]["seconds"]["median"] for name in ("floats", "eight_bits")]
    assert found["speed"] == pytest.approx(medians[0] / medians[1])
    assert found["ap_lost"] == pytest.approx(found["floats"]["ap"] - found["eight_bits"]["ap"])
    assert all(found[name]["detections"] > 0 for name in ("floats", "eight_bits"))
    speed = f"int8 is {found['speed']:.2f} times as fast as {found['floats']['precision']}, pixels to boxes: "
    ap = f"; AP on test is {found['eight_bits']['ap']:.4f}, and {found['floats']['ap']:.4f} in "
    assert speed in err
    assert ap in err


@needs_int8
def test_ranges_are_the_same_again(model: str, data: Path, tmp_path: Path, gained: Gain) -> None:
    files = [tmp_path / name for name in ("first.safetensors", "second.safetensors", "of_one.safetensors")]
    for file, count in zip(files, (4, 32, 1), strict=True):
        assert run(model, data, file, count=count) == 0
    contents = [file.read_bytes() for file in files]
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]
    # A detector that has activation ranges gets new ones.
    assert run(str(files[2]), data, tmp_path / "again.safetensors") == 0
    assert (tmp_path / "again.safetensors").read_bytes() == contents[0]


@needs_int8
def test_numbers_stand_alone_on_standard_output_and_are_of_the_split_that_was_named(
    model: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "quantized.safetensors"
    assert main(["quantize", model, str(data), "--out", str(out), "--split", "val", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["part"] == "val"


@needs_int8
def test_a_first_stage_alone_is_quantized(data: Path, tmp_path: Path) -> None:
    config = tiny_config().model_copy(update={"detector": DetectorConfig(kind="rpn")})
    out = tmp_path / "quantized.safetensors"
    assert run(written(tmp_path / "rpn.safetensors", config, ClassMap(("object",), (1,))), data, out) == 0
    ranges = load_model(out).ranges
    assert ranges is not None
    assert {name.partition(".")[0] for name in ranges} == {"body", "pyramid", "rpn"}


def written(path: Path, config: Config, classes: ClassMap = SQUARES) -> str:
    save_model(path, build_model(config, len(classes)), config, classes)
    return str(path)


@needs_int8
@pytest.mark.parametrize(
    ("speed", "before", "after", "said"),
    [
        (1.36, 0.5435, 0.5419, "computes in int8 on CPUs where that is faster: faster-rcnn predict {out} IMAGES"),
        (1.36, 0.5, 0.52, "computes in int8 on CPUs where that is faster"),
        (1.36, None, None, "computes in int8 on CPUs where that is faster"),
        (1.2, 0.5, 0.5, "is not recommended: it is 1.20 times as fast here, less than 1.3. Keep {model}"),
        (1.2, None, None, "is not recommended: it is 1.20 times as fast here, less than 1.3. Keep"),
        (2.0, 0.5, 0.49, "is not recommended: it loses 1.00 points of AP, more than 0.5. Keep {model}"),
        (0.9, 0.5, 0.4, "times as fast here, less than 1.3 and it loses 10.00 points of AP, more than 0.5. Keep"),
    ],
)
def test_a_gain_that_is_too_small_is_a_warning(
    speed: float,
    before: float | None,
    after: float | None,
    said: str,
    model: str,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(calibration, "calibrate_on_files", lambda *_: ({}, 4))
    monkeypatch.setattr(quantization, "measure_gain", lambda *_: gain(speed, before, after))
    out = tmp_path / "quantized.safetensors"
    assert run(model, data, out) == 0  # the file is there for those who want it
    line = capsys.readouterr().err.splitlines()[-1]
    assert said.format(out=out, model=model) in line
    assert line.startswith("warning: ") == ("not recommended" in line)


def damage(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let images be damaged after the data were checked."""

    def decoded(image: Path, name: str, most_pixels: int) -> Tensor:
        if image.name in names:
            raise ImageError(f"cannot decode {image}: broken", code="E105")
        return to_pixels(image, name, most_pixels)

    monkeypatch.setattr(examples, "to_pixels", decoded)


@needs_int8
def test_damaged_images_are_left_out_with_a_warning(
    model: str,
    data: Path,
    tmp_path: Path,
    gained: Gain,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole, out = tmp_path / "whole.safetensors", tmp_path / "quantized.safetensors"
    assert run(model, data, whole) == 0
    capsys.readouterr()
    damage(monkeypatch, "train1.png")
    assert run(model, data, out) == 0
    err = capsys.readouterr().err
    assert f"warning: E105 cannot decode {data / 'images' / 'train1.png'}: broken; it is left out\n" in err
    assert load_model(out).ranges != load_model(whole).ranges
    assert "with activation ranges from 3 images of train" in err


@needs_int8
def test_images_that_were_found_damaged_before_are_reported_too(
    model: str, data: Path, tmp_path: Path, gained: Gain, capsys: pytest.CaptureFixture[str]
) -> None:
    file = data / "images" / "train1.png"
    file.write_bytes(file.read_bytes()[:600])
    assert run(model, data, tmp_path / "quantized.safetensors") == 0
    err = capsys.readouterr().err
    assert "with activation ranges from 3 images of train" in err
    assert "cannot decode train1.png" in err


@needs_int8
def test_where_all_images_are_damaged_nothing_is_written(
    model: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(monkeypatch, *(f"train{number}.png" for number in range(4)))
    out = tmp_path / "quantized.safetensors"
    with pytest.raises(DatasetError, match=r"^E122 no image of 4 can be read"):
        run(model, data, out)
    assert not out.exists()


@needs_int8
def test_images_without_any_proposal_are_an_error(data: Path, tmp_path: Path) -> None:
    """Every objectness of a new detector is near 1/2, so that no proposal passes, and the second stage has no input."""
    config = tiny_config(rpn={"score_floor": 0.9999})
    with pytest.raises(FasterRCNNError):
        run(written(tmp_path / "blind.safetensors", config), data, tmp_path / "quantized.safetensors")


def test_senseless_options_are_refused_before_the_work(model: str, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "quantized.safetensors"
    with pytest.raises(OptionError, match=r"^E125 --count 0: activation ranges need at least one image$"):
        run("no model", data, out, count=0)
    with pytest.raises(OptionError, match=r"^E137 --out .* is a folder; name a file"):
        run("no model", data, tmp_path)
    with pytest.raises(OptionError, match=r"^E137 --json .* is a folder; name a file"):
        run("no model", data, out, json=str(tmp_path))
    assert not out.exists()


@needs_int8
def test_a_fast_rcnn_is_refused(data: Path, tmp_path: Path) -> None:
    config = tiny_config().model_copy(update={"detector": DetectorConfig(kind="fast-rcnn")})
    model = written(tmp_path / "fast.safetensors", config)
    with pytest.raises(OptionError, match=rf"{model} is a Fast R-CNN: its time goes into selective search"):
        run(model, data, tmp_path / "quantized.safetensors")


@needs_int8
def test_data_without_a_part_for_training_are_refused(model: str, tmp_path: Path) -> None:
    data = coco_folder(tmp_path / "data", [[(0, 5, 5, 30, 20)]], SQUARES, split="test")
    out = tmp_path / "quantized.safetensors"
    with pytest.raises(OptionError, match=r"has no split 'train'; it has: test"):
        run(model, data, out)
    with pytest.raises(OptionError, match=r"has no split 'vla'; it has: test"):
        run(model, data, out, split="vla")
    assert not out.exists()


def test_a_machine_without_int8_is_one_line(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(int8_layers, "weight_limit", lambda: 0)
    with pytest.raises(MachineError, match="has no int8 convolutions"):
        run("no model", data, tmp_path / "q")
    capsys.readouterr()
    assert main(["quantize", "no model", str(data), "--out", str(tmp_path / "q")]) == 5
    assert capsys.readouterr().err.splitlines()[1:] == [
        "faster-rcnn: error: this PyTorch, or this processor, has no int8 convolutions"
    ]
