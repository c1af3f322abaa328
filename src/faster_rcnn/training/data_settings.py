"""What follows the training images where ``rpn.follow_data`` says so: anchors, and the number of proposals.

A preset has the anchors of photographs. Where they hardly fit an object, few anchors are positive (Faster R-CNN,
section 3.1.2), and the first stage learns little. Settings that the user gave are kept.
"""

from __future__ import annotations

import logging

import torch
from jaxtyping import Float
from torch import Tensor

from faster_rcnn.building import build_without_values
from faster_rcnn.data.anchor_fitting import MIN_STRIDES, AnchorFit, fitted_to, shapes_of
from faster_rcnn.data.records import Split
from faster_rcnn.errors import OptionError
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.schema import Config, RpnConfig

_LOG = logging.getLogger(__name__)

ENOUGH = 0.9
"""Share of the objects with an anchor of IoU 0.5 from which on anchors are kept."""
GAIN = 0.05
"""Share of the objects that new anchors must win."""
SMALL = 0.25
"""Share of the objects that are small for the finest level with anchors, from which on the level below it gets some."""
PROPOSALS_OF_OBJECT = 5
"""Proposals for each object of the image with the most objects: NMS leaves several near one; see docs/frontier.md."""
MOST_PROPOSALS = 1000


def following_data(config: Config, split: Split) -> Config:
    """The configuration whose RPN fits the objects of a split, where ``rpn.follow_data`` is set."""
    if not config.rpn.follow_data or config.detector.kind == "fast-rcnn":
        return config
    kept, usual = config.rpn, preset(config.preset).rpn
    changes: dict[str, object] = {"follow_data": False}
    shapes = [shapes_of(record.truth, record.size, config.image) for record in split.records]
    anchors = [(rpn.anchor_sizes, rpn.anchor_heights_over_widths) for rpn in (kept, usual)]
    if anchors[0] == anchors[1]:  # a fit replaces sizes and aspect ratios together
        changes |= _anchors(config, torch.cat(shapes))
    if kept.proposals_after_nms == usual.proposals_after_nms:
        changes |= _proposals(kept, max(map(len, shapes)))
    return config.model_copy(update={"rpn": kept.model_copy(update=changes)})


def better_anchors(rpn: RpnConfig, shapes: Float[Tensor, "truths 2"], strides: tuple[int, ...]) -> AnchorFit | None:
    """Anchors that fit the objects better than those of the settings; ``None`` where these suffice.

    ``shapes`` are height and width of each object, in pixels of the resized image, ``strides`` those of the levels.
    """
    fit = fitted_to(shapes, _with_finer_level(rpn, shapes, strides), strides)
    if fit is None or fit.before.half >= ENOUGH or fit.after.half < fit.before.half + GAIN:
        return None
    return fit


def _anchors(config: Config, shapes: Float[Tensor, "truths 2"]) -> dict[str, object]:
    """The settings of better anchors; nothing where those of the settings suffice."""
    try:
        strides = build_without_values(config, 1).rpn.anchors.strides
    except OptionError:  # the body does not fit; what builds the detector for training says so
        return {}
    fit = better_anchors(config.rpn, shapes, strides)
    if fit is None:
        return {}
    _LOG.info(_words(fit))
    return {"anchor_sizes": fit.sizes, "anchor_heights_over_widths": fit.heights_over_widths}


def _with_finer_level(rpn: RpnConfig, shapes: Float[Tensor, "truths 2"], strides: tuple[int, ...]) -> RpnConfig:
    """The settings with anchors at a finer level, while many objects are small for the stride of the finest one."""
    sizes, sides = list(rpn.anchor_sizes), shapes.prod(dim=1).sqrt()
    while not sizes[0]:
        first = next(level for level, each in enumerate(sizes) if each)
        if float((sides < MIN_STRIDES * strides[first]).double().mean()) < SMALL:
            break
        sizes[first - 1] = sizes[first]  # fitted afterwards
    return rpn.model_copy(update={"anchor_sizes": tuple(sizes)})


def _words(fit: AnchorFit) -> str:
    return (
        f"anchors fitted to {fit.objects:,} objects: {fit.before.half:.0%} of them had one of IoU 0.5, and "
        f"{fit.after.half:.0%} have one now ({', '.join(fit.settings)}); --set rpn.follow_data=false keeps the preset's"
    )


def _proposals(rpn: RpnConfig, objects: int) -> dict[str, object]:
    """The number of proposals for images with many objects."""
    wanted = min(MOST_PROPOSALS, PROPOSALS_OF_OBJECT * objects)
    if wanted <= rpn.proposals_after_nms:
        return {}
    _LOG.info(
        f"an image has {objects} objects: {wanted} proposals instead of {rpn.proposals_after_nms}; "
        f"--set rpn.proposals_after_nms={rpn.proposals_after_nms} keeps their number"
    )
    return {"proposals_after_nms": wanted}
