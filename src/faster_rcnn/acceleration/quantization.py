"""Post-training static quantization: a detector whose layers compute in int8, on a CPU.

``calibrate`` runs a detector in floats on some images and records the activation range of each layer. With these,
``quantized_model`` makes a detector whose convolutions and fully connected layers in body, neck and heads read
integers, and give integers to each other, from part to part. The layers that give the classes and deltas of regions
stay in floats.

A part is rewritten in two passes over its graph. The first one (``_integer_nodes``) finds the nodes whose results can
be integers: those of convolutions, and those that only move values, if at least one reader takes integers. The second
one (``_rewrite``) replaces the layers, and inserts ``Quantize`` and ``Dequantize`` where floats and integers meet. For
a block of ResNet, ``=>`` being integers and ``->`` floats::

    pixels -> conv1+relu -> conv2+add+relu -> sigmoid            before; conv2 adds the result of conv1
                   `------------^

    pixels -> Quantize => conv1+relu => conv2+add+relu => Dequantize -> sigmoid
                               `=============^

A sum is made in the memory of its second term, so that both have to be integers. The name of a range is that of its
part and of the node in the fused graph, such as ``body.fused_3``; model files hold these names.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn
from torch.nn.functional import interpolate

from faster_rcnn.acceleration.fusion import layer_of, verified_parts, with_parts
from faster_rcnn.kernels.fused_layers import Operation
from faster_rcnn.kernels.int8_layers import EMPTY_RANGE, Dequantize, Int8Conv2d, Int8Linear, Quantize, Range
from faster_rcnn.kernels.onednn_layers import FusedConv2d, FusedLinear
from faster_rcnn.model import FasterRCNN
from faster_rcnn.roi.network import RegionClassifier

Ranges = Mapping[str, Range]
"""Activation ranges by part and node of the fused model, such as ``body.fused_3``."""
Integers = dict[fx.Node, Range]
"""Nodes whose results are integers, and their ranges."""
Outputs = list[Range | None]
"""The range of each output of a part; ``None`` for outputs in floats."""


def calibrate(network: FasterRCNN, images: Iterable[Tensor]) -> dict[str, Range]:
    """Record the activation range of each layer over images (3, H, W) of any sizes.

    ``network`` was prepared for inference and has a first stage.
    """
    observers = {name: _Observer(part) for name, part in verified_parts(network, _every_operation).items()}
    if "body" in observers:
        observers["body"].set_input_range(_range_of_pixels(network))
    observed = with_parts(network, observers)
    with torch.inference_mode():
        for image in images:
            observed.detect([image])
    return {f"{name}.{node}": each for name, one in observers.items() for node, each in one.ranges.items()}


def quantized_model(network: FasterRCNN, ranges: Ranges) -> FasterRCNN:
    """The same detector in int8; ``network``, prepared for inference, is not changed.

    Raises ``KeyError`` where a layer has no range: the ranges belong to another network.
    """
    precision = next(network.parameters()).dtype
    parts = verified_parts(network, _every_operation)

    def quantize(name: str, input_ranges: Sequence[Range | None] = (), *, emits: int | None = None) -> Outputs:
        own = {key.removeprefix(f"{name}."): each for key, each in ranges.items() if key.startswith(f"{name}.")}
        return _quantize_part(parts[name], own, precision, input_ranges=input_ranges, emits=emits)

    maps: Outputs = []
    """Ranges of the feature maps that come out of the parts so far; empty where those are floats."""
    chain = [name for name in ("body", "pyramid", "rpn") if name != "pyramid" or network.backbone.pyramid is not None]
    for name, reader in pairwise(chain):
        # Only a part that was traced gets integers, not the second stage, which alone reads the maps without anchors.
        first = network.rpn.head.skipped if reader == "rpn" else 0
        outputs = quantize(name, maps, emits=first if reader in parts else None) if name in parts else []
        maps = outputs if reader in parts else []
    if "rpn" in parts:
        quantize("rpn", maps)
    if "head" in parts:
        quantize("head")
    model = with_parts(network, parts)
    return _dequantizing_before_pooling(model, maps, precision) if model.roi is not None and any(maps) else model


def _every_operation(operation: Operation, precision: torch.dtype) -> bool:
    """Fuse every operation, so that ranges have the same names on all processors."""
    return True


def _dequantizing_before_pooling(model: FasterRCNN, maps: Sequence[Range | None], precision: torch.dtype) -> FasterRCNN:
    """The same detector, whose second stage dequantizes the feature maps of both stages before it pools them."""
    used = maps[: len(model.roi.pooling.strides)]
    layers = nn.ModuleList(nn.Identity() if each is None else Dequantize(each, precision) for each in used)
    model.roi = DequantizingClassifier(model.roi, layers)
    return model


class DequantizingClassifier(RegionClassifier):
    """A second stage that shares the layers of another one, and dequantizes the feature maps before it pools them."""

    def __init__(self, other: RegionClassifier, dequantize: nn.ModuleList) -> None:
        """``dequantize`` has a layer for each map that regions read, finest first."""
        nn.Module.__init__(self)
        self.head, self.classes, self.deltas = other.head, other.classes, other.deltas
        self.num_classes, self.pooling, self.sampling = other.num_classes, other.pooling, other.sampling
        self.detection_filter, self.loss = other.detection_filter, other.loss
        self.dequantize = dequantize
        self.train(other.training)

    def pool(
        self, features: list[Tensor], regions: Sequence[Float[Tensor, "_ 4"]]
    ) -> Float[Tensor, "regions channels side side"]:
        """Features of the regions of all images in floats, image by image."""
        return super().pool([layer(each) for layer, each in zip(self.dequantize, features, strict=False)], regions)


def _range_of_pixels(network: FasterRCNN) -> Range:
    """The range of normalised pixels from black to white, which the images of a calibration may not reach."""
    image = network.preparation.image
    colours = zip(image.mean, image.std, strict=True)
    ends = [(level - mean) / std for mean, std in colours for level in (0, 1)]
    return Range(min(0, *ends), max(0, *ends))


class _Observer(nn.Module):
    """Runs a part, and records the range of each layer's inputs and result."""

    def __init__(self, part: fx.GraphModule) -> None:
        super().__init__()
        self.part = part
        self.ranges: dict[str, Range] = {}
        layers = [node for node in part.graph.nodes if _is_int8_layer(part, node)]
        self._observed = {each.name for layer in layers for each in (layer, *layer.all_input_nodes)}

    def forward(self, *inputs: object) -> object:
        return _Interpreter(self.part, self).run(*inputs)

    def set_input_range(self, value_range: Range) -> None:
        """Record a range of the part's input that does not depend on the images."""
        self.ranges |= {each.name: value_range for each in self.part.graph.find_nodes(op="placeholder")}

    def record(self, node: fx.Node, result: object) -> None:
        """Extend the range of a node by its result."""
        if node.name in self._observed and isinstance(result, Tensor) and result.numel():
            self.ranges[node.name] = self.ranges.get(node.name, EMPTY_RANGE).including(result)


class _Interpreter(fx.Interpreter):
    """Runs a graph node by node, and passes each result to an observer."""

    def __init__(self, part: fx.GraphModule, observer: _Observer) -> None:
        super().__init__(part)
        self._observer = observer

    def run_node(self, n: fx.Node) -> object:
        result: object = super().run_node(n)
        self._observer.record(n, result)
        return result


def _quantize_part(
    part: fx.GraphModule,
    ranges: Ranges,
    precision: torch.dtype,
    *,
    input_ranges: Sequence[Range | None] = (),
    emits: int | None = None,
) -> Outputs:
    """Rewrite a part to int8, in place; returns the ranges of its outputs.

    ``input_ranges`` are those of its input maps; without any, all inputs are floats. From its output number ``emits``
    on it gives integers itself.
    """
    emitted = set() if emits is None else set(_outputs(part)[emits:])
    integers = _integer_nodes(part, ranges, input_ranges, emitted)
    _rewrite(part, ranges, integers, precision, emitted)
    return [integers.get(each) for each in _outputs(part)]


def _outputs(part: fx.GraphModule) -> list[fx.Node]:
    """The nodes that give the outputs of a part, in their order."""
    return part.graph.output_node().all_input_nodes


def _integer_nodes(
    part: fx.GraphModule, ranges: Ranges, input_ranges: Sequence[Range | None], emitted: Set[fx.Node]
) -> Integers:
    """First pass: the nodes whose results are integers.

    Inputs are if the part before made them so. Forwards, a candidate is a convolution, or moves the values of one.
    Backwards, so that readers come first, it is kept if a reader takes integers, or if it is a sum.
    """
    candidates = _candidates(part, ranges)
    inputs = {node: input_ranges[node.args[1]] for node in part.graph.nodes if input_ranges and _is_input(node)}
    integers = {node: value_range for node, value_range in inputs.items() if value_range is not None}
    for node in reversed(part.graph.nodes):
        if node not in candidates:
            continue
        is_sum = len(node.args) > 1 and node.op == "call_module"  # made in the memory of its second term
        readers = [each for each in node.users if each.target is not getattr]
        if is_sum or any(_reads_integers(part, node, each, integers, emitted) for each in readers):
            integers[node] = candidates[node]
    return integers


def _candidates(part: fx.GraphModule, ranges: Ranges) -> Integers:
    """Nodes whose results could be integers, with their ranges: convolutions, and what only moves their values."""
    candidates: Integers = {}
    for node in part.graph.nodes:
        if isinstance(layer_of(part, node), FusedConv2d):
            candidates[node] = ranges[node.name]
        elif _moves_values(node) and node.all_input_nodes[0] in candidates:
            candidates[node] = candidates[node.all_input_nodes[0]]
    return candidates


def _rewrite(
    part: fx.GraphModule, ranges: Ranges, integers: Integers, precision: torch.dtype, emitted: Set[fx.Node]
) -> None:
    """Second pass: layers in int8, and conversions where floats and integers meet; ``integers`` gains the new nodes."""
    for node, value_range in list(integers.items()):
        others = [reader for reader in node.users if not _reads_integers(part, node, reader, integers, emitted)]
        if others:
            floats = _insert_after(part, node, f"dequantized_{node.name}", Dequantize(value_range, precision))
            for reader in others:
                reader.replace_input_with(node, floats)
    for node in [each for each in part.graph.nodes if _is_int8_layer(part, each)]:
        for source in node.all_input_nodes:
            if source not in integers:
                _quantize_input(part, node, source, integers, ranges[source.name])
        _replace_layer(part, node, integers, precision)
    part.delete_all_unused_submodules()
    part.recompile()


def _replace_layer(part: fx.GraphModule, node: fx.Node, integers: Integers, precision: torch.dtype) -> None:
    """Let a node, whose inputs are integers, call an int8 layer instead of one in floats."""
    layer = layer_of(part, node)
    input_range, *added_ranges = (integers[source] for source in node.all_input_nodes)
    name = f"int8_{node.name}"
    if isinstance(layer, FusedConv2d):
        added_range = added_ranges[0] if added_ranges else None
        part.add_module(name, Int8Conv2d(layer, input_range, integers.get(node), added_range, precision))
    elif isinstance(layer, FusedLinear):
        part.add_module(name, Int8Linear(layer, input_range, precision))
    node.target = name


def _quantize_input(
    part: fx.GraphModule, node: fx.Node, source: fx.Node, integers: Integers, value_range: Range
) -> None:
    """Let a node read the quantized result of ``source``, which is quantized once for all its readers."""
    if source.target == "flatten" and len(source.users) == 1:
        # Quantized before it is flattened, which copies: integers are a quarter as large.
        node, source = source, source.all_input_nodes[0]
        integers[node] = value_range
    found = next((each for each in source.users if isinstance(layer_of(part, each), Quantize)), None)
    quantized = found or _insert_after(part, source, f"quantized_{source.name}", Quantize(value_range))
    integers[quantized] = value_range
    node.replace_input_with(source, quantized)


def _insert_after(part: fx.GraphModule, node: fx.Node, name: str, layer: nn.Module) -> fx.Node:
    """Add a layer that reads a node, right after it."""
    part.add_module(name, layer)
    with part.graph.inserting_after(node):
        return part.graph.call_module(name, (node,))


def _is_int8_layer(part: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node calls a layer that has an int8 twin."""
    return isinstance(layer_of(part, node), FusedLinear | FusedConv2d)


def _reads_integers(
    part: fx.GraphModule, node: fx.Node, reader: fx.Node, integers: Integers, emitted: Set[fx.Node]
) -> bool:
    """Whether a reader takes the result of a node as integers; the sizes of a map are the same in any type."""
    takes = _is_int8_layer(part, reader) or (reader.op == "output" and node in emitted)
    return bool(takes or reader in integers or (reader.target is getattr and "shape" in reader.args))


def _moves_values(node: fx.Node) -> bool:
    """Whether a node gives some of the values of its input, such as the nearest or every second one."""
    nearest = node.target is interpolate and node.kwargs.get("mode") == "nearest"
    subset = node.target is operator.getitem and not _is_input(node)
    return bool(nearest or subset)


def _is_input(node: fx.Node) -> bool:
    """Whether a node is one of the maps that a part reads: an element of its argument."""
    source = node.args[0] if node.args else None
    return node.target is operator.getitem and isinstance(source, fx.Node) and source.op == "placeholder"
