"""torchvision's own detector with our weights finds what ours finds."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import interpolate

from faster_rcnn.errors import ModelFileError
from faster_rcnn.settings.presets import preset
from faster_rcnn.structures import Detections
from faster_rcnn.weights.foreign.torchvision_detector import plan_torchvision, torchvision_detector
from torchvision_peer import assert_same, build_peer, imported, numbered_classes, spread_outputs

MOBILE = "torchvision:fasterrcnn_mobilenet_v3_large_320_fpn"


def test_it_finds_the_same() -> None:
    generator = torch.Generator().manual_seed(5)
    smooth = interpolate(torch.rand(1, 3, 12, 15, generator=generator) * 255, size=(240, 310), mode="bicubic")[0]
    picture = (smooth + torch.randn(3, 240, 310, generator=generator) * 15).clamp(0, 255).to(torch.uint8)
    peer = build_peer(MOBILE, outputs=9, seed=4)
    spread_outputs(peer, picture)
    config = preset("mobile-320")
    changed = {
        "image": config.image.model_copy(update={"short_side": 200, "long_side": 310}),
        "backbone": config.backbone.model_copy(update={"norm_epsilon": 1e-3}),
        "roi": config.roi.model_copy(update={"score_floor": 0.03}),
    }
    ours = imported(peer, MOBILE, numbered_classes(8), config.model_copy(update=changed))
    theirs = torchvision_detector(ours, plan_torchvision("ours", ours.config))
    with torch.inference_mode():
        [found] = theirs([picture.float() / 255])
    expected = ours.model.detect([picture])[0]
    assert_same(expected, Detections(found["boxes"], found["scores"], found["labels"] - 1))


def test_what_torchvision_does_not_have_is_refused() -> None:
    with pytest.raises(
        ModelFileError, match=r"E123 small is none .*backbone\.body is .*these: 6; .* benchmark mobile-320"
    ):
        plan_torchvision("small", preset("small"))
