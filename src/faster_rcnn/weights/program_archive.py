"""Reader of files of ``torch.export``, which refuses all that would run code from a file.

``torch.export.load`` trusts its file: it unpickles tensors and objects, loads compiled libraries, evaluates the
expressions of sizes, compiles Python code in which the file's names and conditions stand, and calls any function below
``torch``. The files that ``export`` writes need none of that. So every entry of the archive and every text of the graph
is compared with the few forms that they have in our own files, before torch interprets anything; see
``_refuse_entries`` and ``_refuse_texts``. torch's own reader of archives is used for both, so that no other content is
checked than is loaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from torch.export import ExportedProgram
from torch.export.pt2_archive._package import PT2ArchiveReader, load_pt2

from faster_rcnn.errors import ModelFileError

METADATA_FILE = "faster_rcnn.json"
"""Name of the metadata inside a file."""
GRAPH, SAMPLES = "models/model.json", "data/sample_inputs/model.pt"
"""The entries of the graph and of its pickled example, which is empty in our files."""
CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
"""The entries that hold the file, the type and the shape of every tensor."""
ENTRY = re.compile(
    rf"data/weights/weight_\d+|data/constants/tensor_\d+|extra/{re.escape(METADATA_FILE)}|archive_format"
    r"|archive_version|byteorder|\.data/(version|serialization_id)"
)
"""The other entries of our files."""
OPERATOR = re.compile(
    r"torch\.ops\.(aten\.(?!from_file)\w+|torchvision\.(nms|roi_align|roi_pool))\.\w+"
    r"|_operator\.(add|sub|mul|floordiv|truediv|mod|neg|pow|ge|gt|le|lt|eq|ne|and_|or_|getitem)"
    r"|torch\.sym_(float|int|ite|max|min|not)"
)
"""Functions that a graph calls. ``aten.from_file`` would open a file."""
NAME = re.compile(r"[\w.]*")
"""Names of values and tensors, which torch writes into Python code."""
QUOTED = re.compile(r"'[\w.+-]*'")
EXPRESSION = re.compile(r"[\w\s(),=+*/-]*")
WORD = re.compile(r"[^\W\d]\w*")
NUMBERS = {"Symbol", "Integer", "Float", "Rational", "Infinity", "NegativeInfinity", "int_oo"}
ARITHMETIC = {"Add", "Mul", "Pow", "Max", "Min", "Mod", "Abs", "floor", "ceiling", "Where"}
COMPARISONS = {"Eq", "Ne", "Equality", "Unequality", "GreaterThan", "LessThan", "StrictGreaterThan", "StrictLessThan"}
LOGIC = {"Not", "And", "Or", "true", "false", "True", "False"}
OF_TORCH = {"FloorDiv", "CleanDiv", "CeilDiv", "ModularIndexing", "PythonMod", "PowByNatural", "FloatPow", "ToFloat"}
OF_TORCH |= {"FloatTrueDiv", "IntTrueDiv", "TruncToInt", "FloorToInt", "CeilToInt", "RoundToInt"}
OPTIONS = {"positive", "negative", "nonnegative", "integer", "real", "precision", "prec", "evaluate"}
WORDS = NUMBERS | ARITHMETIC | COMPARISONS | LOGIC | OF_TORCH | OPTIONS
"""What sizes are computed with, in the notation of sympy, which evaluates it as Python."""
RANGES = "range_constraints"
"""Ranges of sizes, by expressions of them such as 16*s30."""
STRUCTURE = re.compile(r'[\w\s.,:\[\]{}"-]*')
"""JSON of the nesting of inputs and outputs."""
SAFE_TEXTS = {"nn_module_stack", "torch_fn", "source_fn_stack", "as_string", "torch_version", "guards_code"}
"""Texts that nothing evaluates; conditions of inputs are evaluated only where a module is made with them."""


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A program of ``torch.export`` and the metadata of its file."""

    program: ExportedProgram
    metadata: str | None


def read_program(path: Path) -> Program:
    """Read a file that ``export`` wrote; make a module of it with ``check_guards=False`` alone.

    Raises ``ModelFileError`` (E123) for a file that holds anything else than such files do. A damaged file raises
    exceptions of torch.
    """
    with PT2ArchiveReader(str(path)) as reader:
        names = reader.get_file_names()
        _refuse_entries(path, names)
        if reader.read_bytes(SAMPLES):
            _refuse(path, "a pickled example")
        for config in CONFIGS:
            _refuse_pickled_tensors(path, json.loads(reader.read_string(config)))
        _refuse_texts(path, json.loads(reader.read_string(GRAPH)))
    # Not torch.export.load, which goes on with an older format, that of pickles, where this one does not fit.
    contents = load_pt2(str(path))
    return Program(contents.exported_programs["model"], contents.extra_files.get(METADATA_FILE))


def _refuse_entries(path: Path, names: list[str]) -> None:
    for name in names:
        if name not in (GRAPH, SAMPLES, *CONFIGS) and not ENTRY.fullmatch(name):
            _refuse(path, f"an entry '{name:.80}'")
    if len(set(names)) != len(names):
        _refuse(path, "an entry twice")


def _refuse_pickled_tensors(path: Path, config: Any) -> None:
    for name, each in config["config"].items():
        if each["use_pickle"] is not False or not re.fullmatch(r"(weight|tensor)_\d+", each["path_name"]):
            _refuse(path, f"a pickled tensor '{name:.80}'")


def _refuse_texts(path: Path, graph: Any) -> None:
    for key, text in _texts(graph):
        if not _is_plain(key, text):
            _refuse(path, f"a {key} of '{text:.80}'")


def _is_plain(key: str, text: str) -> bool:
    """Whether a text of the graph has the form that torch gives it."""
    if key in SAFE_TEXTS:
        return True
    if key == "target":
        return OPERATOR.fullmatch(text) is not None
    if key in ("in_spec", "out_spec"):
        return STRUCTURE.fullmatch(text) is not None
    if key == RANGES:  # only looked up
        return EXPRESSION.fullmatch(text) is not None
    if key == "expr_str":
        bare = QUOTED.sub("", text)
        return EXPRESSION.fullmatch(bare) is not None and set(WORD.findall(bare)) <= WORDS
    return key == "as_float" or NAME.fullmatch(text) is not None


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in JSON with the key that it stands under; keys are texts, too, under no key or ``RANGES``."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, key)
    elif isinstance(value, dict):
        for name, each in value.items():
            yield key if key == RANGES else "", name
            yield from _texts(each, name)


def _refuse(path: Path, what: str) -> NoReturn:
    raise ModelFileError(
        f"{path} holds {what}, which may run code, and which no file of faster-rcnn export has; it is not loaded. "
        "Export the detector again, with the version of torch that loads it",
        code="E123",
    )
