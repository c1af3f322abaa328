"""Modules that keep state for the whole process are those that CONTRIBUTING lists, each with its reason."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "faster_rcnn"


def keeps_state(tree: ast.Module) -> bool:
    """Whether a module caches results of functions, has a lock of its own, or configures the C library."""
    caches = {"cache", "lru_cache"}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and caches & {name_of(each) for each in node.decorator_list}:
            return True
    locks = (each.value for each in tree.body if isinstance(each, ast.Assign | ast.AnnAssign))
    return any(isinstance(each, ast.Call) and name_of(each) in ("Lock", "RLock") for each in locks)


def name_of(expression: ast.expr) -> str:
    """The last part of the name of a function, or of the one that a call calls."""
    called = expression.func if isinstance(expression, ast.Call) else expression
    return ast.unparse(called).rpartition(".")[2]


def test_every_module_with_process_wide_state_is_listed() -> None:
    modules = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
        for path in PACKAGE.rglob("*.py")
    }
    section = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Process-wide state")[2]
    table = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    listed = {name for line in table for name in re.findall(r"`([a-z0-9_.]+)`", line.split("|")[1])}
    assert listed == {name for name, tree in modules.items() if keeps_state(tree)}


def test_the_search_finds_caches_and_locks() -> None:
    for source in ("@cache\ndef f(): ...", "@functools.lru_cache(maxsize=4)\ndef f(): ...", "LOCK = threading.Lock()"):
        assert keeps_state(ast.parse(source))
    for source in ("def f(): ...", "class A:\n    def __init__(self): self.lock = Lock()", "SIZES = (1, 2)"):
        assert not keeps_state(ast.parse(source))
