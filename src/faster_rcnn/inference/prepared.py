"""A detector that is ready for inference: on its device, in its precision, optimized unless it is to be bit-exact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Tensor

from faster_rcnn.acceleration.compilation import ShapeCompiler
from faster_rcnn.acceleration.folding import prepare_for_inference
from faster_rcnn.acceleration.selection import accelerated_model, refuse_int8
from faster_rcnn.images import size_of
from faster_rcnn.inference.result import ordinary
from faster_rcnn.losses import Losses
from faster_rcnn.model import FasterRCNN
from faster_rcnn.roi.detections import DetectionFilter
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap, Detections, Proposals, TrainingBatch
from faster_rcnn.system.devices import computing_in, float_precision
from faster_rcnn.system.memory import keep_freed_memory
from faster_rcnn.weights.model_file import LoadedModel
from faster_rcnn.weights.thresholds import Thresholds


@dataclass(frozen=True, slots=True, eq=False)
class PreparedDetector:
    """A detector that is ready for inference, made by ``prepare``.

    ``dataclasses.replace`` makes a detector with other values that shares the weights.
    """

    model: FasterRCNN
    """The detector as it was loaded, on ``device`` and in inference mode."""
    network: FasterRCNN
    """The network that detects: ``model`` itself where results are bit-exact, otherwise an optimized copy of it."""
    compiler: ShapeCompiler | None
    """Compiles ``network`` for the padded shapes of images; without it, nothing is compiled."""
    classes: ClassMap
    config: Config
    device: torch.device
    precision: torch.dtype
    """The precision of convolutions and matrix products."""
    floats: torch.dtype
    """The precision of everything that is not int8."""
    exact: bool
    """Whether float32 results equal torchvision's to the last bit."""
    thresholds: Thresholds | None
    """Thresholds of scores by class, where the model file keeps them."""

    @property
    def runs_two_images(self) -> bool:
        """Whether two images may be processed concurrently, which leaves each half of the threads.

        That is faster on a CPU; bit-exact results depend on the number of threads.
        """
        return self.device.type == "cpu" and not self.exact

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Inside ``with``: operations compute without gradients and in this detector's precision."""
        with torch.inference_mode(), computing_in(self.floats, self.device):
            yield

    def compile_for(self, pixels: UInt8[Tensor, "3 height width"]) -> None:
        """Compile the network for the padded shape of an image, where this detector is compiled."""
        with self.computing():
            self.network_for(pixels)

    def detect(
        self,
        images: Sequence[UInt8[Tensor, "3 _ _"]],
        proposals: Sequence[Proposals] = (),
        detection_filter: DetectionFilter | None = None,
    ) -> list[Detections]:
        """The detections of each image, on the CPU and in the pixels of the image; see ``FasterRCNN.detect``.

        Args:
            images: decoded RGB images of any sizes, at least one.
            proposals: external proposals of each image, in its pixels; where there are none, the first stage proposes.
            detection_filter: replaces the second stage's own filter of detections.
        """
        with self.computing():
            given = [each.to(self.device) for each in proposals]
            # Batches are for GPUs, where nothing is compiled.
            network = self.network_for(images[0]) if len(images) == 1 else self.network
            found = network.detect([each.to(self.device) for each in images], given or None, detection_filter)
        return [ordinary(each) for each in found]

    def validate(self, batch: TrainingBatch) -> tuple[Losses, list[Detections]]:
        """The mean losses of a batch, and the detections that ``detect`` gives; nothing is compiled for this."""
        with self.computing():
            losses, found = self.network.validate(batch.to(self.device))
        return losses, [ordinary(each) for each in found]

    def propose(self, pixels: UInt8[Tensor, "3 height width"]) -> Proposals:
        """The first stage's proposals of one image, on the CPU and in its pixels, best first."""
        with self.computing():
            [proposals] = self.network.propose([pixels.to(self.device)])
        return proposals.to("cpu")

    def network_for(self, pixels: UInt8[Tensor, "3 height width"]) -> FasterRCNN:
        """The network that detects one image: compiled for its padded shape, where this detector is compiled."""
        if self.compiler is None:
            return self.network
        return self.compiler.model_for(self.network.preparation.padded_size(size_of(pixels)))


def prepare(
    loaded: LoadedModel,
    device: torch.device,
    precision: torch.dtype,
    *,
    exact: bool = True,
    compile: bool = False,
) -> PreparedDetector:
    """Move a detector to its device, and optimize it for inference.

    Args:
        loaded: the detector; its model is moved, and is otherwise not changed.
        device: the device that computes.
        precision: of convolutions and matrix products; int8 needs the activation ranges of a quantized model file.
        exact: whether float32 gives torchvision's results to the last bit; otherwise it is faster. Other precisions
            ignore it.
        compile: whether the network is compiled for each new shape of images, on a CPU.

    Raises:
        OptionError: int8 or ``compile`` on a GPU (E126), or both together (E125).
        ModelFileError: int8, and the model file has no activation ranges (E123).
        MachineError: there are no int8 convolutions here, or there is no C++ compiler.
    """
    if precision == torch.int8:
        refuse_int8(loaded, device, compile)
    if device.type == "cpu":
        keep_freed_memory()
    exact = exact and precision == torch.float32
    # The channels-last memory format is the faster one; torchvision's, contiguous, keeps the last bits.
    memory_format = torch.contiguous_format if exact else torch.channels_last
    loaded.model.to(device, memory_format=memory_format)  # type: ignore[call-overload]  # torch's types lag
    model = loaded.model.eval()
    floats = float_precision(precision, device)
    plain = prepare_for_inference(model, floats, exact)
    network = plain if exact else accelerated_model(plain, precision, loaded)
    compiler = ShapeCompiler(network, plain, device) if compile else None
    return PreparedDetector(
        model,
        network,
        compiler,
        loaded.classes,
        loaded.config,
        device,
        precision,
        floats,
        exact,
        loaded.thresholds,
    )
