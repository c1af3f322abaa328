"""The shape of the code, enforced: its order, sizes, and no import that hides. An exception is a written line here."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "faster_rcnn"

ORDER = (
    ("_version", "errors", "error_codes", "choices"),
    ("structures",),
    ("losses",),
    ("ops",),
    ("kernels",),
    ("system",),
    ("parsing",),
    ("settings",),
    ("config",),
    ("resizing",),
    ("images",),
    ("preparation",),
    ("stages",),
    ("backbone", "rpn", "roi"),
    ("model",),
    ("building",),
    ("data.layout",),
    ("data.formats",),
    ("data",),
    ("weights",),
    ("weights.foreign",),
    ("weights.resolve",),
    ("proposals",),
    ("reporting.drawing",),
    ("reporting",),
    ("acceleration",),
    ("inference",),
    ("films",),
    ("evaluation",),
    ("training",),
    ("explanation.record",),
    ("explanation.causes",),
    ("explanation.dataset",),
    ("explanation.plots",),
    ("explanation",),
    ("checking",),
    ("benchmark",),
    ("export",),
    ("dry_run",),
    ("comparison",),
    ("serving", "serving.http"),
    ("demo",),
    ("detector",),
    ("integrations",),
    ("__init__",),
    ("cli",),
    ("__main__",),
)
"""From bottom to top; each part may import itself and the parts of lines above it, but no other part of its line."""

LAZY_DOORS = ("cli", "__init__", "__main__")
"""Where torch and what needs it are imported late, so that ``--help`` answers at once."""
LAZY_IMPORTS = {
    "demo.digits imports sklearn.datasets.load_digits": "optional: the extra for the demo",
    "demo.digits imports sklearn.datasets.load_sample_images": "optional: the extra for the demo",
    "proposals.selective_search imports cv2": "optional: the extra for selective search",
    "films.opencv imports cv2": "optional: the extra for films",
    "inference.detection imports pandas": "optional: a result as its table",
    "inference.detection imports supervision": "optional: a result as its detections",
    "inference.detection imports fiftyone": "optional: a result as its labels",
    "weights.hub imports huggingface_hub": "optional: the extra for the hub",
    "weights.hub imports huggingface_hub.errors": "optional: the extra for the hub",
    "weights.hub imports huggingface_hub.utils": "optional: the extra for the hub",
    "integrations.cvat imports cvat_sdk.auto_annotation": "optional: the package that calls this function",
    "explanation.film imports cv2": "optional: the extra for selective search, which writes MP4 as well",
    "serving.ray_cluster imports ray.data": "optional: the extra for clusters",
    "serving.ray_job imports ray": "optional: the extra for clusters",
    "serving.ray_job imports ray.data": "optional: the extra for clusters",
    "serving.ray_job imports ray.exceptions.RayError": "optional: the extra for clusters",
    "training.loggers.tensorboard_logger imports torch.utils.tensorboard.SummaryWriter": "optional: for loggers",
    "training.loggers.mlflow_logger imports mlflow": "optional: the extra for loggers",
    "training.loggers.mlflow_logger imports mlflow.entities.Metric": "optional: the extra for loggers",
    "training.loggers.mlflow_logger imports mlflow.entities.Param": "optional: the extra for loggers",
    "training.loggers.wandb_logger imports wandb": "optional: the extra for loggers",
    "evaluation.engine imports pycocotools.coco.COCO": "optional: stands in where hotcoco does not load",
    "evaluation.engine imports pycocotools.cocoeval.COCOeval": "optional: stands in where hotcoco does not load",
}
"""Optional or slow dependencies of other files, each with its reason."""

PRINTING = {
    "system.console": "escapes what a terminal would obey",
    "cli.outputs": "JSON, which escapes it by itself",
    "cli.app": "a script of the shell, in which nothing is from outside",
}
"""The only files that write to standard streams, each with how names from outside are escaped."""

MOST_LINES, MOST_BODY_LINES, MOST_NESTING, MOST_OF_CODE = 300, 40, 3, 0.12

MOST_MODEL_LINES = 150
"""Length of ``model.py``, which a reader of the paper reads first; the work of each stage is in its own folder."""

TESTED_BY = {
    "error_codes.code": ("test_error_codes.py", "the codes are tested together, and this class holds one of them"),
    "__init__": ("test_public_api.py", "the package is a door: it imports nothing until a name is used"),
    "__main__": ("test_main.py", "the file is named after the function that the command starts"),
}
"""Modules whose test file has another name: its path in the folder of tests, and the reason."""

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)


def module_name(path: Path, package: Path = PACKAGE) -> str:
    """Such as ``rpn.anchors``, ``cli`` or, for the package's own file, ``__init__``."""
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """The longest part of ``ORDER`` that a module belongs to; raises for one that the design does not know."""
    parts = module.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    known = {name for line in ORDER for name in line}
    found = next((name for name in names if name in known), None)
    if found is None:
        raise LookupError(f"{module} has no place: give it one in ORDER in tests/test_architecture.py")
    return found


def place(module: str) -> int:
    """The line of ``ORDER`` that a module belongs to."""
    part = part_of(module)
    return next(index for index, line in enumerate(ORDER) if part in line)


def imports(tree: ast.AST) -> Iterator[tuple[ast.stmt, str]]:
    """Every import, as the full name of what is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = "." * node.level + (node.module or "")
            yield from ((node, f"{prefix}.{alias.name}") for alias in node.names)


def own_imports(tree: ast.AST, modules: set[str]) -> Iterator[str]:
    """Modules of this package that are imported."""
    for _, name in imports(tree):
        inner = name.removeprefix("faster_rcnn.") if name.startswith("faster_rcnn.") else None
        if inner is not None:
            inside = [inner, inner.rpartition(".")[0]]
            yield next((each for each in inside if each in modules), "__init__")


def forbidden_imports(module: str, tree: ast.AST, modules: set[str]) -> list[str]:
    faults = [f"{module}: relative import {name}" for _, name in imports(tree) if name.startswith(".")]
    for target in own_imports(tree, modules):
        if part_of(target) != part_of(module) and place(target) >= place(module):
            faults.append(f"{module} imports {target}, which is not below it")
    return faults


def late_imports(module: str, tree: ast.AST) -> list[str]:
    if module.split(".")[0] in LAZY_DOORS:
        return []
    functions = [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]
    names = {name for function in functions for _, name in imports(function)}
    return [
        f"{module} imports {name} in a function"
        for name in sorted(names)
        if f"{module} imports {name}" not in LAZY_IMPORTS
    ]


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """Some import cycle, first module repeated at the end; empty if there is none."""
    finished: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in finished:
            return []
        found = next((each for target in sorted(graph[module]) if (each := visit(target, [*path, module]))), [])
        finished.add(module)
        return found

    return next((found for module in sorted(graph) if (found := visit(module, []))), [])


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From the first to the last line of the body, docstring not counted."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def nesting(node: ast.AST) -> int:
    """Depth of blocks within blocks; ``elif`` is no deeper than its ``if``."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            continue  # has its own count
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, nesting(child) + (isinstance(child, BLOCKS) and not is_elif))
    return deepest


def too_large(module: str, source: str) -> list[str]:
    lines = len(source.splitlines())
    faults = [f"{module} has {lines} lines"] if lines > MOST_LINES else []
    for function in (node for node in ast.walk(ast.parse(source)) if isinstance(node, FUNCTIONS)):
        if (length := body_lines(function)) > MOST_BODY_LINES:
            faults.append(f"{module}.{function.name} has {length} lines in its body")
        if (depth := nesting(function)) > MOST_NESTING:
            faults.append(f"{module}.{function.name} nests {depth} deep")
    return faults


def without_docstring(module: str, tree: ast.Module) -> list[str]:
    def missing(owner: ast.Module | ast.ClassDef, prefix: str) -> Iterator[str]:
        for node in owner.body:
            if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and not node.name.startswith("_"):
                if not ast.get_docstring(node) and not has_overload(node):
                    yield f"{prefix}.{node.name} has no docstring"
                if isinstance(node, ast.ClassDef):
                    yield from missing(node, f"{prefix}.{node.name}")

    return ([] if ast.get_docstring(tree) else [f"{module} has no docstring"]) + list(missing(tree, module))


def has_overload(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """An overload says nothing but types; the function after it has the words."""
    return any(ast.unparse(each).split(".")[-1] == "overload" for each in node.decorator_list)


def loose_ends(module: str, source: str) -> list[str]:
    marks = ("TODO", "FIXME", "XXX")
    lines = enumerate(source.splitlines(), 1)
    return [f"{module} line {number}: {mark}" for number, line in lines for mark in marks if mark in line]


PAPER = ("model", "rpn", "roi", "stages")
"""The files that hold the paper's algorithm: they read alike for every device, precision and memory format."""


def machine_choices(tree: ast.AST) -> list[str]:
    """Tests of gradient mode, device, memory format or type, which belong to ``kernels`` or to the building."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("is_grad_enabled", "is_contiguous"):
            found.append(node.attr)
        elif isinstance(node, ast.Attribute) and node.attr == "type" and ast.unparse(node.value).endswith("device"):
            found.append("device.type")
        elif isinstance(node, ast.Compare) and any(
            isinstance(each, ast.Attribute) and each.attr == "dtype" for each in (node.left, *node.comparators)
        ):
            found.append("dtype")
    return found


SOURCES = {module_name(path): path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {module: ast.parse(source) for module, source in SOURCES.items()}
TESTS = {str(path): path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("*.py"))}


@pytest.mark.parametrize("module", SOURCES)
def test_a_module_keeps_the_rules(module: str) -> None:
    source, tree = SOURCES[module], TREES[module]
    faults = forbidden_imports(module, tree, set(SOURCES)) + late_imports(module, tree) + too_large(module, source)
    assert faults + without_docstring(module, tree) + loose_ends(module, source) == []


def test_no_import_cycle() -> None:
    graph = {module: set(own_imports(tree, set(SOURCES))) - {module} for module, tree in TREES.items()}
    # The two halves of a lazy door: cli needs the version, and nothing of __init__ needs cli.
    assert cycle({module: {each for each in targets if each != "__init__"} for module, targets in graph.items()}) == []


@pytest.mark.parametrize("module", [name for name in SOURCES if name.split(".")[0] in PAPER])
def test_the_paper_makes_no_choice_by_machine(module: str) -> None:
    assert machine_choices(TREES[module]) == []


def without_test_file(module: str, tree: ast.AST, tests: set[str]) -> list[str]:
    """Name the missing test file of a module that holds code; ``tests`` are paths relative to the folder of tests."""
    if not any(isinstance(node, (*FUNCTIONS, ast.ClassDef)) for node in ast.walk(tree)):
        return []
    *folders, name = module.split(".")
    wanted = TESTED_BY[module][0] if module in TESTED_BY else "/".join([*folders, f"test_{name}.py"])
    return [] if wanted in tests else [f"{module} has no tests/{wanted}"]


def test_each_module_with_code_has_a_test_file_of_its_name() -> None:
    tests = {path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    faults = [fault for module, tree in TREES.items() for fault in without_test_file(module, tree, tests)]
    assert faults == []
    assert set(TESTED_BY) <= set(TREES)


def test_the_model_is_short() -> None:
    assert len(SOURCES["model"].splitlines()) <= MOST_MODEL_LINES


def uses(tree: ast.AST, attribute: str) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr == attribute for node in ast.walk(tree))


def prints(tree: ast.AST) -> bool:
    """Whether a file prints, or names a stream to write to."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    written = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return "print" in names or bool({"sys.stdout.write", "sys.stderr.write", "sys.stdout.buffer"} & written)


def test_only_the_console_prints() -> None:
    assert {module for module, tree in TREES.items() if prints(tree)} == set(PRINTING)


def test_tests_compare_tensors_by_assert_close() -> None:
    assert [name for name, source in TESTS.items() if uses(ast.parse(source), "allclose")] == []


def test_a_written_exception_is_still_needed() -> None:
    late = {f"{module} imports {name}" for module, tree in TREES.items() for _, name in imports(tree)}
    assert set(LAZY_IMPORTS) <= late


def test_the_order_is_that_of_the_design() -> None:
    names = (
        "errors",
        "structures",
        "ops.boxes",
        "kernels.conv3x3",
        "settings.schema",
        "images",
        "rpn.anchors",
        "model",
    )
    later = ("data.formats.coco", "data.reading", "inference.result", "evaluation.coco", "training.loop", "cli.train")
    assert all(place(name) < place(other) for name, other in pairwise((*names, *later, "__main__")))


def test_no_folder_holds_more_than_its_share_of_the_code() -> None:
    lines = Counter[str]()
    for path in PACKAGE.rglob("*.py"):
        lines[str(path.parent.relative_to(PACKAGE))] += len(path.read_text(encoding="utf-8").splitlines())
    assert {folder: count for folder, count in lines.items() if count > MOST_OF_CODE * lines.total()} == {}


BAD_MODULE = '''
from faster_rcnn.model import FasterRCNN
from faster_rcnn.roi.targets import sample
from ..ops import boxes

def public(x):
    import json
    if x:
        for y in x:
            with y:
                while y: pass  # TODO
''' + "    x = 1\n" * 40  # fmt: skip


def test_the_rules_can_fail() -> None:
    tree, modules = ast.parse(BAD_MODULE), {"model", "roi.targets", "rpn.bad"}
    assert forbidden_imports("rpn.bad", tree, modules) == [
        "rpn.bad: relative import ..ops.boxes",
        "rpn.bad imports model, which is not below it",
        "rpn.bad imports roi.targets, which is not below it",
    ]
    assert late_imports("rpn.bad", tree) == ["rpn.bad imports json in a function"]
    assert late_imports("cli.bad", tree) == []
    # 5 lines down to the innermost block, then 40.
    assert too_large("rpn.bad", BAD_MODULE) == [
        "rpn.bad.public has 45 lines in its body",
        "rpn.bad.public nests 4 deep",
    ]
    assert too_large("rpn.bad", "\n" * 301) == ["rpn.bad has 301 lines"]
    assert without_docstring("rpn.bad", tree) == ["rpn.bad has no docstring", "rpn.bad.public has no docstring"]
    assert loose_ends("rpn.bad", BAD_MODULE) == ["rpn.bad line 11: TODO"]
    assert without_test_file("rpn.bad", tree, {"test_bad.py"}) == ["rpn.bad has no tests/rpn/test_bad.py"]
    assert without_test_file("rpn.bad", tree, {"rpn/test_bad.py"}) == []
    assert without_test_file("rpn.bad", ast.parse("SIZE = 1"), set()) == []
    assert uses(ast.parse("torch.allclose(a, b)"), "allclose")
    assert prints(ast.parse("write = print"))
    assert machine_choices(ast.parse("torch.is_grad_enabled() and x.is_contiguous()")) == [
        "is_grad_enabled",
        "is_contiguous",
    ]
    assert machine_choices(ast.parse("x.device.type == 'cpu' or x.dtype is torch.half or y != x.dtype")) == [
        "dtype",
        "dtype",
        "device.type",
    ]
    assert machine_choices(ast.parse("torch.zeros(1, dtype=x.dtype, device=x.device)")) == []
    assert prints(ast.parse("sys.stderr.write(name)"))
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    with pytest.raises(LookupError, match=r"utils\.misc has no place"):
        place("utils.misc")


def test_elif_is_no_deeper_than_if() -> None:
    chain = "def f(x):\n    if x: pass\n    elif x: pass\n    elif x: pass\n    elif x: pass\n    else: pass\n"
    assert nesting(ast.parse(chain).body[0]) == 1
