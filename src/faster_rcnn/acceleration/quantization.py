"""A detector that works in 8 bits, on a CPU: what its features range over, and its form for inference.

What the features of each layer range over is measured once, in some images (post-training quantization). Then the
convolutions and fully connected layers of body, neck and heads read whole numbers, and hand them on to each other, from
part to part. The layers that tell regions' classes and transforms stay in floats.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, fx, nn
from torch.nn.functional import interpolate

from faster_rcnn.acceleration.fusion import layer_of, shallow_copy, verified_parts, with_parts
from faster_rcnn.kernels.fused_layers import Operation
from faster_rcnn.kernels.int8_layers import EMPTY_RANGE, Dequantize, Int8Conv2d, Int8Linear, Quantize, Range
from faster_rcnn.kernels.onednn_layers import FusedConv2d, FusedLinear
from faster_rcnn.model import FasterRCNN

Ranges = Mapping[str, Range]
"""By part and node of the fused form, such as ``body.fused_3``."""


def calibrate(network: FasterRCNN, images: Iterable[Tensor]) -> dict[str, Range]:
    """What the features of each layer range over in these images (3, H, W), of any sizes.

    ``network`` is prepared for inference, and has both stages.
    """
    recorders = {name: _Observer(part) for name, part in verified_parts(network, _every_operation).items()}
    if "body" in recorders:
        recorders["body"].expect(_range_of_pixels(network))
    form = with_parts(network, recorders)
    with torch.inference_mode():
        for image in images:
            form.detect([image])
    return {f"{name}.{node}": each for name, one in recorders.items() for node, each in one.ranges.items()}


def quantized_model(network: FasterRCNN, ranges: Ranges) -> FasterRCNN:
    """The same detector in 8 bits; ``network``, prepared for inference, stays as it was.

    Raises ``KeyError`` where a layer has no range: they are those of another network.
    """
    precision = next(network.parameters()).dtype
    parts = verified_parts(network, _every_operation)
    in_a_row = {"body": network.backbone.body, "pyramid": network.backbone.pyramid, "rpn": network.rpn}
    readers = dict(pairwise(name for name, part in in_a_row.items() if part is not None))
    maps: Sequence[Range | None] = ()
    """What the last part in the row has handed on; both stages read the last of these."""
    for name, part in parts.items():
        own = {key.removeprefix(f"{name}."): each for key, each in ranges.items() if key.startswith(f"{name}.")}
        hands_on = readers.get(name) in parts
        made = _quantize(part, own, precision, given=maps if name in in_a_row else (), emits=hands_on)
        if name in readers:
            maps = made if hands_on else ()
    form = with_parts(network, parts)
    return _pooling_restored(form, maps, precision) if form.roi is not None and any(maps) else form


def _every_operation(operation: Operation, precision: torch.dtype) -> bool:
    """Every operation is taken, so that the names that ranges go by are the same on all processors."""
    return True


def _pooling_restored(form: FasterRCNN, maps: Sequence[Range | None], precision: torch.dtype) -> FasterRCNN:
    """The same detector, whose second stage restores the maps that both stages are given, before it pools them."""
    used = maps[: len(form.roi.pooling.strides)]
    restores = nn.ModuleList(nn.Identity() if each is None else Dequantize(each, precision) for each in used)
    pool = form.roi.pool

    def pool_restored(features: Sequence[Tensor], regions: Sequence[Tensor]) -> Tensor:
        return pool([restore(each) for restore, each in zip(restores, features, strict=False)], regions)

    form.roi = shallow_copy(form.roi)
    form.roi.restores = restores
    form.roi.pool = pool_restored  # type: ignore[method-assign]
    return form


def _range_of_pixels(network: FasterRCNN) -> Range:
    """Of normalised ones, black to white: the images that ranges are measured in may have neither."""
    colours = zip(network.image.mean, network.image.std, strict=True)
    ends = [(level - mean) / std for mean, std in colours for level in (0, 1)]
    return Range(min(0, *ends), max(0, *ends))


class _Observer(nn.Module):
    """Runs a part, and keeps the range of what its layers read and give."""

    def __init__(self, part: fx.GraphModule) -> None:
        super().__init__()
        self.part = part
        self.ranges: dict[str, Range] = {}
        layers = [node for node in part.graph.nodes if _works_in_eight_bits(part, node)]
        self._watched = {each.name for layer in layers for each in (layer, *layer.all_input_nodes)}

    def forward(self, *inputs: object) -> object:
        return _Interpreter(self.part, self).run(*inputs)

    def expect(self, value_range: Range) -> None:
        """What the part reads will be in this range."""
        self.ranges |= {each.name: value_range for each in self.part.graph.find_nodes(op="placeholder")}

    def record(self, node: fx.Node, result: object) -> None:
        """What a node gave."""
        if node.name in self._watched and isinstance(result, Tensor) and result.numel():
            self.ranges[node.name] = self.ranges.get(node.name, EMPTY_RANGE).including(result)


class _Interpreter(fx.Interpreter):
    def __init__(self, part: fx.GraphModule, recorder: _Observer) -> None:
        super().__init__(part)
        self._recorder = recorder

    def run_node(self, n: fx.Node) -> object:
        result: object = super().run_node(n)
        self._recorder.record(n, result)
        return result


def _quantize(
    part: fx.GraphModule,
    ranges: Ranges,
    precision: torch.dtype,
    *,
    given: Sequence[Range | None] = (),
    emits: bool = False,
) -> list[Range | None]:
    """Let a part work in 8 bits; returns the ranges of its outputs, ``None`` for those in floats.

    ``given`` are those of the maps that it reads; it hands on whole numbers itself if it ``emits`` them.
    """
    whole = _whole_numbers(part, ranges, given, emits)
    for node, value_range in list(whole.items()):
        _restore_for_floats(part, node, whole, Dequantize(value_range, precision), emits)
    for node in list(part.graph.nodes):
        if _works_in_eight_bits(part, node):
            _replace(part, node, ranges, whole, precision)
    part.delete_all_unused_submodules()
    part.recompile()
    [outputs] = part.graph.output_node().args
    made = outputs if isinstance(outputs, list | tuple) else ()
    return [whole.get(each) if isinstance(each, fx.Node) else None for each in made]


def _whole_numbers(
    part: fx.GraphModule, ranges: Ranges, given: Sequence[Range | None], emits: bool
) -> dict[fx.Node, Range]:
    """Nodes that give whole numbers, and what those stand for."""
    known: dict[fx.Node, Range] = {}
    for node in part.graph.nodes:
        if isinstance(layer_of(part, node), FusedConv2d) and _works_in_eight_bits(part, node):
            known[node] = ranges[node.name]
        elif _keeps_values(node) and node.all_input_nodes[0] in known:
            known[node] = known[node.all_input_nodes[0]]
    inputs = {node: given[node.args[1]] for node in part.graph.nodes if given and _is_input(node)}
    whole = {node: value_range for node, value_range in inputs.items() if value_range is not None}
    known.update(whole)
    for node in reversed(part.graph.nodes):
        is_sum = len(node.args) > 1 and node.op == "call_module"  # made in the place of its second term
        wanted = any(_reads_whole(part, each, whole, emits) for each in node.users if each.target is not getattr)
        if node in known and (is_sum or wanted):
            whole[node] = known[node]
    return whole


def _works_in_eight_bits(part: fx.GraphModule, node: fx.Node) -> bool:
    layer = layer_of(part, node)
    return isinstance(layer, FusedLinear | FusedConv2d)


def _keeps_values(node: fx.Node) -> bool:
    """Whether a node gives some of the values that it reads, such as the nearest or every second one."""
    nearest = node.target is interpolate and node.kwargs.get("mode") == "nearest"
    part_of_it = node.target is operator.getitem and not _is_input(node)
    return bool(nearest or part_of_it)


def _is_input(node: fx.Node) -> bool:
    """Whether a node is one of the maps that a part reads."""
    source = node.args[0] if node.args else None
    return node.target is operator.getitem and isinstance(source, fx.Node) and source.op == "placeholder"


def _reads_whole(part: fx.GraphModule, reader: fx.Node, whole: Mapping[fx.Node, Range], emits: bool) -> bool:
    """Whether a node takes whole numbers; the sizes of a map are the same in any type."""
    takes = _works_in_eight_bits(part, reader) or (emits and reader.op == "output")
    return bool(takes or reader in whole or (reader.target is getattr and "shape" in reader.args))


def _restore_for_floats(
    part: fx.GraphModule, node: fx.Node, whole: Mapping[fx.Node, Range], restore: Dequantize, emits: bool
) -> None:
    """Let all that read floats read restored ones."""
    others = [reader for reader in node.users if not _reads_whole(part, reader, whole, emits)]
    if others:
        restored = _after(part, node, f"restored_{node.name}", restore)
        for reader in others:
            reader.replace_input_with(node, restored)


def _replace(
    part: fx.GraphModule, node: fx.Node, ranges: Ranges, whole: dict[fx.Node, Range], precision: torch.dtype
) -> None:
    """Put a layer in 8 bits in the place of one in floats, and what makes whole numbers before it where it must."""
    for source in node.all_input_nodes:
        if source not in whole:
            _read_quantized(part, node, source, whole, ranges[source.name])
    layer = layer_of(part, node)
    reads, *adds = (whole[source] for source in node.all_input_nodes)
    name = f"eight_bit_{node.name}"
    if isinstance(layer, FusedConv2d):
        added = adds[0] if adds else None
        part.add_module(name, Int8Conv2d(layer, reads, whole.get(node), added, precision))
    elif isinstance(layer, FusedLinear):
        part.add_module(name, Int8Linear(layer, reads, precision))
    node.target = name


def _read_quantized(
    part: fx.GraphModule, node: fx.Node, source: fx.Node, whole: dict[fx.Node, Range], value_range: Range
) -> None:
    """Let a node read whole numbers that are made of the floats of ``source``, once for all that read those."""
    if source.target == "flatten" and len(source.users) == 1:
        node, source = source, source.all_input_nodes[0]  # before what it copies, which is then a quarter as much
        whole[node] = value_range
    found = next((each for each in source.users if isinstance(layer_of(part, each), Quantize)), None)
    quantized = found or _after(part, source, f"quantized_{source.name}", Quantize(value_range))
    whole[quantized] = value_range
    node.replace_input_with(source, quantized)


def _after(part: fx.GraphModule, node: fx.Node, name: str, layer: nn.Module) -> fx.Node:
    """A new layer that reads a node."""
    part.add_module(name, layer)
    with part.graph.inserting_after(node):
        return part.graph.call_module(name, (node,))
