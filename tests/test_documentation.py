"""What the documentation says is so: commands run, files and names exist, tables have the numbers of the code."""

from __future__ import annotations

import doctest
import importlib
import re
import tomllib
from functools import reduce
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.distributed.run import get_args_parser
from torchvision.models import detection

from documentation.presets import gflops
from faster_rcnn import errors
from faster_rcnn.building import build_model
from faster_rcnn.settings.presets import PRESETS
from faster_rcnn.settings.removed import REMOVED
from faster_rcnn.weights.foreign.layouts import LAYOUTS
from pages_of_documentation import BENCHMARKS, CODE, DOCS, LINK, PAGES, READING, README, ROOT, code_of, linked, rows
from test_errors_and_messages import promises_not_kept

MEASURED = DOCS / "measured.md"
NO_PROMISES = {f"setting {'.'.join(key)}" for key in REMOVED}
NO_PROMISES |= {f"flag {each}" for action in get_args_parser()._actions for each in action.option_strings}
NO_PROMISES.add("flag --no-deps")
"""Settings that pages name as removed, and the options of torchrun and pip."""
PUBLISHED = {
    "base": "FasterRCNN_ResNet50_FPN_Weights",
    "base-v2": "FasterRCNN_ResNet50_FPN_V2_Weights",
    "mobile": "FasterRCNN_MobileNet_V3_Large_FPN_Weights",
    "mobile-320": "FasterRCNN_MobileNet_V3_Large_320_FPN_Weights",
}
"""torchvision's published weights, by the preset that has their layout."""
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
    for path in (ROOT / "src").rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)

SCRIPT = re.compile(r"[\w/]+\.py( --[a-z][a-z0-9-]*( [\w/.=][\w/.=-]*)*)*")
"""A benchmark with its own flags, which are none of the command's."""


def module_of(path: Path) -> ModuleType:
    return importlib.import_module(".".join(path.resolve().relative_to(ROOT / "src").with_suffix("").parts))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_promise_only_what_exists(page: Path) -> None:
    text = LINK.sub("]", SCRIPT.sub("", page.read_text(encoding="utf-8")))
    assert [each for each in promises_not_kept(text) if each not in NO_PROMISES and not is_module(each)] == []


def is_module(promise: str) -> bool:
    """Whether what could be the name of a setting is that of a module, such as ``data.workers``."""
    return find_spec(f"faster_rcnn.{promise.removeprefix('setting ')}") is not None


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
    values = importlib.import_module("faster_rcnn.losses")
    losses = rows(READING, "The four losses")
    assert [loss[0].strip("`") for loss in losses] == list(values.Losses.__dataclass_fields__)
    for _, _, _, function, called_in in losses:
        assert f"{function.strip('`')}(" in linked(READING, called_in)[0].read_text(encoding="utf-8")


def test_departures_are_settings_of_the_default() -> None:
    named = [CODE.findall(row[0]) for row in rows(READING, "Where the defaults depart from the paper")]
    config: Any = PRESETS["small"]()
    values: dict[str, Any] = {name: reduce(getattr, name.split("."), config) for names in named for name in names}
    shown = ("image.short_side", "rpn.proposals_after_nms_training", "roi.samples_per_image", "roi.negative_iou")
    assert [values[name] for name in shown] == [416, 1000, 256, 0.5]
    assert (values["rpn.box_loss_beta"], values["training.weight_decay"]) == (1 / 9, 0.05)
    assert (values["rpn.objectness"], values["roi.pooling"]) == ("logit", "align")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_the_numbers_of_their_table(name: str) -> None:
    table = {code_of(row[0]): row[2:] for row in rows(README, "Presets")}
    assert list(table) == list(PRESETS)
    weights, operations, _, accuracy = table[name]
    config = PRESETS[name]()
    with torch.device("meta"):
        model = build_model(config, num_classes=3)
    millions = sum(each.numel() for each in model.parameters()) / 1e6
    assert weights == f"{millions:.1f}"
    assert operations == f"{gflops(config):.0f}"
    assert accuracy == (str(published_ap(PUBLISHED[name])) if name in PUBLISHED else "not measured")


def published_ap(weights: str) -> float:
    """AP on COCO's val2017 in percent, as torchvision's metadata of the weights have it."""
    metadata: dict[str, Any] = getattr(detection, weights).COCO_V1.meta
    return float(metadata["_metrics"]["COCO-val2017"]["box_map"])


def test_accuracy_of_published_weights_is_that_of_torchvision() -> None:
    listed = [(code_of(row[0]).removeprefix("torchvision:"), row[1]) for row in rows(MEASURED, "COCO")]
    names = [name.lower().removesuffix("_weights").replace("_", "") for name in PUBLISHED.values()]
    assert [name.replace("_", "") for name, _ in listed] == names
    assert [value for _, value in listed] == [str(published_ap(each)) for each in PUBLISHED.values()]


def test_layouts_of_detectron2_are_those_of_the_list() -> None:
    text = " ".join((DOCS / "how-to" / "import-export.md").read_text(encoding="utf-8").split())
    listed = CODE.findall(text.partition("Of Detectron2 the layouts are")[2].partition(", each with")[0])
    assert [f"detectron2:{name}" for name in listed] == [name for name in LAYOUTS if name.startswith("detectron2:")]


def test_exit_codes_are_those_of_the_errors() -> None:
    listed = {
        code for row in rows(DOCS / "reference" / "errors.md", "Exit codes") for code in re.findall(r"\d+", row[0])
    }
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
