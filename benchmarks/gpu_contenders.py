"""Contenders of `gpu.py`: training steps and detection, ours and torchvision's, with the same weights and images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from faster_rcnn.acceleration.compilation import compiled_model
from faster_rcnn.acceleration.folding import prepare_for_inference
from faster_rcnn.benchmark.loading import at_image_size, load_or_build
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.model import FasterRCNN
from faster_rcnn.structures import Detections, GroundTruth, ImageSize, TrainingBatch
from faster_rcnn.system.devices import computing_in
from faster_rcnn.training.optimizer import build_optimizer
from faster_rcnn.training.step import training_step
from faster_rcnn.weights.foreign.torchvision_detector import plan_torchvision, torchvision_detector
from faster_rcnn.weights.model_file import LoadedModel

LR, MOMENTUM, WEIGHT_DECAY, CLIP_NORM = 1e-4, 0.9, 1e-4, 10.0
"""Settings of all optimizers; they do not influence the time of a step, but the losses have to stay finite."""
TRUTHS = 8
"""Truths of each image."""
SPREAD = {"rpn.head.objectness": 2.0, "rpn.head.deltas": 0.3, "roi.classes": 2.0, "roi.deltas": 1.0}
"""Standard deviation of the outputs of the last layers, as trained detectors have them, in the order they compute.

New weights give all boxes nearly one score, below the floor of detections, so that nothing would be left for NMS.
"""

Work = Callable[[], object]


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """What all contenders share."""

    preset: str
    loaded: LoadedModel
    device: torch.device
    size: ImageSize
    """Size of the images, which no detector resizes."""

    @staticmethod
    def of(preset: str, short_side: int | None, device: torch.device) -> Setting:
        """A detector with random weights, and the size of its largest images."""
        loaded = at_image_size(load_or_build(preset), short_side)
        image = loaded.config.image
        return Setting(preset, loaded, device, ImageSize(image.short_side, image.short_side * 4 // 3))

    def spread(self) -> Setting:
        """The same with last layers whose outputs have mean 0 and the deviations of ``SPREAD``."""
        loaded = self.own()
        for name, deviation in SPREAD.items():
            layer = loaded.model.get_submodule(name)
            assert isinstance(layer, nn.Conv2d | nn.Linear)
            outputs: list[Tensor] = []
            hook = layer.register_forward_hook(lambda _, given, output, kept=outputs: kept.append(output.flatten()))
            with torch.inference_mode():
                loaded.model.detect(self.images(1))
            hook.remove()
            _vary(layer, torch.cat(outputs), deviation)
        return replace(self, loaded=loaded)

    def own(self) -> LoadedModel:
        """A copy of our detector, which a contender may change."""
        return replace(self.loaded, model=deepcopy(self.loaded.model))

    def peer(self) -> nn.Module:
        """torchvision's detector with the same weights, on the device, in inference mode."""
        plan = plan_torchvision(self.preset, self.loaded.config)
        return torchvision_detector(self.loaded, plan).to(self.device)

    def images(self, count: int) -> list[Tensor]:
        """Images of noise, uint8 (3, H, W), on the CPU; always the same."""
        generator = torch.Generator().manual_seed(0)
        return [torch.randint(0, 256, (3, *self.size), dtype=torch.uint8, generator=generator) for _ in range(count)]

    def truths(self, count: int) -> list[GroundTruth]:
        """Truths of all sizes, on the CPU; always the same."""
        generator = torch.Generator().manual_seed(1)
        return [self._truth(generator) for _ in range(count)]

    def _truth(self, generator: torch.Generator) -> GroundTruth:
        corners = torch.rand(TRUTHS, 2, 2, generator=generator) * torch.tensor([self.size.width, self.size.height])
        boxes = torch.cat((corners.amin(dim=1), corners.amax(dim=1) + 2), dim=1)
        labels = torch.randint(0, len(self.loaded.classes), (TRUTHS,), generator=generator)
        return GroundTruth(boxes, labels, torch.zeros(TRUTHS, dtype=torch.bool))


@torch.no_grad()
def _vary(layer: nn.Conv2d | nn.Linear, outputs: Tensor, deviation: float) -> None:
    factor = deviation / float(outputs.std())
    layer.weight.mul_(factor)
    assert layer.bias is not None
    layer.bias.mul_(factor).sub_(float(outputs.mean()) * factor)


def our_detection(setting: Setting, batch: int, precision: torch.dtype, *, exact: bool) -> Work:
    """Detection by the prepared detector; ``exact`` is torchvision's order of memory, else channels-last."""
    detector = prepare(setting.own(), setting.device, precision, exact=exact)
    images = setting.images(batch)
    return lambda: detector.detect(images)


def our_compiled_detection(setting: Setting, batch: int, precision: torch.dtype) -> Work:
    """Detection by the prepared detector, whose body, neck and RPN head are compiled for the first batch."""
    detector = prepare(setting.own(), setting.device, precision, exact=False)
    plain = prepare_for_inference(detector.model, precision, exact=False)
    compiled = replace(detector, network=compiled_model(detector.network, plain))
    images = setting.images(batch)
    return lambda: compiled.detect(images)


def peer_detection(setting: Setting, batch: int, precision: torch.dtype) -> Work:
    """Detection by torchvision's detector, from uint8 images on the CPU to boxes on the CPU."""
    peer, images = setting.peer(), setting.images(batch)

    def detect() -> object:
        with torch.inference_mode(), computing_in(precision, setting.device):
            found = peer([each.to(setting.device).float() / 255 for each in images])
        return [{name: each.cpu() for name, each in one.items()} for one in found]

    return detect


def boxes_of(found: object) -> dict[str, object]:
    """The number of boxes in the result of a detection; nothing for a training step."""
    if not isinstance(found, list):
        return {}
    return {"boxes": sum(len(one) if isinstance(one, Detections) else len(one["boxes"]) for one in found)}


def our_step(setting: Setting, batch: int, precision: torch.dtype) -> Work:
    """A training step as a run makes it, without reading of images."""
    model = _trainable(setting)
    optimizer = build_optimizer(model, lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    images = [each.float() / 255 for each in setting.images(batch)]
    given = TrainingBatch(tuple(images), tuple(setting.truths(batch)), tuple(range(batch)))
    return lambda: training_step(model, optimizer, given, lr=LR, clip_norm=CLIP_NORM, precision=precision)


def _trainable(setting: Setting) -> FasterRCNN:
    model = setting.own().model.train()
    return model.to(setting.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def peer_step(setting: Setting, batch: int, precision: torch.dtype) -> Work:
    """A training step of torchvision's detector, with the same layers trained."""
    peer: Any = setting.peer()
    trained_as_ours(peer, setting.loaded.model)
    trained = [each for each in peer.parameters() if each.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    images = [each.float() / 255 for each in setting.images(batch)]
    truths = setting.truths(batch)

    def step() -> float:
        given = [each.to(setting.device, non_blocking=True) for each in images]
        targets = [
            {"boxes": each.boxes.to(setting.device), "labels": each.labels.to(setting.device) + 1} for each in truths
        ]
        with computing_in(precision, setting.device):
            loss = torch.stack(list(peer(given, targets).values())).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, CLIP_NORM)
        optimizer.step()
        return float(loss.detach())

    return step


def trained_as_ours(peer: nn.Module, ours: FasterRCNN) -> None:
    """Train the convolutions that ours trains, which come in the same order, and keep all batch norms fixed."""
    peer.train().requires_grad_(True)
    for layer in peer.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval().requires_grad_(False)
    body: nn.Module = peer.backbone.body  # type: ignore[assignment, union-attr]
    theirs, own = (
        [each.weight for each in of.modules() if isinstance(each, nn.Conv2d)] for of in (body, ours.backbone.body)
    )
    for weight, twin in zip(theirs, own, strict=True):
        weight.requires_grad_(twin.requires_grad)


def raw_outputs(setting: Setting) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Features and first-stage outputs in float32 for one normalized image: ours, and torchvision's in our order."""
    peer: Any = setting.peer()
    ours = setting.own().model.to(setting.device).eval()
    pixels = torch.randn(1, 3, *setting.size, generator=torch.Generator().manual_seed(0)).to(setting.device)
    with torch.inference_mode():
        features = ours.backbone(pixels)
        output = ours.rpn(features)
        theirs = list(peer.backbone(pixels).values())
        logits, deltas = peer.rpn.head(theirs)
    rows = [[_rows(each, columns) for each in maps] for maps, columns in ((logits, 1), (deltas, 4))]
    return [*features, output.logits, output.deltas], [*theirs, *(torch.cat(each, dim=1) for each in rows)]


def _rows(output: Tensor, columns: int) -> Tensor:
    return output.permute(0, 2, 3, 1).reshape(len(output), -1, columns)
