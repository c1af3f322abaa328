"""From pooled features to one vector per region: fully connected layers, or a stage of the body."""

from __future__ import annotations

import torch
from torch import nn
from torch.testing import assert_close

from faster_rcnn.roi.heads import RegionHead, StageHead


def test_head_with_convolutions_and_norm() -> None:
    head = RegionHead(4, side=2, convs=(6, 5), hidden=(8, 7))
    assert head.outputs == 7
    assert head(torch.rand(3, 4, 2, 2)).shape == (3, 7)
    # 6 * 4 * 9 + 2 * 6, 5 * 6 * 9 + 2 * 5; then (5 * 2 * 2) * 8 + 8, 8 * 7 + 7.
    assert sum(each.numel() for each in head.parameters()) == 228 + 280 + 168 + 63


def test_layers_read_channels_then_rows_then_columns() -> None:
    # The order that pretrained fc6 layers expect: flat place = channel * 4 + row * 2 + column.
    head = RegionHead(3, side=2, convs=(), hidden=(12,))
    layer = head.layers[0]
    assert isinstance(layer, nn.Linear)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(12))
        layer.bias.zero_()
    assert_close(head(torch.arange(12.0).reshape(1, 3, 2, 2)), torch.arange(12.0)[None])


def test_dropout_follows_every_layer_in_training_only() -> None:
    head = RegionHead(1, side=1, convs=(), hidden=(1000, 1000), dropout=0.5)
    with torch.no_grad():
        for layer in head.layers:
            weight, bias = layer.parameters()
            weight.fill_(1 / weight.shape[1])
            bias.zero_()
    ones = torch.ones(4, 1, 1, 1)
    # Each layer gives the mean of its inputs, which is 1; dropout makes half of them 0 and doubles the others. The mean
    # of the first layer is known to 1000^-0.5, so the second gives 0 or about 2.
    trained = head.train()(ones)
    assert 0.4 < float((trained == 0).float().mean()) < 0.6
    assert_close(trained[trained > 0], torch.full_like(trained[trained > 0], 2.0), rtol=0.2, atol=0.0)
    assert trained[trained > 0].unique().numel() == 4  # the first layer's dropout differs from region to region
    assert_close(head.eval()(ones), torch.ones(4, 1000))


def test_without_dropout_training_and_inference_agree() -> None:
    head = RegionHead(4, side=2, convs=(), hidden=(8,))
    pooled = torch.rand(3, 4, 2, 2)
    assert torch.equal(head.train()(pooled), head.eval()(pooled))


def test_a_stage_is_averaged_over_the_bins_that_it_leaves() -> None:
    stage = nn.MaxPool2d(2)
    head = StageHead(stage, outputs=1)
    # Maxima of the four quarters of 0..15: 5, 7, 13, 15.
    assert_close(head(torch.arange(16.0).reshape(1, 1, 4, 4)), torch.tensor([[10.0]]))
    assert head.outputs == 1


def test_a_stage_of_no_regions() -> None:
    head = StageHead(nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6).eval()), outputs=6)
    assert head(torch.zeros(0, 4, 7, 7)).shape == (0, 6)


def test_names_of_a_stage_in_a_model_file() -> None:
    head = StageHead(nn.Sequential(nn.Conv2d(1, 1, 1, bias=False)), outputs=1)
    assert list(head.state_dict()) == ["stage.0.weight"]
