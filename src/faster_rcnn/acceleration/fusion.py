"""Layers fused with what follows them, in body, neck and heads: the fast form of a detector on a CPU.

The layers that run, and what each of them reads, are found by tracing a part once (``torch.fx``). Where a convolution
alone feeds an activation, or a sum with a map that nobody reads afterwards, one fused convolution does all of it. A
part that cannot be traced, because its path depends on what it reads, stays as it is. An operation that this CPU does
not have in the detector's precision is not used: what it would have computed is computed by smaller ones.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy, deepcopy
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, fx, nn
from torch.nn.functional import interpolate

from faster_rcnn.acceleration.folding import features_match
from faster_rcnn.acceleration.tracing import traced_part
from faster_rcnn.kernels.fused_layers import LINEAR, OPERATIONS, Operation, fused_works
from faster_rcnn.kernels.onednn_layers import (
    ACTIVATIONS,
    NO_ACTIVATION,
    SIMPLE_ACTIVATIONS,
    Activation,
    FusedConv2d,
    FusedLinear,
    can_fuse,
)
from faster_rcnn.model import FasterRCNN

AnyModule = TypeVar("AnyModule", bound=nn.Module)
Parts = dict[str, fx.GraphModule]
"""``body``, ``pyramid``, ``rpn`` and ``head``; those that could not be traced are not there."""
Works = Callable[[Operation, torch.dtype], bool]
"""Whether an operation may be used in a precision."""

MAKERS = (operator.add, operator.mul, interpolate, torch.cat)
"""Functions whose result is in memory of its own."""


def fused_model(network: FasterRCNN) -> FasterRCNN:
    """The same detector with fused convolutions, where this CPU has them, and where they see the same.

    ``network`` is one that was prepared for inference; it stays as it was.
    """
    weight = next(network.parameters())
    convolutions = [each for each in OPERATIONS if each.kind != LINEAR]
    if weight.device.type != "cpu" or not any(fused_works(each, weight.dtype) for each in convolutions):
        return network
    parts = verified_parts(network, fused_works)
    return with_parts(network, parts) if parts else network


def verified_parts(network: FasterRCNN, works: Works) -> Parts:
    """Every part that can be traced; none where body and neck then see something else in a made-up image."""
    # Compared in float32, where a difference is none of rounding.
    exact = network if next(network.parameters()).dtype == torch.float32 else deepcopy(network).float()
    same = features_match(exact, with_parts(exact, fused_parts(exact, works)))
    # Made anew: those that were compared have packed their weights for that small image.
    return fused_parts(network, works) if same else {}


def fused_parts(network: FasterRCNN, works: Works) -> Parts:
    """Every part that can be traced, in the mode of inference, with the operations that work."""
    precision = next(network.parameters()).dtype
    traced: dict[str, fx.GraphModule | None] = {"body": traced_part(network.backbone.body)}
    if network.backbone.pyramid is not None:
        traced["pyramid"] = traced_part(_Levels(network.backbone.pyramid, len(network.backbone.region_strides)))
    if network.rpn is not None:
        traced["rpn"] = traced_part(_Levels(network.rpn, len(network.backbone.strides)))
    if network.roi is not None:
        head = traced_part(network.roi.head)
        traced["head"] = None if head is None else _read_as_it_lies(head, network.roi.pooling.side)

    def works_here(operation: Operation) -> bool:
        return works(operation, precision)

    return {name: _fuse(part, works_here) for name, part in traced.items() if part is not None}


def with_parts(network: FasterRCNN, parts: Mapping[str, nn.Module]) -> FasterRCNN:
    """The same detector, but for what some of its parts compute with."""
    form = shallow_copy(network)
    form.backbone = shallow_copy(network.backbone)
    if "body" in parts:
        form.backbone.body = _computing_with(network.backbone.body, parts["body"])
    if "pyramid" in parts and network.backbone.pyramid is not None:
        form.backbone.pyramid = _computing_with(network.backbone.pyramid, parts["pyramid"])
    if "rpn" in parts:
        form.rpn = _computing_with(network.rpn, parts["rpn"])
    if "head" in parts:
        form.roi = shallow_copy(network.roi)
        form.roi.head = _computing_with(network.roi.head, parts["head"])
    return form


def shallow_copy(module: AnyModule) -> AnyModule:
    """Another module of the same parts, of which some may be replaced."""
    other = copy(module)
    other._modules = dict(module._modules)
    return other


def _computing_with(module: AnyModule, computation: nn.Module) -> AnyModule:
    """A module with all that is known about the old one, and another computation in its place."""
    other = copy(module)
    other._modules = {"computation": computation}
    other.forward = computation.__call__
    return other


class _Levels(nn.Module):
    """A part that reads a list of feature maps, whose length a trace has to know."""

    def __init__(self, part: nn.Module, levels: int) -> None:
        super().__init__()
        self.part = part
        self.levels = levels

    def forward(self, features: Sequence[Tensor]) -> object:
        return self.part([features[level] for level in range(self.levels)])


def _fuse(part: fx.GraphModule, works: Callable[[Operation], bool]) -> fx.GraphModule:
    """Put a fused layer in the place of each convolution or fully connected layer, and of what it can take with it."""
    _drop_idle_layers(part)
    for number, node in enumerate(list(part.graph.nodes)):
        layer = layer_of(part, node)
        # One that is called for several maps packs its weights for each of them.
        if layer is None or not (isinstance(layer, nn.Linear) or can_fuse(layer)):
            continue
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        spans = _spans(part, node, layer)
        span = next(
            (each for each in spans if works(Operation.of(layer, each.activation, adds=each.other is not None))), None
        )
        if span is not None:
            _replace(part, (node, span.last), f"fused_{number}", _fused(layer, span.activation), span.other)
    part.delete_all_unused_submodules()
    part.recompile()
    return part


def _fused(layer: nn.Conv2d | nn.Linear, activation: Activation) -> FusedConv2d | FusedLinear:
    return FusedLinear(layer, activation) if isinstance(layer, nn.Linear) else FusedConv2d(layer, activation)


class _Span(NamedTuple):
    """What one fused layer may compute, from a layer to the ``last`` node, with the sum with another map or without."""

    activation: Activation
    last: fx.Node
    other: fx.Node | None = None


def _spans(part: fx.GraphModule, node: fx.Node, layer: nn.Conv2d | nn.Linear) -> Iterator[_Span]:
    """The longest one first."""
    sum_node, other = _sum_after(part, node) if isinstance(layer, nn.Conv2d) else (node, None)
    if other is not None:
        yield _Span(*_activation_after(part, sum_node, simple=True), other)
        yield _Span(NO_ACTIVATION, sum_node, other)
    yield _Span(*_activation_after(part, node, simple=isinstance(layer, nn.Linear)))
    yield _Span(NO_ACTIVATION, node)


def _replace(
    part: fx.GraphModule, ends: tuple[fx.Node, fx.Node], name: str, layer: nn.Module, other: fx.Node | None = None
) -> None:
    """Put one layer in the place of all from the first node to the last one."""
    first, last = ends
    part.add_module(name, layer)
    with part.graph.inserting_before(last):
        new = part.graph.call_module(name, (first.args[0],) if other is None else (first.args[0], other))
    last.replace_all_uses_with(new)
    part.graph.eliminate_dead_code()


def _read_as_it_lies(part: fx.GraphModule, side: int) -> fx.GraphModule:
    """Let fully connected layers read maps (N, C, ``side``, ``side``) in the order of memory, which is channels last.

    In the order of the model every map would be copied first; here the weights are, once.
    """
    for node in list(part.graph.nodes):
        layer = layer_of(part, node)
        flat = node.args[0] if isinstance(layer, nn.Linear) else None
        if not isinstance(layer, nn.Linear) or not isinstance(flat, fx.Node) or flat.target != "flatten":
            continue
        [pooled] = flat.all_input_nodes
        with part.graph.inserting_before(flat):
            flat.replace_input_with(pooled, part.graph.call_method("permute", (pooled, 0, 2, 3, 1)))
        weight = layer.weight.unflatten(1, (-1, side, side)).permute(0, 2, 3, 1).flatten(start_dim=1)
        reordered = copy(layer)
        reordered._parameters = {**layer._parameters, "weight": nn.Parameter(weight, requires_grad=False)}
        part.set_submodule(str(node.target), reordered)
    return part


def layer_of(part: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """The layer that a node calls, if it calls one."""
    return part.get_submodule(str(node.target)) if node.op == "call_module" else None


def _drop_idle_layers(part: fx.GraphModule) -> None:
    """Layers that change nothing in inference only hide from each other what they stand between."""
    for node in list(part.graph.nodes):
        if isinstance(layer_of(part, node), nn.Identity | nn.Dropout):
            node.replace_all_uses_with(node.args[0])
            part.graph.erase_node(node)


def _sum_after(part: fx.GraphModule, node: fx.Node) -> tuple[fx.Node, fx.Node | None]:
    """The sum that alone reads a convolution, and what it adds to it, which the fused one overwrites.

    That may be overwritten whose memory this part made itself, and which nobody reads later, nor the convolution.
    """
    sum_node = _only_reader(node)
    if sum_node is None or sum_node.target is not operator.add:
        return node, None
    others = [each for each in sum_node.args if each is not node]
    if len(others) != 1 or not isinstance(others[0], fx.Node):
        return node, None
    owner = _owner(part, others[0])
    sharing = {each for each in part.graph.nodes if _owner(part, each) is owner}
    order = {each: place for place, each in enumerate(part.graph.nodes)}
    last_read = max(order[reader] for each in sharing for reader in each.users)
    is_made_here = owner.op in ("call_module", "call_function")
    free = is_made_here and last_read == order[sum_node] and not sharing & set(node.all_input_nodes)
    return (sum_node, others[0]) if free else (node, None)


def _owner(part: fx.GraphModule, node: fx.Node) -> fx.Node:
    """The node that made the memory of a map: what is not known to make its own may share that of what it reads."""
    while node.all_input_nodes and not _makes_memory(part, node):
        node = node.all_input_nodes[0]
    return node


def _makes_memory(part: fx.GraphModule, node: fx.Node) -> bool:
    layer = layer_of(part, node)
    return node.target in MAKERS if layer is None else not getattr(layer, "inplace", False)


def _activation_after(part: fx.GraphModule, node: fx.Node, *, simple: bool) -> tuple[Activation, fx.Node]:
    """The activation that alone reads a layer or a sum, and the last node of both; a ``simple`` one, or any."""
    reader = _only_reader(node)
    if reader is None:
        return NO_ACTIVATION, node
    layer = layer_of(part, reader)
    function: Callable[..., object] | None = reader.target if callable(reader.target) else None
    activation = ACTIVATIONS.get(function if layer is None else type(layer))
    if activation is None or (simple and activation not in SIMPLE_ACTIVATIONS):
        return NO_ACTIVATION, node
    return activation, reader


def _only_reader(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None
