"""What the documentation says is so: commands run, files and names exist, tables have the numbers of the code."""

from __future__ import annotations

import doctest
import importlib
import re
import shlex
import shutil
import tomllib
from contextlib import redirect_stdout
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from faster_rcnn import errors
from faster_rcnn.building import build_model
from faster_rcnn.cli.app import app
from faster_rcnn.cli.main import main
from faster_rcnn.kernels.int8_layers import weight_limit
from faster_rcnn.settings.presets import PRESETS
from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.foreign.layouts import LAYOUTS
from faster_rcnn.weights.model_file import load_model
from files import image_file, model_file
from made_data import make_squares
from test_errors_and_messages import promises_not_kept
from torchvision_peer import build_peer

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
READING = ROOT / "docs" / "reading-the-code.md"
BENCHMARKS = ROOT / "benchmarks" / "README.md"
"""Scripts with flags of their own, which are none of the command's."""
PAGES = (README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
    for path in (ROOT / "src").rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)

IN_SMALL = "minutes of training; tests/jobs/test_outside.py does the same with a tiny detector"
NOT_RUN = {
    "make demo": "minutes; the target is looked up",
    "make test": "this is part of it; the target is looked up",
    "pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu": "needs a network",
    "pip install .": "needs a network",
    "faster-rcnn train cells": "minutes of training; settings are worked out",
    "faster-rcnn train cells --config settings.yaml": "minutes of training; settings are worked out",
    "faster-rcnn train cells --model base --batch 2 --image-size 640 --set training.flip=0 training.patience=5": (
        "hours of training, and weights from a network; settings are worked out"
    ),
    "faster-rcnn train cells --out runs/cells --resume --epochs 24": (
        "a minute of training; tests/jobs/test_resuming.py does the same with two epochs"
    ),
    "faster-rcnn train cells --proposals search.safetensors --out runs/fast": IN_SMALL,
    "faster-rcnn evaluate runs/fast cells --proposals search.safetensors": IN_SMALL,
    "faster-rcnn predict runs/fast cells/images --proposals search.safetensors": IN_SMALL,
    "faster-rcnn train cells --set detector.kind=rpn --out runs/rpn": IN_SMALL,
    "faster-rcnn proposals cells --method rpn --model runs/rpn --out first-stage.safetensors": IN_SMALL,
    "faster-rcnn recall cells --proposals search.safetensors first-stage.safetensors --plot recall.svg": (
        "the second file is of a command above that is not run; tests/jobs/test_recall.py draws two"
    ),
    "faster-rcnn train cells --set training.scheme=alternating --out runs/alternating": IN_SMALL,
    "faster-rcnn compare cells --out runs/comparison": (
        "minutes of training; tests/jobs/test_compare.py does the same with a tiny detector"
    ),
    "faster-rcnn benchmark mobile-320 --compare torchvision,onnxruntime,openvino --json speed.json": (
        "half a minute; tests/jobs/test_benchmark.py does the same with one image of 64 pixels"
    ),
    "faster-rcnn import model_final.pkl --layout detectron2:faster_rcnn_R_50_FPN_3x --out coco.safetensors": (
        "needs a file of Detectron2; tests/weights/test_detectron2_layout.py writes one; the layout is looked up"
    ),
    "faster-rcnn predict torchvision:fasterrcnn_resnet50_fpn_v2 photo.jpg": "needs a network; the layout is looked up",
}
"""Commands that are checked and not run, and why."""

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`]+)`")
SCRIPT = re.compile(r"[\w/]+\.py( --[a-z][a-z0-9-]*( [\w/.]+)*)*")
"""A benchmark with its own flags, which are none of the command's."""


def blocks(page: Path, language: str) -> list[str]:
    """Code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Every line of the README's shell blocks, without its comment."""
    lines = [line.partition("  #")[0].strip() for block in blocks(README, "sh") for line in block.splitlines()]
    return [line for line in lines if line]


def inline_commands() -> list[str]:
    """Commands in the README's text and tables."""
    text = re.sub(r"^```.*?^```", "", README.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [code for code in CODE.findall(text) if code.startswith(("faster-rcnn ", "make ", "python "))]


def rows(page: Path, heading: str) -> list[list[str]]:
    """Cells of every line of the tables between a heading and the next one, without the head of each table."""
    section = page.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = section.splitlines()
    heads = {index - 1 for index, line in enumerate(lines) if line.startswith("|---")}
    body = [line for index, line in enumerate(lines) if line.startswith("|") and index not in heads]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body if not line.startswith("|---")]


def linked(page: Path, cell: str) -> list[Path]:
    """Files that a cell links to."""
    return [page.parent / target for target in LINK.findall(cell)]


def module_of(path: Path) -> ModuleType:
    return importlib.import_module(".".join(path.resolve().relative_to(ROOT / "src").with_suffix("").parts))


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder with all that the README's commands speak of; ``runs/cells`` holds a tiny detector."""
    for name in ("cells", "more"):
        make_squares(tmp_path / name, {"train": 4, "val": 2, "test": 2}, seed=len(name))
    for name in ("photos/a.jpg", "photos/b.png", "slides/a.png", "slide.png", "photo.jpg"):
        image_file(tmp_path / name)
    (tmp_path / "runs" / "cells").mkdir(parents=True)
    model_file(tmp_path / "runs" / "cells" / "best.safetensors", ClassMap(("dark", "light"), (3, 7)))
    return tmp_path


def run(command: str) -> int:
    """Run a line of the README in this process; ``> FILE`` is all that is understood of a shell."""
    words, _, target = command.partition(" > ")
    arguments = shlex.split(words)[1:]
    if not target:
        return main(arguments)
    with Path(target).open("w", encoding="utf-8") as file, redirect_stdout(file):
        return main(arguments)


def test_commands_run_in_the_order_of_the_readme(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    peer = build_peer("torchvision:fasterrcnn_resnet50_fpn", outputs=3, seed=0)
    torch.save(peer.state_dict(), "checkpoint.pth")
    for command in commands():
        if command in NOT_RUN or (" quantize " in command and weight_limit() == 0):
            continue
        if "--resume" in command:
            _leave_interrupted(Path("runs/cells"))
        assert run(command) == 0, command
    if weight_limit() > 0:
        assert load_model(Path("quick.safetensors")).ranges is not None
    assert sorted(path.name for path in Path("predictions").glob("*/*")) == ["a.jpg", "a.png", "b.png"]
    assert len(Path("found.jsonl").read_text().splitlines()) == 2
    named = {CODE.findall(row[0])[0] for row in rows(README, "Your own images") if len(row) == 2 and "." in row[0]}
    assert {path.name for path in Path("runs/more").iterdir()} == named


def _leave_interrupted(folder: Path) -> None:
    """A run that was stopped between its last epoch and its summary, in the place of a finished one."""
    assert run("faster-rcnn train cells --weights runs/cells --epochs 1 --workers 0 --out runs/stopped") == 0
    shutil.rmtree(folder)
    shutil.move("runs/stopped", folder)
    (folder / "summary.json").unlink()


def test_python_runs(workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(workplace)
    [program] = blocks(README, "python")
    exec(compile(program, "README.md", "exec"), {})
    assert (workplace / "slide-found.png").exists()
    assert "FasterRCNN(" in capsys.readouterr().out


def test_what_is_not_run_is_in_the_readme() -> None:
    assert set(NOT_RUN) <= set(commands())


@pytest.mark.parametrize("command", [*commands(), *inline_commands()])
def test_every_command_is_understood(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    match shlex.split(command.partition(" > ")[0]):
        case ["faster-rcnn", *arguments]:
            _, bound, _ = app.parse_args(arguments, exit_on_error=False, print_error=False)
            _check_settings(bound.arguments)
        case ["make", target]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        case ["python", script, *_]:
            assert (ROOT / script).exists()


def _check_settings(options: dict[str, object]) -> None:
    """Settings, presets and layouts of a command are those that exist; a --config file is one that config printed."""
    config = Path(str(options["config"])) if options.get("config") else None
    if config is not None:
        run(f"faster-rcnn config > {config}")
    if "data" in options and options.get("weights") is None:
        settings = options.get("settings") or ()
        model = options.get("model")
        if model in (None, *PRESETS):
            flags = {name: options.get(name) for name in ("epochs", "batch", "image_size", "seed")}
            resolve_config(model, config, settings, flags)  # type: ignore[arg-type]
    for value in (options.get("layout"), options.get("model")):
        assert not str(value).startswith(("torchvision:", "detectron2:")) or value in LAYOUTS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_promise_only_what_exists(page: Path) -> None:
    text = SCRIPT.sub("", page.read_text(encoding="utf-8"))
    assert promises_not_kept(text) == []


@pytest.mark.parametrize("page", [*PAGES, BENCHMARKS], ids=lambda page: str(page.relative_to(ROOT)))
def test_benchmarks_have_the_flags_that_pages_give_them(page: Path) -> None:
    sources = "".join(each.read_text(encoding="utf-8") for each in BENCHMARKS.parent.glob("*.py"))
    for command in SCRIPT.finditer(page.read_text(encoding="utf-8")):
        for flag in re.findall(r"--[a-z0-9-]+", command[0]):
            assert f'"{flag}"' in sources, command[0]


@pytest.mark.parametrize("page", [*PAGES, BENCHMARKS], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    targets = [target.partition("#") for target in LINK.findall(page.read_text(encoding="utf-8"))]
    targets = [target for target in targets if not target[0].startswith("https://")]
    headings = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert [target for target, _, _ in targets if not (page.parent / target).exists()] == []
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    assert {anchor for target, _, anchor in targets if anchor and not target} <= anchors


def test_the_paper_leads_to_files_names_and_tests() -> None:
    table = rows(READING, "From the paper to the code")
    assert len(table) > 20
    for part, files, names, tests in table:
        [file], [test_file] = linked(READING, files), linked(READING, tests)
        for name in CODE.findall(names):
            reduce(getattr, name.split("."), module_of(file))
        written = test_file.read_text(encoding="utf-8")
        missing = [test for test in CODE.findall(tests) if f"\ndef {test}(" not in written]
        assert missing == [], part


def test_boxes_and_losses_are_made_where_it_is_said() -> None:
    for _, _, value, made_in in rows(READING, "The four kinds of boxes"):
        for file in linked(READING, made_in):
            assert f"{value.strip('`')}(" in file.read_text(encoding="utf-8"), file
    structures = importlib.import_module("faster_rcnn.structures")
    losses = rows(READING, "The four losses")
    assert [loss[0].strip("`") for loss in losses] == list(structures.Losses.__dataclass_fields__)
    for _, _, _, function, called_in in losses:
        assert f"{function.strip('`')}(" in linked(READING, called_in)[0].read_text(encoding="utf-8")


def test_departures_are_settings_of_the_default() -> None:
    named = [CODE.findall(row[0]) for row in rows(READING, "Where the defaults depart from the paper")]
    config: Any = PRESETS["small"]()
    values: dict[str, Any] = {name: reduce(getattr, name.split("."), config) for names in named for name in names}
    shown = ("image.short_side", "rpn.proposals_after_nms_training", "roi.samples_per_image", "roi.negative_iou")
    assert [values[name] for name in shown] == [416, 1000, 256, 0.5]
    assert (values["rpn.box_loss_beta"], values["training.weight_decay"]) == (1 / 9, 1e-4)
    assert (values["rpn.objectness"], values["roi.pooling"]) == ("logit", "align")


def test_presets_have_the_numbers_of_their_table() -> None:
    table = {row[0].strip("`"): row[2:5] for row in rows(README, "Presets")}
    assert list(table) == list(PRESETS)
    for name, (weights, sides, proposals) in table.items():
        config = PRESETS[name]()
        with torch.device("meta"):
            model = build_model(config, num_classes=3)
        millions = sum(each.numel() for each in model.parameters()) / 1e6
        assert weights == f"{millions:.1f}"
        assert sides == f"{config.image.short_side}, {config.image.long_side}"
        assert int(proposals) == config.rpn.proposals_after_nms


def test_layouts_of_detectron2_are_those_of_the_list() -> None:
    text = " ".join(README.read_text(encoding="utf-8").split())
    listed = CODE.findall(text.partition("Of Detectron2 the layouts are")[2].partition(", each with")[0])
    assert [f"detectron2:{name}" for name in listed] == [name for name in LAYOUTS if name.startswith("detectron2:")]


def test_exit_codes_are_those_of_the_errors() -> None:
    listed = {code for row in rows(README, "When something is wrong") for code in re.findall(r"\d+", row[0])}
    of_errors = {str(each.exit_code) for each in vars(errors).values() if hasattr(each, "exit_code")}
    assert listed == of_errors | {"0", "129", "130", "143"}


def test_the_version_of_python_is_the_one_that_is_needed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "Python 3.11 or newer" in README.read_text(encoding="utf-8")
    assert project["requires-python"] == ">=3.11"


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_of_docstrings_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_examples_stand_where_the_arithmetic_is() -> None:
    packages = {name.split(".")[1] for name in WITH_EXAMPLES}
    assert {"ops", "rpn", "roi", "training"} <= packages
