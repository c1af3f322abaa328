from __future__ import annotations

import json
from pathlib import Path

from made_data import make_squares, settings_file, train_with


def test_the_summary_counts_and_names_what_was_trained(tmp_path: Path) -> None:
    data = make_squares(tmp_path / "data", {"train": 6, "val": 2})
    run = train_with(data, config=settings_file(tmp_path, epochs=2), out=tmp_path / "run")
    summary = json.loads((run / "summary.json").read_text())
    counted = {name: summary[name] for name in ("data", "classes", "ended", "epochs", "steps", "images", "precision")}
    assert counted == {
        "data": str(data),
        "classes": ["dark", "light"],
        "ended": "all epochs are done",
        "epochs": 2,
        "steps": 4,  # two batches of up to four images in each epoch
        "images": 12,
        "precision": "float32",
    }
    assert summary["last"]["epoch"] == 2
    assert summary["best"]["AP"] >= summary["last"]["AP"]
    assert summary["total_seconds"] >= summary["training_seconds"] > 0
