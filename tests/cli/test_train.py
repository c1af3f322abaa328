from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file

from faster_rcnn.cli.main import main
from faster_rcnn.cli.proposals import proposals
from faster_rcnn.errors import (
    DivergedError,
    ElsewhereError,
    FasterRCNNError,
    MachineError,
    ModelFileError,
    OptionError,
)
from made_data import make_squares, settings_file, train_with


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("squares") / "data", {"train": 6, "val": 2})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The tiny detector's settings as a file."""
    return settings_file(tmp_path, epochs=1)


def test_a_run_folder_holds_what_a_user_expects(
    squares: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.stat().st_mtime_ns for path in squares.rglob("*"))
    assert train_with(squares, config=config, out=tmp_path / "run", epochs=2) == tmp_path / "run"
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names >= {"best.safetensors", "last.safetensors", "state.pt", "config.yaml", "metrics.csv", "summary.json"}
    assert sorted(path.stat().st_mtime_ns for path in squares.rglob("*")) == before  # the data is never written to
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert (summary["epochs"], summary["steps"], summary["images"]) == (2, 4, 12)
    assert summary["classes"] == ["dark", "light"]
    assert "AP50" in summary["best"]
    told = capsys.readouterr()
    assert told.out == ""
    assert "learning rate 0.02 for batches of 4 (0.08 for 16); its highest is 0.02, in step 1 of 4\n" in told.err
    assert "6 images" in told.err
    assert "best.safetensors" in told.err.splitlines()[-2]


def test_without_validation_it_says_so(tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_squares(tmp_path / "data", {"train": 4})
    train_with(data, config=config, out=tmp_path / "run")
    assert "warning: no validation split" in capsys.readouterr().err
    assert (tmp_path / "run/best.safetensors").read_bytes() == (tmp_path / "run/last.safetensors").read_bytes()


def test_steps_that_are_more_than_images_by_batch_are_explained(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_squares(tmp_path / "data", {"train": 4})
    told = "4 images in 2 steps of up to 4: portraits and landscapes do not share a step"
    train_with(data, config=config, out=tmp_path / "run")
    assert told not in capsys.readouterr().err
    image = data / "images/train0.png"
    Image.open(image).transpose(Image.Transpose.ROTATE_90).save(image)
    coco = json.loads((data / "annotations/train.json").read_text())
    coco["images"][0] |= {"width": 64, "height": 96}
    (data / "annotations/train.json").write_text(json.dumps(coco))
    train_with(data, config=config, out=tmp_path / "other")
    assert told in capsys.readouterr().err


def test_a_start_that_is_refused_leaves_nothing_behind(squares: Path, config: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "run"
    for options in (
        {"device": "cuda:7"},
        {"settings": ["backbone.body=nosuchbody"]},
        {"settings": ["data.train=nowhere.json"]},
        {"settings": [ALTERNATING, "backbone.body=nosuchbody"]},
        {"proposals": tmp_path / "nowhere.safetensors"},
    ):
        with pytest.raises(FasterRCNNError):
            train_with(squares, config=config, out=out, **options)
        assert not (tmp_path / "new").exists(), options
    out.mkdir(parents=True)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(FasterRCNNError):
        train_with(squares, config=config, out=out, device="cuda:7")
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


def test_a_folder_that_cannot_be_made_is_told_before_the_work(squares: Path, config: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(OptionError, match=r"^E137 --out .*file is a file; name a folder"):
        train_with(tmp_path / "nowhere", config=config, out=file)
    with pytest.raises(MachineError, match=r"--out .*nothing can be written there: Not a directory; name another"):
        train_with(tmp_path / "nowhere", config=config, out=file / "run")
    assert file.read_text() == "mine"


def test_training_starts_from_another_model(
    squares: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_with(squares, config=config, out=tmp_path / "first")
    settings = ["training.epochs=1", "training.lr=1e-9", "training.batch=4", "training.workers=0"]
    train_with(squares, weights=str(tmp_path / "first"), out=tmp_path / "second", settings=settings)
    assert "classes kept: dark, light" in capsys.readouterr().err
    first, second = (load_file(tmp_path / name / "last.safetensors") for name in ("first", "second"))
    difference = (first["roi.classes.weight"] - second["roi.classes.weight"]).abs().max().item()
    assert 0 <= difference < 1e-6  # it began where the first one ended, and such a rate hardly moves it


def test_weights_that_are_not_there_are_told_before_anything_is_made(squares: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError):
        train_with(squares, weights=str(tmp_path / "nowhere"), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


ALTERNATING = "training.scheme=alternating"


def test_a_run_on_proposals_goes_on_with_them(squares: Path, config: Path, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one.safetensors", "other.safetensors")]
    for file in files:
        proposals(squares, method="selective-search", model=None, mode="fast", out=file)
    run = train_with(squares, config=config, out=tmp_path / "run", proposals=files[0])
    (run / "summary.json").unlink()  # as if it had been interrupted
    with pytest.raises(OptionError, match=r"E124 .*data\.proposals .*one\.safetensors -> .*other\.safetensors"):
        train_with(squares, out=run, proposals=files[1], resume=True)
    train_with(squares, out=run, proposals=files[0], resume=True)
    assert not (run / "proposals.safetensors").exists()  # nothing was searched
    (run / "summary.json").unlink()
    train_with(squares, out=run, resume=True)
    assert not (run / "proposals.safetensors").exists()


def test_a_run_of_both_stages_takes_no_proposals_later(squares: Path, config: Path, tmp_path: Path) -> None:
    run = train_with(squares, config=config, out=tmp_path / "run")
    (run / "summary.json").unlink()
    with pytest.raises(OptionError, match=r"E124 .*data\.proposals None -> "):
        train_with(squares, out=run, proposals=tmp_path / "file", resume=True)


@pytest.mark.parametrize("shown_there", [True, False])
def test_an_error_that_other_processes_have_shown_is_an_exit_code(
    shown_there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> Path:
        raise DivergedError("the loss became inf") from (ElsewhereError("shown") if shown_there else None)

    monkeypatch.setattr("faster_rcnn.training.launch.train_or_launch", fail)
    capsys.readouterr()
    assert main(["train", str(tmp_path)]) == 3
    assert ("the loss became inf" in capsys.readouterr().err) != shown_there
