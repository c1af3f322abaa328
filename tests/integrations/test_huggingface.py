"""A detector goes to a hub on this machine with its card, and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from faster_rcnn import Detector
from faster_rcnn.errors import MachineError, OptionError
from faster_rcnn.integrations.huggingface import push_to_hub
from files import coco_folder, image_file, loaded_model
from hub_server import Hub, running_hub
from tiny import assert_equal_detections


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with pytest.MonkeyPatch.context() as patch, running_hub(tmp_path / "cache", patch) as hub:
        yield hub


@pytest.fixture
def detector() -> Detector:
    return Detector(loaded_model(), "cpu", "float32")


def test_a_detector_comes_back_as_it_was(hub: Hub, detector: Detector, tmp_path: Path) -> None:
    metrics = detector.evaluate(coco_folder(tmp_path / "data", [[(0, 5, 5, 30, 20)], []]))
    address = push_to_hub(
        detector, "owner/cells", metrics=metrics, data="cells", licence="mit", private=True, token="hf_test"
    )
    assert address == f"{hub.address}/owner/cells"
    assert hub.private == {"owner/cells"}
    assert sorted(hub.repositories["owner/cells"]) == ["README.md", "model.safetensors"]
    image = image_file(tmp_path / "a.png")
    back = Detector.load("hf://owner/cells", "cpu", "float32")
    assert back.classes == detector.classes
    assert_equal_detections(back.predict(image, 0.0).detections, detector.predict(image, 0.0).detections)
    card: Any = ModelCard(hub.repositories["owner/cells"]["README.md"].decode()).data
    assert (card.license, card.pipeline_tag) == ("mit", "object-detection")
    [ap, *_] = card.eval_results
    assert (ap.metric_type, ap.dataset_name) == ("AP", "cells")
    assert ap.metric_value == pytest.approx(metrics.ap, abs=1e-4)


def test_a_second_upload_replaces_the_first(hub: Hub, detector: Detector) -> None:
    push_to_hub(detector, "owner/cells", token="hf_test")
    push_to_hub(detector, "owner/cells", card="# mine", token="hf_test")
    assert hub.repositories["owner/cells"]["README.md"] == b"# mine"


def test_an_upload_that_fails_is_one_line(hub: Hub, detector: Detector) -> None:
    with pytest.raises(OptionError, match=r"^E125 repository 'cells': it is named owner/name$"):
        push_to_hub(detector, "cells")
    with pytest.raises(MachineError, match=r"^owner/cells cannot be uploaded to http.*; log in with a token that may"):
        push_to_hub(detector, "owner/cells", token="hf_other")
    assert hub.repositories == {}
    hub.shutdown()
    hub.server_close()
    with pytest.raises(MachineError, match=r"^http.* does not answer, so nothing was uploaded; connect this machine$"):
        push_to_hub(detector, "owner/cells", token="hf_test")
