"""A detector in 8 bits sees and finds nearly what it does in floats, and the one in floats stays what it was."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, fx, nn
from torch.testing import assert_close

from faster_rcnn.acceleration import fusion, quantization
from faster_rcnn.acceleration.folding import prepare_for_inference
from faster_rcnn.acceleration.fusion import fused_parts
from faster_rcnn.acceleration.quantization import calibrate, quantized_model
from faster_rcnn.acceleration.tracing import traced_part
from faster_rcnn.building import build_model
from faster_rcnn.kernels.int8_layers import Dequantize, Int8Conv2d, Int8Linear, Quantize, Range, weight_limit
from faster_rcnn.kernels.onednn_layers import FusedConv2d
from faster_rcnn.model import FasterRCNN
from faster_rcnn.ops.boxes import iou
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.schema import Config, DetectorConfig
from faster_rcnn.structures import Detections
from tiny import config_of_body, decided_model, random_image, tiny_config, with_statistics

pytestmark = pytest.mark.skipif(weight_limit() == 0, reason="oneDNN has no convolutions in 8 bits here")

IMAGES = [random_image(64, 96, seed) for seed in range(3)]


def of_preset(name: str) -> Config:
    """With images, proposals and layers of the second stage that a test has time for."""
    config = preset(name)
    hidden = {"head_hidden": tuple(64 for _ in config.roi.head_hidden)}
    return config.model_copy(
        update={
            "image": config.image.model_copy(update={"short_side": 64, "long_side": 96}),
            "rpn": config.rpn.model_copy(update={"proposals_after_nms": 20}),
            "roi": config.roi.model_copy(update=hidden),
        }
    )


CONFIGS = {
    "test_resnet": tiny_config(),
    "two-way softmax": tiny_config(rpn={"objectness": "softmax"}),
    "reflected border": tiny_config(backbone={"pyramid_padding": "reflect"}),
    "norms in the pyramid": tiny_config(backbone={"pyramid_norm": True, "norm": "batch"}),
    "untraceable body": config_of_body("test_vit", (0, 1, 2, 3)),
    **{name: of_preset(name) for name in ("mobile-320", "small", "c4", "paper", "base-v2")},
}
MOST_ERROR = {"small": 0.35}
"""Mean error of features, in shares of their mean. Here it was 0.25, with random weights: 16 sums after one another."""
MOST_ERROR_ELSEWHERE = 0.1
"""Here it was 0.02 (mobile-320) to 0.08 (base-v2), with weights of 7 bits."""
IN_FLOATS = {"reflected border": 4}
"""Convolutions that stay in floats."""


def prepared(config: Config) -> FasterRCNN:
    torch.manual_seed(0)
    return prepare_for_inference(with_statistics(build_model(config, 2)), torch.float32, exact=False)


def pixels_of(network: FasterRCNN, image: Tensor) -> Tensor:
    return network.pad([network.prepare(image)]).pixels


def seen(network: FasterRCNN, pixels: Tensor) -> list[Tensor]:
    """Features as regions read them, and what the first stage makes of them."""
    with torch.no_grad():
        features = network.backbone(pixels)
        output = network.rpn(features)
    of_regions = features[: len(network.backbone.region_strides)]
    restores = getattr(network.roi, "restores", [nn.Identity()] * len(of_regions))
    restored = [restore(each) for restore, each in zip(restores, of_regions, strict=True)]
    return [*restored, output.logits, output.deltas]


def errors(found: list[Tensor], expected: list[Tensor]) -> list[float]:
    """Mean error in shares of the mean; 1 is that of a network which sees nothing."""
    pairs = zip(found, expected, strict=True)
    return [float((one - other).abs().mean() / other.abs().mean()) for one, other in pairs]


def layers(network: nn.Module, *kinds: type[nn.Module]) -> list[nn.Module]:
    return [each for each in network.modules() if isinstance(each, kinds)]


@dataclass(frozen=True)
class Case:
    """A detector in floats and in 8 bits."""

    name: str
    network: FasterRCNN
    ranges: dict[str, Range]
    form: FasterRCNN
    pixels: Tensor


@pytest.fixture(scope="module", params=CONFIGS)
def case(request: pytest.FixtureRequest) -> Case:
    network = prepared(CONFIGS[request.param])
    ranges = calibrate(network, IMAGES)
    return Case(request.param, network, ranges, quantized_model(network, ranges), pixels_of(network, IMAGES[0]))


def test_what_it_sees_is_near_what_it_sees_in_floats(case: Case) -> None:
    most = MOST_ERROR.get(case.name, MOST_ERROR_ELSEWHERE)
    expected = seen(case.network, case.pixels)
    found = seen(case.form, case.pixels)
    assert max(errors(found, expected)) < most
    assert {each.dtype for each in found} == {torch.float32}
    if case.name != "untraceable body":
        # Such a bound says something: features that are cut off at half of their range are beyond it.
        halves = {name: Range(each.low / 2, each.high / 2) for name, each in case.ranges.items()}
        assert min(errors(seen(quantized_model(case.network, halves), case.pixels), expected)) > most


def test_hardly_a_layer_stays_in_floats(case: Case) -> None:
    """The two layers that tell regions' classes and transforms do."""
    of_parts = [case.form.backbone.body, case.form.backbone.pyramid, case.form.rpn, case.form.roi.head]
    parts = [each for each in of_parts if each is not None]
    traced = [each for each in parts if "computation" in dict(each.named_children())]
    left = [each for part in traced for each in part.modules() if has_weights(each)]
    assert len(left) == IN_FLOATS.get(case.name, 0)
    assert layers(case.form.roi, nn.Linear) == [case.network.roi.classes, case.network.roi.deltas]
    if traced == parts:
        # The head of the first stage is there once for each level.
        in_eight_bits = layers(case.form, Int8Conv2d, Int8Linear)
        assert len(in_eight_bits) >= len(layers(case.network, nn.Conv2d, nn.Linear)) - len(left) - 2 >= 10


def has_weights(layer: nn.Module) -> bool:
    """Whether a layer is a convolution or a fully connected one, in floats; a norm has vectors."""
    return any(each.dim() > 1 for each in layer.parameters(recurse=False))


def test_whole_numbers_travel_from_part_to_part(case: Case) -> None:
    """From body to neck, and from there to the first stage."""
    with torch.no_grad():
        given, expected = (each.backbone.through_body(case.pixels) for each in (case.form, case.network))
        maps = case.form.backbone.through_neck(given)
    of_body = torch.float32 if case.name == "untraceable body" else torch.uint8
    of_neck = torch.float32 if case.name == "reflected border" else torch.uint8
    assert {each.dtype for each in given} == {of_body}
    assert {each.dtype for each in maps} == {of_neck}
    if of_body == torch.uint8:
        restored = [Dequantize(one, torch.float32)(each) for one, each in zip(ranges_of_body(case), given, strict=True)]
        assert max(errors(restored, expected)) < MOST_ERROR.get(case.name, MOST_ERROR_ELSEWHERE)


def ranges_of_body(case: Case) -> list[Range]:
    """Of the maps that it gives."""
    [outputs] = fused_parts(case.network, quantization._every_operation)["body"].graph.output_node().args
    assert isinstance(outputs, list | tuple)
    return [case.ranges[f"body.{each.name}"] for each in outputs if isinstance(each, fx.Node)]


def test_ranges_are_those_of_all_images_and_hold_0(case: Case) -> None:
    assert all(each.low <= 0 <= each.high and 0 <= each.zero_point <= 255 for each in case.ranges.values())
    if case.name == "untraceable body":
        assert not any(name.startswith("body.") for name in case.ranges)
        return
    with torch.no_grad():
        of_images = [case.network.backbone.through_body(pixels_of(case.network, image)) for image in IMAGES]
    for found, *maps in zip(ranges_of_body(case), *of_images, strict=True):
        low, high = min(float(each.min()) for each in maps), max(float(each.max()) for each in maps)
        assert (found.low, found.high) == pytest.approx((min(low, 0), max(high, 0)), rel=1e-4, abs=1e-5)
    parts = {"body", "pyramid", "rpn", "head"} - ({"pyramid"} if case.network.backbone.pyramid is None else set())
    # ResNet's last stage as a head ends in a convolution; every other head begins with what was pooled.
    assert {name.partition(".")[0] for name in case.ranges} == parts


def test_pixels_range_from_black_to_white_whatever_was_measured(case: Case) -> None:
    network = case.network
    if case.name == "untraceable body":
        return
    reads = next(each.input_range for each in case.form.backbone.body.modules() if isinstance(each, Int8Conv2d))
    ends = [network.prepare(torch.full((3, 64, 96), level, dtype=torch.uint8)) for level in (0, 255)]
    assert (reads.low, reads.high) == pytest.approx((float(ends[0].min()), float(ends[1].max())), rel=1e-5)


def test_the_extra_level_is_every_second_row_and_column(case: Case) -> None:
    with torch.no_grad():
        maps = case.form.backbone(case.pixels)
    assert len(maps) == len(case.network.backbone.strides)
    if case.network.backbone.pyramid is not None:
        assert torch.equal(maps[-1], maps[-2][..., ::2, ::2])


def test_what_it_was_made_of_stays_as_it_was() -> None:
    network = prepared(tiny_config())
    before = {name: each.clone() for name, each in network.state_dict().items()}
    expected = network.detect(IMAGES)
    form = quantized_model(network, calibrate(network, IMAGES))
    form.detect(IMAGES)
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], each) for name, each in before.items())
    assert layers(network, FusedConv2d, Int8Conv2d, Int8Linear, Quantize, Dequantize) == []
    for one, other in zip(network.detect(IMAGES), expected, strict=True):
        assert torch.equal(one.boxes, other.boxes)
        assert torch.equal(one.scores, other.scores)


def share_found(found: Detections, expected: Detections) -> float:
    """Of the expected detections, those with one of the same class in their place, with nearly their score."""
    same = (found.labels[None] == expected.labels[:, None]) & (iou(expected.boxes, found.boxes) >= 0.8)
    near = (found.scores[None] - expected.scores[:, None]).abs() < 0.05
    return float((same & near).any(dim=1).float().mean())


def decided() -> FasterRCNN:
    return prepare_for_inference(with_statistics(decided_model(roi={"score_floor": 0.05})), torch.float32, exact=False)


def test_it_finds_mostly_the_same() -> None:
    network, images = decided(), [random_image(80, 100, seed) for seed in range(4)]
    expected = network.detect(images)
    assert min(len(each) for each in expected) > 20
    found = quantized_model(network, calibrate(network, images)).detect(images)
    # 0.82 to 0.96 were measured: with heads this loud, where two scores are nearly equal, the order decides a lot.
    assert min(share_found(one, other) for one, other in zip(found, expected, strict=True)) > 0.75
    assert min(share_found(other, one) for one, other in zip(found, expected, strict=True)) > 0.75
    # By chance, in other images, 0.31 to 0.42 are found.
    assert max(share_found(one, other) for one, other in zip(found, expected[1:], strict=False)) < 0.5


def test_images_of_two_shapes_in_turn_are_seen_as_alone() -> None:
    network = decided()
    across, upright = random_image(64, 96, 1), random_image(96, 64, 2)
    ranges = calibrate(network, [across, upright])
    in_turn = quantized_model(network, ranges)
    for image in (across, upright, across, upright):
        alone, pixels = quantized_model(network, ranges), pixels_of(network, image)
        [found], [expected] = in_turn.detect([image]), alone.detect([image])
        assert torch.equal(found.boxes, expected.boxes)
        assert torch.equal(found.scores, expected.scores)
        for one, other in zip(seen(in_turn, pixels), seen(alone, pixels), strict=True):
            assert torch.equal(one, other)
    for found, image in zip(in_turn.detect([across, upright]), (across, upright), strict=True):
        assert torch.equal(found.boxes, in_turn.detect([image])[0].boxes)


def test_scores_of_the_first_stage_are_floats() -> None:
    """In 256 steps thousands of anchors would have equal scores, and the order of proposals would be that of rows."""
    network = prepared(tiny_config())
    form = quantized_model(network, calibrate(network, IMAGES))
    *_, logits, deltas = seen(form, pixels_of(network, IMAGES[0]))
    assert logits.numel() > 1000
    assert len(logits.unique()) > 0.9 * logits.numel()
    assert len(deltas.unique()) > 0.9 * deltas.numel()


def test_a_first_stage_alone_works_in_eight_bits() -> None:
    config = tiny_config().model_copy(update={"detector": DetectorConfig(kind="rpn")})
    network = prepared(config)
    ranges = calibrate(network, IMAGES)
    assert {name.partition(".")[0] for name in ranges} == {"body", "pyramid", "rpn"}
    [found] = quantized_model(network, ranges).detect(IMAGES[:1])
    assert len(found) == 50


def test_where_a_layer_has_no_range_they_are_those_of_another_network() -> None:
    network = prepared(tiny_config())
    ranges = calibrate(network, IMAGES)
    of_body = [name for name in ranges if name.startswith("body.fused_")]
    for missing in (of_body[0], of_body[len(of_body) // 2], of_body[-1]):
        with pytest.raises(KeyError, match=missing.partition(".")[2]):
            quantized_model(network, {name: each for name, each in ranges.items() if name != missing})
    with pytest.raises(KeyError):
        quantized_model(prepared(of_preset("mobile-320")), ranges)


class Both(nn.Module):
    """A map that a convolution reads, and a sum in place, and something that needs floats."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(8, 8, 3, padding=1) for _ in range(3))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        start = self.first(pixels)
        doubled = 2 * start
        total = self.third(self.second(start)) + start
        return total.sigmoid() * doubled, self.second(total)


def in_eight_bits(module: nn.Module, read: Tensor) -> fx.GraphModule:
    """What reads a map of 8 channels, in 8 bits."""
    traced = traced_part(module)
    assert traced is not None
    part = fusion._fuse(traced, lambda operation: True)
    recorder = quantization._Observer(part)
    recorder(read)
    quantization._quantize(part, recorder.ranges, torch.float32)
    return part


def names_of(part: fx.GraphModule, kind: type[nn.Module]) -> list[str]:
    nodes = [node for node in part.graph.nodes if node.op == "call_module"]
    return [str(node.target) for node in nodes if isinstance(part.get_submodule(str(node.target)), kind)]


def test_a_map_is_restored_for_those_who_read_floats_and_for_nobody_else() -> None:
    module, read = Both().eval().requires_grad_(False), torch.randn(1, 8, 12, 16)
    expected = module(read)
    part = in_eight_bits(module, read)
    assert len(names_of(part, Int8Conv2d)) == 4
    assert len(names_of(part, Quantize)) == 1  # of the input, whatever reads it
    restored = [node for node in part.graph.nodes if str(node.target) in names_of(part, Dequantize)]
    assert [len(node.users) for node in restored] == [1, 1]  # what is summed up is read in whole numbers before
    assert max(errors(list(part(read)), list(expected))) < 0.1


class OwnInput(nn.Module):
    """A convolution whose result is added to what it read, which nobody reads afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, pixels: Tensor) -> Tensor:
        start = self.first(pixels)
        total: Tensor = self.second(start) + start
        return total


def test_what_a_convolution_reads_is_not_overwritten_by_it() -> None:
    module, read = OwnInput().eval().requires_grad_(False), torch.randn(1, 8, 32, 48)
    assert max(errors([in_eight_bits(module, read)(read)], [module(read)])) < 0.1


class Steps(nn.Module):
    """Every second value, and enlarged ones, are whole numbers as those are that they were taken from."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(8, 8, 1) for _ in range(3))

    def forward(self, pixels: Tensor) -> Tensor:
        start = self.first(pixels)
        enlarged = nn.functional.interpolate(self.second(start[..., ::2, ::2]), size=start.shape[-2:], mode="nearest")
        total: Tensor = self.third(enlarged)
        return total


def test_values_that_only_move_stay_whole_numbers() -> None:
    module, read = Steps().eval().requires_grad_(False), torch.randn(1, 8, 12, 16)
    expected = module(read)
    part = in_eight_bits(module, read)
    assert (len(names_of(part, Quantize)), names_of(part, Dequantize)) == (1, [])
    assert max(errors([part(read)], [expected])) < 0.1


def test_nothing_but_zeros_has_a_range() -> None:
    """A layer that died in training gives zeros only; so does one without weights."""
    network = prepared(tiny_config())
    with torch.no_grad():
        for each in network.backbone.pyramid.parameters() if network.backbone.pyramid else ():
            each.zero_()
    ranges = calibrate(network, IMAGES)
    form = quantized_model(network, ranges)
    pixels = pixels_of(network, IMAGES[0])
    for found, expected in zip(seen(form, pixels), seen(network, pixels), strict=True):
        assert_close(found, expected, rtol=0.05, atol=1e-3)
