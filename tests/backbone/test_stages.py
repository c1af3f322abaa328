"""The last stage of a body as a head for regions, and bodies whose stages cannot be taken apart."""

from __future__ import annotations

import pytest
import torch

from faster_rcnn.backbone.stages import LastStage, timm_features
from faster_rcnn.errors import OptionError


@pytest.mark.parametrize(("name", "level"), [("test_resnet", 3), ("convnext_atto", 2), ("tf_efficientnet_lite0", 3)])
def test_the_last_stage_halves_the_resolution_of_regions(name: str, level: int) -> None:
    stage = LastStage(name, level, frozen_norm=True, stride_in_1x1=False)
    channels = {"test_resnet": 192, "convnext_atto": 160, "tf_efficientnet_lite0": 112}[name]
    assert stage(torch.zeros(2, channels, 14, 14)).shape == (2, stage.outputs, 7, 7)


@pytest.mark.parametrize(("name", "level"), [("vit_tiny_patch16_224", 3), ("xcit_nano_12_p16_224", 3)])
def test_stages_that_cannot_be_taken_apart_are_an_error(name: str, level: int) -> None:
    # Both are there, below the wrapper that hands out features, and work on tokens instead of maps.
    with pytest.raises(OptionError, match=rf"'{name}' cannot be taken apart; .* --set roi\.head=layers needs no stage"):
        LastStage(name, level, frozen_norm=True, stride_in_1x1=False)


@pytest.mark.parametrize("name", ["hf-hub:owner/name", "local-dir:/tmp", "timm/resnet50", "torchvision:vgg16"])
def test_a_name_that_leads_to_a_hub_or_a_folder_is_no_architecture(name: str) -> None:
    with pytest.raises(OptionError, match=rf"^backbone\.body '{name}' is no architecture of timm; "):
        timm_features(name, (1, 2))


def test_a_misspelt_name_suggests_a_close_one() -> None:
    with pytest.raises(OptionError, match=r"'resnet5O' is no architecture of timm; did you mean 'resnet50'\?"):
        timm_features("resnet5O", (1, 2))
