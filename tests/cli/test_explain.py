from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from faster_rcnn.cli.explain import explain
from faster_rcnn.errors import OptionError
from faster_rcnn.explanation import film
from faster_rcnn.explanation.plots import scenes
from files import coco_folder, model_file
from made_surveys import TINY_BOXES


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(model_file(tmp_path_factory.mktemp("model") / "tiny.safetensors"))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Labelled images; pages without a name are written beside them."""
    monkeypatch.chdir(tmp_path)
    return coco_folder(tmp_path / "data", TINY_BOXES)


def run(model: str, source: Path, **options: Any) -> int:
    return explain(model, source, **{"precision": "float32", "conf": 0.3, **options})


def test_the_table_goes_to_standard_output(model: str, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(model, data) == 0
    out, err = capsys.readouterr()
    assert out.startswith("test: 3 images; detections of at least 0.3, IoU 0.5")
    assert "images of test  3/3" in err
    assert "galleries and tables in explanation.html" in err


def test_labelled_images_give_a_page_which_json_alone_does_not(model: str, data: Path, tmp_path: Path) -> None:
    assert run(model, data, json=str(tmp_path / "n.json")) == 0
    assert list(tmp_path.glob("*.html")) == []
    assert run(model, data, json=str(tmp_path / "n.json"), out=tmp_path / "page.html") == 0
    assert '<h2 id="galleries">' in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_numbers_are_written_as_json(model: str, data: Path, tmp_path: Path) -> None:
    assert run(model, data, json=str(tmp_path / "n.json"), iou_threshold=0.4) == 0
    found = json.loads((tmp_path / "n.json").read_text())
    assert (found["images"], found["conf"], found["iou_threshold"]) == (3, 0.3, 0.4)
    assert found["funnel"]["truths"] == sum(found["funnel"]["verdicts"].values()) == 3


def test_two_models_are_compared(model: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = str(model_file(tmp_path / "other.safetensors", roi={"max_detections": 1}))
    page = tmp_path / "change.html"
    assert run(model, data, against=other, json=str(tmp_path / "n.json"), out=page, iou_threshold=0.05) == 0
    out, err = capsys.readouterr()
    assert f"what changed, with pictures, in {page}" in err
    assert "Two detectors side by side" in page.read_text()
    assert f"before: {other}\nafter:  {model}\n" in out
    assert err.count("images of test  3/3") == 2
    numbers = json.loads((tmp_path / "n.json").read_text())
    assert (numbers["before"], numbers["after"], numbers["truths"]) == (other, model, 3)
    with pytest.raises(OptionError, match="would be overwritten"):
        run(model, data, against=other, json=other)


def test_mistakes_are_refused_before_the_work(model: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="E125"):
        run(model, data, conf=50)
    with pytest.raises(OptionError, match="were they swapped"):
        run(str(data), Path(model))
    with pytest.raises(OptionError, match="whole images"):
        run(model, data, tile=50, proposals=tmp_path / "p.safetensors")
    with pytest.raises(OptionError, match="would be overwritten"):
        run(model, data, json=str(data / "annotations" / "test.json"))


def test_an_image_gives_a_page_with_its_truth(
    model: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pages" / "one.html"
    assert run(model, data / "images" / "1.png", data=data, out=out) == 0
    assert "objects found, " in capsys.readouterr().err
    html = out.read_text(encoding="utf-8")
    assert '<h2 id="verdicts">' in html
    assert "1.png" in html


def test_a_page_takes_the_first_free_name(model: str, data: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert run(model, data / "images" / "1.png", conf=0.99) == 0
    assert {each.name for each in tmp_path.glob("*.html")} == {"explanation.html", "explanation-2.html"}


def test_options_of_the_other_case_are_refused(model: str, data: Path, tmp_path: Path) -> None:
    image = data / "images" / "1.png"
    with pytest.raises(OptionError, match="--split val chooses a part of labelled images"):
        run(model, image, split="val")
    with pytest.raises(OptionError, match="use --out"):
        run(model, image, json=str(tmp_path / "n.json"))
    with pytest.raises(OptionError, match=r"end it with \.html"):
        run(model, image, out=tmp_path / "page.png")
    with pytest.raises(OptionError, match="compares on labelled images"):
        run(model, image, against=model)
    with pytest.raises(OptionError, match="name an image"):
        run(model, data, data=data)
    with pytest.raises(OptionError, match="is a folder"):
        run(model, image, out=tmp_path)


def test_a_film_is_written_beside_the_page(
    model: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scenes, "STOPS", 2)
    monkeypatch.setattr(scenes, "MIN_WIDTH", 100)
    monkeypatch.setattr(film, "SIDES", (100,))
    monkeypatch.chdir(tmp_path)
    Path("explanation.gif").write_bytes(b"a film of another image")
    assert run(model, data / "images" / "1.png", animate=True) == 0
    assert "film in explanation-2.gif" in capsys.readouterr().err
    assert Path("explanation.gif").read_bytes() == b"a film of another image"
    with Image.open("explanation-2.gif") as found:
        assert found.width == 100
    assert Path("explanation-2.html").exists()


def test_a_film_is_refused_where_there_is_none_or_it_would_replace_an_input(
    model: str, data: Path, tmp_path: Path
) -> None:
    image = tmp_path / "a.gif"
    Image.new("RGB", (60, 40)).save(image)
    with pytest.raises(OptionError, match="would be overwritten"):
        run(model, image, animate=True, out=tmp_path / "a.html")
    with pytest.raises(OptionError, match="--animate shows one image"):
        run(model, data, animate=True)
    with pytest.raises(OptionError, match="external proposals replace"):
        run(model, image, animate=True, proposals=tmp_path / "p.safetensors", out=tmp_path / "b.html")
    assert not (tmp_path / "b.html").exists()


def test_files_about_labelled_images(
    model: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    files = {"label_errors": out / "e.csv", "coco": out / "v.json", "folders": out / "pictures"}
    assert run(model, data, **files) == 0
    err = capsys.readouterr().err
    assert all(str(path) in err and path.exists() for path in files.values())
    with pytest.raises(OptionError, match="is one image; leave the option out"):
        run(model, data / "images" / "1.png", coco=out / "v.json")
