"""Only the splits that are needed must exist; faults of the others are at most warnings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from faster_rcnn.data.reading import load_dataset, load_present, load_split
from faster_rcnn.data.records import Dataset
from faster_rcnn.errors import DatasetError, OptionError
from faster_rcnn.settings.schema import DataConfig
from files import image_file

TRAINING = ("train", "val")


def coco(root: Path, split: str, count: int, *, there: bool = True, names: tuple[str, ...] = ("a", "b")) -> None:
    """A split of ``count`` images, one box in each, in a folder of images that may be absent."""
    images = [{"id": n, "file_name": f"{split}{n}.png"} for n in range(count)]
    boxes = [{"id": n, "image_id": n, "category_id": 1, "bbox": [n, 1, 20, 10]} for n in range(count)]
    categories = [{"id": n, "name": name} for n, name in enumerate(names, start=1)]
    for n, image in enumerate(images) if there else ():
        image_file(root / "images" / str(image["file_name"]), seed=hash((split, n)) % 1000)
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    content = {"images": images, "annotations": boxes, "categories": categories}
    (root / "annotations" / f"{split}.json").write_text(json.dumps(content))


def loaded(dataset: Dataset) -> dict[str, int]:
    return {name: len(split.records) for name, split in dataset.splits.items()}


def test_a_split_is_measured_without_the_others(tmp_path: Path) -> None:
    coco(tmp_path, "train", 8, there=False)
    coco(tmp_path, "val", 2)
    (tmp_path / "annotations" / "test.json").write_text("{broken")
    dataset = load_split(tmp_path, DataConfig(), "val")
    assert (loaded(dataset), dataset.found, dataset.warnings) == ({"val": 2}, ("train", "val", "test"), ())
    with pytest.raises(DatasetError, match=r"E102 .*test\.json is not valid JSON.* With --split val the other split"):
        load_split(tmp_path, DataConfig(), None)
    with pytest.raises(DatasetError, match="E104 8 of 8 images of train"):
        load_split(tmp_path, DataConfig(), "train")
    with pytest.raises(OptionError, match="has no split 'dev'; it has: train, val, test"):
        load_split(tmp_path, DataConfig(), "dev").split("dev")


@pytest.mark.parametrize(
    ("there", "names", "broken", "warning"),
    [
        (
            False,
            ("a", "b"),
            False,
            "2 of 2 images of test, which is not needed here, do not exist: test0.png, test1.png",
        ),
        (True, ("a", "c"), False, "test, which is not needed here, does not fit: E116 class lists differ"),
        (True, ("a", "b"), True, "test, which is not needed here, cannot be used: E102"),
    ],
)
def test_training_needs_no_test(
    tmp_path: Path, there: bool, names: tuple[str, ...], broken: bool, warning: str
) -> None:
    coco(tmp_path, "train", 4)
    coco(tmp_path, "val", 2)
    coco(tmp_path, "test", 2, there=there, names=names)
    if broken:
        (tmp_path / "annotations" / "test.json").write_text('{"images": [], "annotations": [')
    dataset = load_dataset(tmp_path, DataConfig(), TRAINING)
    assert (loaded(dataset), dataset.classes.names) == ({"train": 4, "val": 2}, ("a", "b"))
    assert len(dataset.warnings) == 1
    assert dataset.warnings[0].startswith(warning)
    with pytest.raises(DatasetError):
        load_dataset(tmp_path, DataConfig(), (*TRAINING, "test"))


def test_an_empty_test_split_is_a_warning_too(tmp_path: Path) -> None:
    coco(tmp_path, "train", 4)
    coco(tmp_path, "test", 0)
    (warning,) = load_dataset(tmp_path, DataConfig(), TRAINING).warnings
    assert warning.startswith("test, which is not needed here, cannot be used: E115")


def test_classes_by_use_are_those_of_all_splits(tmp_path: Path) -> None:
    """A CSV file declares no classes, so ids are known only when training's names are."""
    for split, rows in (("train", "a.png,1,2,9,9,zebra\nb.png,1,2,9,9,cat\n"), ("val", "c.png,1,2,9,9,zebra\n")):
        (tmp_path / f"{split}.csv").write_text(f"image,xmin,ymin,xmax,ymax,label\n{rows}")
    image_file(tmp_path / "c.png")
    dataset = load_split(tmp_path, DataConfig(), "val")
    assert (dataset.classes.names, dataset.classes.ids) == (("cat", "zebra"), (1, 2))
    (tmp_path / "train.csv").write_text("nothing of the kind\n")
    dataset = load_split(tmp_path, DataConfig(), "val")
    assert dataset.classes.names == ("zebra",)
    assert dataset.warnings[0].startswith("train, which is not needed here, cannot be used: E103")


def yolo(root: Path, *splits: str) -> Path:
    """Splits of one image each, of which data.yaml names three."""
    for split in splits:
        image_file(root / "images" / split / f"{split}.png", seed=len(split))
        label = root / "labels" / split / f"{split}.txt"
        label.parent.mkdir(parents=True)
        label.write_text("0 0.5 0.5 0.5 0.5\n")
    lines = [f"{split}: images/{split}" for split in ("train", "val", "test")]
    (root / "data.yaml").write_text("\n".join([*lines, "names: [cat]"]))
    return root


def test_a_path_that_is_not_there_counts_when_it_is_asked_for(tmp_path: Path) -> None:
    yolo(tmp_path, "train", "val")
    dataset = load_dataset(tmp_path, DataConfig(), TRAINING)
    assert loaded(dataset) == {"train": 1, "val": 1}
    assert dataset.warnings[0].startswith("test, which is not needed here, cannot be used: E101")
    dataset = load_split(tmp_path, DataConfig(), None)
    assert loaded(dataset) == {"val": 1}
    assert dataset.warnings == (f"{tmp_path / 'images' / 'test'} does not exist, so val is measured instead of test",)
    with pytest.raises(DatasetError, match=r"E101 .*test does not exist"):
        load_split(tmp_path, DataConfig(), "test")


def test_work_on_all_splits_leaves_out_those_that_are_absent(tmp_path: Path) -> None:
    yolo(tmp_path / "yolo", "val")
    dataset = load_present(tmp_path / "yolo", DataConfig())
    assert loaded(dataset) == {"val": 1}
    assert [warning.split(": ")[0] for warning in dataset.warnings] == ["train is left out", "test is left out"]
    coco(tmp_path / "coco", "train", 2)
    coco(tmp_path / "coco", "val", 2, there=False)
    dataset = load_present(tmp_path / "coco", DataConfig())
    assert loaded(dataset) == {"train": 2}
    assert dataset.warnings[0].startswith("val is left out: none of its 2 images exists, such as ")
    shutil.rmtree(tmp_path / "coco" / "images")
    with pytest.raises(DatasetError, match="E104 2 of 2 images of train"):
        load_present(tmp_path / "coco", DataConfig())
    (tmp_path / "coco" / "annotations" / "val.json").write_text("[]")
    with pytest.raises(DatasetError, match="E103"):
        load_present(tmp_path / "coco", DataConfig())


def test_a_share_of_train_validates(tmp_path: Path) -> None:
    coco(tmp_path, "train", 10)
    settings = DataConfig(val_share=0.3, val_seed=5)
    dataset = load_dataset(tmp_path, settings, TRAINING)
    assert (loaded(dataset), dataset.found) == ({"train": 7, "val": 3}, ("train", "val"))
    assert "3 of 10 training images are the validation split (data.val_share=0.3, chosen by seed 5)" in (
        dataset.splits["val"].notes
    )
    chosen = [record.file_name for record in dataset.splits["val"].records]
    measured = load_split(tmp_path, settings, "val").split("val")
    assert [record.file_name for record in measured.records] == chosen
    assert len(load_split(tmp_path, settings, "train").split("train").records) == 10  # other data are measured whole
    with pytest.raises(OptionError, match=r"it has: train\. With --split val a share of 0\.3 of train is measured"):
        load_split(tmp_path, settings, None)


def test_a_share_is_refused_where_there_is_a_validation_split(tmp_path: Path) -> None:
    coco(tmp_path, "train", 4)
    coco(tmp_path, "val", 2)
    with pytest.raises(OptionError, match=r"data\.val_share=0\.5, but .* has a validation split, .*val\.json: leave"):
        load_dataset(tmp_path, DataConfig(val_share=0.5), TRAINING)
    # A detector that was validated on a share may be measured on other data.
    assert loaded(load_split(tmp_path, DataConfig(val_share=0.5), "val")) == {"val": 2}


def test_unused_and_shared_images_are_reported(tmp_path: Path) -> None:
    coco(tmp_path, "train", 2)
    coco(tmp_path, "val", 1)
    shutil.copy(tmp_path / "images" / "train1.png", tmp_path / "images" / "val0.png")
    image_file(tmp_path / "images" / "extra.png")
    (tmp_path / "images" / "phone.heic").touch()
    dataset = load_dataset(tmp_path, DataConfig(), TRAINING)
    assert dataset.splits["train"].notes[-2:] == (
        "pictures that no annotation mentions, not used: 1 (images/extra.png)",
        "pictures of kinds that are not read, not used: 1 .heic (images/phone.heic); convert them to JPEG or PNG",
    )
    assert dataset.warnings[0].startswith("1 of 1 images of val are in train, too: val0.png")
    # Where not all splits are read, a picture may be another split's.
    assert not any("pictures" in note for note in load_split(tmp_path, DataConfig(), "val").split("val").notes)


def test_the_description_with_a_training_split_is_used(tmp_path: Path) -> None:
    yolo(tmp_path, "train", "val", "test")
    coco(tmp_path, "val", 2)
    dataset = load_dataset(tmp_path, DataConfig(), TRAINING)
    assert (dataset.format, loaded(dataset)) == ("YOLO", {"train": 1, "val": 1})
    other = f"{tmp_path / 'annotations' / 'val.json'} (COCO JSON), which is used if it is the DATA"
    assert any(note.endswith(other) for note in dataset.splits["train"].notes)
    assert load_dataset(tmp_path / "annotations" / "val.json", DataConfig()).format == "COCO JSON"
    coco(tmp_path, "train", 2)
    dataset = load_dataset(tmp_path, DataConfig(), TRAINING)
    assert (dataset.format, loaded(dataset)) == ("COCO JSON", {"train": 2, "val": 2})
    other = f"and by {tmp_path / 'data.yaml'} (YOLO), which is used if it is the DATA"
    assert any(note.endswith(other) for note in dataset.splits["train"].notes)
    assert load_dataset(tmp_path / "data.yaml", DataConfig(), TRAINING).format == "YOLO"


def test_a_description_that_is_of_no_use_is_no_choice(tmp_path: Path) -> None:
    coco(tmp_path, "val", 2)
    (tmp_path / "data.yaml").write_text("names: [cat]\n")
    assert load_split(tmp_path, DataConfig(), "val").format == "COCO JSON"
    (tmp_path / "data.yaml").write_text("names: [")
    assert load_split(tmp_path, DataConfig(), "val").format == "COCO JSON"
