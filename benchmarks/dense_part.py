"""Time of body, neck and RPN head of a trained detector: ours against OpenVINO and ONNX Runtime in the same precision.

    python benchmarks/dense_part.py --model RUN --int8 QUANTIZED --images DIR [--threads 2] [--rounds 15]

RUN is the detector in floating point, QUANTIZED what `faster-rcnn quantize` made of it. The plain layers, with batch
norm folded, are exported to ONNX for the padded size of the first image. All contenders compute the same prepared
pixels in turn, in every round: ours in float32, bfloat16 and int8, OpenVINO in float32, with its bfloat16 hint and in
int8 by NNCF, ONNX Runtime in float32 and in int8 by its own static quantization; it has no bfloat16 on a CPU. A bar is
the median of the ratios within a round. Needs the extras onnx and openvino-int8.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from bars import Bar, judge
from timing import machine, seconds
from torch import Tensor, nn

from faster_rcnn.acceleration.folding import prepare_for_inference
from faster_rcnn.export.padding import pad_alike
from faster_rcnn.export.program import quiet
from faster_rcnn.inference.inputs import to_pixels
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.inference.sources import find_images
from faster_rcnn.model import FasterRCNN
from faster_rcnn.weights.model_file import LoadedModel
from faster_rcnn.weights.resolve import resolve_model

nncf: Any = importlib.import_module("nncf")  # these have no types
onnxruntime: Any = importlib.import_module("onnxruntime")
openvino: Any = importlib.import_module("openvino")
quantization: Any = importlib.import_module("onnxruntime.quantization")

CPU = torch.device("cpu")
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}
MAX_TIMES = 1.0
"""Required time of ours in multiples of the peer's."""
CALIBRATION = 16
"""Images on which the peers' int8 is calibrated."""
Work = Callable[[], object]


class Dense(nn.Module):
    """Body, neck and RPN head: from prepared pixels to logits and deltas of all anchors."""

    def __init__(self, model: FasterRCNN) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.head = model.rpn.head

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and deltas of every anchor."""
        output = self.head(self.backbone(pixels))
        return output.logits, output.deltas


class Reader:
    """Gives ONNX Runtime's quantization its images."""

    def __init__(self, pixels: Sequence[Tensor]) -> None:
        self.left = iter([{"pixels": each.numpy()} for each in pixels])

    def get_next(self) -> Any:
        """The inputs of the next call; ``None`` after the last one."""
        return next(self.left, None)


def prepared_pixels(loaded: LoadedModel, sources: Sequence[str], count: int) -> list[Tensor]:
    """Prepared images, (1, 3, h, w) each, of the padded size of the first one."""
    found: list[Tensor] = []
    for name in find_images(sources).names:
        [group] = loaded.model.preparation.groups([to_pixels(Path(name), name, loaded.config.data.max_pixels)])
        pixels = group.images.pixels.contiguous()
        if not found or pixels.shape == found[0].shape:
            found.append(pixels)
        if len(found) == count:
            break
    return found


def ours(loaded: LoadedModel, precision: torch.dtype, pixels: Tensor) -> Work:
    """Our layers, optimized for a precision."""
    detector = prepare(loaded, CPU, precision, exact=False)
    network = detector.network
    batch = pixels.contiguous(memory_format=torch.channels_last)

    def work() -> object:
        with detector.computing():
            return network.rpn(network.backbone(batch))

    return work


def write_onnx(loaded: LoadedModel, pixels: Tensor, path: Path) -> None:
    """Export the plain layers for one size of images."""
    folded = prepare_for_inference(loaded.model, torch.float32, exact=False)
    pad_alike(folded)
    dense = Dense(folded.to(memory_format=torch.contiguous_format)).eval()
    with torch.no_grad(), quiet():
        torch.onnx.export(
            dense,
            (pixels,),
            str(path),
            dynamo=True,
            verbose=False,
            input_names=["pixels"],
            output_names=["logits", "deltas"],
            external_data=False,
        )


def in_onnxruntime(path: Path, pixels: Tensor, threads: int) -> Work:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given = {"pixels": pixels.numpy()}
    return lambda: session.run(None, given)


def in_openvino(model: Any, precision: str, pixels: Tensor, threads: int) -> Work:
    hint = "bf16" if precision == "bfloat16" else "f32"
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    given = [pixels.numpy()]
    return lambda: request.infer(given)


def peers(file: Path, images: Sequence[Tensor], threads: int) -> Iterator[tuple[str, str, Work]]:
    """Name, precision and work of each peer."""
    pixels = images[0]
    quantized = file.with_name("int8.onnx")
    quantization.quantize_static(
        str(file),
        str(quantized),
        Reader(images),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
    )
    yield "ONNX Runtime", "float32", in_onnxruntime(file, pixels, threads)
    yield "ONNX Runtime", "int8", in_onnxruntime(quantized, pixels, threads)
    model = openvino.Core().read_model(str(file))
    for precision in ("float32", "bfloat16"):
        yield "OpenVINO", precision, in_openvino(model, precision, pixels, threads)
    int8 = nncf.quantize(model, nncf.Dataset([each.numpy() for each in images]), subset_size=len(images))
    yield "OpenVINO", "int8", in_openvino(int8, "int8", pixels, threads)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="run folder or model file")
    parser.add_argument("--int8", required=True, help="the same detector after faster-rcnn quantize")
    parser.add_argument("--images", required=True, nargs="+", help="files, folders or patterns")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    loaded, quantized = resolve_model(given.model), resolve_model(given.int8)
    images = prepared_pixels(loaded, given.images, CALIBRATION)
    if not images:
        parser.error(f"--images {' '.join(given.images)}: there are no images")
    print(f"{given.model}, {tuple(images[0].shape)}; {machine()}", flush=True)
    works: dict[tuple[str, str], Work] = {
        ("ours", name): ours(quantized if name == "int8" else loaded, precision, images[0])
        for name, precision in PRECISIONS.items()
    }
    with TemporaryDirectory() as folder:
        file = Path(folder) / "dense.onnx"
        write_onnx(loaded, images[0], file)
        works |= {(name, precision): work for name, precision, work in peers(file, images, given.threads)}
        return judge(bars_of(works, given.rounds))


def bars_of(works: dict[tuple[str, str], Work], rounds: int) -> list[Bar]:
    """Time everything in turn; print medians, and return the ratios."""
    for work in works.values():
        work()
        work()
    times = [{key: seconds(work) for key, work in works.items()} for _ in range(rounds)]
    for (name, precision), _ in works.items():
        own = [each[name, precision] for each in times]
        print(f"{name} in {precision}: {1000 * statistics.median(own):.2f} ms ({1000 * min(own):.2f} at least)")
    return [
        Bar(
            f"time of ours, times that of {name}, both in {precision}",
            statistics.median(each["ours", precision] / each[name, precision] for each in times),
            at_most=MAX_TIMES,
        )
        for name, precision in works
        if name != "ours"
    ]


if __name__ == "__main__":
    sys.exit(main())
