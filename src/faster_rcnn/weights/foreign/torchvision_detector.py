"""A detector of ours as a detector of torchvision, built and run by torchvision's own code."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torchvision.models import detection

from faster_rcnn.errors import ModelFileError
from faster_rcnn.settings.schema import Config
from faster_rcnn.weights.foreign.layouts import layout_named
from faster_rcnn.weights.foreign.torchvision_checkpoint import Plan, best_plan
from faster_rcnn.weights.foreign.torchvision_layout import LAYOUTS
from faster_rcnn.weights.model_file import LoadedModel, stored_tensors

PREFIX = "torchvision:"


def plan_torchvision(source: str, config: Config) -> Plan:
    """Find the detector of torchvision that a model equals; raises ``ModelFileError`` (E123) where there is none."""
    best = best_plan(config, list(LAYOUTS))
    if best.misfits:
        raise ModelFileError(
            f"{source} is none of torchvision's detectors, not even {best.layout}: {best.differences}; so there is "
            "nothing to compare it with. Those of the presets base, base-v2, mobile and mobile-320 are: "
            "faster-rcnn benchmark mobile-320 --compare torchvision",
            code="E123",
        )
    return best


def torchvision_detector(loaded: LoadedModel, plan: Plan) -> nn.Module:
    """Build torchvision's detector with the weights of ours, on the CPU, in inference mode.

    It takes a list of images (3, H, W), RGB, float in 0..1, and returns for each a dict of ``boxes`` (N, 4), ``scores``
    (N,) and ``labels`` (N,), in which 0 is background.
    """
    build = getattr(detection, plan.layout.removeprefix(PREFIX))
    outputs = len(loaded.classes) + 1
    with torch.random.fork_rng(devices=[]):  # the global random number generator keeps its state
        theirs: Any = build(weights=None, weights_backbone=None, num_classes=outputs, **plan.arguments)
    if plan.epsilon is not None:
        norms = [layer for layer in theirs.backbone.body.modules() if hasattr(layer, "running_var")]
        for layer in norms:
            layer.eps = plan.epsilon
    theirs.load_state_dict(layout_named(plan.layout).to_theirs(stored_tensors(loaded.model)), strict=True)
    detector: nn.Module = theirs.eval().requires_grad_(False)
    return detector
