"""The bars of benchmarks: how they are judged, and that each script measures, at sizes that cost little."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Literal

import pytest
import torch
from bars import Bar, judge

from benchmark_scripts import assert_judged, bars_in, run, script
from faster_rcnn.acceleration import compilation
from faster_rcnn.benchmark.values import Contender, Spread
from faster_rcnn.errors import MachineError
from faster_rcnn.kernels.fused_layers import CONVOLUTION, Operation, fused_works
from faster_rcnn.kernels.onednn_layers import RELU
from faster_rcnn.structures import ClassMap
from faster_rcnn.system import devices
from faster_rcnn.system.devices import AUTO, PRECISIONS, Auto, precision_name, widest_instructions
from files import image_file, model_file
from made_data import make_squares

ROOT = Path(__file__).parents[1]
SCRIPTS = (
    *(
        "accuracy",
        "advice",
        "anchor_advice",
        "before_after",
        "busy",
        "defaults",
        "elsewhere",
        "explain",
        "gpu",
        "loading",
        "precisions",
        "ray_data",
        "reading",
        "real_time",
    ),
    *("reference", "training", "training_accuracy", "unchanged"),
)


def test_bars_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    bars = [
        Bar("images per second", 30.0, at_least=30),
        Bar("points lost", 0.2, at_most=0.2),
        Bar("images per second", 30.0, at_least=40, goal=True),
    ]
    assert judge(bars) == 0  # a goal does not count
    assert capsys.readouterr().out.splitlines() == [
        "bar: images per second: measured 30, asked at least 30: met",
        "bar: points lost: measured 0.2, asked at most 0.2: met",
        "goal: images per second: measured 30, asked at least 40: missed",
    ]
    assert judge([*bars, Bar("times", 5.996, at_least=6)]) == 1
    assert capsys.readouterr().out.endswith("bar: times: measured 5.996, asked at least 6: missed\n")
    assert judge([Bar("times", 1.31, at_most=1.3)]) == 1


def test_what_was_not_measured_is_not_met(capsys: pytest.CaptureFixture[str]) -> None:
    assert not Bar("x", float("nan"), at_least=0).met
    assert not Bar("x", float("nan"), at_most=0).met
    assert judge([]) == 1
    assert judge([Bar("x", 1, at_least=0, goal=True)]) == 1
    assert capsys.readouterr().out.splitlines().count("no bar was measured") == 2
    for least, most in ((None, None), (1.0, 2.0)):
        with pytest.raises(ValueError, match="x: give either at_least or at_most"):
            Bar("x", 1, at_least=least, at_most=most)


def test_training_on_many_sizes_is_timed_with_both_numbers_of_kept_operations(
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = script("many_sizes")
    assert [len(set(module.sizes_of(count, side))) for count, side in ((24, 416), (40, 64))] == [24, 40]
    assert run("many_sizes", "--sizes", 2, "--batch", 1, "--image-size", 64, "--rounds", 1) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("ours: a step takes ")
    assert lines[2].startswith("1024 operations: a step takes ")
    assert float(lines[3].removeprefix("ratio of the times: ")) > 0


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_print_their_usage(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(name, "--help")
    assert end.value.code == 0
    assert f"python benchmarks/{name}.py" in capsys.readouterr().out


def test_every_script_is_in_the_table() -> None:
    folder = ROOT / "benchmarks"
    listed = re.findall(r"^\| `(\w+\.py)", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    programs = {path.name for path in folder.glob("*.py") if '__name__ == "__main__"' in path.read_text("utf-8")}
    assert sorted(listed) == sorted(programs)


def contenders(**seconds: float) -> dict[str, Contender]:
    """A time of each, in the order of their turns."""
    reference = script("reference")
    names = (reference.OURS, reference.COMPILED, *reference.PEERS)
    return {
        name: Contender(name, "float32", Spread(each, each, each), 0)
        for name, each in zip(names, seconds.values(), strict=True)
    }


def test_the_reference_is_judged_by_hand() -> None:
    reference = script("reference")
    times = contenders(ours=0.25, compiled=0.125, torchvision=1.0, onnxruntime=0.5, openvino=0.1)
    found = reference.Measured(times, Spread(0.13, 0.1, 0.2), 0.1)
    # 1 / 0.125, 1 / 0.25, 0.1 / 0.125 and 0.13 / 0.1.
    assert [(round(bar.measured, 6), bar.met) for bar in found.bars()] == [
        (8, True),
        (4, True),
        (0.8, False),
        (1.3, True),
    ]


def test_the_reference_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(compilation, "compiled_model", lambda network, plain: copy(network))  # it takes half a minute
    monkeypatch.setattr(compilation, "found_compiler", lambda: "g++")
    code = run("reference", "--preset", "mobile-320", "--image-size", 64, "--rounds", 1)
    out = capsys.readouterr().out
    assert_judged(code, bars_in(out), 4)
    assert "mobile-320, 64 x 85 pixels, 150 proposals; cpu" in out
    assert re.search(r"^openvino in (float32|bfloat16): ", out, re.MULTILINE)
    assert re.search(r"^against onnxruntime: ours is .* times as fast, compiled .* times$", out, re.MULTILINE)


def test_explaining_is_compared_with_measuring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_squares(tmp_path / "data", {"train": 1, "val": 2})
    model = model_file(tmp_path / "tiny.safetensors", ClassMap(("dark", "light"), (3, 7)))
    code = run("explain", "--model", model, "--data", data, "--rounds", 1)
    assert_judged(code, bars_in(capsys.readouterr().out), 1)


def test_accuracy_prints_the_loss_of_each_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_squares(tmp_path / "data", {"train": 1, "val": 2})
    model = model_file(tmp_path / "tiny.safetensors", ClassMap(("dark", "light"), (3, 7)))
    code = run("accuracy", "--model", model, "--model", model, "--data", data)
    out = capsys.readouterr().out
    judged = [bar for bar in bars_in(out) if bar[0] == f"points of AP that {model} loses in bfloat16"]
    assert len(judged) == 2
    assert {bar[2:4] for bar in judged} == {("at most", "0.2")}
    assert code == int("missed" in out)
    for precision in script("accuracy").PRECISIONS:  # judged, or left out with a reason
        assert f"loses in {precision}: " in out or f"{model} in {precision} is left out: " in out


def test_accuracy_is_lost_by_hand(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    accuracy = script("accuracy")
    found = {"float32": 0.5, "bfloat16": 0.499, "int8": 0.494}

    def ap_in(model: str, precision: str, data: Path, split: str | None) -> float:
        if precision not in found:
            raise MachineError("not on this machine")
        return found[precision]

    monkeypatch.setattr(accuracy, "ap_in", ap_in)
    monkeypatch.setattr(accuracy, "Precision", Literal["float32", "bfloat16", "int8", "int4"])
    monkeypatch.setattr(accuracy, "PRECISIONS", {"bfloat16": 0.2, "int8": 0.5, "int4": 1, "int2": 1})
    # 0.1 points of 0.2, 0.6 points of 0.5.
    bars = accuracy.losses("m", Path("data"), None)
    assert [(round(bar.measured, 6), bar.met) for bar in bars] == [(0.1, True), (0.6, False)]
    assert capsys.readouterr().out.splitlines()[2:] == [
        "m in int4 is left out: not on this machine",
        "m in int2 is left out: this version of faster-rcnn does not have it",
    ]


def test_real_time_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        image_file(tmp_path / "photos" / name)
    model = model_file(tmp_path / "tiny.safetensors")
    smaller = model_file(tmp_path / "smaller.safetensors", image={"short_side": 32, "long_side": 48})
    models = ("--before", model, "--small", model, "--fast", model, smaller)
    options = ("--images", tmp_path / "photos", "--count", 2, "--rounds", 2)
    code = run("real_time", *models, *options)
    out = capsys.readouterr().out
    assert_judged(code, bars_in(out), 3)
    assert sum(line.startswith("goal: images per second of fast") for line in out.splitlines()) == 1
    assert "; 2 images" in out
    assert len(re.findall(r"images per second as a stream, one at a time: ", out)) == 4
    with pytest.raises(SystemExit):
        run("real_time", *models, "--images", tmp_path / "nothing")


def test_real_time_asks_less_of_narrow_instructions() -> None:
    real_time = script("real_time")
    before, fast = (
        real_time.Timed(name, None, [rate], [1 / rate]) for name, rate in (("before", 10.0), ("fast", 45.0))
    )
    narrow, wide = (real_time.bars_of(before, fast, fast, each) for each in ("AVX2", "AVX512-BF16"))
    assert [bar.met for bar in narrow] == [True, True, True, True]
    assert [bar.met for bar in wide] == [True, True, False, False]


def test_boxes_that_both_find_by_hand() -> None:
    shared = script("elsewhere").shared
    ours = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]])
    # The first one is 1 pixel off in one corner, the second 1.5; the third has no partner.
    theirs = torch.tensor([[0.0, 0, 10, 11], [20, 20, 30, 31.5], [50, 50, 60, 60], [0, 0, 10, 10]])
    assert shared(ours, theirs) == 0.5  # one of two, two of four
    assert shared(ours, theirs[:1]) == 0.5
    assert shared(ours, ours) == 1
    assert shared(ours, ours[:0]) == 0  # nothing found is no agreement


@pytest.mark.parametrize("fast", [False, True])
def test_elsewhere_both_find_the_same(fast: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32, also where this processor is faster in bfloat16."""
    monkeypatch.setattr(devices, "bfloat16_is_fast", lambda device: fast)
    speed, share = script("elsewhere").compare("mobile-320", 128, 1, tmp_path)
    assert speed.measured > 0
    assert share.met


def test_elsewhere_starts_itself_again_without_wide_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[list[str], dict[str, str]]] = []

    def started(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        calls.append((command, env))
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(subprocess, "run", started)
    for name in script("elsewhere").MASK:
        monkeypatch.delenv(name, raising=False)
    assert run("elsewhere", "--rounds", 2, "--presets", "base") == 1
    [(command, env)] = calls
    assert command[2:] == ["--rounds", "2", "--presets", "base"]
    assert (env["ONEDNN_MAX_CPU_ISA"], env["ATEN_CPU_CAPABILITY"]) == ("AVX2", "avx2")
    assert env["PATH"] == os.environ["PATH"]


def test_precisions_are_measured_and_held_against_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script("precisions"), "SIDES", (64, 96))
    code = run("precisions", "--rounds", 1)
    out = capsys.readouterr().out
    assert_judged(code, bars_in(out), 3)
    assert re.search(r"^a training step in float32: \d+\.\d ms \(median ", out, re.MULTILINE)
    row = AUTO[widest_instructions()]
    committed = f"committed: {widest_instructions()}: {precision_name(row.floats)}, quantized detectors in int8: "
    assert f"{committed}{row.int8}\n" in out


def test_advice_is_followed_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = model_file(tmp_path / "model.safetensors", ClassMap(("dark", "light"), (3, 7)))
    make_squares(tmp_path / "data", {"val": 3}, seed=1)
    code = run("advice", "--data", tmp_path / "data", "--model", model, "--conf", 0.45, "--images", 2)
    out = capsys.readouterr().out
    [bar] = bars_in(out)
    assert_judged(code, [bar], 1)
    assert bar[1] == "1"
    assert re.search(r"^\d+ truths, \d+ missed; \d+\.\d\d s per image$", out, re.MULTILINE)


def test_anchors_are_advised_for_small_objects_and_their_gain_is_a_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training is left out: the preset's anchors have an AP of 0.2, the fitted ones 0.25 and 0.28."""
    given: list[tuple[int, tuple[str, ...]]] = []

    def trained(data: Path, folder: Path, options: object, seed: int, settings: tuple[str, ...]) -> float:
        assert (data / "annotations" / "train.json").exists()
        given.append((seed, settings))
        return 0.25 + 0.03 * seed if settings else 0.2

    monkeypatch.setattr(script("anchor_advice"), "trained_ap", trained)
    code = run("anchor_advice", "--seeds", 0, 1, "--train", 6, "--val", 1, "--out", tmp_path / "out")
    [bar] = bars_in(capsys.readouterr().out)
    assert (code, bar[0], bar[1], bar[3]) == (0, "gain in points of AP, mean of 2 seeds", "6.5", "1")
    fit = script("anchor_advice").advice_for(tmp_path / "out" / "data")
    assert given == [(0, ()), (0, fit.settings), (1, ()), (1, fit.settings)]
    assert fit.before.half == 0.0
    assert fit.after.half > 0.9
    make_again = script("small_objects").make_small_objects(tmp_path / "again", {"train": 6, "val": 1})
    for file in ("annotations/train.json", "images/val0.png"):
        assert (make_again / file).read_bytes() == (tmp_path / "out" / "data" / file).read_bytes()


def test_the_row_of_a_machine_by_hand() -> None:
    module, whole = script("precisions"), {torch.int8: 1.0}
    # bfloat16 is taken where it is faster in both, int8 where it is faster than the floats that are taken.
    both = {torch.float32: 3.0, torch.bfloat16: 2.0}
    other = {torch.float32: 2.0, torch.bfloat16: 3.0}
    assert module.row_of(both | whole, both) == Auto(torch.bfloat16, int8=True)
    assert module.row_of(both | {torch.int8: 2.5}, both) == Auto(torch.bfloat16, int8=False)
    assert module.row_of(both | {torch.int8: 2.5}, other) == Auto(torch.float32, int8=True)
    assert module.row_of({torch.float32: 3.0}, {torch.float32: 3.0}) == Auto(torch.float32, int8=False)
    bars = module.bars_of(Auto(torch.float32, int8=True), both | whole, other)
    assert [(bar.measured, bar.met) for bar in bars] == [(1.0, True), (1.5, False), (1.0, True)]


def test_training_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_squares(tmp_path / "data", {"train": 2})
    options = ("--steps", 1, "--rounds", 1, "--image-size", 64, "--batch", 1, "--peer-float32")
    code = run("training", "--data", data, *options)
    bars = bars_in(capsys.readouterr().out)
    assert_judged(code, bars, 1)
    assert bars[0][0] == "speed of training, times that of the peer in float32"


@pytest.mark.parametrize(
    ("options", "ratio", "code", "line"),
    [
        ((), 0.4, 0, "times that of the peer in bfloat16: measured 2.5, asked at least 2.5: met"),
        ((), 0.41, 1, "times that of the peer in bfloat16: measured 2.439, asked at least 2.5: missed"),
        (("--peer-float32",), 0.2, 1, "times that of the peer in float32: measured 5, asked at least 6: missed"),
        (
            ("--before",),
            0.7,
            0,
            "time of a training step of small, by that before: measured 0.7, asked at most 0.7: met",
        ),
        (("--before",), 0.71, 1, "step of small, by that before: measured 0.71, asked at most 0.7: missed"),
    ],
)
def test_training_is_judged_by_hand(
    options: tuple[str, ...],
    ratio: float,
    code: int,
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The ratio is of times, ours to the peer's: 0.4 is 2.5 times as fast.
    monkeypatch.setattr(script("training"), "compare", lambda *_: ratio)
    data = make_squares(tmp_path / "data", {"train": 1})
    assert run("training", "--data", data, *options) == code
    assert capsys.readouterr().out.endswith(f"{line}\n")


def test_training_accuracy_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_squares(tmp_path / "data", {"train": 2, "val": 1, "test": 1})
    options = ("--epochs", 1, "--seeds", 3, "--batch", 1, "--image-size", 64, "--out", tmp_path / "runs")
    code = run("training_accuracy", "--data", data, *options)
    out = capsys.readouterr().out
    assert_judged(code, bars_in(out), 2)
    assert re.search(r"^seed 3, ours: AP \d\.\d+, AP50 ", out, re.MULTILINE)
    assert re.search(r"^seed 3, peer: AP \d\.\d+, AP50 ", out, re.MULTILINE)
    assert "bar: mean AP of seeds 3, the peer's being asked: measured" in out
    assert "bar: time of training in shares of the peer's: measured" in out
    assert (tmp_path / "runs" / "seed-3" / "last.safetensors").exists()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_fused_runs_and_counts_the_fused_convolutions(
    precision: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_file(tmp_path / "tiny.safetensors")
    assert run("fused", "--model", model, "--precision", precision, "--sizes", 64, 96, "--rounds", 1) is None
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.endswith(f"; both in {precision}")
    works = fused_works(Operation(CONVOLUTION, RELU), PRECISIONS[precision])
    for size, line in zip((64, 96), lines, strict=True):
        count = re.match(rf"{re.escape(str(model))} at {size} pixels, (\d+) fused convolutions", line)
        assert count is not None
        assert (int(count[1]) > 0) == works


@pytest.mark.parametrize(("ray", "verdict"), [(0.49, "met"), (0.51, "missed")])
def test_ray_data_compares_the_images_beyond_the_first_few(
    ray: float, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Plain 2 s and 0.4 s an image, Ray 20 s and ``ray`` s an image: 0.4 / 0.5 would be the bar of 0.8."""

    def seconds_of(command: Sequence[str]) -> float:
        images = sum(word.endswith(".png") for word in command)
        return 20 + ray * images if "--engine" in command else 2 + 0.4 * images

    monkeypatch.setattr(script("ray_data"), "seconds_of", seconds_of)
    for number in range(12):
        image_file(tmp_path / f"{number}.png")
    code = run("ray_data", "--model", "m", "--images", tmp_path, "--few", 2)
    assert f"plain 2.50 images/s, Ray {1 / ray:.2f} images/s" in capsys.readouterr().out
    assert code == int(verdict == "missed")
