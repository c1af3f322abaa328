"""Films and cameras at the command line."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faster_rcnn import Detector
from faster_rcnn.cli import predict_film
from faster_rcnn.cli.main import main
from faster_rcnn.cli.predict import predict
from faster_rcnn.films import film as of_film
from faster_rcnn.system.signals import Signalled
from files import image_file, model_file
from made_films import cv2, damaged, decoded, film_file, picture, truncated


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(model_file(tmp_path_factory.mktemp("model") / "tiny.safetensors"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(model: str, *sources: str, **options: Any) -> int:
    return predict(model, list(sources), **{"conf": 0.0, "precision": "float32", "device": "cpu", **options})


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_frame_once_with_the_detections_of_predict(
    model: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film_file(Path("street.mp4"))
    assert run(model, "street.mp4", out=Path("found"), json="found.jsonl") == 0
    found = lines(Path("found.jsonl").read_text())
    assert [line["frame"] for line in found] == list(range(12))
    assert [line["time"] for line in found] == pytest.approx([number / 25 for number in range(12)])
    frames = [np.asarray(each) for each in decoded(Path("street.mp4"))]
    expected = Detector.load(model, precision="float32").predict(frames, conf=0.0)
    assert [line["detections"] for line in found] == [each.to_json()["detections"] for each in expected]
    drawn = decoded(Path("found/street.mp4"))
    assert len(drawn) == 12
    assert cv2.VideoCapture("found/street.mp4").get(cv2.CAP_PROP_FPS) == 25
    for seen, result, frame in zip(drawn, expected, frames, strict=True):
        wanted = np.asarray(result.picture(), int)
        assert np.abs(wanted - seen).mean() < 0.5 * np.abs(wanted - frame).mean()  # boxes, not the frame alone
    out, err = capsys.readouterr()
    assert out == ""
    detections = sum(map(len, expected))
    assert re.search(
        rf"^street\.mp4: 12 frames, {detections} detections, [0-9.]+ frames per second, real-time factor [0-9.]+; film "
        r"with boxes in found/street\.mp4\nJSON lines in found\.jsonl\n",
        err,
        re.MULTILINE,
    )
    assert {path.name for path in folder.iterdir()} == {"street.mp4", "found", "found.jsonl"}


def test_the_real_time_factor_is_the_time_of_the_film_by_the_time_of_the_work(
    model: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """50 frames at 25 a second are 2 s; the work takes 8 s on this clock."""
    clock = iter([100.0, 108.0])
    monkeypatch.setattr("faster_rcnn.cli.predict_film.time", type("Time", (), {"monotonic": lambda: next(clock)}))
    film_file(Path("a.mp4"), frames=50)
    assert run(model, "a.mp4", json="a.jsonl", every=10) == 0
    assert "a.mp4: 5 frames, " in (err := capsys.readouterr().err)
    assert ", 0.6 frames per second, real-time factor 0.25\n" in err


def test_every_third_frame_makes_a_film_of_the_same_length(model: str, folder: Path) -> None:
    film_file(Path("a.mp4"))
    assert run(model, "a.mp4", out=Path("o"), json="x", every=3) == 0
    assert [line["frame"] for line in lines(Path("x").read_text())] == [0, 3, 6, 9]
    film = cv2.VideoCapture("o/a.mp4")
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) / film.get(cv2.CAP_PROP_FPS) == pytest.approx(12 / 25, rel=1e-3)


def test_json_alone_draws_nothing_and_a_new_folder_is_the_default(
    model: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film_file(Path("a.mp4"), frames=2)
    assert run(model, "a.mp4", json="-") == 0
    assert [line["film"] for line in lines(capsys.readouterr().out)] == ["a.mp4"] * 2
    assert [path.name for path in folder.iterdir()] == ["a.mp4"]
    for name in ("predictions", "predictions-2"):
        assert run(model, "a.mp4") == 0
        assert [path.name for path in Path(name).iterdir()] == ["a.mp4"]


def test_several_films_have_films_of_their_own(model: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.mp4", "b/a.mp4", "a.avi", "c.mp4"):
        film_file(Path(name), frames=2)
    Path("c.mp4").write_bytes(b"no film")
    assert run(model, "*.mp4", "b/a.mp4", "a.avi", out=Path("o"), json="x") == 2
    assert sorted(path.name for path in Path("o").iterdir()) == ["a-2.mp4", "a-3.mp4", "a.mp4"]
    assert [line["film"] for line in lines(Path("x").read_text())] == ["a.mp4"] * 2 + ["b/a.mp4"] * 2 + ["a.avi"] * 2
    err = capsys.readouterr().err
    assert "warning: E105 cannot decode c.mp4: it is no film" in err
    assert "; it is left out\n" in err


def test_a_broken_frame_is_counted_and_named(model: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged(film_file(Path("a.mp4"), frames=30))
    assert run(model, "a.mp4", out=Path("o"), json="x") == 2
    numbers = [line["frame"] for line in lines(Path("x").read_text())]
    broken = sorted(set(range(30)) - set(numbers))
    assert numbers[-1] == 29
    err = capsys.readouterr().err
    assert f"warning: a.mp4: {len(broken)} frames cannot be decoded and are left out: {broken[0]}-{broken[-1]}\n" in err
    assert f"{len(broken)} frames could not be decoded, see above" in err
    assert len(decoded(Path("o/a.mp4"))) == 30  # the picture before the gap stands for it


def test_a_truncated_film_gives_its_beginning(model: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truncated(film_file(Path("a.avi"), frames=20))
    assert run(model, "a.avi", json="x") == 2
    assert 0 < len(lines(Path("x").read_text())) < 20
    assert "warning: a.avi is truncated, " in capsys.readouterr().err


def test_a_frame_that_cannot_be_predicted_is_left_out(
    model: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film_file(Path("a.mp4"), frames=3, width=2000, height=2)  # resizing to 128 pixels leaves nothing of 2 rows
    assert run(model, "a.mp4", out=Path("o"), json="x") == 2
    err = capsys.readouterr().err
    assert "frame 1 of a.mp4" in err
    assert "a.mp4: 0 frames, 0 detections; 3 frames could not be predicted, see above\n" in err
    assert Path("x").read_text() == ""
    assert list(Path("o").iterdir()) == []  # an empty film would be none


def refused(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code, and the last line, which is that of the error."""
    code = main(line.split())
    return code, capsys.readouterr().err.splitlines()[-1].removeprefix("faster-rcnn: error: ")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("a.mp4 --save coco", 2, "E125 --save is for images, and a.mp4 is a film; leave it out"),
        ("a.mp4 --batch 2", 2, "E125 --batch is for images, and a.mp4 is a film; leave it out"),
        ("a.mp4 --proposals p.npz", 2, "E125 --proposals is for images, and a.mp4 is a film; leave it out"),
        ("a.mp4 --engine ray --out o", 2, "E125 --engine is for images, and a.mp4 is a film; leave it out"),
        ("a.mp4 --address auto", 2, "E125 --address is for images, and a.mp4 is a film; leave it out"),
        ("a.mp4 b.png", 2, "E125 a.mp4 is a film and b.png is none: films and images have results of their own"),
        ("b.png --every 2", 2, "E125 --every 2 is for films, such as film.mp4 and camera:0; b.png is none: leave it"),
        ("a.mp4 --every 0", 2, "E125 every 0: it is 1 for all frames, 2 for every second one"),
        ("a.mp4 camera:0", 2, "E125 a camera does not end by itself; predict it alone"),
        ("camera:one", 2, "E125 camera:one: a camera is named by its number, such as camera:0"),
        ("camera:96", 5, "camera:96 cannot be opened: this machine has no camera of this number, or another program"),
        ("street.mp4", 2, "E122 there is no film 'street.mp4'. Nearby: "),
        ("zero.avi", 2, "E105 zero.avi holds no frame"),
        ("text.mp4", 2, "E105 cannot decode text.mp4: it is no film, has no frames, is damaged, or is of a kind that"),
        ("cut.mp4", 2, "E105 cannot decode cut.mp4: it is truncated, "),
        ("a.mp4 --out there", 2, "E132 --out there: there/a.mp4 is there already; remove it, or name another folder"),
        ("a.mp4 --json a.mp4", 2, "E132 --json a.mp4 is what this command reads (a.mp4) and would be overwritten"),
        ("a.mp4 --conf 7", 2, "E125 conf 7: scores are between 0 and 1"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    arguments: str, code: int, message: str, model: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film_file(Path("a.mp4"), frames=2)
    film_file(Path("there/a.mp4"), frames=2)
    film_file(Path("zero.avi"), frames=0)
    truncated(film_file(Path("cut.mp4")))
    Path("text.mp4").write_text("no film")
    image_file(Path("b.png"))
    before = {path: path.stat().st_size for path in folder.rglob("*")}
    found = refused(f"predict {model} {arguments}", capsys)
    assert (found[0], found[1][: len(message)]) == (code, message)
    assert {path: path.stat().st_size for path in folder.rglob("*")} == before


def test_torchrun_is_refused(
    model: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, message = refused(f"predict {model} a.mp4", capsys)
    assert (code, message) == (2, "E125 a.mp4 is decoded from its beginning on, by one process; run the command once, "
                                  "without torchrun")  # fmt: skip


def test_a_missing_opencv_is_named_with_the_command_that_installs_it(
    model: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    film_file(Path("a.mp4"), frames=1)
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert refused(f"predict {model} a.mp4", capsys) == (
        5,
        "this needs the package 'opencv-contrib-python-headless': pip install 'faster-rcnn[video]'",
    )


class EndlessCamera:
    """Gives a frame every few milliseconds."""

    released = False

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def read(self) -> tuple[bool, Any]:
        time.sleep(0.005)
        return True, picture(0)

    def release(self) -> None:
        self.released = True


def test_ctrl_c_ends_a_camera_and_completes_its_files(
    model: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = EndlessCamera()
    monkeypatch.setattr(of_film, "open_camera", lambda number: made)
    real, taken = predict_film._take, []

    def take(one: Any, *others: Any) -> None:
        taken.append(one)
        if len(taken) == 3:
            raise Signalled(2)
        real(one, *others)

    monkeypatch.setattr(predict_film, "_take", take)
    with pytest.raises(Signalled):
        run(model, "camera:0", out=Path("o"), json="x.jsonl")
    assert len(lines(Path("x.jsonl").read_text())) == 2
    assert len(decoded(Path("o/camera-0.mp4"))) >= 3
    err = capsys.readouterr().err
    assert "camera:0: 2 frames, " in err
    assert "film with boxes in o/camera-0.mp4\nJSON lines in x.jsonl\n" in err
    assert made.released


def test_ctrl_c_leaves_nothing_of_a_film(model: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film_file(Path("a.mp4"), frames=5)

    def take(*others: Any) -> None:
        raise Signalled(2)

    monkeypatch.setattr("faster_rcnn.cli.predict_film._take", take)
    with pytest.raises(Signalled):
        run(model, "a.mp4", out=Path("o"), json="x.jsonl")
    assert [path for path in folder.rglob("*") if path.is_file()] == [folder / "a.mp4"]
