"""From the name of a detector, or a detector in memory, to one that is ready, and what is logged of it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from faster_rcnn.errors import InputError, OptionError
from faster_rcnn.inference.loading import (
    load_detector,
    loaded_with,
    log_tiles,
    ready_detector,
    refuse_without_second_stage,
)
from faster_rcnn.inference.tiles import Tiling
from files import CLASSES, loaded_model, model_file
from tiny import random_image


def test_a_loaded_detector_is_named_with_its_classes_and_its_machine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = model_file(tmp_path / "cats.safetensors")
    with caplog.at_level(logging.INFO, "faster_rcnn.inference.loading"):
        detector = load_detector(str(path), "float32", "cpu")
    assert (detector.classes, detector.device, detector.exact) == (CLASSES, torch.device("cpu"), True)
    assert caplog.messages == [f"{path}: small, 3 classes, float32 on cpu, 1 CPU thread"]


def test_an_unknown_device_is_refused_before_the_model_is_read() -> None:
    with pytest.raises(OptionError, match="tpu"):
        load_detector("no such model", device="tpu")
    with pytest.raises(InputError, match="no such model"):
        load_detector("no such model", device="cpu")


def test_a_detector_is_loaded_with_other_settings_of_inference(tmp_path: Path) -> None:
    path = model_file(tmp_path / "cats.safetensors")
    detector = load_detector(str(path), "auto", "cpu", ["rpn.proposals_after_nms=20", "roi.max_detections=3"])
    assert (detector.config.rpn.proposals_after_nms, detector.config.roi.max_detections) == (20, 3)
    for network in (detector.model, detector.network):  # the optimized network, too
        assert (network.inference_filter.after_nms, network.roi.detection_filter.max_detections) == (20, 3)
    [found] = detector.detect([random_image(40, 60)])
    assert len(found) == 3
    with pytest.raises(OptionError, match=r"^E125 --set training\.lr=1: this setting belongs to training"):
        load_detector(str(path), settings="training.lr=1")


def test_a_model_in_memory_keeps_its_own_settings_beside_a_copy_with_others() -> None:
    loaded = loaded_model()
    assert loaded_with(loaded, ()) is loaded
    other = loaded_with(loaded, ["rpn.nms_iou=0.8"])
    assert (other.config.rpn.nms_iou, other.model.inference_filter.nms_iou) == (0.8, 0.8)
    assert (loaded.config.rpn.nms_iou, loaded.model.inference_filter.nms_iou) == (0.7, 0.7)
    assert other.model.backbone is loaded.model.backbone


def test_results_are_bit_exact_only_where_float32_is_named() -> None:
    named = ready_detector(loaded_model(), "float32", "cpu")
    assert (named.precision, named.exact, named.compiler) == (torch.float32, True, None)
    assert not ready_detector(loaded_model(), "auto", "cpu").exact


def test_proposals_need_a_second_stage() -> None:
    whole = ready_detector(loaded_model(), "float32", "cpu")
    refuse_without_second_stage(whole, "cats.safetensors")
    kind = whole.config.detector.model_copy(update={"kind": "rpn"})
    first = replace(whole, config=whole.config.model_copy(update={"detector": kind}))
    with pytest.raises(OptionError, match=r"^--proposals: cats\.safetensors is a region proposal network"):
        refuse_without_second_stage(first, "cats.safetensors")


def test_tiles_are_logged_with_the_size_that_the_detector_gives_them(caplog: pytest.LogCaptureFixture) -> None:
    detector = ready_detector(loaded_model(), "float32", "cpu")  # short side 64
    with caplog.at_level(logging.INFO, "faster_rcnn.inference.loading"):
        log_tiles(detector, None)
        log_tiles(detector, Tiling(side=200, overlap=0.25))
    assert caplog.messages == [
        "tiles of 200x200 pixels that share 0.25 of their side, each resized to 64x64; "
        "a larger image is also detected as a whole"
    ]
