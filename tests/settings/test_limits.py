"""Settings have limits beyond which no detector is sensible, whoever gives them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from faster_rcnn.settings.schema import BackboneConfig, Config, ImageConfig, RoiConfig, RpnConfig


@pytest.mark.parametrize("name", ["resnet50", "resnet50.a1_in1k", "torchvision:mobilenet_v3_large", "tf_mixnet-x"])
def test_names_of_architectures(name: str) -> None:
    assert BackboneConfig(body=name).body == name


@pytest.mark.parametrize("name", ["hf-hub:a/b", "hf_hub:a", "local-dir:/x", "timm/resnet50", "../x", "", "a b", "a\nb"])
def test_addresses_and_paths_are_no_architectures(name: str) -> None:
    with pytest.raises(ValidationError, match="is no name of an architecture"):
        BackboneConfig(body=name)


@pytest.mark.parametrize(
    "largest",
    [
        ImageConfig(short_side=32_768, long_side=1_000_000, multiple_of=1024, std=(1e-6, 1, 1e6)),
        BackboneConfig(pyramid_channels=16_384, levels=(1,) * 16),
        RpnConfig(head_channels=16_384, head_convs=64, anchor_sizes=((1.0,) * 64,) * 16),
        RoiConfig(pooled_side=64, sampling_ratio=64, head_convs=(1,) * 64, head_hidden=(16_384,)),
    ],
)
def test_values_at_the_limits_are_allowed_and_round_trip(largest: ImageConfig) -> None:
    assert type(largest).model_validate_json(largest.model_dump_json(), strict=True) == largest


def test_no_setting_takes_nan_or_infinity() -> None:
    values = Config().model_dump()
    floats = [(part, name) for part, own in values.items() if isinstance(own, dict) for name in own]
    checked = 0
    for part, name in floats:
        if isinstance(values[part][name], float):
            for number in (float("nan"), float("inf")):
                with pytest.raises(ValidationError):
                    Config.model_validate({**values, part: {**values[part], name: number}})
            checked += 1
    assert checked > 20
