"""Predictions in the formats of other tools, read back by our readers and by the tools' own rules."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from faster_rcnn.data.converting import WRITERS
from faster_rcnn.data.reading import load_present
from faster_rcnn.errors import OptionError
from faster_rcnn.inference.result import Prediction, Result
from faster_rcnn.inference.saving import CROPS, CVAT, FORMATS, LABEL_STUDIO, Saver, formats_of
from faster_rcnn.settings.schema import DataConfig
from faster_rcnn.structures import Detections, ImageSize
from files import CLASSES, image_file, rgb

BOXES = [[10.0, 5.0, 30.5, 25.25], [0.0, 0.0, 60.0, 40.0]]


def predictions(folder: Path) -> list[Prediction]:
    """Two detections in the first image, none in the second one; the images have one name."""
    found = []
    for place, boxes in enumerate((BOXES, [])):
        path = image_file(folder / str(place) / "a.png", 40, 60, seed=place)
        count = len(boxes)
        detections = Detections(
            torch.tensor(boxes).reshape(-1, 4), torch.tensor([0.75, 0.5])[:count], torch.tensor([2, 0])[:count]
        )
        pixels = torch.from_numpy(rgb(40, 60, seed=place)).permute(2, 0, 1)
        found.append(Prediction(Result(detections, CLASSES, ImageSize(40, 60), path), pixels))
    return found


def saved(folder: Path, *formats: str) -> list[str]:
    """Save the predictions; returns the notes."""
    found = predictions(folder / "photos")
    names = [str(each.result.path) for each in found]
    saver = Saver(folder / "out", formats, names, CLASSES)
    for place, each in enumerate(found):
        saver.add(each.result.to_json())
        saver.save_crops(place, each)
    return saver.finish()


def test_formats_are_those_that_exist() -> None:
    assert formats_of("coco, yolo,coco") == ("coco", "yolo")
    with pytest.raises(
        OptionError, match=r"E125 --save coco,pascal: there is no format 'pascal'; formats are coco, voc"
    ):
        formats_of("coco,pascal")


@pytest.mark.parametrize("name", WRITERS)
def test_data_sets_are_read_back(name: str, tmp_path: Path) -> None:
    notes = saved(tmp_path, name)
    assert notes[0].startswith("images renamed, since others have their names, ")
    assert ": 1 (" in notes[0]
    data = load_present(tmp_path / "out" / name, DataConfig())
    first, second = sorted(data.splits["test"].records, key=lambda record: record.path.name, reverse=True)
    assert (first.path.name, second.path.name) == ("a.png", "a-2.png")
    most = 0.5 if name == "voc" else 0.01
    expected = {"cow": BOXES[0], "cat": BOXES[1]}
    for label, box in zip(first.truth.labels.tolist(), first.truth.boxes.tolist(), strict=True):
        assert box == pytest.approx(expected.pop(data.classes.name_of(label)), abs=most)
    assert expected == {}
    assert len(second.truth.boxes) == 0


def test_pycocotools_reads_what_was_saved(tmp_path: Path) -> None:
    saved(tmp_path, "coco")
    with redirect_stdout(StringIO()):
        truth = COCO(str(tmp_path / "out" / "coco" / "annotations" / "test.json"))
        results = truth.loadRes(list(truth.dataset["annotations"]))
        evaluation = COCOeval(truth, results, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    by_name = {truth.cats[each["category_id"]]["name"]: each["bbox"] for each in truth.anns.values()}
    assert by_name["cow"] == pytest.approx([10.0, 5.0, 20.5, 20.25], abs=0.01)
    assert by_name["cat"] == pytest.approx([0.0, 0.0, 60.0, 40.0], abs=0.01)
    assert evaluation.stats[0] == pytest.approx(1.0)
    assert {each["file_name"] for each in truth.imgs.values()} == {"a.png", "a-2.png"}


@pytest.mark.parametrize("name", ["coco", "yolo", "voc"])
def test_supervision_reads_what_was_saved(name: str, tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision", reason="needs supervision: pip install supervision")
    saved(tmp_path, name)
    root, kind = tmp_path / "out" / name, supervision.DetectionDataset
    if name == "coco":
        read = kind.from_coco(str(root / "images" / "test"), str(root / "annotations" / "test.json"))
    elif name == "yolo":
        read = kind.from_yolo(str(root / "images" / "test"), str(root / "labels" / "test"), str(root / "data.yaml"))
    else:
        read = kind.from_pascal_voc(str(root / "JPEGImages"), str(root / "Annotations"))
    found = {Path(path).name: labels for path, labels in read.annotations.items()}
    assert len(found["a-2.png"]) == 0
    boxes = {
        read.classes[label]: box
        for label, box in zip(found["a.png"].class_id.tolist(), found["a.png"].xyxy.tolist(), strict=True)
    }
    most = 0.5 if name == "voc" else 0.01
    assert boxes["cow"] == pytest.approx(BOXES[0], abs=most)
    assert boxes["cat"] == pytest.approx(BOXES[1], abs=most)


def test_scores_are_kept_where_a_format_has_them(tmp_path: Path) -> None:
    saved(tmp_path, "coco", "csv", "voc")
    content = json.loads((tmp_path / "out" / "coco" / "annotations" / "test.json").read_text())
    assert [each["score"] for each in content["annotations"]] == [0.75, 0.5]
    assert (tmp_path / "out" / "csv" / "test.csv").read_text().splitlines()[1].endswith(",cow,0.75")


def test_label_studio_gets_tasks_with_predictions(tmp_path: Path) -> None:
    saved(tmp_path, LABEL_STUDIO)
    first, second = json.loads((tmp_path / "out" / "label-studio.json").read_text(encoding="utf-8"))
    assert first["data"]["image"].startswith("/data/local-files/?d=")
    assert first["data"]["image"].endswith("photos/0/a.png")
    [prediction] = first["predictions"]
    assert prediction["score"] == 0.75
    region = prediction["result"][0]
    assert (region["original_width"], region["original_height"], region["score"]) == (60, 40, 0.75)
    value = region["value"]
    assert value["rectanglelabels"] == ["cow"]
    sides = [value[key] for key in ("x", "y", "width", "height")]
    assert sides == pytest.approx([100 * 10 / 60, 100 * 5 / 40, 100 * 20.5 / 60, 100 * 20.25 / 40])
    assert second["predictions"][0]["result"] == []


def test_cvat_gets_images_with_boxes(tmp_path: Path) -> None:
    saved(tmp_path, CVAT)
    root = ElementTree.parse(tmp_path / "out" / "cvat.xml").getroot()
    assert root.findtext("version") == "1.1"
    assert [each.text for each in root.iterfind("meta/job/labels/label/name")] == ["cat", "dog", "cow"]
    first, second = root.findall("image")
    assert (first.get("width"), first.get("height")) == ("60", "40")
    box = first.findall("box")[0]
    assert [box.get(each) for each in ("label", "xtl", "ytl", "xbr", "ybr")] == ["cow", "10", "5", "30.5", "25.25"]
    assert second.findall("box") == []


def test_crops_hold_the_pixels_of_each_box(tmp_path: Path) -> None:
    saved(tmp_path, CROPS)
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.jpg"))
    assert found == ["crops/cat/000001-2-a.jpg", "crops/cow/000001-1-a.jpg"]
    with Image.open(tmp_path / "out" / found[1]) as crop:
        assert crop.size == (21, 21)  # columns 10 to 30, rows 5 to 25
        pixels = np.asarray(crop).astype(int)
    expected = rgb(40, 60, seed=0)[5:26, 10:31].astype(int)
    assert abs(pixels - expected).mean() < 20  # noise suffers in a JPEG


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    saved(tmp_path, *FORMATS)
    for each in FORMATS:
        with pytest.raises(OptionError, match=rf"E132 --save {each}: .* is there already; remove it, or name another"):
            Saver(tmp_path / "out", [each], [], CLASSES)


def test_a_pipe_has_no_file(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--save coco: - is no file"):
        Saver(tmp_path / "out", ["coco"], ["-"], CLASSES)
