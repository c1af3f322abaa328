"""Whatever a message or a docstring tells the user to type exists: commands, flags, settings, extras."""

from __future__ import annotations

import ast
import inspect
import pickle
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from faster_rcnn import errors
from faster_rcnn.checking.kinds import KINDS
from faster_rcnn.cli.app import app
from faster_rcnn.settings.resolve import all_keys

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "faster_rcnn"
SOURCES = {str(path.relative_to(PACKAGE)): path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}

COMMAND = re.compile(r"(?<![\w/'])faster-rcnn ([a-z]+)")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
SETTING = re.compile(r"--set ([a-z_]+\.[a-z_]+)")
DOTTED = re.compile(r"(?<![\w./-])((?:image|backbone|rpn|roi|data|training)\.[a-z_]+)(?![\w.(/])")
EXTRA = re.compile(r"faster-rcnn\[(\w+)\]")

COMMANDS = {name for name in app if not name.startswith("-")}
FLAGS = {"--debug", "--help", "--version", "--quiet", "--verbose", "--install-completion"} | {
    name
    for command in COMMANDS
    for argument in app[command].assemble_argument_collection()
    for name in argument.names
    if name.startswith("--")
}
OTHERS_FLAGS = {"--upgrade", "--index-url", "--cpus", "--max-restarts", "--standalone", "--nproc-per-node"}
OTHERS_FLAGS |= {"--server-host", "--function-module", "--allow-unmatched-labels", "--conf-threshold"}
OTHERS_FLAGS |= {"--data-binary", "--read-only", "--tmpfs", "--cap-drop", "--stop-timeout", "--rm"}
"""Flags of pip, docker, torchrun, cvat-cli and curl."""
PROSE = {"model", "models", "did"}
"""What follows the project's name where it is no command."""
FILE_NAMES = {"data.json", "data.yaml"}
"""What could be a setting and is a file."""
FINDINGS = {kind.partition("-")[0] for kind in KINDS}
"""What could be a setting and is a kind of finding, such as image.size-differs, up to its first hyphen."""


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every string with its line; what an f-string fills in becomes ``{}``."""
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            filled = (str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield node.lineno, "".join(filled)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.lineno, node.value


def promises_not_kept(text: str) -> list[str]:
    """What a text tells to type and does not exist."""
    bad = [f"command {name}" for name in COMMAND.findall(text) if name not in COMMANDS | PROSE]
    bad += [f"flag {name}" for name in FLAG.findall(text) if name not in FLAGS | OTHERS_FLAGS]
    settings = SETTING.findall(text) + DOTTED.findall(text)
    bad += [f"setting {key}" for key in settings if key not in {*all_keys(), *FILE_NAMES, *FINDINGS, "section.key"}]
    return bad + [f"extra {name}" for name in EXTRA.findall(text) if name not in extras()]


def extras() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return set(project["optional-dependencies"])


@pytest.mark.parametrize("name", SOURCES)
def test_messages_name_only_what_exists(name: str) -> None:
    found = texts(ast.parse(SOURCES[name]))
    assert [(line, bad) for line, text in found for bad in promises_not_kept(text)] == []


def test_the_search_can_fail() -> None:
    program = "raise OptionError(f'E1 {x}: run faster-rcnn verify, pass --bad-images {y} or --set data.foo={z}' 'x')"
    [(line, text)] = list(texts(ast.parse(program)))
    assert (line, text) == (1, "E1 {}: run faster-rcnn verify, pass --bad-images {} or --set data.foo={}x")
    assert promises_not_kept(text) == ["command verify", "flag --bad-images", "setting data.foo", "setting data.foo"]
    assert promises_not_kept("needs rpn.nms_iuo; pip install 'faster-rcnn[demmo]'") == [
        "setting rpn.nms_iuo",
        "extra demmo",
    ]
    assert promises_not_kept("`faster-rcnn train DATA --resume --set training.lr=0.1`, faster_rcnn.rpn.anchors") == []


@pytest.mark.parametrize("name", [name for name, each in vars(errors).items() if inspect.isclass(each)])
def test_every_error_has_an_exit_code_of_the_contract(name: str) -> None:
    assert getattr(errors, name).exit_code in range(1, 6)


def test_a_code_stands_before_its_message() -> None:
    assert str(errors.DatasetError("no labels", code="E115")) == "E115 no labels"
    assert errors.DatasetError("no labels", code="E115").code == "E115"
    assert errors.DatasetError("no labels", code="E115").text == "no labels"
    copied = pickle.loads(pickle.dumps(errors.DatasetError("no labels", code="E115")))  # as a worker process sends it
    assert (str(copied), copied.code, copied.text) == ("E115 no labels", "E115", "no labels")
    assert str(errors.DatasetError("no labels")) == "no labels"
    assert str(errors.MissingExtraError("cvat-sdk")) == "this needs the package 'cvat-sdk': pip install cvat-sdk"
    assert str(errors.MissingExtraError("sklearn", "demo")) == (
        "this needs the package 'sklearn': pip install 'faster-rcnn[demo]'"
    )
