"""``faster-rcnn quantize``: a file with ranges, what they gain and cost, and what is refused."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from faster_rcnn.benchmark.values import Contender, Spread
from faster_rcnn.building import build_model
from faster_rcnn.cli.bodies import quantize
from faster_rcnn.cli.bodies.quantize import Gain
from faster_rcnn.cli.main import main
from faster_rcnn.data.records import ImageRecord
from faster_rcnn.errors import DatasetError, FasterRCNNError, ImageError, MachineError, OptionError
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.inference.inputs import to_pixels
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.kernels.int8_layers import weight_limit
from faster_rcnn.settings.schema import Config, DetectorConfig
from faster_rcnn.structures import ClassMap, ImageSize
from faster_rcnn.weights.model_file import load_model, save_model
from files import coco_folder, model_file, rgb
from made_data import make_squares
from tiny import boxes_of, tiny_config, truth_of

needs_8_bits = pytest.mark.skipif(weight_limit() == 0, reason="oneDNN has no convolutions in 8 bits here")

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
    return quantize.run(model, data, out=out, **given)


def metrics(ap: float | None) -> Metrics:
    return Metrics(
        ap, *(None,) * 11, per_class=(), images=2, truths=0 if ap is None else 2, ignored=0, engine="", notes=()
    )


def gain(speed: float, before: float | None, after: float | None) -> Gain:
    seconds = [Spread(each, each, each) for each in (0.026 * speed, 0.026)]
    floats, ours = Contender("ours", "float32", seconds[0], 40), Contender("8 bits", "int8", seconds[1], 41)
    return Gain(floats, ours, metrics(before), metrics(after), "test")


@pytest.fixture
def gained(monkeypatch: pytest.MonkeyPatch) -> Gain:
    """What 8 bits gain, without the work."""
    found = gain(1.36, 0.5435, 0.5419)
    monkeypatch.setattr(quantize, "_gain", lambda *_: found)
    return found


@needs_8_bits
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
    assert len(Predictor(loaded, torch.device("cpu"), torch.int8, exact=False).predict_one(rgb(), conf=0.05)) > 5
    text, err = capsys.readouterr()
    assert text == ""
    assert f"wrote {out}: the detector of {model}, and the ranges of its features in 4 images of train" in err
    assert "images looked at  4/4" in err
    assert f"numbers in {numbers}" in err

    found = json.loads(numbers.read_text())
    assert (found["part"], found["eight_bits"]["precision"]) == ("test", "int8")
    assert found["floats"]["precision"] in ("float32", "bfloat16")
    medians = [found[name]["seconds"]["median"] for name in ("floats", "eight_bits")]
    assert found["speed"] == pytest.approx(medians[0] / medians[1])
    assert found["ap_lost"] == pytest.approx(found["floats"]["ap"] - found["eight_bits"]["ap"])
    assert all(found[name]["detections"] > 0 for name in ("floats", "eight_bits"))
    speed = f"8 bits are {found['speed']:.2f} times as fast as {found['floats']['precision']}, pixels to boxes: "
    ap = f"; AP on test is {found['eight_bits']['ap']:.4f}, and {found['floats']['ap']:.4f} in "
    assert speed in err
    assert ap in err


@needs_8_bits
def test_ranges_are_the_same_again(model: str, data: Path, tmp_path: Path, gained: Gain) -> None:
    files = [tmp_path / name for name in ("first.safetensors", "second.safetensors", "of_one.safetensors")]
    for file, count in zip(files, (4, 32, 1), strict=True):
        assert run(model, data, file, count=count) == 0
    contents = [file.read_bytes() for file in files]
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]
    # A detector that has ranges gets new ones.
    assert run(str(files[2]), data, tmp_path / "again.safetensors") == 0
    assert (tmp_path / "again.safetensors").read_bytes() == contents[0]


@needs_8_bits
def test_numbers_stand_alone_on_standard_output_and_are_of_the_split_that_was_named(
    model: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "quantized.safetensors"
    assert main(["quantize", model, str(data), "--out", str(out), "--split", "val", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["part"] == "val"


@needs_8_bits
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


@needs_8_bits
@pytest.mark.parametrize(
    ("speed", "before", "after", "said"),
    [
        (1.36, 0.5435, 0.5419, "works in 8 bits on CPUs that are faster in them: faster-rcnn predict {out} IMAGES"),
        (1.36, 0.5, 0.52, "works in 8 bits on CPUs that are faster in them"),
        (1.36, None, None, "works in 8 bits on CPUs that are faster in them"),
        (1.2, 0.5, 0.5, "is not worth its while: it is 1.20 times as fast here, less than 1.3. Stay with {model}"),
        (1.2, None, None, "is not worth its while: it is 1.20 times as fast here, less than 1.3. Stay with"),
        (2.0, 0.5, 0.49, "is not worth its while: it loses 1.00 points of AP, more than 0.5. Stay with {model}"),
        (0.9, 0.5, 0.4, "times as fast here, less than 1.3 and it loses 10.00 points of AP, more than 0.5. Stay with"),
    ],
)
def test_what_is_not_worth_its_while_is_a_warning(
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
    monkeypatch.setattr(quantize, "_ranges", lambda loaded, paths: ({}, 4))
    monkeypatch.setattr(quantize, "_gain", lambda *_: gain(speed, before, after))
    out = tmp_path / "quantized.safetensors"
    assert run(model, data, out) == 0  # the file is there, and used by who wants it
    line = capsys.readouterr().err.splitlines()[-1]
    assert said.format(out=out, model=model) in line
    assert line.startswith("warning: ") == ("not worth" in line)


def test_what_is_gained_is_one_line() -> None:
    assert str(gain(1.36, 0.5435, 0.5419)) == (
        "8 bits are 1.36 times as fast as float32, pixels to boxes: 26.0 ms (26.0 to 26.0 ms) and 35.4 ms (35.4 to "
        "35.4 ms); AP on test is 0.5419, and 0.5435 in float32"
    )
    assert str(gain(1.36, None, None)).endswith("; there is nothing to find in test, so no AP")
    assert gain(1.36, None, None).to_json()["ap_lost"] is None
    assert gain(1.36, 0.5, 0.25).to_json()["ap_lost"] == 0.25


def damage(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let images be damaged after the data were checked."""

    def decoded(image: Path, name: str, most_pixels: int) -> Tensor:
        if image.name in names:
            raise ImageError(f"cannot decode {image}: broken", code="E105")
        return to_pixels(image, name, most_pixels)

    monkeypatch.setattr(quantize, "to_pixels", decoded)


@needs_8_bits
def test_damaged_images_are_told_and_left_out(
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
    assert "the ranges of its features in 3 images of train" in err


@needs_8_bits
def test_images_that_were_found_damaged_before_are_told_too(
    model: str, data: Path, tmp_path: Path, gained: Gain, capsys: pytest.CaptureFixture[str]
) -> None:
    file = data / "images" / "train1.png"
    file.write_bytes(file.read_bytes()[:600])
    assert run(model, data, tmp_path / "quantized.safetensors") == 0
    err = capsys.readouterr().err
    assert "the ranges of its features in 3 images of train" in err
    assert "cannot decode train1.png" in err


@needs_8_bits
def test_where_all_images_are_damaged_nothing_is_written(
    model: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(monkeypatch, *(f"train{number}.png" for number in range(4)))
    out = tmp_path / "quantized.safetensors"
    with pytest.raises(DatasetError, match=r"^E122 no image of train can be decoded, so there are no ranges$"):
        run(model, data, out)
    assert not out.exists()


@needs_8_bits
def test_images_in_which_nothing_is_proposed_are_told(data: Path, tmp_path: Path) -> None:
    """Of a new detector every objectness is near 1/2, so that no proposal passes, and the second stage sees nothing."""
    config = tiny_config(rpn={"score_floor": 0.9999})
    with pytest.raises(FasterRCNNError):
        run(written(tmp_path / "blind.safetensors", config), data, tmp_path / "quantized.safetensors")


@pytest.mark.parametrize("count", [1, 7, 32, 63, 64, 100])
def test_images_are_spread_over_the_whole_folder(count: int) -> None:
    """The next one in a folder is often a picture of the same."""
    records = [record_of(Path(str(place))) for place in range(63)]
    places = [int(path.name) for path in quantize._spread(records, count)]
    assert len(places) == min(count, 63)
    steps = [after - before for before, after in pairwise(places)]
    assert max(steps, default=1) - min(steps, default=1) <= 1
    assert places[0] == 0
    assert 63 - places[-1] <= max(steps, default=63)


def record_of(path: Path) -> ImageRecord:
    return ImageRecord(
        path, path.name, 1, ImageSize(9, 9), truth_of([]), torch.zeros(0).double(), boxes_of([]).double()
    )


def test_what_makes_no_sense_is_refused_before_the_work(model: str, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "quantized.safetensors"
    with pytest.raises(OptionError, match=r"^E125 --count 0: ranges are measured in one image at least$"):
        run("no model", data, out, count=0)
    with pytest.raises(OptionError, match=r"^--out .* is a folder; name a file"):
        run("no model", data, tmp_path)
    with pytest.raises(OptionError, match=r"^--json .* is a folder; name a file"):
        run("no model", data, out, json=str(tmp_path))
    assert not out.exists()


@needs_8_bits
def test_a_fast_rcnn_is_refused(data: Path, tmp_path: Path) -> None:
    config = tiny_config().model_copy(update={"detector": DetectorConfig(kind="fast-rcnn")})
    model = written(tmp_path / "fast.safetensors", config)
    with pytest.raises(OptionError, match=rf"{model} is a Fast R-CNN: the search for its proposals takes its time"):
        run(model, data, tmp_path / "quantized.safetensors")


@needs_8_bits
def test_data_without_a_part_for_training_are_refused(model: str, tmp_path: Path) -> None:
    data = coco_folder(tmp_path / "data", [[(0, 5, 5, 30, 20)]], SQUARES, split="test")
    out = tmp_path / "quantized.safetensors"
    with pytest.raises(OptionError, match=r"has no split 'train'; it has: test"):
        run(model, data, out)
    with pytest.raises(OptionError, match=r"has no split 'vla'; it has: test"):
        run(model, data, out, split="vla")
    assert not out.exists()


def test_a_machine_without_8_bits_is_one_line(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quantize, "weight_limit", lambda: 0)
    with pytest.raises(MachineError, match="has no convolutions in 8 bits"):
        run("no model", data, tmp_path / "q")
    assert main(["quantize", "no model", str(data), "--out", str(tmp_path / "q")]) == 5
    assert capsys.readouterr().err.splitlines()[1:] == [
        "faster-rcnn: error: this PyTorch, or this processor, has no convolutions in 8 bits"
    ]
