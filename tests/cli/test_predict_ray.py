"""What is refused before Ray starts, and the command to go on; ``tests/serving/test_ray_job.py`` starts clusters."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from faster_rcnn.cli.app import app
from faster_rcnn.cli.predict import predict
from faster_rcnn.cli.predict_options import PredictOptions
from faster_rcnn.cli.predict_ray import Cluster, _command
from faster_rcnn.errors import InputError, MachineError, MissingExtraError, OptionError
from faster_rcnn.serving import ray_cluster, ray_job
from faster_rcnn.serving.ray_cluster import Actors
from faster_rcnn.serving.ray_job import Tally
from faster_rcnn.serving.results_folder import ResultsFolder
from faster_rcnn.serving.rows import failed_rows
from files import image_file, model_file

OPTIONS = PredictOptions(0.5, None, None, None, None, None, False, "auto", None)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a model and three photos."""
    monkeypatch.chdir(tmp_path)
    model_file(tmp_path / "tiny.safetensors")
    for name in "abc":
        image_file(tmp_path / "photos" / f"{name}.png")
    return tmp_path


def run(*sources: str, **options: Any) -> int:
    return predict("tiny.safetensors", list(sources or ["photos"]), **{"engine": "ray", "out": Path("out"), **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"json": "-"}, "E125 --json does not go with --engine ray, which writes Parquet files; leave it out"),
        ({"proposals": Path("p")}, "E125 --proposals does not go with --engine ray"),
        ({"out": None}, "E125 --engine ray needs a folder for its Parquet files; name one with --out"),
        ({"device": "cuda:1"}, "E126 --device cuda:1: with --engine ray the cluster chooses GPUs; use auto, cpu or"),
        ({"conf": 2.0}, "E125 conf 2: scores are between 0 and 1"),
        ({"classes": "bird"}, "E125 classes: the detector has no class 'bird'"),
        ({"tile": 0}, "E125 tile 0: "),
        ({"settings": ["training.lr=1"]}, "E125 --set training.lr=1: this setting belongs to training"),
        ({"precision": "int8"}, "E123 precision int8: this model was not quantized"),
        ({"out": Path("tiny.safetensors")}, "E137 --out tiny.safetensors is a file; name a folder"),
        ({"address": "nowhere"}, "E125 --address nowhere is no address; give host:port, or auto"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_one_line(
    photos: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as raised:
        run(**options)
    assert str(raised.value).startswith(message)
    assert raised.value.exit_code == 2
    assert not list(photos.glob("out/*.parquet"))


def test_an_address_needs_the_engine(photos: Path) -> None:
    with pytest.raises(
        OptionError, match=r"^--address auto is that of a Ray cluster; give --engine ray, too, or leave"
    ):
        run(engine=None, address="auto")


@pytest.mark.parametrize("source", ["-", "/dev/stdin", "pipe"])
def test_pipes_are_refused(photos: Path, source: str) -> None:
    os.mkfifo("pipe")
    with pytest.raises(
        OptionError, match=r"^E125 --engine ray reads images in other processes, which have no standard"
    ):
        run(source, "photos")


def test_a_launcher_of_processes_is_refused(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match=r"^E125 --engine ray starts processes itself; run the command once, without"):
        run()


def test_a_name_that_is_no_text_is_refused(photos: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    Path("photos/a.png").rename(f"photos/{name}")
    with pytest.raises(OptionError, match=r"this name is no UTF-8, which Parquet files cannot hold; nothing was pred"):
        run()
    assert not Path("out").exists()


def test_a_missing_ray_is_named_with_the_command_that_installs_it(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "find_spec", lambda name: None)
    with pytest.raises(
        MissingExtraError, match=r"^this needs the package 'ray': pip install 'faster-rcnn\[ray\]'"
    ) as raised:
        run()
    assert raised.value.exit_code == 5


def test_an_engine_that_does_not_exist_is_refused() -> None:
    with pytest.raises(Exception, match="spark"):
        app(["predict", "m", "s", "--engine", "spark"], exit_on_error=False, print_error=False)


@contextmanager
def no_cluster(address: str | None, device: str) -> Any:
    yield Actors(2, 0)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Replaces the work in a cluster: every image fails; gives the images of each call."""
    found: list[list[str]] = []

    def fail_all(job: object, names: list[str], done: int, folder: ResultsFolder, actors: Actors) -> Tally:
        found.append(names)
        folder.write(failed_rows(names, "lost"))
        return Tally(failed=len(names))

    monkeypatch.setattr(ray_cluster, "connected", no_cluster)
    monkeypatch.setattr(ray_job, "run_job", fail_all)
    return found


def test_images_that_failed_make_the_exit_code_of_each_run(
    photos: Path, calls: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("photos/a.png", "./photos/a.png", "photos/b.png") == 2
    assert "1 image named more than once: each is predicted once" in capsys.readouterr().err
    assert run() == 2
    assert calls == [["photos/a.png", "photos/b.png"], ["photos/c.png"]]
    err = capsys.readouterr().err
    assert "2 images of 3 are in out already" in err
    assert err.endswith(
        "0 images, 0 detections; 1 image failed, see above; 2 images failed in an earlier run, see the column error; "
        "Parquet files in out\n"
    )


def test_a_source_without_images_is_a_warning_and_the_exit_code(photos: Path, calls: list[list[str]]) -> None:
    assert run("photos/a.png", "nothing/*.png", f"file://{photos}/photos") == 2
    assert calls == [["photos/a.png", *(f"file://{photos}/photos/{name}.png" for name in "abc")]]


def test_an_interrupted_run_names_the_command_to_go_on(
    photos: Path, calls: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("photos/a.png")

    def interrupted(*_: object) -> Tally:
        raise KeyboardInterrupt

    monkeypatch.setattr(ray_job, "run_job", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run()
    last = "1 image of 3 is in out; go on with: faster-rcnn predict tiny.safetensors photos --engine ray --out out\n"
    assert capsys.readouterr().err.endswith(last)


def test_a_lost_cluster_is_a_fault_of_the_machine(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> Tally:
        raise MachineError("Ray cannot go on")

    monkeypatch.setattr(ray_cluster, "connected", no_cluster)
    monkeypatch.setattr(ray_job, "run_job", lost)
    with pytest.raises(MachineError, match="Ray cannot go on"):
        run()
    assert [path.name for path in Path("out").iterdir()] == ["_manifest.json"]


def test_the_command_to_go_on_has_every_option_and_is_understood() -> None:
    options = PredictOptions(
        0.25, 7, 640, 0.3, "red cell,dog", 0.6, True, "float32", ["rpn.nms_iou=0.8", "roi.min_side=2"]
    )
    line = _command("runs/my cells", ["s3://photos/2024", "b"], options, Path("my out"), Cluster("host:6379", "cpu"))
    assert line == (
        "faster-rcnn predict 'runs/my cells' s3://photos/2024 b --engine ray --out 'my out' --conf 0.25 --max-det 7 "
        "--tile 640 --overlap 0.3 --classes 'red cell,dog' --iou 0.6 --agnostic-nms --precision float32 --set "
        "rpn.nms_iou=0.8 roi.min_side=2 --device cpu --address host:6379"
    )
    plain = _command("m", ["s"], OPTIONS, Path("o"), Cluster(None, "auto"))
    assert plain == "faster-rcnn predict m s --engine ray --out o"
