"""Presets and precisions as tables, with operations and weights that are counted on the meta device."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from documentation.text import as_code, plain, values_of
from faster_rcnn.building import build_model
from faster_rcnn.settings.presets import PRESETS
from faster_rcnn.settings.schema import Config
from faster_rcnn.system.devices import AUTO, precision_name

COUNTED_CLASSES = 3
"""Classes of the detectors whose weights are counted; a class adds some thousand."""


def presets() -> str:
    """Return a table of all presets, and for each the settings that differ from those of ``small``."""
    head = [
        "| preset | body | weights | GFLOPs | short side, long side | proposals | for |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = [_preset_row(name, make()) for name, make in PRESETS.items()]
    small = values_of(PRESETS["small"]())
    parts = ["\n".join(head + rows)]
    for name, make in PRESETS.items():
        differing = {key: value for key, value in values_of(make()).items() if value != small[key]}
        if name != "small":
            lines = [f"| `{key}` | {as_code(value)} | {as_code(small[key])} |" for key, value in differing.items()]
            parts.append(
                "\n".join(
                    [
                        f"## {name}",
                        "",
                        plain(make.__doc__),
                        "",
                        f"| setting | `{name}` | `small` |",
                        "|---|---|---|",
                        *lines,
                    ]
                )
            )
    return "\n\n".join(parts)


def precisions() -> str:
    """Return a table of what ``--precision auto`` is, by the instructions of a CPU."""
    rows = [
        f"| {name} | {precision_name(row.floats)} | {'int8' if row.int8 else precision_name(row.floats)} |"
        for name, row in AUTO.items()
    ]
    return "\n".join(["| instructions of the CPU | `auto` | `auto` for a quantized detector |", "|---|---|---|", *rows])


def gflops(config: Config) -> float:
    """Count the operations of one image of 4:3 in 1e9; a multiplication and an addition are two.

    Body, neck, RPN head and the layers of the second stage on all proposals are counted; resizing, decoding of boxes,
    NMS and RoI pooling, which are no convolutions and no matrix products, are not.
    """
    height, width = _sides(config)
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model = build_model(config, num_classes=COUNTED_CLASSES).eval()
        features = model.backbone(torch.empty(1, 3, height, width))
        model.rpn(features)
        side, count = config.roi.pooled_side, config.rpn.proposals_after_nms
        pooled = torch.empty(count, features[0].shape[1], side, side)
        vectors = model.roi.head(pooled)
        model.roi.classes(vectors), model.roi.deltas(vectors)
    return float(counter.get_total_flops()) / 1e9


def millions_of_weights(config: Config) -> float:
    """Count the weights of a detector of three classes, in 1e6."""
    with torch.device("meta"):
        model = build_model(config, num_classes=COUNTED_CLASSES)
    return sum(each.numel() for each in model.parameters()) / 1e6


def _sides(config: Config) -> tuple[int, int]:
    """Return height and width of a resized image of 4:3, padded to multiples of 32."""
    short = config.image.short_side
    scale = min(short / 3, config.image.long_side / 4)
    height, width = (int(scale * 3), int(scale * 4))
    return -(-height // 32) * 32, -(-width // 32) * 32


def _preset_row(name: str, config: Config) -> str:
    cells = (
        f"[`{name}`](#{name})" if name != "small" else "`small`",
        f"`{config.backbone.body}`",
        f"{millions_of_weights(config):.1f}",
        f"{gflops(config):.0f}",
        f"{config.image.short_side}, {config.image.long_side}",
        str(config.rpn.proposals_after_nms),
        plain(PRESETS[name].__doc__).splitlines()[0],
    )
    return f"| {' | '.join(cells)} |"
