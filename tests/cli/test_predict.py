from __future__ import annotations

import json
import os
import sys
import weakref
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from faster_rcnn import Detector
from faster_rcnn.building import build_model
from faster_rcnn.cli import predicted
from faster_rcnn.cli.main import main
from faster_rcnn.cli.predict import predict
from faster_rcnn.errors import OptionError
from faster_rcnn.inference.inputs import to_pixels
from faster_rcnn.settings.schema import DetectorConfig
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.model_file import save_model
from files import image_file, model_file
from tiny import tiny_config


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(model_file(tmp_path_factory.mktemp("model") / "tiny.safetensors"))


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with three photos in ``photos``."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("a.png", "b.jpg", "c.png")):
        image_file(Path("photos") / name, 40 + number, 60, seed=number)
    return tmp_path


def run(model: str, *sources: str, **options: Any) -> int:
    defaults: dict[str, Any] = {"conf": 0.0, "max_det": 5, "precision": "float32", "out": None, "json": None}
    return predict(model, list(sources), **{**defaults, **options})


def files_below(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def test_pictures_go_to_a_new_folder_by_default(model: str, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(model, "photos") == 0
    assert files_below("predictions") == ["a.png", "b.jpg", "c.png"]
    out, err = capsys.readouterr()
    assert out == ""
    assert "3 images, 15 detections, " in err
    assert err.endswith(" s per image; pictures with boxes in predictions\n")
    with Image.open("predictions/a.png") as picture, Image.open("photos/a.png") as image:
        assert picture.size == image.size
        assert (np.asarray(picture) != np.asarray(image)).any()
    assert run(model, "photos/a.png") == 0
    assert files_below("predictions-2") == ["a.png"]
    assert len(files_below("predictions")) == 3


def test_json_is_alone_on_standard_output(model: str, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(model, "photos/*", json="-") == 0
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["image"] for line in lines] == ["photos/a.png", "photos/b.jpg", "photos/c.png"]
    assert [(line["width"], line["height"]) for line in lines] == [(60, 40), (60, 41), (60, 42)]
    for line in lines:
        assert set(line) == {"image", "width", "height", "detections"}
        assert len(line["detections"]) == 5
        scores = [one["score"] for one in line["detections"]]
        assert scores == sorted(scores, reverse=True)
        assert {(one["label"], one["label_id"]) for one in line["detections"]} <= {("cat", 1), ("dog", 5), ("cow", 7)}
    assert "pictures" not in err
    assert [path.name for path in photos.iterdir()] == ["photos"]


def test_json_stays_on_standard_output_beside_a_bar_on_the_terminal(
    model: str, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run(model, "photos", json="-") == 0
    out, err = capsys.readouterr()
    assert len([json.loads(line) for line in out.splitlines()]) == 3
    assert "3/3" in err


def test_no_bar_runs_through_json_on_the_same_terminal(
    model: str, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run(model, "photos", json="-") == 0
    out, err = capsys.readouterr()
    assert len([json.loads(line) for line in out.splitlines()]) == 3
    assert "3/3" not in err


def test_numbers_in_json_have_no_more_digits_than_a_float32(
    model: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(model, "photos/a.png", json="-") == 0
    for one in json.loads(capsys.readouterr().out)["detections"]:
        for number in (*one["box"], one["score"]):
            assert str(number) == str(np.float32(number))


def test_json_in_a_file_and_pictures_too(model: str, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(model, "photos", json="deep/found.jsonl", out=Path("deep/pictures")) == 0
    assert files_below("deep") == ["found.jsonl", "pictures/a.png", "pictures/b.jpg", "pictures/c.png"]
    assert len(Path("deep/found.jsonl").read_text().splitlines()) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("; pictures with boxes in deep/pictures; JSON lines in deep/found.jsonl\n")


def test_a_file_of_lines_appears_when_it_is_whole(model: str, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("found.jsonl").write_text("the old one")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(predicted, "_done", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(model, "photos", json="found.jsonl")
    assert Path("found.jsonl").read_text() == "the old one"
    assert sorted(path.name for path in photos.iterdir()) == ["found.jsonl", "photos"]


def test_unreadable_images_are_reported_and_the_others_predicted(
    model: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("photos/aa.jpg").write_bytes(b"no image")
    Path("notes.txt").write_text("no image")
    assert run(model, "photos", "notes.txt", "absent/*.png", json="found.jsonl") == 2
    err = capsys.readouterr().err
    assert "warning: E122 no images match 'absent/*.png' (there is no folder 'absent')" in err
    assert "warning: E105 cannot decode photos/aa.jpg: it is not an image of a known format; it is left out" in err
    assert "warning: E105 cannot decode notes.txt" in err
    assert "3 images, 15 detections" in err
    assert "2 files could not be read, see above" in err
    assert len(Path("found.jsonl").read_text().splitlines()) == 3


def test_special_files_too_long_images_and_pointers_are_reported_and_the_others_predicted(
    model: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo("photos/pipe.png")
    Path("photos/pointer.jpg").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    Path("photos/link.jpg").symlink_to("nothing.jpg")
    Image.new("L", (70_000, 300)).save("photos/wide.bmp")
    Image.new("L", (3000, 1)).save("photos/vanishing.png")
    assert run(model, "photos", out=Path("found"), json="found.jsonl") == 2
    assert files_below("found") == ["a.png", "b.jpg", "c.png"]
    lines = [json.loads(line) for line in Path("found.jsonl").read_text().splitlines()]
    assert [line["image"] for line in lines] == [f"photos/{name}" for name in ("a.png", "b.jpg", "c.png", "wide.bmp")]
    err = capsys.readouterr().err
    for line in (
        "E122 photos: pipes, sockets and devices are no files: photos/pipe.png; save their content; the others",
        "E105 cannot decode photos/pointer.jpg: it is a pointer of Git LFS, not the file itself; fetch that",
        "E104 photos/link.jpg is a link to a file that does not exist; it is left out",
        "E120 found/wide.jpg is not drawn: with 70000x300 pixels it is longer than the 65,500 of a JPEG; its",
        "E120 photos/vanishing.png: of 3000x1 pixels less than half a pixel of the short side is left",
    ):
        assert f"warning: {line}" in err
    assert "4 images, " in err
    assert (
        "3 files could not be read, see above; 1 picture could not be drawn, see above; pictures with boxes in" in err
    )


def test_files_in_a_folder_that_are_not_called_as_images_are_skipped(model: str, photos: Path) -> None:
    Path("photos/notes.txt").write_text("no image")
    assert run(model, "photos") == 0


def test_sources_without_images_stop_before_the_model_is_loaded(photos: Path) -> None:
    with pytest.raises(OptionError, match=r"^E122 no images match 'photos/\*.tif' \(the folder 'photos' holds 2 .png"):
        run("no model", "photos/*.tif")


def test_pictures_of_one_name_do_not_overwrite_each_other(model: str, photos: Path) -> None:
    image_file(Path("photos/2024/a.png"), seed=7)
    image_file(Path("photos/2025/a.png"), seed=8)
    assert run(model, "photos/a.png", "photos/2024", "photos/2025", out=Path("out")) == 0
    assert files_below("out") == ["2024/a.png", "2025/a.png", "a.png"]


def test_pictures_keep_names_where_they_can(model: str, photos: Path) -> None:
    for name in ("a.bmp", "d.bmp", "e.tif", "e.bmp", "F.JPG", "g.jpeg"):
        image_file(Path("photos") / name)
    assert run(model, "photos", out=Path("out")) == 0
    # d has no namesake; a.bmp and a.png, e.tif and e.bmp have.
    assert files_below("out") == sorted(
        ["a.bmp.jpg", "a.png", "b.jpg", "c.png", "d.jpg", "e.bmp.jpg", "e.tif.jpg", "F.JPG", "g.jpeg"]
    )
    kinds = {}
    for name in ("a.bmp.jpg", "a.png", "F.JPG"):
        with Image.open(Path("out") / name) as picture:
            kinds[name] = picture.format
    assert kinds == {"a.bmp.jpg": "JPEG", "a.png": "PNG", "F.JPG": "JPEG"}


def test_sources_above_the_working_folder_stay_in_the_folder_of_pictures(
    model: str, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image_file(Path("sub/here.jpg"))
    image_file(Path("photo.jpg"))
    Path("sub/deep").mkdir()
    Path("sub/deep/photo.jpg").write_text("precious")
    monkeypatch.chdir("sub")
    assert run(model, "../photo.jpg", "here.jpg", "./here.jpg", "../sub/here.jpg", out=Path("deep/out")) == 0
    assert files_below("deep") == ["out/photo.jpg", "out/sub/here.jpg", "photo.jpg"]
    assert Path("deep/photo.jpg").read_text() == "precious"
    err = capsys.readouterr().err
    assert "2 images named more than once: each is predicted once" in err
    assert "2 images, 10 detections" in err


def test_pictures_of_an_earlier_run_are_replaced_and_counted(
    model: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(model, "photos", out=Path("out")) == 0
    assert "replaced" not in capsys.readouterr().err
    image_file(Path("photos/d.tif"))
    assert run(model, "photos", out=Path("out")) == 0
    assert "; pictures with boxes in out, 3 of an earlier run replaced\n" in capsys.readouterr().err
    assert files_below("out") == ["a.png", "b.jpg", "c.png", "d.jpg"]


def test_what_is_no_picture_of_an_earlier_run_is_not_replaced(photos: Path) -> None:
    for name in ("text", "image", "link", "folder"):
        Path(name).mkdir()
    Path("text/a.png").write_text("notes")
    image_file(Path("image/a.png"))
    Path("link/a.png").symlink_to("../photos/a.png")
    Path("folder/a.png").mkdir()
    for name in ("text", "image", "link", "folder"):
        with pytest.raises(
            OptionError, match=rf"E132 --out {name}: {name}/a.png exists and is no picture that this com"
        ):
            run("no model", "photos", out=Path(name))
    assert Path("text/a.png").read_text() == "notes"


def test_no_link_leads_out_of_the_folder_of_pictures(photos: Path) -> None:
    for name in ("2024", "2025"):
        image_file(Path(f"photos/{name}/a.png"))
        Path(f"elsewhere/{name}").mkdir(parents=True)
    Path("out").mkdir()
    Path("out/2024").symlink_to("../elsewhere/2024")
    with pytest.raises(OptionError, match=r"E132 --out out: a link in out/2024 leads to .*, where no picture is to be"):
        run("no model", "photos/2024", "photos/2025", out=Path("out"))
    assert files_below("elsewhere") == []


def test_a_name_that_becomes_too_long_is_cut(model: str, photos: Path) -> None:
    image_file(Path("photos") / ("x" * 251 + ".bmp"))
    image_file(Path("photos") / ("x" * 251 + ".tif"))
    assert run(model, "photos/x*", out=Path("out")) == 0
    names = files_below("out")
    assert len(names) == 2
    assert all(len(name) <= 255 and name.endswith(".jpg") for name in names)


def test_names_that_are_taken_get_a_number(model: str, photos: Path) -> None:
    for name in ("e.bmp", "e.bmp.jpg", "e.jpg"):
        image_file(Path("photos") / name)
    assert run(model, "photos/e*", out=Path("out")) == 0
    assert files_below("out") == ["e.bmp-2.jpg", "e.bmp.jpg", "e.jpg"]


def test_names_that_are_no_text_lose_nothing(model: str, photos: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")  # é in Latin-1
    Path("photos/b.jpg").rename(f"photos/{name}")
    assert run(model, "photos", json="found.jsonl", out=Path("out")) == 0
    lines = [json.loads(line) for line in Path("found.jsonl").read_text(encoding="utf-8").splitlines()]
    assert os.fsencode(lines[2]["image"]) == b"photos/caf\xe9.jpg"
    assert sorted(os.listdir(b"out")) == [b"a.png", b"c.png", b"caf\xe9.jpg"]


def test_an_image_on_standard_input(
    model: str, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(Path("photos/b.jpg").read_bytes())))
    assert run(model, "-", "photos/a.png", json="-", out=Path("out")) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["image"], line["height"]) for line in lines] == [("-", 41), ("photos/a.png", 40)]
    assert files_below("out") == ["a.png", "stdin.jpg"]
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"\xff\xd8\xff\0no image")))
    assert run(model, "-", json="found.jsonl") == 2
    assert "; what was piped in is left out" in capsys.readouterr().err


def test_paths_on_standard_input(
    model: str, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"photos/c.png\nphotos/a.png\ngone.png\n")))
    assert run(model, "-", json="-") == 2
    out, err = capsys.readouterr()
    assert [json.loads(line)["image"] for line in out.splitlines()] == ["photos/c.png", "photos/a.png"]
    assert "warning: E122 no images match 'gone.png' (there is no such file); the others are predicted" in err


@pytest.mark.parametrize("json_target", ["photos/a.png", "model.safetensors", "link"])
def test_json_never_takes_the_place_of_what_is_read(photos: Path, json_target: str) -> None:
    Path("model.safetensors").write_text("model")
    Path("link").symlink_to("photos/b.jpg")
    before = Path(json_target).read_bytes()
    with pytest.raises(OptionError, match=f"E132 --json {json_target} is what this command reads"):
        run("model.safetensors", "photos", json=json_target)
    assert Path(json_target).read_bytes() == before


@pytest.mark.parametrize("json_target", ["out/a.png", "out", "./out"])
def test_json_and_pictures_never_have_the_same_name(photos: Path, json_target: str) -> None:
    with pytest.raises(
        OptionError, match=rf"E132 --json {json_target} is the name of a picture or folder of --out out"
    ):
        run("no model", "photos", json=json_target, out=Path("out"))
    assert [path.name for path in photos.iterdir()] == ["photos"]


def test_pictures_without_a_reader_end_with_2(model: str, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/e.heic").touch()
    Path("photos/notes.txt").touch()
    assert run(model, "photos") == 2
    err = capsys.readouterr().err
    line = "E122 photos: 1 .heic file cannot be read, such as e.heic; save as JPEG or PNG; the others are predicted"
    assert f"warning: {line}\n" in err
    assert "photos: 1 .txt file left out, such as notes.txt: not named like an image" in err


@pytest.mark.parametrize("out", ["photos", "photos/../photos"])
def test_pictures_never_take_the_place_of_their_images(model: str, photos: Path, out: str) -> None:
    before = Path("photos/a.png").read_bytes()
    with pytest.raises(OptionError, match="which pictures of the same name would overwrite; name another folder"):
        run(model, "photos", out=Path(out))
    assert Path("photos/a.png").read_bytes() == before


def test_pictures_never_take_the_place_of_images_of_another_source(model: str, photos: Path) -> None:
    """Out is the parent of the sources, so the pictures of each would go back to where the images are."""
    image_file(Path("photos/old/a.png"))
    image_file(Path("photos/new/a.png"))
    with pytest.raises(OptionError, match="would overwrite"):
        run(model, "photos/old", "photos/new", out=Path("photos"))


def test_outputs_of_the_wrong_kind_are_refused_before_the_work(photos: Path) -> None:
    Path("file").touch()
    with pytest.raises(OptionError, match="--json photos is a folder; name a file"):
        run("no model", "photos", json="photos")
    with pytest.raises(OptionError, match="--out file is a file; name a folder"):
        run("no model", "photos", out=Path("file"))
    with pytest.raises(OptionError, match="scores are between 0 and 1"):
        run("no model", "photos", conf=50)


def test_limits_of_the_model_are_reported_once(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_file(tmp_path / "m.safetensors", roi={"score_floor": 0.05, "max_detections": 8})
    assert run(str(model), "photos", json="-", conf=0.01, max_det=20) == 0
    out, err = capsys.readouterr()
    assert err.count("--conf 0.01: the model itself reports no score below 0.05") == 1
    assert err.count("--max-det 20: the model reports at most 8 detections of an image") == 1
    scores = [one["score"] for line in out.splitlines() for one in json.loads(line)["detections"]]
    assert min(scores) >= 0.05
    # Of a region proposal network these are limits of the first stage.
    config = tiny_config(rpn={"score_floor": 0.1, "proposals_after_nms": 5})
    config = config.model_copy(update={"detector": DetectorConfig(kind="rpn")})
    rpn = tmp_path / "rpn.safetensors"
    save_model(rpn, build_model(config, 1), config, ClassMap(("object",), (1,)))
    assert run(str(rpn), "photos", json="-", conf=0.01, max_det=20) == 0
    err = capsys.readouterr().err
    assert "the model itself reports no score below 0.1" in err
    assert "the model reports at most 5 detections of an image" in err


def test_tiles_are_reported_and_give_more_detections(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(model_file(tmp_path / "m.safetensors", roi={"max_detections": 8}))
    assert run(model, "photos/a.png", json="-", max_det=20, tile=30) == 0
    out, err = capsys.readouterr()
    assert (
        "tiles of 30x30 pixels that share 0.2 of their side, each resized to 64x64; a larger image is also detected"
        in err
    )
    assert "--max-det 20: the model reports at most 8 detections of a tile" in err
    assert 8 < len(json.loads(out)["detections"]) <= 20
    assert run(model, "photos", tile=30, overlap=0.5) == 0
    assert files_below("predictions") == ["a.png", "b.jpg", "c.png"]


def test_with_tiles_one_image_is_held_at_a_time(model: str, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: weakref.WeakSet[Tensor] = weakref.WeakSet()
    most = 0

    def counting(*arguments: Any) -> Tensor:
        nonlocal most
        pixels = to_pixels(*arguments)
        alive.add(pixels)
        most = max(most, len(alive))
        return pixels

    monkeypatch.setattr("faster_rcnn.inference.predictor.to_pixels", counting)
    assert run(model, "photos", tile=30) == 0
    assert most == 1


@pytest.mark.parametrize(
    ("options", "message"), [({"tile": 0}, "E125 tile 0"), ({"overlap": 0.2}, "E125 .* no tile is given"),
                             ({"tile": 800, "overlap": 20}, "20 % is 0.2")]
)  # fmt: skip
def test_tiles_without_sense_are_refused_before_the_work(photos: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        run("no model", "photos", **options)


def test_a_closed_standard_output_ends_the_work(model: str, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command turns this into a quiet exit."""

    def closed(_: str) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(sys.stdout, "write", closed)
    with pytest.raises(BrokenPipeError):
        run(model, "photos", json="-")


def test_settings_of_inference(model: str, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["predict", model, "photos/a.png", "--precision", "float32", "--conf", "0", "--json", "-"]
    assert main([*command, "--set", "roi.nms_iou=0.2", "rpn.proposals_after_nms=20"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    settings = ["roi.nms_iou=0.2", "rpn.proposals_after_nms=20"]
    expected = Detector.load(model, "cpu", "float32", settings=settings).predict("photos/a.png", 0.0)
    assert len(json.loads(line)["detections"]) == len(expected)
    assert len(expected) < len(Detector.load(model, "cpu", "float32").predict("photos/a.png", 0.0))
    # An option wins over the setting of the same number.
    assert main([*command, "--set", "roi.nms_iou=0.9", "rpn.proposals_after_nms=20", "--iou", "0.2"]) == 0
    assert capsys.readouterr().out.splitlines() == [line]
    assert main([*command, "--set", "roi.max_detections=8", "--max-det", "2"]) == 0
    assert len(json.loads(capsys.readouterr().out)["detections"]) == 2
    assert main([*command, "--set", "training.lr=0.1"]) == 2
    assert "E125 --set training.lr=0.1: this setting belongs to training or to the weights" in capsys.readouterr().err


def test_options_that_choose_detections(model: str, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--conf", "0", "--classes", "dog,cow", "--iou", "0.3", "--agnostic-nms", "--json", "-"]
    assert main(["predict", model, "photos/a.png", "--precision", "float32", *options]) == 0
    [line] = capsys.readouterr().out.splitlines()
    detector = Detector.load(model, "cpu", "float32")
    expected = detector.predict("photos/a.png", 0.0, classes=["dog", "cow"], iou=0.3, agnostic_nms=True)
    assert len(json.loads(line)["detections"]) == len(expected) < len(detector.predict("photos/a.png", 0.0))
    assert {one["label"] for one in json.loads(line)["detections"]} <= {"dog", "cow"}
    assert main(["predict", model, "photos/a.png", "--classes", "dgo", "--json", "-"]) == 2
    assert (
        "E125 classes: the detector has no class 'dgo'; did you mean 'dog'? It has cat, dog" in capsys.readouterr().err
    )


def test_a_batch_of_images_gives_the_detections_of_each(
    model: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Images of other sizes are detected by themselves; those of one size together, equal but for rounding."""
    for number in range(3):
        image_file(Path("same") / f"{number}.png", 40, 60, seed=number)
    assert run(model, "same", "photos", json="-") == 0
    alone = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert run(model, "same", "photos", json="-", batch=4) == 0
    together = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["image"] for line in together] == [line["image"] for line in alone]
    for one, other in zip(alone, together, strict=True):
        for mine, theirs in zip(one["detections"], other["detections"], strict=True):
            assert mine["label"] == theirs["label"]
            assert [*mine["box"], mine["score"]] == pytest.approx([*theirs["box"], theirs["score"]], abs=1e-3)
    with pytest.raises(OptionError, match="E125 batch 0: 1 image or more are detected together"):
        run(model, "same", json="-", batch=0)
