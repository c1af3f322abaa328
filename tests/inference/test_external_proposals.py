"""Fast R-CNN on external proposals, an RPN alone, and alternating training, from the first command to the last."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from faster_rcnn.cli.evaluate import evaluate
from faster_rcnn.cli.predict import predict
from faster_rcnn.cli.proposals import proposals
from faster_rcnn.errors import DatasetError, OptionError
from faster_rcnn.inference.external_proposals import filter_with_count
from faster_rcnn.proposals.file import load_proposals
from faster_rcnn.rpn.proposals import ProposalFilter
from made_data import make_squares, settings_file, train_with

pytestmark = pytest.mark.usefixtures("shown_log")


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    return make_squares(tmp_path / "data", {"train": 6, "val": 2})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The tiny detector's settings as a file."""
    return settings_file(tmp_path, epochs=1)


def measured(run: Path, data: Path, out: Path, given: Path | None = None) -> dict[str, object]:
    evaluate(str(run), data, split="val", precision="float32", json=str(out), proposals=given)
    numbers: dict[str, object] = json.loads(out.read_text())
    return numbers


def test_fast_rcnn_from_a_file_of_selective_search(
    squares: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "search.safetensors"
    assert proposals(squares, method="selective-search", model=None, mode="fast", out=file) == 0
    assert len(load_proposals(file).images) == 8
    run = train_with(squares, config=config, out=tmp_path / "run", proposals=file, epochs=1)
    assert not any(name.startswith("rpn.") for name in load_file(run / "best.safetensors"))
    assert measured(run, squares, tmp_path / "m.json", file)["images"] == 2
    # Without a file the detector runs selective search, with the same result, in evaluate as in predict.
    assert measured(run, squares, tmp_path / "n.json") == measured(run, squares, tmp_path / "m.json", file)
    out = tmp_path / "lines.json"
    image = str(squares / "images/val0.png")
    code = predict(str(run), [image], conf=0.05, max_det=None, precision="float32", out=None, json=str(out))
    assert code == 0
    searched = json.loads(out.read_text())
    assert searched["image"] == image
    # predict, too, takes proposals from a file, and identifies its images by the ends of their paths.
    monkeypatch.chdir(squares / "images")
    given = ["val0.png"]
    predict(str(run), given, conf=0.05, max_det=None, precision="float32", out=None, json=str(out), proposals=file)
    assert json.loads(out.read_text())["detections"] == searched["detections"]
    elsewhere = tmp_path / "other.png"
    elsewhere.write_bytes(Path("val0.png").read_bytes())
    with pytest.raises(DatasetError, match=r"E136 .*has no proposals for '.*other\.png'"):
        predict(
            str(run),
            [str(elsewhere)],
            conf=0.05,
            max_det=None,
            precision="float32",
            out=None,
            json=str(out),
            proposals=file,
        )


def test_without_a_file_the_proposals_are_computed_once_and_stored(
    squares: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["detector.kind=fast-rcnn"]
    run = train_with(squares, config=config, out=tmp_path / "run", settings=settings, epochs=1)
    stored = run / "proposals.safetensors"
    before = stored.stat().st_mtime_ns
    (run / "summary.json").unlink()  # as if it had been interrupted
    train_with(squares, out=run, resume=True)
    assert stored.stat().st_mtime_ns == before
    assert capsys.readouterr().err.count("selective search computes and stores them") == 1


def test_an_rpn_alone_finds_objects_and_proposes_for_others(squares: Path, config: Path, tmp_path: Path) -> None:
    run = train_with(squares, config=config, out=tmp_path / "rpn", settings=["detector.kind=rpn"], epochs=1)
    assert not any(name.startswith("roi.") for name in load_file(run / "best.safetensors"))
    assert set(measured(run, squares, tmp_path / "m.json")["per_class"]) == {"object"}  # type: ignore[call-overload]
    file = tmp_path / "rpn.safetensors"
    proposals(squares, method="rpn", model=str(run), mode="fast", out=file)
    fast = train_with(squares, config=config, out=tmp_path / "fast", proposals=file, epochs=1)
    assert (fast / "best.safetensors").exists()
    with pytest.raises(OptionError, match="which has no first stage"):
        proposals(squares, method="rpn", model=str(fast), mode="fast", out=tmp_path / "no")
    with pytest.raises(OptionError, match="which has no second stage"):
        measured(run, squares, tmp_path / "no.json", file)


def test_the_second_stage_of_a_whole_detector_takes_proposals_too(squares: Path, config: Path, tmp_path: Path) -> None:
    run = train_with(squares, config=config, out=tmp_path / "run", epochs=1)
    file = tmp_path / "own.safetensors"
    proposals(squares, method="rpn", model=str(run), mode="fast", out=file)
    own, given = (measured(run, squares, tmp_path / f"{each}.json", each) for each in (None, file))
    assert own["AP50"] == pytest.approx(given["AP50"], abs=0.05)


def test_proposals_that_do_not_fit_are_refused(squares: Path, config: Path, tmp_path: Path) -> None:
    other = make_squares(tmp_path / "other", {"test": 1})
    file = tmp_path / "other.safetensors"
    proposals(other, method="selective-search", model=None, mode="fast", out=file)
    with pytest.raises(
        DatasetError, match=r"E136 .*for 6 of the 6 images of train \('images/train0\.png', .* \.\.\.\)"
    ):
        train_with(squares, config=config, out=tmp_path / "run", proposals=file)
    with pytest.raises(OptionError, match="proposals are what is learnt"):
        train_with(squares, config=config, proposals=file, settings=["detector.kind=rpn"])
    with pytest.raises(OptionError, match="--method rpn needs a detector, and only it"):
        proposals(squares, method="rpn", model=None, mode="fast", out=file)


def test_an_image_that_cannot_be_read_is_left_out_until_it_is_mended(
    squares: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, file = squares / "images/train0.png", tmp_path / "search.safetensors"
    whole = image.read_bytes()
    image.write_bytes(whole[:200] + bytes(50) + whole[250:])  # the header is intact
    proposals(squares, method="selective-search", model=None, mode="fast", out=file)
    assert load_proposals(file).unreadable == {"images/train0.png"}
    train_with(squares, config=config, out=tmp_path / "run", proposals=file, epochs=1)
    assert "it is left out of training" in capsys.readouterr().err
    image.write_bytes(whole)
    with pytest.raises(DatasetError, match=r"E136 .*train0\.png, which could not be read when they were made"):
        train_with(squares, config=config, out=tmp_path / "again", proposals=file, epochs=1)


@pytest.mark.parametrize("norms", [(), ("backbone.norm=batch", "backbone.pyramid_norm=true")], ids=["frozen", "batch"])
def test_alternating_training_shares_one_backbone(
    norms: tuple[str, ...], squares: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["training.scheme=alternating", *norms]
    run = train_with(squares, config=config, out=tmp_path / "run", settings=settings, epochs=1)
    whole = load_file(run / "best.safetensors")
    second, third, fourth = (load_file(run / f"step-{number}/best.safetensors") for number in (2, 3, 4))
    shared = [name for name in whole if name.startswith("backbone.")]
    # Steps 3 and 4 keep the shared layers as step 2 left them, to the last bit; the rest was trained.
    assert all(torch.equal(second[name], each[name]) for name in shared for each in (third, fourth, whole))
    assert all(torch.equal(whole[name], third[name]) for name in whole if name.startswith("rpn."))
    assert all(torch.equal(whole[name], fourth[name]) for name in whole if name.startswith("roi."))
    assert not torch.equal(second["roi.classes.weight"], fourth["roi.classes.weight"])
    assert measured(run, squares, tmp_path / "m.json")["images"] == 2
    # A resumed run keeps the steps that were done before the interruption.
    (run / "summary.json").unlink()
    capsys.readouterr()
    train_with(squares, out=run, resume=True)
    assert capsys.readouterr().err.count("was done before") == 4


@pytest.mark.parametrize(
    ("before", "count", "expected"), [(1000, 2000, (2000, 2000)), (6000, 2000, (6000, 2000)), (1000, 10, (1000, 10))]
)
def test_fewer_anchors_are_raised_and_more_are_kept(before: int, count: int, expected: tuple[int, int]) -> None:
    rule = ProposalFilter(before, 300, 0.65, 2.0, 0.01)
    assert filter_with_count(rule, count) == ProposalFilter(*expected, 0.65, 2.0, 0.01)
