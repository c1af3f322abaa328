"""``faster-rcnn compare``: trains or takes both systems, measures both, and says what it measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faster_rcnn.benchmark.stages import StageTimes
from faster_rcnn.cli.bodies import compare, proposals
from faster_rcnn.cli.bodies.compare import Given, Training
from faster_rcnn.comparison.report import Circumstances, Comparison, System, write_comparison
from faster_rcnn.errors import DatasetError, OptionError
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.evaluation.recall import COUNTS, IOUS, ProposalRecall
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
TRAINING = Training(settings=TINY, flags={"epochs": 1, "batch": 4})


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    return make_squares(tmp_path / "data", {"train": 6, "val": 2, "test": 3})


def test_both_are_trained_measured_and_drawn_and_taken_again(
    squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, numbers = tmp_path / "out", tmp_path / "numbers.json"
    assert compare.run(squares, Given(), TRAINING, images=2, rounds=1, out=out, json=str(numbers)) == 0
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
    compare.run(squares, Given(), TRAINING, images=2, rounds=1, out=out, json=str(numbers))
    assert capsys.readouterr().err.count("was trained before") == 2
    assert json.loads(numbers.read_text())["fast_rcnn"]["metrics"] == measured["fast_rcnn"]["metrics"]
    # Nor does one with other data, though its images have the same names and sizes, take the old ones,
    other = make_squares(tmp_path / "other", {"train": 6, "val": 2, "test": 3}, seed=1)
    with pytest.raises(
        OptionError,
        match=r"E132 .*faster-rcnn holds a detector that was trained on other data: 6 of 6 images of train have ",
    ):
        compare.run(other, Given(), TRAINING, out=out)
    # or one with other settings take them for its own.
    with pytest.raises(OptionError, match=r"E124 .*training\.epochs 1 -> 2"):
        compare.run(squares, Given(), Training(settings=TINY, flags={"epochs": 2, "batch": 4}), out=out)
    # Both can be given.
    runs = Given(str(out / "faster-rcnn"), str(out / "fast-rcnn"), out / "selective-search.safetensors")
    compare.run(squares, runs, Training(), split="val", images=1, rounds=1, out=tmp_path / "given")
    assert "AP50" in capsys.readouterr().out


def test_what_cannot_be_compared_is_refused(squares: Path, tmp_path: Path) -> None:
    run = str(train_with(squares, out=tmp_path / "run", settings=TINY, epochs=1))
    out = tmp_path / "out"
    with pytest.raises(OptionError, match="or none"):
        compare.run(squares, Given(faster=run), Training(), out=out)
    file = tmp_path / "search.safetensors"
    proposals.run(squares, method="selective-search", model=None, mode="quality", out=file)
    with pytest.raises(OptionError, match=r"--fast .*kind is faster-rcnn, it must be fast-rcnn"):
        compare.run(squares, Given(run, run, file), Training(), out=out)
    fast = str(train_with(squares, out=tmp_path / "fast", settings=TINY, epochs=1, proposals=file))
    with pytest.raises(OptionError, match=r"\(quality\); what is timed here is selective search \(fast\)"):
        compare.run(squares, Given(run, fast, file), Training(), out=out)
    # What would stop the comparison in the end stops it before anything is trained.
    for options, message in (
        ({"given": Given(proposals=tmp_path / "nowhere")}, "there is no such file"),
        ({"given": Given(proposals=file)}, r"\(quality\); what is timed here"),
        ({"given": Given(), "split": "nosuch"}, "nosuch"),
    ):
        with pytest.raises((OptionError, DatasetError), match=message):
            compare.run(squares, training=TRAINING, out=tmp_path / "early", **options)
        assert not (tmp_path / "early").exists()
    with pytest.raises(OptionError, match="at least one of each"):
        compare.run(squares, Given(run, fast, file), Training(), images=0, out=out)
    with pytest.raises(OptionError, match=r"leave out detector\.kind"):
        compare.run(squares, Given(), Training(settings=["detector.kind=rpn"]), out=out)


def made(name: str, proposals_seconds: float, ap50: float | None) -> System:
    values = dict.fromkeys(("ap", "ap75", "ap_small", "ap_medium", "ap_large"), 0.5)
    recalls = dict.fromkeys(("ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"), 0.5)
    metrics = Metrics(**values, **recalls, ap50=ap50, per_class=(), images=1, truths=1, ignored=0, engine="", notes=())
    recall = ProposalRecall(
        images=1,
        truths=1,
        most=300,
        recall={count: (0.75,) * len(IOUS) for count in COUNTS},
        average={count: {"all": 0.5} for count in COUNTS},
    )
    return System(name, "<runs>", StageTimes(0.01, proposals_seconds, 0.03), 300, recall, metrics)


def comparison(ap50: float | None = 0.9) -> Comparison:
    pair = made("Faster R-CNN", 0.01, ap50), made("Fast R-CNN", 1.2, 0.85)
    how = Circumstances("cpu", "float32", 2, "selective search (fast)", 20, 3)
    return Comparison("data", "test", how, *pair)


def test_the_table_has_times_shares_and_ratios() -> None:
    lines = comparison().table().splitlines()
    assert lines[0].split() == ["Faster", "R-CNN", "Fast", "R-CNN"]
    assert lines[2].split() == ["proposals", "10.0", "ms", "(20.0", "%)", "1200.0", "ms", "(96.8", "%)"]
    assert lines[4].split() == ["total", "50.0", "ms", "1240.0", "ms"]
    assert lines[-2] == "proposals 120 times cheaper, an image 24.8 times faster, AP50 +0.050"
    assert "20 images and 3 rounds" in lines[-1]
    assert "with 2 threads; selective search (fast) works on one thread" in lines[-1]
    assert "no boxes to find, so no AP50" in comparison(None).table()


def test_the_page_shows_the_same_and_escapes_names(tmp_path: Path) -> None:
    page = write_comparison(tmp_path, comparison()).read_text()
    assert "120 <small>times cheaper" in page
    assert "1200.0 ms (96.8 %)" in page
    assert "&lt;runs&gt;" in page
    assert "<runs>" not in page
