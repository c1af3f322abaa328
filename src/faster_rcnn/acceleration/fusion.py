"""Layers fused with what follows them, in body, neck and heads: the fused model of a detector on a CPU.

One trace of a part (``torch.fx``) finds the layers that run and the inputs of each. A convolution whose only reader is
an activation, or a sum with another map that no later node reads, becomes one fused convolution::

    conv -> relu                  conv ---+
                                          v
    other -> ... (last reader)    other -> add -> relu        one FusedConv2d, which writes into ``other``

A part that cannot be traced, because its path depends on its input, stays as it is. An operation that this CPU does not
have in the detector's precision is not used: smaller operations compute the same.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from copy import copy, deepcopy
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, fx, nn
from torch.nn.functional import interpolate

from faster_rcnn.acceleration.computed_head import ComputedHead
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
"""Graphs by name: ``body``, ``pyramid``, ``rpn`` and ``head``. Parts that could not be traced are missing."""
Works = Callable[[Operation, torch.dtype], bool]
"""Whether an operation may be used in a precision."""

MAKERS = (operator.add, operator.mul, interpolate, torch.cat)
"""Functions whose result has memory of its own."""


def fused_model(network: FasterRCNN) -> FasterRCNN:
    """The same detector with fused convolutions, if this CPU has them and they compute the same features.

    ``network`` was prepared for inference, and is not changed.
    """
    weight = next(network.parameters())
    convolutions = [each for each in OPERATIONS if each.kind != LINEAR]
    if weight.device.type != "cpu" or not any(fused_works(each, weight.dtype) for each in convolutions):
        return network
    parts = verified_parts(network, fused_works)
    return with_parts(network, parts) if parts else network


def verified_parts(network: FasterRCNN, works: Works) -> Parts:
    """Every part that can be traced; none if body and neck then give other features for a random image."""
    # Compared in float32, where a difference does not come from rounding.
    exact = network if next(network.parameters()).dtype == torch.float32 else deepcopy(network).float()
    same = features_match(exact, with_parts(exact, fused_parts(exact, works)))
    # Traced again: the parts that were compared have packed their weights for that small image.
    return fused_parts(network, works) if same else {}


def fused_parts(network: FasterRCNN, works: Works) -> Parts:
    """Every part that can be traced, in inference mode, with the operations that work."""
    precision = next(network.parameters()).dtype
    traced: dict[str, fx.GraphModule | None] = {"body": traced_part(network.backbone.body)}
    if network.backbone.pyramid is not None:
        traced["pyramid"] = traced_part(_Levels(network.backbone.pyramid, len(network.backbone.region_strides)))
    if network.rpn is not None:
        traced["rpn"] = traced_part(_Levels(network.rpn.head, len(network.backbone.strides)))
    if network.roi is not None:
        head = traced_part(network.roi.head)
        traced["head"] = None if head is None else _read_channels_last(head, network.roi.pooling.side)

    def works_here(operation: Operation) -> bool:
        return works(operation, precision)

    return {name: _fuse(part, works_here) for name, part in traced.items() if part is not None}


def with_parts(network: FasterRCNN, parts: Mapping[str, nn.Module]) -> FasterRCNN:
    """A copy of a detector that computes some of its parts with other modules, by the names of ``Parts``."""
    model = shallow_copy(network)
    model.backbone = shallow_copy(network.backbone)
    if "body" in parts:
        model.backbone.body = _computing_with(network.backbone.body, parts["body"])
    if "pyramid" in parts and network.backbone.pyramid is not None:
        model.backbone.pyramid = _computing_with(network.backbone.pyramid, parts["pyramid"])
    if "rpn" in parts:
        model.rpn = shallow_copy(network.rpn)
        model.rpn.head = ComputedHead(parts["rpn"])
    if "head" in parts:
        model.roi = shallow_copy(network.roi)
        model.roi.head = _computing_with(network.roi.head, parts["head"])
    return model


def shallow_copy(module: AnyModule) -> AnyModule:
    """A module that shares the children of another one, but may be given other children itself."""
    other = copy(module)
    other._modules = dict(module._modules)
    return other


def _computing_with(module: AnyModule, computation: nn.Module) -> AnyModule:
    """A copy of a module with the same attributes, whose only child and forward pass is ``computation``."""
    other = copy(module)
    other._modules = {"computation": computation}
    other.forward = computation.__call__
    return other


class _Levels(nn.Module):
    """A part that reads a list of feature maps, with a fixed length, which tracing requires."""

    def __init__(self, part: nn.Module, levels: int) -> None:
        super().__init__()
        self.part = part
        self.levels = levels

    def forward(self, features: Sequence[Tensor]) -> object:
        return self.part([features[level] for level in range(self.levels)])


def _fuse(part: fx.GraphModule, works: Callable[[Operation], bool]) -> fx.GraphModule:
    """Replace each convolution or fully connected layer, and the nodes after it that fit, by one fused layer."""
    _drop_idle_layers(part)
    for number, node in enumerate(list(part.graph.nodes)):
        layer = layer_of(part, node)
        # A layer that is called several times becomes several fused layers, each with weights packed for its own maps.
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
    """Nodes that one fused layer may compute: from a layer to ``last``, with the sum with ``other`` if there is one."""

    activation: Activation
    last: fx.Node
    other: fx.Node | None = None


def _spans(part: fx.GraphModule, node: fx.Node, layer: nn.Conv2d | nn.Linear) -> Iterator[_Span]:
    """All spans that begin with a layer, the longest one first."""
    found = _sum_after(part, node) if isinstance(layer, nn.Conv2d) else None
    if found is not None:
        sum_node, other = found
        yield _Span(*_activation_after(part, sum_node, simple=True), other)
        yield _Span(NO_ACTIVATION, sum_node, other)
    yield _Span(*_activation_after(part, node, simple=isinstance(layer, nn.Linear)))
    yield _Span(NO_ACTIVATION, node)


def _replace(
    part: fx.GraphModule, ends: tuple[fx.Node, fx.Node], name: str, layer: nn.Module, other: fx.Node | None = None
) -> None:
    """Replace all nodes from the first to the last one by one call of ``layer``."""
    first, last = ends
    part.add_module(name, layer)
    with part.graph.inserting_before(last):
        new = part.graph.call_module(name, (first.args[0],) if other is None else (first.args[0], other))
    last.replace_all_uses_with(new)
    part.graph.eliminate_dead_code()


def _read_channels_last(part: fx.GraphModule, side: int) -> fx.GraphModule:
    """Let fully connected layers flatten maps (N, C, ``side``, ``side``) in memory order, which is channels-last.

    In the model's order every map would be copied first. Here the inputs of the weights are permuted instead, once::

        flatten(map)  @ weight (outputs, C * side * side)
        flatten(map as (N, side, side, C), a view) @ weight permuted to (outputs, side * side * C)
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
    """The layer that a node calls; ``None`` for other nodes."""
    return part.get_submodule(str(node.target)) if node.op == "call_module" else None


def _drop_idle_layers(part: fx.GraphModule) -> None:
    """Remove layers that do nothing in inference: they would separate nodes that could be fused."""
    for node in list(part.graph.nodes):
        if isinstance(layer_of(part, node), nn.Identity | nn.Dropout):
            node.replace_all_uses_with(node.args[0])
            part.graph.erase_node(node)


def _sum_after(part: fx.GraphModule, node: fx.Node) -> tuple[fx.Node, fx.Node] | None:
    """The sum that is the only reader of a convolution, and its other term, if the fused layer may overwrite that.

    The fused layer writes the sum into the memory of the other term::

        owner ---> other (perhaps a view of owner's memory)
        node ----> sum_node = node + other

    The part must have made that memory itself; nothing may read it after the sum, nor may the convolution read it.
    """
    sum_node = _only_reader(node)
    if sum_node is None or sum_node.target is not operator.add:
        return None
    terms = [each for each in sum_node.args if each is not node]
    other = terms[0] if len(terms) == 1 else None
    if not isinstance(other, fx.Node):
        return None
    owner = _memory_owner(part, other)
    if owner.op not in ("call_module", "call_function"):
        return None  # an input of the part, or a constant
    sharing = {each for each in part.graph.nodes if _memory_owner(part, each) is owner}
    if sharing & set(node.all_input_nodes) or _last_reader(part, sharing) is not sum_node:
        return None
    return sum_node, other


def _memory_owner(part: fx.GraphModule, node: fx.Node) -> fx.Node:
    """The node that made the memory of a map: a node that may not have made its own is assumed to share its input's."""
    while node.all_input_nodes and not _makes_memory(part, node):
        node = node.all_input_nodes[0]
    return node


def _makes_memory(part: fx.GraphModule, node: fx.Node) -> bool:
    layer = layer_of(part, node)
    return node.target in MAKERS if layer is None else not getattr(layer, "inplace", False)


def _last_reader(part: fx.GraphModule, nodes: Set[fx.Node]) -> fx.Node:
    """The last node in the order of execution that reads one of ``nodes``."""
    readers = {reader for each in nodes for reader in each.users}
    last: fx.Node = [each for each in part.graph.nodes if each in readers][-1]
    return last


def _activation_after(part: fx.GraphModule, node: fx.Node, *, simple: bool) -> tuple[Activation, fx.Node]:
    """The activation that is the only reader of a node, and its node; no activation, and the node itself, if none is.

    ``simple``: only one of ``SIMPLE_ACTIVATIONS`` counts.
    """
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
