"""PASCAL VOC XML: counting from 1, difficult objects, and what real tools write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from faster_rcnn.data.reading import load_dataset
from faster_rcnn.errors import DatasetError
from faster_rcnn.settings.schema import DataConfig

CAT = (
    "<object><difficult>1</difficult><bndbox><ymax>40.0</ymax><ymin>21</ymin><xmin>11.5</xmin><xmax>30</xmax></bndbox>"
    "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part>"
    "<name>cat</name></object>"
)


def item(name: str, *corners: float, more: str = "") -> str:
    tags = "".join(
        f"<{tag}>{value}</{tag}>" for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    )
    return f"<object><name>{name}</name>{more}<bndbox>{tags}</bndbox></object>"


def write(folder: Path, name: str, *objects: str, file_name: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    size = "<size><width>100</width><height>80</height><depth>3</depth></size>"
    text = f"<annotation><filename>{file_name or name + '.png'}</filename>{size}{''.join(objects)}</annotation>"
    (folder / f"{name}.xml").write_text(text)


def save_images(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (100, 80)).save(folder / name)


def devkit(root: Path) -> Path:
    save_images(root / "JPEGImages", "a.png", "b.png", "c.png")
    write(root / "Annotations", "a", item("dog", 1, 1, 100, 80), CAT)
    write(root / "Annotations", "b")
    write(root / "Annotations", "c", item("dog", 3, 4, 3.5, 9))
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("b\na\n")
    (lists / "val.txt").write_text("c\n\n")
    (lists / "trainval.txt").write_text("a\nb\nc\n")
    (lists / "dog_train.txt").write_text("a 1\nb -1\n")
    return root


def test_a_small_set_by_hand(tmp_path: Path) -> None:
    dataset = load_dataset(devkit(tmp_path), DataConfig())
    assert dataset.format == "VOC XML"
    assert (dataset.classes.names, dataset.classes.ids) == (("cat", "dog"), (1, 2))
    assert {name: len(split.records) for name, split in dataset.splits.items()} == {"train": 2, "val": 1}
    first, second = dataset.splits["train"].records
    # counted from 1, last pixel included: 1..100 is 0 to 100; 11.5..30 is 10.5 to 30; 21..40 is 20 to 40
    assert first.truth.boxes.tolist() == [[0, 0, 100, 80], [10.5, 20, 30, 40]]
    assert first.truth.labels.tolist() == [1, 0]
    assert first.truth.ignored.tolist() == [False, True]
    assert first.areas.tolist() == [8000, 19.5 * 20]
    assert (first.image_id, second.image_id) == (1, 2)
    assert len(second.truth.labels) == 0
    assert any(note.startswith("voc_offset 1") for note in dataset.splits["train"].notes)


def test_offset_0_takes_corners_as_they_are(tmp_path: Path) -> None:
    dataset = load_dataset(devkit(tmp_path), DataConfig(voc_offset=0))
    assert dataset.splits["train"].records[0].truth.boxes.tolist() == [[1, 1, 100, 80], [11.5, 21, 30, 40]]
    assert any(note.startswith("voc_offset 0") for note in dataset.splits["train"].notes)


def test_a_zero_is_evidence_of_counting_from_0(tmp_path: Path) -> None:
    save_images(tmp_path, "a.png")
    write(tmp_path, "a", item("dog", 0, 5, 9, 9))
    notes = load_dataset(tmp_path, DataConfig()).splits["train"].notes
    assert any("seem to count from 0: --set data.voc_offset=0" in note for note in notes)
    assert not any("seem to count" in note for note in _notes(tmp_path, voc_offset=0))


def _notes(root: Path, voc_offset: int) -> tuple[str, ...]:
    return load_dataset(root, DataConfig(voc_offset=voc_offset)).splits["train"].notes


def test_trainval_is_the_training_split_without_train_and_val(tmp_path: Path) -> None:
    devkit(tmp_path)
    for name in ("train", "val"):
        (tmp_path / "ImageSets" / "Main" / f"{name}.txt").unlink()
    assert {name: len(split.records) for name, split in load_dataset(tmp_path, DataConfig()).splits.items()} == {
        "train": 3
    }


def test_images_beside_their_xml(tmp_path: Path) -> None:
    save_images(tmp_path, "a.png", "renamed.png", "extra.png")
    write(tmp_path, "a", item("dog", 1, 2, 3, 4))
    write(tmp_path, "renamed", item("dog", 1, 2, 3, 4), file_name="stale_name.jpg")
    split = load_dataset(tmp_path, DataConfig()).splits["train"]
    assert [record.file_name for record in split.records] == ["a.png", "renamed.png"]
    assert any("no annotation mentions, not used: 1 (extra.png)" in note for note in split.notes)


def test_a_folder_per_split(tmp_path: Path) -> None:
    for split in ("train", "test"):
        save_images(tmp_path / split, f"{split}.png")
        write(tmp_path / split, split, item("dog", 1, 2, 3, 4))
    assert list(load_dataset(tmp_path, DataConfig()).splits) == ["train", "test"]


def test_a_class_that_only_the_training_split_has_is_reported(tmp_path: Path) -> None:
    dataset = load_dataset(devkit(tmp_path), DataConfig())
    assert any("no object of cat in val" in note for note in dataset.splits["train"].notes)


def test_broken_and_absent_xml_exclude_their_image(tmp_path: Path) -> None:
    names = [f"{number:02}" for number in range(40)]
    save_images(tmp_path / "images", *(f"{name}.png" for name in names))
    for name in names[1:]:
        write(tmp_path / "Annotations", name, item("dog", 1, 2, 3, 4))
    (tmp_path / "Annotations" / "07.xml").write_text("<annotation><object>")
    (tmp_path / "ImageSets").mkdir()
    (tmp_path / "ImageSets" / "train.txt").write_text("\n".join(names))
    split = load_dataset(tmp_path, DataConfig()).splits["train"]
    assert len(split.records) == 38
    assert split.faults == (
        "E104 Annotations/00.xml does not exist",
        "E102 Annotations/07.xml is not valid XML at line 1 column 21",
    )


def test_the_file_name_decides_between_two_pictures_of_one_name(tmp_path: Path) -> None:
    devkit(tmp_path)
    save_images(tmp_path / "JPEGImages", "a.jpg", "b.jpg")
    write(tmp_path / "Annotations", "b", file_name="C:\\photos\\b.jpg")
    records = load_dataset(tmp_path, DataConfig()).splits["train"].records
    assert [record.file_name for record in records] == ["a.png", "b.jpg"]


def test_two_pictures_without_a_named_one_are_reported(tmp_path: Path) -> None:
    devkit(tmp_path)
    save_images(tmp_path / "JPEGImages", "b.jpg")
    write(tmp_path / "Annotations", "b", file_name="stale.bmp")
    split = load_dataset(tmp_path, DataConfig()).splits["train"]
    assert split.faults[0].startswith("E104 b.xml may be for any of b.jpg, b.png: its <filename> 'stale.bmp' is none")


def test_a_list_decides_between_two_pictures_before_the_file_name(tmp_path: Path) -> None:
    devkit(tmp_path)
    save_images(tmp_path / "JPEGImages", "b.jpg")
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("JPEGImages/b.jpg Annotations/b.xml\na\n")
    records = load_dataset(tmp_path, DataConfig()).splits["train"].records
    assert [record.file_name for record in records] == ["a.png", "b.jpg"]


def test_a_file_name_of_another_picture_is_reported(tmp_path: Path) -> None:
    devkit(tmp_path)
    write(tmp_path / "Annotations", "b", file_name="a.png")
    split = load_dataset(tmp_path, DataConfig()).splits["train"]
    assert [record.file_name for record in split.records] == ["a.png", "b.png"]
    assert any("whose <filename> is another picture that is there: 1 (b.xml: a.png)" in note for note in split.notes)


def test_two_files_for_one_picture(tmp_path: Path) -> None:
    devkit(tmp_path)
    (tmp_path / "JPEGImages" / "b.png").unlink()
    write(tmp_path / "Annotations", "b", item("dog", 1, 2, 3, 4), file_name="a.png")
    split = load_dataset(tmp_path, DataConfig()).splits["train"]
    assert split.faults == ("E104 b.xml is for a.png, which a.xml annotates, too",)


def test_unclear_flags_are_reported(tmp_path: Path) -> None:
    devkit(tmp_path)
    write(tmp_path / "Annotations", "b", item("dog", 1, 2, 30, 40, more="<difficult>perhaps</difficult>"))
    notes = load_dataset(tmp_path, DataConfig()).splits["train"].notes
    assert any("neither yes nor no, read as no: 1 (b.xml: 'perhaps')" in note for note in notes)


def test_lists_per_class_are_the_split(tmp_path: Path) -> None:
    devkit(tmp_path)
    folder = tmp_path / "ImageSets" / "Main"
    for file in folder.iterdir():
        file.unlink()
    for name, text in {
        "cat_train": "a.png 1\nb.png -1\n",
        "dog_train": "a.png 1\nb.png -1\n",
        "cat_val": "c.png -1\n",
    }.items():
        (folder / f"{name}.txt").write_text(text)
    dataset = load_dataset(tmp_path, DataConfig())
    assert {name: len(split.records) for name, split in dataset.splits.items()} == {"train": 2, "val": 1}
    assert any(
        note == "train is all images of 2 lists: cat_train.txt, dog_train.txt" for note in dataset.splits["train"].notes
    )


def test_lists_that_are_not_used_are_named(tmp_path: Path) -> None:
    notes = load_dataset(devkit(tmp_path), DataConfig()).splits["train"].notes
    expected = "not used: 2 (ImageSets/Main/dog_train.txt, ImageSets/Main/trainval.txt)"
    assert any(expected in note for note in notes)


@pytest.mark.parametrize(("xml", "images"), [("Annotations/{}", "JPEGImages/{}"), ("{}/Annotations", "{}/JPEGImages")])
def test_folders_of_splits_inside(tmp_path: Path, xml: str, images: str) -> None:
    for split in ("train", "val"):
        save_images(tmp_path / images.format(split), "0.png")
        write(tmp_path / xml.format(split), "0", item("dog", 1, 2, 30, 40 if split == "train" else 50))
    splits = load_dataset(tmp_path, DataConfig()).splits
    assert {name: split.records[0].truth.boxes.tolist() for name, split in splits.items()} == {
        "train": [[0, 1, 30, 40]],
        "val": [[0, 1, 30, 50]],
    }
    assert splits["val"].records[0].path == tmp_path / images.format("val") / "0.png"


def test_sub_folders_are_entered(tmp_path: Path) -> None:
    """Files of one name in two folders stay apart; a picture that is in one folder alone is found by its name."""
    for camera in ("left", "right"):
        save_images(tmp_path / "JPEGImages" / camera, "0.png")
        write(tmp_path / "Annotations" / camera, "0", item("dog", 1, 2, 30, 40))
    save_images(tmp_path / "JPEGImages" / "more", "x.png")
    write(tmp_path / "Annotations", "x", item("dog", 1, 2, 30, 40))
    records = load_dataset(tmp_path, DataConfig()).splits["train"].records
    assert [record.file_name for record in records] == ["left/0.png", "right/0.png", "more/x.png"]


def test_a_folder_beside_the_data_is_not_preferred(tmp_path: Path) -> None:
    save_images(tmp_path / "images", "0.png")
    save_images(tmp_path / "mine", "0.png")
    write(tmp_path / "mine", "0", item("dog", 1, 2, 30, 40))
    assert load_dataset(tmp_path / "mine", DataConfig()).splits["train"].records[0].path.parent == tmp_path / "mine"


def test_a_declared_encoding_is_read(tmp_path: Path) -> None:
    save_images(tmp_path, "a.png")
    text = '<?xml version="1.0" encoding="gb2312"?><annotation>' + item("红枣", 1, 2, 30, 40) + "</annotation>"
    (tmp_path / "a.xml").write_bytes(text.encode("gb2312"))
    assert load_dataset(tmp_path, DataConfig()).classes.names == ("红枣",)


def test_an_unknown_encoding_names_the_file(tmp_path: Path) -> None:
    save_images(tmp_path, "a.png", "b.png", "c.png")
    for name in "abc":
        write(tmp_path, name, item("dog", 1, 2, 30, 40))
    (tmp_path / "a.xml").write_text('<?xml version="1.0" encoding="klingon"?><annotation/>')
    (tmp_path / "b.xml").write_text('<?xml version="1.0" encoding="utf-16"?><annotation/>')
    with pytest.raises(DatasetError, match=r'E102 2 of 3 .*a\.xml declares encoding="klingon".*b\.xml declares'):
        load_dataset(tmp_path, DataConfig())


@pytest.mark.parametrize(("tag", "tool"), [("annotations", "CVAT"), ("dataset", "<dataset>")])
def test_xml_of_another_tool_is_named(tmp_path: Path, tag: str, tool: str) -> None:
    save_images(tmp_path, "a.png")
    (tmp_path / "a.xml").write_text(f"<{tag}/>")
    with pytest.raises(DatasetError, match=f"E103 .*{tool}"):
        load_dataset(tmp_path, DataConfig())


def test_genuine_set_with_images_elsewhere(data_folder: Callable[[str], Path]) -> None:
    """The project's COCO files of bccd were made from the same XML without the 1-pixel correction."""
    root = data_folder("bccd")
    xml = load_dataset(root / "original", DataConfig(images="../images", voc_offset=0))
    reference = load_dataset(root, DataConfig())
    for split, boxes in (("train", 2804), ("val", 1137), ("test", 945)):
        ours = {record.file_name: record for record in xml.splits[split].records}
        theirs = {record.file_name: record for record in reference.splits[split].records}
        assert ours.keys() == theirs.keys()
        assert sum(len(record.truth.labels) for record in ours.values()) == boxes
        for name, record in ours.items():
            assert sorted(record.truth.boxes.tolist()) == sorted(theirs[name].truth.boxes.tolist())


def test_decimal_commas_are_read_and_reported_as_in_csv(tmp_path: Path) -> None:
    data = devkit(tmp_path)
    write(data / "Annotations", "a", CAT, item("dog", 1, 1, 100, 80).replace("<xmax>100<", "<xmax>99,5<"))
    train = load_dataset(data, DataConfig()).splits["train"]
    assert train.records[0].truth.boxes.tolist() == [[10.5, 20, 30, 40], [0, 0, 99.5, 80]]
    assert "numbers with a decimal comma: 1, e.g. 99,5 is 99.5" in train.notes
    write(
        data / "Annotations",
        "a",
        CAT,
        item("dog", 1, 1, 100, 80).replace("<xmax>100<", "<xmax>1,000<") + item("dog", 1, 1, 9, 9),
    )
    notes = load_dataset(data, DataConfig()).splits["train"].notes
    assert any("needs four numbers but has [1, 1, 1,000, 80]; dropped" in note for note in notes)
