from __future__ import annotations

import logging
from pathlib import Path

import pytest

from made_data import make_squares, settings_file, train_with


def test_the_plan_of_a_run_is_logged_in_detail(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = make_squares(tmp_path / "data", {"train": 6, "val": 2})
    with caplog.at_level(logging.DEBUG, "faster_rcnn.training"):
        train_with(data, config=settings_file(tmp_path, epochs=2), out=tmp_path / "run")
    details = [each.getMessage() for each in caplog.records if each.levelno == logging.DEBUG]
    assert details[:4] == [
        "this process reads the images, 2 batches of up to 4 in each epoch",
        # 0.08 for 16 images is 0.02 for 4; half a cosine over 4 steps: 1, 1/2 and (1 - cos(pi / 4)) / 2 = 0.146
        "learning rate: cosine schedule, 0 steps of warm-up; 0.02 in step 1, 0.01 in step 3, 0.00293 in step 4",
        "SGD with momentum 0.9 and weight decay 0.0001; gradients are clipped to norm 10; weights are not averaged",
        "validation of 2 images after each epoch; the best epoch is the one with the highest AP",
    ]
    assert "saved last.safetensors and state.pt after step 4" in details
    assert "saved best.safetensors: epoch 1 is the best so far by AP" in details
