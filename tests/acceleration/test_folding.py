"""A detector prepared for inference computes what the detector computes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from faster_rcnn.acceleration.folding import fold_norms, prepare_for_inference
from faster_rcnn.backbone.norm import norms
from faster_rcnn.building import build_model
from faster_rcnn.settings.schema import Config
from tiny import config_of_body, decided_model, random_image, tiny_and_full, tiny_model, with_statistics


@pytest.mark.parametrize(
    "config",
    [
        *tiny_and_full("small", "mobile-320", "base-v2"),
        *(
            pytest.param(config_of_body(name), id=name)
            for name in ("test_resnet", "resnet18", "regnetx_002", "mobilenetv2_050")
        ),
        pytest.param(config_of_body("densenet121"), id="densenet121"),
    ],
)
def test_a_folded_detector_has_the_same_features(config: Config) -> None:
    torch.manual_seed(0)
    model = with_statistics(build_model(config, 2))
    pixels = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        before = model.backbone(pixels)
    norms_before = len(norms(model))
    assert fold_norms(model) > 0
    assert len(norms(model)) < 0.6 * norms_before  # DenseNet has half of them before its convolutions
    with torch.no_grad():
        after = model.backbone(pixels)
    for one, other in zip(after, before, strict=True):
        assert_close(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


@pytest.mark.parametrize("config", tiny_and_full("base-v2"))
def test_the_second_stages_norms_are_folded_too(config: Config) -> None:
    model = with_statistics(build_model(config, 2))
    pooled = torch.randn(3, model.backbone.channels, 7, 7)
    before = model.roi.head(pooled)
    fold_norms(model)
    assert not norms(model)
    assert_close(model.roi.head(pooled), before, rtol=1e-4, atol=1e-5)


def test_folding_does_not_change_the_detector() -> None:
    model = with_statistics(tiny_model())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fast = prepare_for_inference(model, torch.bfloat16, exact=False)
    assert fast is not model
    assert next(fast.parameters()).dtype == torch.bfloat16
    assert not norms(fast)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert prepare_for_inference(model, torch.float32, exact=True) is model


def test_bfloat16_detects_nearly_what_float32_detects() -> None:
    model = with_statistics(tiny_model(roi={"score_floor": 0.3}))
    image = random_image(80, 100)
    fast = prepare_for_inference(model, torch.bfloat16, exact=False)
    [exact], [found] = model.propose([image]), fast.propose([image])
    assert found.boxes.dtype == torch.float32
    assert len(found.boxes) == pytest.approx(len(exact.boxes), rel=0.2)
    assert_close(found.boxes[0], exact.boxes[0], rtol=0.05, atol=1.0)
    assert fast.detect([image])[0].scores.dtype == torch.float32


def test_fast_float32_detects_what_exact_float32_detects() -> None:
    model = with_statistics(decided_model(roi={"score_floor": 0.05}))
    images = [random_image(80, 100), random_image(64, 50, seed=1)]
    fast = prepare_for_inference(model, torch.float32, exact=False)
    assert next(fast.parameters()).dtype == torch.float32
    assert not norms(fast)
    pixels = fast.preparation.batch(images).pixels
    *features, _ = fast.backbone(pixels)  # the last one is every second of the one before
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in features)
    assert not fast.backbone(pixels)[0].is_contiguous()
    for exact, found in zip(model.detect(images), fast.detect(images), strict=True):
        assert len(exact) > 5
        assert_close(found.boxes, exact.boxes, rtol=1e-3, atol=1e-2)
        assert_close(found.scores, exact.scores, rtol=1e-3, atol=1e-4)
        assert torch.equal(found.labels, exact.labels)


class Backwards(nn.Module):
    """A module that lists a batch norm after a convolution, but runs it before."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.conv(self.norm(pixels))
        return features


def test_a_norm_whose_folding_would_change_the_features_stays() -> None:
    model = with_statistics(tiny_model())
    first = Backwards()
    assert first.norm.running_mean is not None
    first.norm.running_mean.fill_(0.5)
    model.backbone.body.layers = nn.Sequential(first.eval(), model.backbone.body.layers)
    fast = prepare_for_inference(model, torch.bfloat16, exact=False)
    assert len(norms(fast)) == len(norms(model))
