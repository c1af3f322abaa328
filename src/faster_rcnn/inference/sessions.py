"""Exported files in the runtimes that they are for: ONNX Runtime, OpenVINO, and torch itself."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from faster_rcnn.errors import MissingExtraError, ModelFileError
from faster_rcnn.system.packages import imported
from faster_rcnn.weights.exported import ENDINGS, Exported, parse_metadata
from faster_rcnn.weights.header import METADATA_KEY
from faster_rcnn.weights.program_archive import read_program

EXTRAS = {"onnx": ("onnxruntime", "onnx"), "openvino": ("openvino", "openvino")}
"""The package that runs files of a format, and the extra that installs it; pt2 needs none."""

HINTS = {"bfloat16": "bf16"}
"""OpenVINO's name of the precision of floats, by that of a file; the floats of all other files are float32."""

Session = Callable[..., Sequence[Tensor]]
"""A graph that is ready to run: from its inputs to its outputs, both in the order of the graph."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenedFile:
    """An exported file that is ready to run."""

    path: Path
    exported: Exported
    session: Session
    digest: Callable[[], str]
    """Computes CRC-32 of the weights that the file holds now, which only a verification needs."""


def open_exported(path: Path) -> OpenedFile:
    """Open an exported file in the runtime that it is for.

    Raises:
        ModelFileError: the file does not exist, is damaged, or faster-rcnn did not write it (E123).
        MissingExtraError: the runtime is not installed.
    """
    if not path.is_file():
        raise ModelFileError(f"there is no exported file '{path}'", code="E123")
    opened = {"onnx": _open_onnx, "openvino": _open_openvino, "pt2": _open_program}
    kind = ENDINGS[path.suffix.lower()]
    try:
        return opened[kind](path)
    except (MissingExtraError, ModelFileError):
        raise
    except Exception as error:  # each runtime has exceptions of its own, and a damaged file can raise any
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelFileError(
            f"{path} is not a usable {kind} file: {reason[0]:.200}; export it again", code="E123"
        ) from error


def runtime_of(kind: str) -> Any:
    """The module that runs files of a format; raises ``MissingExtraError`` where it is not installed."""
    return imported(*EXTRAS[kind])


def digest_of_parts(parts: Iterable[bytes | memoryview]) -> str:
    """CRC-32 of bytes, as eight hexadecimal digits."""
    found = 0
    for each in parts:
        found = zlib.crc32(each, found)
    return f"{found:08x}"


def onnx_weights_digest(model: Any) -> str:
    """CRC-32 of the initializers of an ONNX model, in their order."""
    return digest_of_parts(part for each in model.graph.initializer for part in (each.name.encode(), each.raw_data))


def program_weights_digest(program: Any) -> str:
    """CRC-32 of the weights and constants of a program of ``torch.export``."""
    tensors = {**program.state_dict, **program.constants}
    return digest_of_parts(
        part
        for name, each in sorted(tensors.items())
        if isinstance(each, Tensor)
        for part in (name.encode(), each.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    )


def _metadata(path: Path, text: str | None) -> Exported:
    if not text:
        raise ModelFileError(
            f"{path} has no '{METADATA_KEY}' in its metadata: faster-rcnn did not write it; make one with: faster-rcnn "
            "export MODEL --out FILE",
            code="E123",
        )
    return parse_metadata(path, text)


def _open_onnx(path: Path) -> OpenedFile:
    runtime: Any = runtime_of("onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors; warnings are about constants that could be folded
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    exported = _metadata(path, session.get_modelmeta().custom_metadata_map.get(METADATA_KEY))
    names = [each.name for each in session.get_inputs()]

    def run(*inputs: Tensor) -> Sequence[Tensor]:
        given = {name: each.numpy() for name, each in zip(names, inputs, strict=True)}
        return [torch.from_numpy(each) for each in session.run(None, given)]

    return OpenedFile(path, exported, run, partial(_onnx_digest, path))


def _onnx_digest(path: Path) -> str:
    return onnx_weights_digest(imported("onnx", "onnx").load(str(path)))


def _open_openvino(path: Path) -> OpenedFile:
    runtime: Any = runtime_of("openvino")
    core = runtime.Core()
    model = core.read_model(str(path))
    known = model.has_rt_info([METADATA_KEY, "metadata"])
    exported = _metadata(path, model.get_rt_info([METADATA_KEY, "metadata"]).astype(str) if known else None)
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": HINTS.get(exported.facts.precision, "f32"),
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()

    def run(*inputs: Tensor) -> Sequence[Tensor]:
        found = request.infer([each.numpy() for each in inputs])
        return [torch.from_numpy(each.copy()) for each in found.values()]

    return OpenedFile(path, exported, run, lambda: digest_of_parts([path.with_suffix(".bin").read_bytes()]))


def _open_program(path: Path) -> OpenedFile:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the format's own past
        opened = read_program(path)
        module = opened.program.module(check_guards=False)  # guards are Python code of the file

    def run(*inputs: Tensor) -> Sequence[Tensor]:
        with torch.no_grad():
            return list(module(*inputs))

    return OpenedFile(path, _metadata(path, opened.metadata), run, partial(program_weights_digest, opened.program))
