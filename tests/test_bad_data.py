"""Faults of labelled images: many give one line with a code and exit code 2, single ones are listed and work continues.

The codes are those of the project's study of what users suffer from; every message may only name commands, options
and settings that exist.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from faster_rcnn.data.reading import load_dataset
from faster_rcnn.data.records import Dataset
from faster_rcnn.errors import DatasetError
from faster_rcnn.settings.schema import DataConfig

COMMANDS = {"demo", "train", "evaluate", "predict", "import", "config", "doctor"}
OPTIONS = {"--set", "--split", "--debug"}


def load(data: Path, **settings: Any) -> Dataset:
    return load_dataset(data, DataConfig(**settings))


def refused(data: Path, code: str, *fragments: str, **settings: Any) -> str:
    """The message of the error, checked to be one line that promises nothing which is not there."""
    with pytest.raises(DatasetError) as caught:
        load(data, **settings)
    message = str(caught.value)
    assert (caught.value.code, caught.value.exit_code) == (code, 2), message
    assert message.startswith(f"{code} ")
    assert "\n" not in message
    names_only_what_exists(message)
    for fragment in fragments:
        assert fragment in message
    return message


def names_only_what_exists(message: str) -> None:
    assert set(re.findall(r"faster-rcnn (\w+)", message)) <= COMMANDS, message
    assert set(re.findall(r"(?<!\S)--[a-z-]+", message)) <= OPTIONS, message
    assert set(re.findall(r"--set data\.(\w+)=", message)) <= set(DataConfig.model_fields), message


def listed(data: Path, *fragments: str, **settings: Any) -> Dataset:
    """The data set, whose notes hold all these fragments."""
    dataset = load(data, **settings)
    notes = "\n".join(note for split in dataset.splits.values() for note in split.notes)
    names_only_what_exists(notes)
    for fragment in fragments:
        assert fragment in notes, notes
    return dataset


@pytest.fixture
def coco(tmp_path: Path) -> Callable[..., Path]:
    """Writes a COCO folder of ``images`` images of 100 x 80 with two boxes each, after ``change`` had its way."""

    def write(
        change: Callable[[dict[str, Any]], object] = lambda content: None,
        images: int = 4,
        splits: tuple[str, ...] = ("train",),
    ) -> Path:
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "annotations").mkdir(exist_ok=True)
        for number in range(images):
            Image.new("RGB", (100, 80)).save(tmp_path / "images" / f"{number:03}.png")
        for split in splits:
            content = clean(images)
            if split == splits[-1]:
                change(content)
            (tmp_path / "annotations" / f"{split}.json").write_text(json.dumps(content))
        return tmp_path

    return write


def clean(images: int) -> dict[str, Any]:
    return {
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "images": [{"id": n, "file_name": f"{n:03}.png", "width": 100, "height": 80} for n in range(images)],
        "annotations": [
            {"id": 2 * n + k, "image_id": n, "category_id": 1 + k, "bbox": [40 + n % 7, 30, 20, 10 + k]}
            for n in range(images)
            for k in range(2)
        ],
    }


def boxes(*written: Any) -> Callable[[dict[str, Any]], None]:
    """A change that writes these into the first boxes."""

    def change(content: dict[str, Any]) -> None:
        for entry, value in zip(content["annotations"], written, strict=False):
            entry["bbox"] = value

    return change


# E101 ---------------------------------------------------------------------------------------------------------------


def test_e101_absent_path(tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    refused(tmp_path / "cell", "E101", "does not exist", "Nearby: cells.", "Nothing was downloaded")


def test_e101_absent_part(coco: Callable[..., Path]) -> None:
    root = coco()
    refused(
        root, "E101", "from --set data.val=annotations/trian.json", "Nearby: train.json", val="annotations/trian.json"
    )
    refused(root, "E101", "from --set data.images=pictures", images="pictures")


def test_e101_folders_without_annotations(tmp_path: Path) -> None:
    refused(tmp_path, "E101", "it is empty", "COCO", "VOC", "YOLO", "CSV")
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    refused(tmp_path, "E101", "holds images, but no annotations of objects")
    refused(tmp_path / "a.png", "E101", "is an image")
    (tmp_path / "labels").mkdir()
    refused(tmp_path, "E101", "looks like YOLO, but has no data.yaml")


# E102, E103 ---------------------------------------------------------------------------------------------------------


def test_e102_broken_json(coco: Callable[..., Path]) -> None:
    root = coco()
    file = root / "annotations" / "train.json"
    file.write_text(file.read_text()[:-40])
    refused(root, "E102", "train.json is not valid JSON at line 1 column", "was the copy interrupted?")
    file.write_text('{"images": [}, "annotations": []}')
    assert "interrupted" not in refused(root, "E102", "line 1 column 13")
    file.write_bytes(b"\xff\xfe\x00")
    refused(root, "E102", "UTF-8")


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (
            [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}],
            "1 records with 'score': a COCO results",
        ),
        ([], "is a list"),
        (
            [{"image": "a.jpg", "annotations": []}],
            "is a CreateML file (it lists 'image' and 'annotations')",
        ),
        ({"images": [], "annotations": []}, "lacks 'categories'"),
        ({"shapes": [], "imagePath": "a.png"}, "LabelMe"),
        ({"_via_img_metadata": {}}, "VGG Image Annotator"),
        ({"type": "FeatureCollection", "features": []}, "GeoJSON"),
        ({"images": 1, "annotations": 2, "categories": 3}, "not COCO ground truth"),
        ({"categories": [], "images": [{"id": "x"}], "annotations": []}, "an entry of 'images' needs"),
        ({"categories": [{"name": "cat"}], "images": [], "annotations": []}, "an entry of 'categories' needs"),
        ({"categories": [], "images": [], "annotations": [7]}, "annotation number 0"),
    ],
)
def test_e103_json_of_another_kind(tmp_path: Path, content: object, fragment: str) -> None:
    (tmp_path / "train.json").write_text(json.dumps(content))
    refused(tmp_path, "E103", fragment)


def test_e101_json_of_another_kind_in_the_folder_of_a_split(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    file = tmp_path / "train" / "_annotations.createml.json"
    file.write_text(json.dumps([{"image": "a.jpg", "annotations": [{"label": "cat", "coordinates": {"x": 1}}]}]))
    refused(
        tmp_path, "E101", "train/_annotations.createml.json is a CreateML file", "export it as COCO JSON, VOC or YOLO"
    )
    file.write_text("{")
    refused(tmp_path, "E101", "no annotations that are known")


def test_e103_annotations_of_other_images(coco: Callable[..., Path]) -> None:
    def shift(content: dict[str, Any]) -> None:
        for entry in content["annotations"]:
            entry["image_id"] += 1000

    refused(coco(shift), "E103", "8 of 8 annotations belong to no image", "annotation id 0 (image_id 1000)")


def test_one_annotation_without_its_image_is_listed(coco: Callable[..., Path]) -> None:
    def shift(content: dict[str, Any]) -> None:
        content["annotations"][0]["image_id"] = 99

    listed(coco(shift), "belong to no listed image: annotation id 0 (image_id 99)")


# E104 to E106: images -----------------------------------------------------------------------------------------------


def test_e104_absent_images(coco: Callable[..., Path]) -> None:
    root = coco(images=40)
    (root / "images" / "012.png").rename(root / "images" / "012.PNG")
    (root / "images" / "013.png").unlink()
    dataset = listed(
        root, "images excluded: 2 of 40", "E104 012.png does not exist (a file '012.PNG' exists: letter case?)"
    )
    assert len(dataset.splits["train"].records) == 38
    assert len(dataset.splits["train"].faults) == 2
    (root / "images" / "014.png").unlink()
    refused(root, "E104", "3 of 40 images of train cannot be used, more than the 5 %", "letter case?", "014.png")


def test_e104_no_image_at_all(coco: Callable[..., Path]) -> None:
    root = coco()
    (root / "images").rename(root / "val")  # of another split, so nothing is taken from it
    refused(root, "E104", "4 of 4 images", f"Searched {root / 'annotations'}", "--set data.images=FOLDER")
    assert len(load(root, images="val").splits["train"].records) == 4


def test_e105_truncated_image(coco: Callable[..., Path]) -> None:
    root = coco()
    image = root / "images" / "001.png"
    image.write_bytes(image.read_bytes()[:-30])
    listed(root, "images excluded: 1 of 4", "E105 cannot decode 001.png: damaged or truncated after")
    (root / "images" / "002.png").write_text("hello")
    refused(root, "E105", "2 of 4 images", "not an image of a known format")


def test_e106_other_size(coco: Callable[..., Path]) -> None:
    root = coco()
    Image.new("RGB", (50, 40)).save(root / "images" / "000.png")
    listed(root, "E106 000.png is 50x40, but train.json has 100x80")
    Image.new("RGB", (50, 40)).save(root / "images" / "001.png")
    refused(root, "E106", "2 of 4 images")


def test_e106_exif_is_explained(coco: Callable[..., Path]) -> None:
    root = coco()
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("000", "001"):
        Image.new("RGB", (100, 80)).save(root / "images" / f"{name}.png", exif=exif)
    refused(root, "E106", "000.png is 80x100, but train.json has 100x80", "EXIF orientation 6")


# E107 to E111, E118: boxes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "written", "text"),
    [
        ("E107", [46, 30, 3, 0], "height 0 (xywh = [46, 30, 3, 0]); dropped"),
        ("E107", [46, 30, -3, 5], "width -3 (xywh = [46, 30, -3, 5]); dropped"),
        ("E107", [46, 30, 0.001, 5], "has no visible area, the image is 100x80; dropped"),
        ("E108", [100, 30, 5, 5], "(xywh = [100, 30, 5, 5]) lies fully outside, the image is 100x80; dropped"),
        ("E108", [90, 30, 15, 5], "(xywh = [90, 30, 15, 5]) sticks out by 5 pixels, the image is 100x80; clipped"),
        ("E118", [1, 2, 3], "needs four numbers but has [1, 2, 3]; dropped"),
        ("E118", [1, 2, "wide", 3], "needs four numbers but has [1, 2, wide, 3]; dropped"),
        ("E118", [1, 2, float("nan"), 3], "needs four numbers but has [1, 2, NaN, 3]; dropped"),
        ("E118", [1, 2, None, 3], "needs four numbers but has [1, 2, null, 3]; dropped"),
        ("E118", None, "needs four numbers but has [null]; dropped"),
    ],
)
def test_one_bad_box_is_listed_and_two_stop(coco: Callable[..., Path], code: str, written: Any, text: str) -> None:
    dataset = listed(
        coco(boxes(written)), "boxes clipped or dropped: 1 of 8", "train.json annotation id 0 in 000.png", text
    )
    assert dataset.splits["train"].faults[0].startswith(f"{code} ")
    refused(coco(boxes(written, written)), code, "2 of 8 boxes of train (25.0%)", "annotation id 1 in 000.png", text)


def test_one_percent_of_many_boxes_does_not_stop_the_work(coco: Callable[..., Path]) -> None:
    flat = [46, 30, 3, 0]
    dataset = listed(coco(boxes(flat, flat, flat), images=150), "boxes clipped or dropped: 3 of 300")
    assert sum(len(record.truth.labels) for record in dataset.splits["train"].records) == 297
    refused(coco(boxes(flat, flat, flat, flat), images=150), "E107", "4 of 300 boxes")


def test_touching_the_border_is_no_fault(coco: Callable[..., Path]) -> None:
    """Tools that count the last pixel in stick out by one; that is clipped and counted, however many there are."""
    dataset = listed(coco(boxes([-1, 0, 50, 50], [60, 30, 41, 50.5])), "stuck out by at most 1 pixel, clipped: 2")
    assert dataset.splits["train"].records[0].truth.boxes.tolist() == [[0, 0, 49, 50], [60, 30, 100, 80]]
    assert dataset.splits["train"].faults == ()


def test_e109_corners_written_as_sizes(coco: Callable[..., Path]) -> None:
    corners = [[30 + n, 50, 60 + n, 75] for n in range(8)]
    message = refused(coco(boxes(*corners)), "E109", "boxes look like [x1, y1, x2, y2]", "[x, y, width, height]")
    # 50 + 75 is below the lower border of 80 in all eight
    assert "read as xywh 100% leave the image or have no area, read as xyxy 0%" in message
    assert "annotation id 0 in 000.png: [30, 50, 60, 75]" in message


def test_e109_sizes_written_as_corners(tmp_path: Path) -> None:
    Image.new("RGB", (100, 80)).save(tmp_path / "a.png")
    rows = "".join(f"a.png,{30 + n},40,20,10,cat\n" for n in range(8))
    (tmp_path / "train.csv").write_text("image,xmin,ymin,xmax,ymax,label\n" + rows)
    refused(tmp_path, "E109", "boxes look like [x, y, width, height]", "but CSV means [x1, y1, x2, y2]")


def test_e110_shares_in_a_format_of_pixels(coco: Callable[..., Path]) -> None:
    refused(
        coco(boxes(*[[0.1, 0.2, 0.3, 0.4]] * 8)), "E110", "none of 8 boxes has a value above 1", "[0.1, 0.2, 0.3, 0.4]"
    )


def test_e118_reversed_corners_of_xml(tmp_path: Path) -> None:
    Image.new("RGB", (400, 500)).save(tmp_path / "0071.png")
    corners = "<xmin>10</xmin><ymin>468.67</ymin><xmax>50</xmax><ymax>292.33</ymax>"
    good = "<xmin>10</xmin><ymin>20</ymin><xmax>50</xmax><ymax>60</ymax>"
    objects = "".join(f"<object><name>cat</name><bndbox>{box}</bndbox></object>" for box in (good, corners))
    (tmp_path / "0071.xml").write_text(f"<annotation>{objects}</annotation>")
    text = "object 2 ('cat') in 0071.png: ymax 292.33 is smaller than ymin 468.67"
    dataset = listed(tmp_path, text, "xyxy = [10, 468.67, 50, 292.33]")
    assert dataset.splits["train"].faults[0].startswith("E118 ")


def test_objects_without_a_name(tmp_path: Path) -> None:
    Image.new("RGB", (100, 80)).save(tmp_path / "a.png")
    (tmp_path / "train.csv").write_text("image,xmin,ymin,xmax,ymax,label\na.png,1,2,30,40,cat\na.png,5,6,70,80,\n")
    assert listed(tmp_path, "E118 train.csv line 3 in a.png has no class name; dropped").classes.names == ("cat",)


# E112 to E116: classes ----------------------------------------------------------------------------------------------


def test_e112_undeclared_class(coco: Callable[..., Path]) -> None:
    def change(content: dict[str, Any]) -> None:
        content["annotations"][3]["category_id"] = 0

    refused(coco(change), "E112", "1 annotations use a category_id", "annotation id 3 of 001.png", "declared are 1, 2")


def test_e113_repeated_annotation_ids_are_reported(coco: Callable[..., Path]) -> None:
    def change(content: dict[str, Any]) -> None:
        content["annotations"][3]["id"] = 0

    dataset = listed(coco(change), "1 annotation ids occur more than once (0); they are renumbered in memory")
    assert sum(len(record.truth.labels) for record in dataset.splits["train"].records) == 8


@pytest.mark.parametrize(
    ("key", "position", "field", "value", "text"),
    [
        ("images", 1, "id", 0, "image ids must be unique, but 1 occur more than once (0)"),
        ("categories", 1, "name", "cat", "2 categories have the name 'cat' (ids 1, 2)"),
        ("categories", 1, "id", 1, "2 categories have the id 1 (names cat, dog)"),
    ],
)
def test_e113_repeated_names_and_ids(
    coco: Callable[..., Path], key: str, position: int, field: str, value: object, text: str
) -> None:
    def change(content: dict[str, Any]) -> None:
        content[key][position][field] = value

    refused(coco(change), "E113", text)


@pytest.mark.parametrize("name", ["background", "Background", "__background__"])
def test_e114_background(coco: Callable[..., Path], name: str) -> None:
    def unused(content: dict[str, Any]) -> None:
        content["categories"].insert(0, {"id": 0, "name": name})

    def used(content: dict[str, Any]) -> None:
        unused(content)
        content["annotations"][0]["category_id"] = 0

    dataset = listed(
        coco(unused), f"category '{name}' (id 0) is declared but has no annotation; background is built in"
    )
    assert dataset.classes.names == ("cat", "dog")
    refused(coco(used), "E114", f"the class '{name}' has 1 boxes", "rename it")


def test_e115_nothing_to_train_on(coco: Callable[..., Path]) -> None:
    def crowds(content: dict[str, Any]) -> None:
        for entry in content["annotations"]:
            entry["iscrowd"] = 1

    refused(coco(lambda content: content["annotations"].clear()), "E115", "the 4 images of train have no object")
    refused(coco(crowds), "E115", "only 8 that are ignored")
    refused(coco(lambda content: (content["images"].clear(), content["annotations"].clear())), "E115", "train is empty")
    refused(coco(lambda content: content.update(categories=[], annotations=[])), "E115", "has no classes")


def test_e115_empty_validation_split(coco: Callable[..., Path]) -> None:
    def nothing(content: dict[str, Any]) -> None:
        content["images"].clear()
        content["annotations"].clear()

    refused(coco(nothing, splits=("train", "val")), "E115", "val is empty")


@pytest.mark.parametrize(
    ("categories", "text"),
    [
        ([{"id": 1, "name": "cat"}, {"id": 2, "name": "lorry"}], "only in train {2 dog}; only in val {2 lorry}"),
        ([{"id": 2, "name": "cat"}, {"id": 1, "name": "dog"}], "class ids differ between train and val: cat, dog"),
        ([{"id": n, "name": name} for n, name in ((1, "cat"), (2, "dog"), (3, "cow"))], "only in val {3 cow}"),
    ],
)
def test_e116_splits_that_differ(coco: Callable[..., Path], categories: list[Any], text: str) -> None:
    refused(coco(lambda content: content.update(categories=categories), splits=("train", "val")), "E116", text)


def test_e116_same_classes_in_another_order_are_the_same(coco: Callable[..., Path]) -> None:
    root = coco(lambda content: content["categories"].reverse(), splits=("train", "val"))
    assert load(root).classes.names == ("cat", "dog")


def test_e116_names_only_in_validation(tmp_path: Path) -> None:
    Image.new("RGB", (100, 80)).save(tmp_path / "a.png")
    for split, label in (("train", "truck"), ("val", "lorry")):
        (tmp_path / f"{split}.csv").write_text(f"image,xmin,ymin,xmax,ymax,label\na.png,1,2,30,40,{label}\n")
    refused(tmp_path, "E116", "only in train {truck}; only in val {lorry}", "score them 0", "train.csv and ")


# E119, E120, and the shared examples --------------------------------------------------------------------------------


def test_e119_converted_images_are_counted(coco: Callable[..., Path]) -> None:
    root = coco()
    Image.new("L", (100, 80)).save(root / "images" / "000.png")
    Image.new("L", (100, 80)).save(root / "images" / "001.png")
    Image.new("RGBA", (100, 80)).save(root / "images" / "002.png")
    listed(root, "images converted to upright 8-bit RGB: 2 grey, 1 alpha removed")


def test_e120_too_large_image(coco: Callable[..., Path]) -> None:
    root = coco()
    refused(root, "E120", "4 of 4 images", "100x80 = 8,000 pixels", "--set data.max_pixels=8000", max_pixels=7999)


def test_a_box_given_twice_is_reported(coco: Callable[..., Path]) -> None:
    def change(content: dict[str, Any]) -> None:
        content["annotations"].append({**content["annotations"][0], "id": 99})

    listed(coco(change), "boxes that occur twice, kept: 1 (train.json annotation id 99 in 000.png)")


def test_shared_bad_inputs(data_folder: Callable[[str], Path]) -> None:
    dataset = listed(
        data_folder("bad_inputs"),
        "images excluded: 1 of 4",
        "E105 cannot decode truncated.jpg: damaged or truncated after 86,603 bytes",
        "boxes clipped or dropped: 1 of 20",
        "E107 bad_inputs/zero_area_338.xml object 13 ('RBC') in zero_area_338.jpg: width 0 (xyxy = [504, 337,",
        "images converted to upright 8-bit RGB: 1 grey",
        "boxes that occur twice, kept: 1 (bad_inputs/duplicate_box.xml object 4",
        "no annotation mentions, not used: 1 (no_boxes_250.jpg)",
    )
    assert len(dataset.splits["train"].records) == 3


@pytest.mark.parametrize(
    ("folder", "code", "tool"),
    [
        ("cvat_format", "E103", "CVAT"),
        ("labelme_format", "E103", "LabelMe"),
        ("openimages_format", "E103", "Open Images"),
        ("tfrecord_format", "E101", "TFRecord"),
        ("yolo_format", "E104", "2007_000027.jpg does not exist"),  # it has a list of classes, and no images
    ],
)
def test_files_of_other_tools_are_named(data_folder: Callable[[str], Path], folder: str, code: str, tool: str) -> None:
    refused(data_folder("voc100") / "original" / "gts_every_format" / folder, code, tool)
