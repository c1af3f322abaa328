"""Published weights are downloaded once and become one of our detectors."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torchvision.models import detection

from faster_rcnn.errors import MachineError
from faster_rcnn.settings.presets import preset
from faster_rcnn.weights.foreign.published import EPSILON_OF, published_model

LAYOUT = "torchvision:fasterrcnn_mobilenet_v3_large_320_fpn"


def test_a_failed_download_is_an_error_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("Temporary failure in name resolution")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(MachineError, match=r"could not be downloaded from https://.*faster-rcnn import FILE") as raised:
        published_model(LAYOUT)
    assert raised.value.exit_code == 5
    assert "\n" not in str(raised.value)


def test_published_weights_are_converted_and_the_download_is_announced_on_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    peer = detection.fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None, num_classes=91)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    state = peer.state_dict()
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda url, path, *_, **__: torch.save(state, path))
    loaded = published_model(LAYOUT)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith('Downloading: "https://')
    assert len(loaded.classes) == 90
    assert loaded.config == preset("mobile-320")


def test_published_resnet_weights_have_an_epsilon_of_their_own() -> None:
    assert EPSILON_OF == {"torchvision:fasterrcnn_resnet50_fpn": 0.0}
    assert preset("base").backbone.norm_epsilon == 1e-5
