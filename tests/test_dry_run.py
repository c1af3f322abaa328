"""A dry run tries every part and keeps nothing; a part that fails gives the error of the run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from faster_rcnn.cli.main import main
from faster_rcnn.dry_run import DryRun, Part, dry_run
from faster_rcnn.errors import DivergedError, ImageError, MissingExtraError, OptionError
from faster_rcnn.settings.train_options import TrainOptions
from faster_rcnn.training import validation
from made_data import make_squares, settings_file

PARTS = ["data and settings", "detector", "step 1", "step 2", "validation", "saving", "report", "reading", "export"]

LIKE_C4 = [
    *("backbone.neck=none", "backbone.levels=[3]", "rpn.anchor_sizes=[[16, 32, 64]]", "rpn.proposals_after_nms=12"),
    *("roi.pooling=aligned-align", "roi.pooled_side=4", "roi.max_detections=20"),
]
"""Settings with few operators, so that the graph is quickly written."""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    settings_file(tmp_path, batch=2)
    before = sorted(tmp_path.iterdir())
    squares = make_squares(tmp_path / "data", {"train": 8, "val": 5})
    files = sorted(squares.rglob("*"))
    yield squares
    assert sorted(tmp_path.iterdir()) == sorted([*before, squares])
    assert sorted(squares.rglob("*")) == files
    assert list((tmp_path / "temporary").glob("faster-rcnn*")) == []


def options(**more: object) -> TrainOptions:
    return TrainOptions(config=Path("tiny.yaml"), **more)  # type: ignore[arg-type]


def test_every_part_is_tried_and_nothing_is_kept(data: Path) -> None:
    # In a process of its own, where the shapes of exported graphs are not checked.
    words = ["train", str(data), "--config", "tiny.yaml", "--out", "run", "--dry-run", "--set", *LIKE_C4]
    environment = {**os.environ, "TMPDIR": str(Path("temporary").resolve())}
    command = [sys.executable, "-m", "faster_rcnn", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    out, err = done.stdout, done.stderr
    rows = [re.split(r"  +", line.strip()) for line in out.splitlines()]
    assert rows[0] == ["part", "tried", "seconds"]
    assert [row[0] for row in rows[1:]] == [*PARTS, "all"]
    tried = {row[0]: row[1] for row in rows[1:-1]}
    assert tried["data and settings"] == "8 images of train, 5 images of val"
    assert re.fullmatch(r"2 images, loss [0-9.]+", tried["step 2"])
    assert (tried["validation"], tried["report"]) == ("4 images", "report.html with 4 pictures")
    assert tried["export"] == "onnx, compared with the detector"
    seconds = [float(row[-1]) for row in rows[1:]]
    assert sum(seconds[:-1]) == pytest.approx(seconds[-1], abs=0.1)
    assert err.endswith("the dry run is done: all parts work, and nothing was kept\n")
    assert str(Path("temporary")) not in err


def test_a_data_set_of_one_step_is_trained_twice_and_without_onnx_pt2_is_tried(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def missing(kind: str) -> None:
        if kind == "onnx":
            raise MissingExtraError("onnx", "onnx")

    monkeypatch.setattr("faster_rcnn.dry_run.require_packages", missing)
    monkeypatch.setattr("faster_rcnn.dry_run.export_verified", lambda best, facts, out: tried.append(out.name))
    found = dry_run(data, options(batch=16))
    names = [each.name for each in found.parts]
    assert names == ["data and settings", "detector", "step 1", "validation", "saving", "step 2", *PARTS[6:]]
    assert found.parts[-1].what == "pt2, compared with the detector"
    assert tried == ["model.pt2"]


def test_a_first_stage_alone_is_not_exported(data: Path) -> None:
    found = dry_run(data, options(settings=["detector.kind=rpn"]))
    assert found.parts[-1].what == (
        "not tried: the model: its detector.kind is rpn: it has no second stage, and only detectors of both stages are "
        "exported"
    )


def test_a_part_that_fails_gives_the_error_of_the_run(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DivergedError, match=r"E128 .* are in run/state\.pt.*This was a dry run, which keeps no files"):
        dry_run(data, options(out=Path("run"), lr=1e30))

    def fail(*_: object) -> None:
        raise ImageError("cannot decode val0.png")

    monkeypatch.setattr(validation, "predict_shares", fail)
    with pytest.raises(ImageError, match="cannot decode val0"):
        dry_run(data, options())


def test_what_a_run_would_refuse_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="E125 --dry-run tries a new run"):
        dry_run(data, options(resume=True))
    with pytest.raises(OptionError, match="--dry-run computes in one process"):
        dry_run(data, options(processes=2))
    with pytest.raises(OptionError, match=r"E137 --out tiny\.yaml is a file"):
        dry_run(data, options(out=Path("tiny.yaml")))
    with pytest.raises(OptionError, match="there is no logger 'comet'"):
        dry_run(data, options(log="comet"))
    assert main(["train", str(data), "--preview", "--dry-run"]) == 2
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(OptionError, match="E125 --dry-run computes in one process"):
        dry_run(Path("no data"), options())  # before the data are read


def test_the_table() -> None:
    assert DryRun((Part("step 1", "4 images", 0.25), Part("export", "onnx", 1.5))).table.splitlines() == [
        "part    tried     seconds",
        "step 1  4 images     0.25",
        "export  onnx         1.50",
        "all                  1.75",
    ]
