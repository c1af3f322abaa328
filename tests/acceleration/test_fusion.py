"""The fused model of a detector computes what the detector computes, for bodies of every kind."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.testing import assert_close

from faster_rcnn import Detector
from faster_rcnn.acceleration import fusion
from faster_rcnn.acceleration.folding import prepare_for_inference
from faster_rcnn.acceleration.fusion import fused_model, fused_parts
from faster_rcnn.acceleration.tracing import traced_part
from faster_rcnn.building import build_model
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.kernels.fused_layers import CONVOLUTION, LINEAR, OPERATIONS, Operation, fused_works
from faster_rcnn.kernels.onednn_layers import NO_ACTIVATION, RELU, FusedConv2d, FusedLinear
from faster_rcnn.model import FasterRCNN
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.schema import Config
from files import loaded_model, rgb
from tiny import (
    COARSE,
    config_of_body,
    decided_model,
    random_image,
    tiny_and_full,
    tiny_config,
    tiny_preset,
    with_statistics,
)

pytestmark = pytest.mark.skipif(
    not all(fused_works(each, torch.float32) for each in OPERATIONS), reason="oneDNN lacks fused operations here"
)
needs_bfloat16 = pytest.mark.skipif(
    not all(fused_works(each, torch.bfloat16) for each in OPERATIONS),
    reason="oneDNN lacks fused operations in bfloat16 here",
)


def every_operation(operation: Operation, precision: torch.dtype = torch.float32) -> bool:
    """Every operation works."""
    return True


def all_but(missing: Operation) -> Callable[[Operation, torch.dtype], bool]:
    return lambda operation, precision: operation != missing


def prepared(config: Config) -> FasterRCNN:
    torch.manual_seed(0)
    return prepare_for_inference(with_statistics(build_model(config, 2)), torch.float32, exact=False)


def convolutions(model: nn.Module) -> list[nn.Module]:
    return [each for each in model.modules() if isinstance(each, nn.Conv2d)]


def assert_same_outputs(fused: FasterRCNN, network: FasterRCNN, pixels: Tensor) -> None:
    with torch.no_grad():
        ours, theirs = fused.backbone(pixels), network.backbone(pixels)
        first, second = fused.rpn(ours), network.rpn(theirs)
    pairs = [*zip(ours, theirs, strict=True), (first.logits, second.logits), (first.deltas, second.deltas)]
    for one, other in pairs:
        assert_close(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


BODIES = (
    *("test_resnet", "resnet18", "regnetx_002", "mobilenetv2_050", "densenet121", "convnext_atto", "hardcorenas_a"),
    "xception41",  # its features are taken by hooks
)


@pytest.mark.parametrize(
    "config",
    [
        *tiny_and_full("small", "mobile-320", "base-v2", "c4", "paper"),
        *(
            pytest.param(config_of_body(name, (0, 1, 2, 3) if "next" in name else (1, 2, 3, 4)), id=name)
            for name in BODIES
        ),
        pytest.param(tiny_config(rpn={"objectness": "softmax"}), id="two-way softmax"),
        pytest.param(
            tiny_config(backbone={"pyramid_plain": 2}, rpn={"anchor_sizes": COARSE}),
            id="levels without anchors and convolution",
        ),
        pytest.param(tiny_config(backbone={"pyramid_norm": True, "norm": "batch"}), id="norms in the pyramid"),
    ],
)
def test_a_fused_detector_has_the_same_features(config: Config) -> None:
    network = prepared(config)
    fused = fused_model(network)
    assert fused is not network
    assert sum(isinstance(each, FusedConv2d) for each in fused.modules()) >= 8
    # Landscape, portrait, and landscape again: weights packed for one shape do not affect another.
    for shape in ((64, 96), (96, 64), (64, 96)):
        assert_same_outputs(fused, network, torch.randn(1, 3, *shape))


@pytest.mark.parametrize("config", tiny_and_full("small", "base", "mobile-320"))
def test_no_convolution_is_left_plain(config: Config) -> None:
    network = prepared(config)
    assert len(convolutions(network)) > (20 if config.backbone.body == "test_resnet" else 40)
    assert convolutions(fused_model(network)) == []


@pytest.mark.parametrize(
    ("config", "blocks"), [(tiny_preset("base"), 4), pytest.param(preset("base"), 16, marks=pytest.mark.soak)]
)
def test_sums_and_activations_are_fused_too(config: Config, blocks: int) -> None:
    """ResNet-50 has 16 blocks with a sum, each with an activation after it, and 33 more; the pyramid has three sums."""
    parts = fused_parts(prepared(config), fused_works)
    calls = [node for part in parts.values() for node in part.graph.nodes if node.op == "call_module"]
    assert sum(len(node.args) == 2 for node in calls) == blocks + 3
    kinds = {
        type(part.get_submodule(str(node.target)))
        for part in parts.values()
        for node in part.graph.nodes
        if node.op == "call_module"
    }
    assert nn.ReLU not in kinds
    assert nn.Identity not in kinds


@pytest.mark.parametrize("roi", [{}, {"head_convs": (8,), "head_hidden": (16, 16)}, {"dropout": 0.5}])
@pytest.mark.parametrize("regions", [0, 1, 7])
def test_a_fused_region_head_gives_the_same_in_either_memory_format(roi: dict[str, Any], regions: int) -> None:
    network = prepared(tiny_config(roi=roi))
    fused = fused_model(network)
    assert not [each for each in fused.roi.head.modules() if isinstance(each, nn.Linear | nn.Conv2d)]
    pooled = torch.randn(regions, network.backbone.channels, 7, 7)
    for each in (pooled, pooled.to(memory_format=torch.channels_last)):
        assert_close(fused.roi.head(each), network.roi.head(each), rtol=1e-4, atol=1e-5)


def test_a_fused_detector_finds_the_same() -> None:
    network = prepare_for_inference(
        with_statistics(decided_model(roi={"score_floor": 0.05})), torch.float32, exact=False
    )
    images = [random_image(80, 100), random_image(100, 80, seed=1)]
    fused = fused_model(network)
    for one, other in zip(fused.detect(images), network.detect(images), strict=True):
        assert len(one) > 5
        assert_close(one.boxes, other.boxes, rtol=1e-3, atol=1e-2)
        assert_close(one.scores, other.scores, rtol=1e-3, atol=1e-4)
        assert torch.equal(one.labels, other.labels)


def fused_by_hand(layer: FusedConv2d, features: Tensor, other: Tensor | None = None) -> Tensor:
    """A fused convolution in bfloat16 that sums in float32, as oneDNN's does, for processors without one."""
    geometry, padding = layer.geometry, layer.geometry.padding_for(features)
    assert features.dtype == layer.weight.dtype == layer.bias.dtype == torch.bfloat16
    result = torch.nn.functional.conv2d(
        features.float(), padding.extended(layer.weight).float(), layer.bias.float(), geometry.stride,
        padding.both_sides, geometry.dilation, geometry.groups,
    )  # fmt: skip
    if other is not None:
        assert other.dtype == torch.bfloat16
        result = result + other.float()
    after: dict[str, Callable[[Tensor], Tensor]] = {
        "relu": torch.relu,
        "hardtanh": nn.ReLU6(),
        "hardswish": nn.Hardswish(),
        "none": nn.Identity(),
    }
    result = after[layer.activation.name](result).bfloat16()
    return result if other is None else other.copy_(result)


@pytest.mark.parametrize("config", tiny_and_full("small", "base", "mobile-320"))
def test_a_fused_detector_in_bfloat16_stays_in_bfloat16(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = with_statistics(build_model(config, 2))
    network = prepare_for_inference(model, torch.bfloat16, exact=False)
    monkeypatch.setattr(fusion, "fused_works", every_operation)
    fused = fused_model(network)
    assert fused is not network
    monkeypatch.setattr(FusedConv2d, "forward", fused_by_hand)
    pixels = torch.randn(1, 3, 64, 96)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        features, expected = fused.backbone(pixels), network.backbone(pixels)
        output = fused.rpn(features)
    assert all(each.dtype == torch.bfloat16 for each in (*features, output.logits, output.deltas))
    for one, other in zip(features, expected, strict=True):
        # A fused convolution rounds once; a plain one also rounds before its activation and its sum.
        assert float((one - other).float().abs().mean()) < 0.03 * float(other.float().abs().mean())


@needs_bfloat16
@pytest.mark.parametrize("config", tiny_and_full("small", "base", "mobile-320"))
def test_a_detector_is_fused_in_bfloat16_as_in_float32(config: Config) -> None:
    torch.manual_seed(0)
    model = with_statistics(build_model(config, 2))
    exact, plain = (prepare_for_inference(model, each, exact=False) for each in (torch.float32, torch.bfloat16))
    in_float32, in_bfloat16 = fused_model(exact), fused_model(plain)
    least = 20 if config.backbone.body == "test_resnet" else 40
    assert fused_convolutions(in_bfloat16) == fused_convolutions(in_float32) > least
    pixels = torch.randn(1, 3, 256, 384)  # enough features in the coarsest map for a mean
    with torch.inference_mode():
        expected = in_float32.backbone(pixels)
        with torch.autocast("cpu", torch.bfloat16):
            ours, theirs = in_bfloat16.backbone(pixels), plain.backbone(pixels)
    for one, other, right in zip(ours, theirs, expected, strict=True):
        assert one.dtype == torch.bfloat16
        # A fused convolution rounds once; a plain one also rounds before its activation and its sum.
        assert float((one - right).abs().mean()) < 1.2 * float((other - right).abs().mean())


def fused_convolutions(network: FasterRCNN) -> int:
    return sum(isinstance(each, FusedConv2d) for each in network.modules())


class Steps(nn.Module):
    """Convolutions with every kind of node that may follow one, and a fully connected layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
        self.last = nn.Linear(6, 5)

    def forward(self, pixels: Tensor) -> Tensor:
        start = nn.functional.relu(self.first(pixels))
        total = nn.functional.relu(self.second(start) + self.third(pixels))
        return nn.functional.relu(self.last(total))


SUM, RELU_OF_SUM = Operation(CONVOLUTION, adds=True), Operation(CONVOLUTION, RELU, adds=True)
PLAIN, RELU_AFTER = Operation(CONVOLUTION), Operation(CONVOLUTION, RELU)
RELU_OF_LINEAR = Operation(LINEAR, RELU)


@pytest.mark.parametrize(
    ("missing", "left"),
    [
        ((), ["conv relu", "conv", "conv sum relu", "linear relu"]),
        ((RELU_OF_SUM,), ["conv relu", "conv", "conv sum", "relu", "linear relu"]),
        ((SUM, RELU_OF_SUM), ["conv relu", "conv", "conv", "add", "relu", "linear relu"]),
        ((RELU_AFTER,), ["conv", "relu", "conv", "conv sum relu", "linear relu"]),
        ((RELU_OF_LINEAR,), ["conv relu", "conv", "conv sum relu", "linear", "relu"]),
        ((PLAIN,), ["conv relu", "Conv2d", "conv sum relu", "linear relu"]),
        (OPERATIONS, ["Conv2d", "relu", "Conv2d", "Conv2d", "add", "relu", "Linear", "relu"]),
    ],
)
def test_only_missing_operations_are_computed_by_smaller_ones(missing: tuple[Operation, ...], left: list[str]) -> None:
    part = Steps().eval().requires_grad_(False)
    traced = traced_part(part)
    assert traced is not None
    fused = fusion._fuse(traced, lambda operation: operation not in missing)
    pixels = torch.randn(1, 4, 7, 6)
    assert_close(fused(pixels), part(pixels), rtol=1e-5, atol=1e-5)
    names = [step_name(fused, node) for node in fused.graph.nodes if node.op in ("call_module", "call_function")]
    assert names == left


def step_name(part: fx.GraphModule, node: fx.Node) -> str:
    """The kind of layer or function that a node calls, with what is fused into it."""
    layer = fusion.layer_of(part, node)
    if layer is None:
        assert not isinstance(node.target, str)
        return node.target.__name__
    if not isinstance(layer, FusedConv2d | FusedLinear):
        return type(layer).__name__
    kind = "conv" if isinstance(layer, FusedConv2d) else "linear"
    parts = (kind, "sum" if len(node.args) > 1 else "", "" if layer.activation == NO_ACTIVATION else "relu")
    return " ".join(filter(None, parts))


@pytest.mark.parametrize("config", tiny_and_full("base"))
def test_a_detector_finds_the_same_whichever_operation_is_missing(config: Config) -> None:
    """Each kind of operation is left out of ``base`` in turn, and what remains is fused."""
    network = prepared(config)
    pixels = torch.randn(1, 3, 64, 96)
    for missing in (SUM, RELU_OF_SUM, RELU_AFTER, PLAIN):
        fused = fusion.with_parts(network, fused_parts(network, all_but(missing)))
        assert any(isinstance(each, FusedConv2d) for each in fused.modules())
        assert_same_outputs(fused, network, pixels)


class Residual(nn.Module):
    """Sums that may not be made in place: of a map that is read again, of an input, and of a view."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        start = self.first(pixels)
        again = self.second(start) + start
        of_input = self.second(start) + pixels
        of_view = self.second(start) + start[:, :, :, :]
        twice = self.second(start)
        total: Tensor = again + of_input + of_view + start + twice + twice
        return total


def test_a_map_that_is_read_again_is_not_overwritten() -> None:
    part = Residual().eval().requires_grad_(False)
    traced = traced_part(part)
    assert traced is not None
    pixels = torch.randn(1, 4, 6, 6)
    before = pixels.clone()
    expected = part(pixels)
    assert_close(fusion._fuse(traced, every_operation)(pixels), expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(pixels, before)


class OwnInput(nn.Module):
    """A convolution whose result is added to its own input, which no later node reads."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, pixels: Tensor) -> Tensor:
        start = self.first(pixels)
        total: Tensor = self.second(start) + start
        return total


def test_a_convolution_does_not_overwrite_its_own_input() -> None:
    part = OwnInput().eval().requires_grad_(False)
    traced = traced_part(part)
    assert traced is not None
    pixels = torch.randn(1, 4, 32, 48)
    assert_close(fusion._fuse(traced, every_operation)(pixels), part(pixels), rtol=1e-5, atol=1e-5)


class Choosing(nn.Module):
    """A module whose path depends on its input."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, pixels: Tensor) -> Any:
        return self.layers(pixels if pixels.mean() > 0 else -pixels)


def test_a_part_that_cannot_be_traced_stays_plain() -> None:
    network = prepared(tiny_config())
    network.backbone.body.layers = Choosing(network.backbone.body.layers)
    parts = fused_parts(network, fused_works)
    assert sorted(parts) == ["head", "pyramid", "rpn"]
    assert_same_outputs(fused_model(network), network, torch.randn(1, 3, 64, 96))


def test_a_fused_model_with_other_features_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    network = prepared(tiny_config())
    monkeypatch.setattr(fusion, "features_match", lambda one, other: False)
    assert fused_model(network) is network


def test_where_nothing_fuses_the_network_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    network = prepared(tiny_config())
    monkeypatch.setattr(fusion, "fused_works", lambda operation, precision: False)
    assert fused_model(network) is network


def test_exact_float32_is_not_fused() -> None:
    loaded = loaded_model()
    exact = prepare(loaded, torch.device("cpu"), torch.float32, exact=True)
    assert exact.network is loaded.model
    fast = prepare(loaded, torch.device("cpu"), torch.float32, exact=False)
    assert any(isinstance(each, FusedConv2d) for each in fast.network.modules())
    assert not any(isinstance(each, FusedConv2d) for each in loaded.model.modules())


def test_threads_share_a_detector() -> None:
    """Images of more shapes than are kept, by several threads at once: each finds what it finds alone."""
    detector = Detector(loaded_model(roi={"score_floor": 0.05}), device="cpu", compile=False)
    images = [rgb(40, 60 + 30 * (number % 4), number) for number in range(12)]
    alone = [detector.predict(each, conf=0.05) for each in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda each: detector.predict(each, conf=0.05), images * 3))
    for one, other in zip(together, alone * 3, strict=True):
        assert_close(one.boxes, other.boxes)
        assert_close(one.scores, other.scores)
