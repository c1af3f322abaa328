from __future__ import annotations

from pathlib import Path

import pytest

from logged_runs import assert_holds_metrics, trained_with

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def test_event_files_hold_the_metrics_and_pictures(tmp_path: Path) -> None:
    run = trained_with("tensorboard", tmp_path)
    events = accumulator.EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    tags = events.Tags()
    assert_holds_metrics(
        {name: [(point.step, point.value) for point in events.Scalars(name)] for name in tags["scalars"]}, run
    )
    assert sorted(tags["images"]) == ["val0.png", "val1.png", "val2.png"]
    assert any("settings" in name for name in tags["tensors"])
