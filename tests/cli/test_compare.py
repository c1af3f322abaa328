"""``faster-rcnn compare``: trains or takes both systems, measures both, and reports the measurements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from faster_rcnn.cli.compare import compare
from faster_rcnn.cli.proposals import proposals
from faster_rcnn.errors import DatasetError, OptionError
from made_data import make_squares, train_with

TINY = (
    "backbone.body=test_resnet",
    "backbone.weights=none",
    "backbone.frozen_stages=0",
    "backbone.pyramid_channels=16",
    "roi.head_hidden=[32]",
    "rpn.anchor_sizes=[[8],[16],[32],[64],[128]]",
    "training.workers=0",
    "image.short_side=64",
    "image.long_side=128",
)
TRAINING: dict[str, Any] = {"settings": list(TINY), "epochs": 1, "batch": 4}


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    return make_squares(tmp_path / "data", {"train": 6, "val": 2, "test": 3})


def test_both_are_trained_measured_and_drawn_and_taken_again(
    squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, numbers = tmp_path / "out", tmp_path / "numbers.json"
    assert compare(squares, **TRAINING, images=2, rounds=1, out=out, json=str(numbers)) == 0
    table = capsys.readouterr().out
    measured = json.loads(numbers.read_text())
    assert measured["split"] == "test"
    assert (measured["timed_images"], measured["rounds"]) == (2, 1)
    for system in ("faster_rcnn", "fast_rcnn"):
        seconds = measured[system]["seconds"]
        assert seconds["total"] == pytest.approx(seconds["features"] + seconds["proposals"] + seconds["regions"])
        assert min(seconds.values()) > 0
        assert measured[system]["metrics"]["images"] == 3
        assert measured[system]["recall"]["truths"] == 3
    cheaper = measured["fast_rcnn"]["seconds"]["proposals"] / measured["faster_rcnn"]["seconds"]["proposals"]
    assert measured["times_cheaper"]["proposals"] == pytest.approx(cheaper)
    assert f"proposals {cheaper:.0f} times cheaper" in table
    assert "recall of 300 proposals" in (out / "comparison.html").read_text()
    # A second call trains and searches no more, and measures the same.
    compare(squares, **TRAINING, images=2, rounds=1, out=out, json=str(numbers))
    assert capsys.readouterr().err.count("was trained before") == 2
    assert json.loads(numbers.read_text())["fast_rcnn"]["metrics"] == measured["fast_rcnn"]["metrics"]
    # Nor does one with other data, though its images have the same names and sizes, take the old ones,
    other = make_squares(tmp_path / "other", {"train": 6, "val": 2, "test": 3}, seed=1)
    with pytest.raises(
        OptionError,
        match=r"E132 .*faster-rcnn holds a detector that was trained on other data: 6 of 6 images of train have ",
    ):
        compare(other, **TRAINING, out=out)
    # or one with other settings take them for its own.
    with pytest.raises(OptionError, match=r"E124 .*training\.epochs 1 -> 2"):
        compare(squares, **{**TRAINING, "epochs": 2}, out=out)
    # Both can be given.
    faster, fast, searched = (out / name for name in ("faster-rcnn", "fast-rcnn", "selective-search.safetensors"))
    given: dict[str, Any] = {"faster": str(faster), "fast": str(fast), "proposals": searched}
    compare(squares, **given, split="val", images=1, rounds=1, out=tmp_path / "given")
    assert "AP50" in capsys.readouterr().out


def test_what_cannot_be_compared_is_refused(squares: Path, tmp_path: Path) -> None:
    run = str(train_with(squares, out=tmp_path / "run", settings=TINY, epochs=1))
    out = tmp_path / "out"
    with pytest.raises(OptionError, match="or none"):
        compare(squares, faster=run, out=out)
    file = tmp_path / "search.safetensors"
    proposals(squares, method="selective-search", model=None, mode="quality", out=file)
    with pytest.raises(OptionError, match=r"--fast .*kind is faster-rcnn, it must be fast-rcnn"):
        compare(squares, faster=run, fast=run, proposals=file, out=out)
    fast = str(train_with(squares, out=tmp_path / "fast", settings=TINY, epochs=1, proposals=file))
    with pytest.raises(OptionError, match=r"\(quality\); what is timed here is selective search \(fast\)"):
        compare(squares, faster=run, fast=fast, proposals=file, out=out)
    # What would stop the comparison in the end stops it before anything is trained.
    options: dict[str, Any]
    for options, message in (
        ({"proposals": tmp_path / "nowhere"}, "there is no such file"),
        ({"proposals": file}, r"\(quality\); what is timed here"),
        ({"split": "nosuch"}, "nosuch"),
    ):
        with pytest.raises((OptionError, DatasetError), match=message):
            compare(squares, **TRAINING, out=tmp_path / "early", **options)
        assert not (tmp_path / "early").exists()
    with pytest.raises(OptionError, match="at least one of each"):
        compare(squares, faster=run, fast=fast, proposals=file, images=0, out=out)
    with pytest.raises(OptionError, match=r"leave out detector\.kind"):
        compare(squares, settings=["detector.kind=rpn"], out=out)
