"""torchvision's detector finds the same in every runtime that it is exported to."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch

from faster_rcnn.benchmark.picture import made_up_picture
from faster_rcnn.benchmark.runtimes import RUNTIMES, runners, runtimes_named
from faster_rcnn.data.decode import read_image
from faster_rcnn.errors import MissingExtraError
from faster_rcnn.structures import ImageSize
from torchvision_peer import build_peer, spread_outputs


def test_every_runtime_gives_the_same_boxes_in_images_of_several_sizes(tmp_path: Path) -> None:
    sizes = ImageSize(120, 160), ImageSize(150, 130)
    first, second = (
        read_image(made_up_picture(tmp_path / f"{index}.jpg", size), 10**6)[0] for index, size in enumerate(sizes)
    )
    peer = build_peer("torchvision:fasterrcnn_mobilenet_v3_large_320_fpn", 4, seed=0, min_size=128, max_size=192)
    spread_outputs(peer, first)
    eager, *others = runners(list(RUNTIMES), peer.eval(), first, torch.float32, tmp_path)
    assert [each.name.split()[0] for each in others] == ["onnxruntime", "openvino"]
    for pixels in (first, second):
        expected = eager.detect(pixels)
        assert len(expected) >= 10
        for other in others:
            found = other.detect(pixels)
            nearest = (found[:, None] - expected[None]).abs().amax(dim=2).amin(dim=0)
            # Of nearly equal boxes another one may survive.
            assert float((nearest < 0.5).float().mean()) >= 0.9, other.name
            assert len(found) == pytest.approx(len(expected), rel=0.1)


def test_a_missing_package_is_reported_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name in missing:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    real = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", without)
    missing = {"openvino"}
    assert runtimes_named("torchvision, onnxruntime") == ["torchvision", "onnxruntime"]
    with pytest.raises(MissingExtraError, match=r"'openvino': pip install 'faster-rcnn\[openvino\]'"):
        runtimes_named("torchvision,openvino")
    missing = {"onnx"}
    with pytest.raises(MissingExtraError, match=r"'onnx': pip install 'faster-rcnn\[onnx\]'"):
        runtimes_named("onnxruntime")
