"""Writes the kinds of exported files: a program of torch, ONNX, OpenVINO; the metadata are in the file."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from faster_rcnn.export.int8 import nncf_package, quantized
from faster_rcnn.export.program import exported_program, preparing_program, quiet
from faster_rcnn.export.suppression import IN_ONNX, IN_TORCH
from faster_rcnn.inference.sessions import (
    digest_of_parts,
    onnx_weights_digest,
    program_weights_digest,
    runtime_of,
)
from faster_rcnn.system.packages import imported
from faster_rcnn.weights.exported import ExportFacts, metadata_text, plain_metadata
from faster_rcnn.weights.header import METADATA_KEY
from faster_rcnn.weights.model_file import LoadedModel
from faster_rcnn.weights.program_archive import METADATA_FILE

OPSET = 18
"""Version of the ONNX operators."""
INPUTS = {True: ["images"], False: ["images", "sizes"]}
"""Names of the inputs of graphs that prepare images, and of those that do not."""
BETWEEN = ["pixels", "limits", "factors"]
"""Names between the graph that prepares images of any size and the detector."""
BATCH = "batch"
"""Name of the number of images, where it is not fixed; it is the same in all graphs."""
OUTPUTS = {True: ["boxes", "scores", "labels", "num"], False: ["boxes", "scores"]}
"""Names of the outputs of graphs with NMS, and of those without."""


def require_packages(kind: str, precision: str = "float32") -> None:
    """Raise ``MissingExtraError`` where a package is missing with which files of a format are written and verified."""
    needed = {"onnx": ("onnx", "onnxscript"), "openvino": ("onnx", "onnxscript"), "pt2": ()}
    for package in needed[kind]:
        imported(package, kind)
    if kind != "pt2":
        runtime_of(kind)
    if precision == "int8":
        nncf_package()


def write_file(loaded: LoadedModel, facts: ExportFacts, path: Path, images: Sequence[Tensor] = ()) -> None:
    """Write an export to ``path``, which has the ending of its format; an OpenVINO model is two files.

    With ``images`` a file in int8 is quantized.
    """
    writers: dict[str, Callable[[], None]] = {
        "pt2": lambda: _write_program(loaded, facts, path),
        "onnx": lambda: _write_onnx(loaded, facts, path),
        "openvino": lambda: _write_openvino(loaded, facts, path, images),
    }
    writers[facts.format]()


def onnx_model(loaded: LoadedModel, facts: ExportFacts) -> Any:
    """An ONNX model without metadata."""
    operators: Any = importlib.import_module("faster_rcnn.export.onnx_operators")  # it needs onnxscript
    table, outputs = operators.translations(), OUTPUTS[facts.nms]
    if not facts.prepares or facts.size is not None:
        return _converted(exported_program(loaded, facts, IN_ONNX), table, INPUTS[facts.prepares], outputs)
    onnx: Any = importlib.import_module("onnx")
    first = _converted(preparing_program(loaded, facts), table, INPUTS[True], BETWEEN)
    second = _converted(exported_program(loaded, facts, IN_ONNX), table, BETWEEN, outputs)
    first = onnx.compose.add_prefix(first, "prepare/", rename_inputs=False, rename_functions=False)
    _rename_sides(first, "prepare/")
    joins = [(f"prepare/{name}", name) for name in BETWEEN]
    return onnx.compose.merge_models(first, second, joins, producer_name=second.producer_name)


def _rename_sides(model: Any, prefix: str) -> None:
    """Prefix the names of all sides that are not fixed, which ``add_prefix`` leaves as they are.

    torch numbers them from 0 in each graph, so that the two parts of a merged graph use the same names. ONNX Runtime
    takes sides with the same name for equal, and would reuse the memory of one for the other.
    """
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        for side in value.type.tensor_type.shape.dim:
            if side.dim_param and side.dim_param != BATCH:
                side.dim_param = prefix + side.dim_param


def _converted(program: ExportedProgram, table: Any, inputs: list[str], outputs: list[str]) -> Any:
    with quiet():
        found = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            custom_translation_table=table,
            input_names=inputs,
            output_names=outputs,
        )
    assert found is not None
    return found.model_proto


def _write_program(loaded: LoadedModel, facts: ExportFacts, path: Path) -> None:
    program = exported_program(loaded, facts, IN_TORCH)
    facts = replace(facts, weights=program_weights_digest(program))
    program.example_inputs = None  # torch would pickle it
    with quiet():
        torch.export.save(
            program,
            str(path),
            extra_files={METADATA_FILE: metadata_text(loaded.config, loaded.classes, facts, loaded.thresholds)},
        )


def _write_onnx(loaded: LoadedModel, facts: ExportFacts, path: Path) -> None:
    model = onnx_model(loaded, facts)
    facts = replace(facts, weights=onnx_weights_digest(model))
    text = {METADATA_KEY: metadata_text(loaded.config, loaded.classes, facts, loaded.thresholds)}
    for key, value in {**text, **plain_metadata(loaded.config, loaded.classes, facts)}.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    path.write_bytes(model.SerializeToString())


def _write_openvino(loaded: LoadedModel, facts: ExportFacts, path: Path, images: Sequence[Tensor]) -> None:
    openvino: Any = runtime_of("openvino")
    onnx: Any = importlib.import_module("onnx")
    source = path.with_suffix(".onnx")
    onnx.save(onnx_model(loaded, facts), str(source))
    model = openvino.Core().read_model(str(source))
    source.unlink()
    if facts.precision == "int8":
        model = quantized(model, loaded.model.preparation, facts, images)
    openvino.save_model(model, str(path), compress_to_fp16=False)  # which writes the weights, for their digest
    facts = replace(facts, weights=digest_of_parts([path.with_suffix(".bin").read_bytes()]))
    model.set_rt_info(
        metadata_text(loaded.config, loaded.classes, facts, loaded.thresholds), [METADATA_KEY, "metadata"]
    )
    for key, value in plain_metadata(loaded.config, loaded.classes, facts).items():
        model.set_rt_info(value, [METADATA_KEY, key])
    openvino.save_model(model, str(path), compress_to_fp16=False)
