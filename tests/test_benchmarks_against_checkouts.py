"""Benchmarks that compare this code with another checkout: what they run, and how they judge it."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from argparse import Namespace
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark_scripts import assert_judged, bars_in, run, script
from faster_rcnn.cli.main import main
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.settings.schema import DataConfig

ROOT = Path(__file__).parents[1]


def other_source(folder: Path, program: str) -> Path:
    """A folder ``src`` whose package runs a program as its command."""
    package = folder / "faster_rcnn"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(program)
    return folder


@pytest.fixture
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs of both checkouts run here, without a process of its own for each: both are this code."""

    def run_here(source: Path, *arguments: str) -> str:
        assert source.resolve() == ROOT / "src"
        kind, program, *words = arguments
        monkeypatch.setattr(sys, "argv", [kind, *words])
        with redirect_stdout(io.StringIO()) as out:
            if kind == "-c":
                exec(program, {"__name__": "__main__"})
            else:
                assert (kind, program, main(words)) == ("-m", "faster_rcnn", 0)
        return out.getvalue()

    monkeypatch.setattr(script("checkouts"), "_run", run_here)


def test_commands_run_from_another_checkout(tmp_path: Path) -> None:
    checkouts = script("checkouts")
    program = "import sys\nprint(*sys.argv[1:])\nsys.exit('broken' if '7' in sys.argv else 0)\n"
    source = other_source(tmp_path / "src", program)
    assert checkouts.run_command(source, "train", 3) == "train 3\n"
    with pytest.raises(SystemExit, match=r"src: faster-rcnn train 7: exit code 1: broken$"):
        checkouts.run_command(source, "train", 7)
    with pytest.raises(subprocess.CalledProcessError):
        checkouts.output_of(source, "raise SystemExit(1)")
    assert Path(checkouts.output_of(source, "import faster_rcnn\nprint(faster_rcnn.__file__)").strip()) == (
        source / "faster_rcnn" / "__init__.py"
    )


def test_made_up_data_are_the_same_each_time_and_can_be_read(tmp_path: Path) -> None:
    checkouts = script("checkouts")
    folders = [checkouts.make_data(tmp_path / name, 3) for name in ("one", "other")]
    contents = [{path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()} for folder in folders]
    assert contents[0] == contents[1]
    splits = load_dataset(folders[0], DataConfig()).splits
    assert {name: len(split.records) for name, split in splits.items()} == {"train": 3, "val": 1}
    assert [split.faults for split in splits.values()] == [(), ()]


@pytest.mark.usefixtures("_in_this_process")
def test_the_same_code_is_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--presets", "small", "--steps", 1, "--images", 2, "--image-size", 64)
    assert run("unchanged", "--against", ROOT / "src", *options) == 0
    bars = bars_in(capsys.readouterr().out)
    assert [bar[:2] for bar in bars[:2]] == [
        ("small: tensors that differ after 1 training steps", "0"),
        ("small: images with other detections", "0"),
    ]
    with pytest.raises(SystemExit, match="3 steps of 2 images are no whole passes over 4 images"):
        run("unchanged", "--against", ROOT / "src", "--steps", 3)


def test_every_difference_of_tensors_is_found() -> None:
    differing = script("unchanged").differing
    zeros = torch.zeros(2)
    same = {"a": zeros, "b": torch.tensor(float("nan"))}
    assert differing(same, {name: each.clone() for name, each in same.items()}) == []
    # One only in the first, one only in the second, another value, type, shape, and sign of zero.
    first = {"a": zeros, "c": zeros, "d": zeros, "e": zeros, "f": zeros}
    second = {"b": zeros, "c": zeros + 1e-30, "d": zeros.half(), "e": zeros[None], "f": -zeros}
    assert differing(first, second) == ["a", "b", "c", "d", "e", "f"]


@pytest.mark.usefixtures("_in_this_process")
def test_before_and_after_are_timed_in_turn(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ("--rounds", 1, "--images", 1, "--steps", 1, "--image-size", 64)
    code = run("before_after", "--against", ROOT / "src", "--presets", "small", *sizes)
    bars = bars_in(capsys.readouterr().out)
    assert_judged(code, bars, 3)
    assert [bar[0] for bar in bars] == [
        f"time of {what}, times that before"
        for what in (
            "an image of small in float32",
            "an image of small in the precision of auto",
            "a training step of small",
        )
    ]
    assert {bar[2:4] for bar in bars} == {("at most", "1.02")}


def test_before_and_after_are_judged_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = script("before_after")
    turns: list[str] = []

    def measure(source: Path) -> float:
        turns.append("after" if source == module.OURS else "before")
        return {"before": 2.0, "after": 2.1}[turns[-1]]

    bar = module.in_turn("an image", measure, Namespace(rounds=2, against=tmp_path))
    assert turns == ["after", "before", "before", "after"]
    assert (round(bar.measured, 6), bar.met) == (1.05, False)
    assert capsys.readouterr().out == (
        "time of an image: before 2.0000 s (2.0000..2.0000), after 2.1000 s (2.1000..2.1000), ratio 1.050\n"
    )


@pytest.mark.usefixtures("_in_this_process")
def test_reading_is_timed_against_other_code(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ("--images", 10, "--annotations", 30, "--rounds", 1)
    assert run("reading", *sizes) == 0
    code = run("reading", *sizes, "--against", ROOT / "src")
    out = capsys.readouterr().out
    assert_judged(code, bars_in(out), 4)
    assert len(re.findall(r"^(COCO|VOC|YOLO|CSV): after [0-9.]+ s", out, re.MULTILINE)) == 8
    assert len(re.findall(r"^contents of 10 images hashed in [0-9.]+ s$", out, re.MULTILINE)) == 2


def test_defaults_are_compared_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = script("defaults")
    turns: list[tuple[str, str, str, int]] = []

    def outcome(source: Path, data: Path, split: str, seed: int, folder: Path) -> Any:
        who = "other" if source == tmp_path else "ours"
        turns.append((who, data.name, split, seed))
        return module.Outcome(*{"ours": (0.5, 12.0), "other": (0.4, 10.0)}[who])

    monkeypatch.setattr(module, "run", outcome)
    options = ("--data", tmp_path, "--against", tmp_path, "--seeds", 0, 1, "--sets", "raccoon", "bccd")
    assert run("defaults", *options) == 1
    assert [each[0] for each in turns] == ["ours", "other", "other", "ours"] * 2
    assert {each[1:3] for each in turns} == {("raccoon", "val"), ("bccd", "test")}
    out = capsys.readouterr().out
    # 12 s are 1.2 times 10 s: raccoon may take 1.5 times, bccd no more.
    assert "bar: raccoon: time of training, times the other's: measured 1.2, asked at most 1.5: met" in out
    assert "bar: bccd: time of training, times the other's: measured 1.2, asked at most 1: missed" in out
    assert "bar: bccd: mean AP: measured 0.5, asked at least 0.4: met" in out


def test_defaults_of_equal_ap_are_not_higher() -> None:
    module = script("defaults")
    same = [module.Outcome(0.5, 1.0)]
    assert [bar.met for bar in module.bars("fruits18", same, same)] == [False]
    assert [bar.met for bar in module.bars("bccd", same, same)] == [True, True]


def test_defaults_train_and_measure_with_the_code_that_is_named(tmp_path: Path) -> None:
    module = script("defaults")
    other_source(
        tmp_path,
        "import json, sys\n"
        "if sys.argv[1] == 'evaluate':\n"
        "    open(sys.argv[sys.argv.index('--json') + 1], 'w').write(json.dumps({'AP': 0.25}))\n"
        "elif '7' in sys.argv:\n"
        "    sys.exit('no such data')\n",
    )
    (tmp_path / "run").mkdir()
    found = module.run(tmp_path, tmp_path / "bccd", "test", 0, tmp_path / "run")
    assert found.ap == 0.25
    with pytest.raises(SystemExit, match="exit code 1: no such data"):
        module.run(tmp_path, tmp_path / "bccd", "test", 7, tmp_path / "run")
