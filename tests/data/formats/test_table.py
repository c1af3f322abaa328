"""CSV: one row per box, under several names for its columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from faster_rcnn.data.formats.table import find_splits, unused
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.data.records import Dataset
from faster_rcnn.errors import DatasetError
from faster_rcnn.settings.schema import DataConfig


def folder(root: Path, **files: str) -> Path:
    (root / "images").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (100, 80)).save(root / "images" / name)
    for name, text in files.items():
        (root / f"{name}.csv").write_text(text)
    return root


@pytest.mark.parametrize(
    "text",
    [
        "image,xmin,ymin,xmax,ymax,label\nb.png,1,2,3,4,dog\na.png,10,20,30.5,40,cat\nb.png,5,6,7,8,cat\n",
        "filename;width;height;class;xmin;ymin;xmax;ymax\n"
        "b.png;100;80;dog;1;2;3;4\na.png;100;80;cat;10;20;30.5;40\nb.png;100;80;cat;5;6;7;8\n",
        "\ufeffLabel, X1, Y1, X2, Y2, Path\ndog,1,2,3,4,b.png\ncat,10,20,30.5,40,a.png\ncat,5,6,7,8,b.png",
    ],
)
def test_a_small_set_by_hand(tmp_path: Path, text: str) -> None:
    dataset = load_dataset(folder(tmp_path, boxes=text), DataConfig())
    assert dataset.format == "CSV"
    assert (dataset.classes.names, dataset.classes.ids) == (("cat", "dog"), (1, 2))
    first, second = dataset.splits["train"].records
    assert (first.file_name, first.image_id, second.file_name, second.image_id) == ("a.png", 1, "b.png", 2)
    assert first.truth.boxes.tolist() == [[10, 20, 30.5, 40]]
    assert second.truth.boxes.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert second.truth.labels.tolist() == [1, 0]


def test_splits_by_file_name_and_images_without_objects(tmp_path: Path) -> None:
    header = "image,xmin,ymin,xmax,ymax,label\n"
    folder(tmp_path, train=header + "a.png,1,2,3,4,cat\nb.png,,,,,\n", test_labels=header + "b.png,1,2,3,4,cat\n")
    dataset = load_dataset(tmp_path, DataConfig())
    assert list(dataset.splits) == ["train", "test"]
    assert [len(record.truth.labels) for record in dataset.splits["train"].records] == [1, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png,1,2,3,4,cat\n", "E103 .*first line is no header"),
        ("image,xmin,ymin,label\na.png,1,2,cat\n", "E103 .*lacks the columns xmax, ymax"),
        ("ImageID,Source,LabelName,XMin,XMax,YMin,YMax\n", "E103 .*Open Images"),
        ("", "E103 .*found: nothing"),
        ("image,xmin,ymin,xmax,ymax,label\n", "E115 .*lists no images, so train is empty"),
        ("image,xmin,ymin,xmax,ymax,label\na.png,,,,,\n", "E115 .*no classes"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        load_dataset(folder(tmp_path, train=text), DataConfig())


def test_two_files_for_one_split_must_be_chosen_from(tmp_path: Path) -> None:
    header = "image,xmin,ymin,xmax,ymax,label\na.png,1,2,3,4,cat\n"
    folder(tmp_path, train=header, train_old=header)
    with pytest.raises(
        DatasetError, match=r"E101 train\.csv, train_old\.csv .*may be the train split.*--set data\.train=FILE"
    ):
        load_dataset(tmp_path, DataConfig())
    assert len(load_dataset(tmp_path, DataConfig(train="train.csv")).splits["train"].records) == 1


def test_genuine_file(data_folder: Callable[[str], Path]) -> None:
    root = data_folder("raccoon")
    table = load_dataset(root / "original", DataConfig(images="../images"))
    reference = load_dataset(root, DataConfig())
    assert {name: len(split.records) for name, split in table.splits.items()} == {"train": 160, "test": 40}
    expected = {record.file_name: record.truth.boxes.tolist() for record in reference.splits["train"].records}
    for record in table.splits["train"].records:
        assert sorted(record.truth.boxes.tolist()) == sorted(expected[record.file_name])


# ---- cells


HEADER = "image,xmin,ymin,xmax,ymax,label\n"


def notes(dataset: Dataset) -> str:
    return "\n".join(dataset.splits["train"].notes)


def load(root: Path, text: str, **settings: str) -> Dataset:
    return load_dataset(folder(root, train=text), DataConfig.model_validate(settings))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "a.png,1,2,3,4,nut, green\n",
            r"line 3 has 7 cells, the header 6: a\.png,.*; text that holds ',' must be in quot",
        ),
        ("a.png,1,2,3,4\n", r"line 3 has 5 cells, the header 6: .* is the line cut"),
        ("a.png\n", "line 3 has 1 cells, the header 6"),
        ("a.png,1,2,3,4,nut, green\na.png,1\n\n", r"line 3 has 7 cells, the header 6 \(1 more lines do not fit\)"),
        (",1,2,3,4,cat\n", "1 rows name no image: line 3"),
    ],
)
def test_rows_that_do_not_fit_the_header_are_refused(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DatasetError, match=f"E103 .*train.csv.*{message}"):
        load(tmp_path, HEADER + "b.png,1,2,3,4,dog\n" + row)


@pytest.mark.parametrize("rows", ["b.png,,,,,\n\n,,,,,\n  \n", "b.png,,,,,,,\n"])
def test_empty_rows_and_empty_cells_at_the_end_are_skipped(tmp_path: Path, rows: str) -> None:
    dataset = load(tmp_path, HEADER + "a.png,1,2,3,4,cat,,\n" + rows)
    assert [len(record.truth.labels) for record in dataset.splits["train"].records] == [1, 0]


def test_a_delimiter_at_the_end_of_each_line(tmp_path: Path) -> None:
    dataset = load(tmp_path, "image,xmin,ymin,xmax,ymax,label,\na.png,1,2,3,4,cat,\nb.png,1,2,3,4,cat\n")
    assert sum(len(record.truth.labels) for record in dataset.splits["train"].records) == 2
    assert "not used" not in notes(dataset)


@pytest.mark.parametrize(
    "name", ["nut, green", 'the "green" nut', "two\nlines", "a;b;c;d;e;f;g;h", '12" nut', "x\u2028y"]
)
def test_class_names_may_hold_anything_in_quotation_marks(tmp_path: Path, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    dataset = load(tmp_path, f"{HEADER}a.png,1,2,3,4,{quoted}\nb.png, 1, 2, 3, 4, {quoted}\nb.png,5,6,7,8,other\n")
    assert dataset.classes.names == tuple(sorted([name, "other"]))


def test_lines_are_counted_through_quoted_line_ends(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="line 4 has 2 cells"):
        load(tmp_path, HEADER + 'a.png,1,2,3,4,"two\nlines"\nb.png,1\n')


@pytest.mark.parametrize(
    "text",
    [
        "image;xmin;ymin;xmax;ymax;label, by hand, twice, checked, signed, dated\n",
        "note, a, b, c, d, e, f, g;image;xmin;ymin;xmax;ymax;label\n",
    ],
)
def test_the_header_decides_the_delimiter_by_its_names(tmp_path: Path, text: str) -> None:
    columns = text.strip().replace("label, by hand, twice, checked, signed, dated", "label")
    row = {"image": "a.png", "xmin": "1", "ymin": "2", "xmax": "30,5", "ymax": "40", "label": "a, b"}
    cells = ";".join(row.get(name, "") for name in columns.split(";"))
    dataset = load(tmp_path, f"{columns}\n{cells}\n")
    assert dataset.splits["train"].records[0].truth.boxes.tolist() == [[1, 2, 30.5, 40]]
    assert "train.csv: numbers with a decimal comma: 1, e.g. 30,5 is 30.5" in notes(dataset)


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters(tmp_path: Path, delimiter: str) -> None:
    rows = HEADER + "a.png,1,2,3,4,cat\n"
    assert len(load(tmp_path, rows.replace(",", delimiter)).splits["train"].records) == 1


def test_excels_line_that_states_the_delimiter(tmp_path: Path) -> None:
    text = "sep=;\n" + HEADER.replace(",", ";") + "a.png;1;2;3;4;cat\n"
    assert load(tmp_path, text).splits["train"].records[0].truth.boxes.tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("stated", ['"', "a", "'", ".", " ", ""])
def test_a_stated_delimiter_that_cannot_be_one_is_ignored(tmp_path: Path, stated: str) -> None:
    with pytest.raises(DatasetError, match=r"E103 .*lacks the columns"):
        load(tmp_path, f"sep={stated}\n{HEADER}a.png,1,2,3,4,cat\n")


def test_a_comma_that_may_part_thousands_is_not_guessed(tmp_path: Path) -> None:
    text = HEADER.replace(",", ";") + "a.png;1;2;1,234;4;cat\nb.png;1;2;3;4;cat\n"
    assert "needs four numbers but has [1, 2, 1,234, 4]; dropped" in notes(load(tmp_path, text))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings_with_a_mark_are_read(tmp_path: Path, encoding: str) -> None:
    root = folder(tmp_path)
    (root / "boxes.csv").write_bytes((HEADER + "a.png,1,2,3,4,Zoë\n").replace(",", "\t").encode(encoding))
    assert load_dataset(root, DataConfig()).classes.names == ("Zoë",)


def test_other_encodings_are_named(tmp_path: Path) -> None:
    root = folder(tmp_path)
    (root / "train.csv").write_bytes((HEADER + "a.png,1,2,3,4,Zoë\n").encode("cp1252"))
    with pytest.raises(DatasetError, match=r"E102 .*train\.csv is not text in UTF-8: byte \d+ .*line 2"):
        load_dataset(root, DataConfig())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('a.png,1,2,3,4,"cat\nb.png,1,2,3,4,dog\n', "line 2 on: a quotation mark is not closed"),
        ('b.png,1,2,3,4,dog\na.png,1,2,3,4,"c"at\n', "line 3 on: "),
        ("a.png,1,2,3,4," + "c" * 200_000 + "\n", "line 2 on: a cell has over 131,072 characters, as if a quotation"),
    ],
)
def test_rows_that_cannot_be_split_into_cells_are_refused(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(DatasetError, match=f"E102 .*train.csv is not read from {message}"):
        load(tmp_path, HEADER + rows)


@pytest.mark.parametrize("written", ["nan", "inf", "1e999", "9" * 5000, "1_0", "", "0x10"])
def test_an_invalid_number_is_a_fault_of_its_row(tmp_path: Path, written: str) -> None:
    dataset = load(tmp_path, f"{HEADER}a.png,{written},2,3,4,cat\nb.png,1,2,3,4,cat\n")
    assert "boxes clipped or dropped: 1 of 2" in notes(dataset)


# ---- columns


def test_columns_that_are_not_used_are_named(tmp_path: Path) -> None:
    dataset = load(tmp_path, "image,xmin,ymin,xmax,ymax,label,score,Pose\na.png,1,2,3,4,cat,0.5,left\n")
    assert "train.csv: columns that are not used: score, Pose" in notes(dataset)


@pytest.mark.parametrize("header", ["image,xmin,ymin,xmax,ymax,label,label", "image,xmin,xmin,ymin,xmax,ymax,label"])
def test_a_column_twice_is_refused(tmp_path: Path, header: str) -> None:
    with pytest.raises(DatasetError, match=r"E103 .*train\.csv has the column (label|xmin) twice"):
        load(tmp_path, header + "\na.png,1,2,3,4,5,cat\n")


def test_two_columns_of_one_meaning_are_reported(tmp_path: Path) -> None:
    dataset = load(tmp_path, "path,image,xmin,ymin,xmax,ymax,label,class\n/x/a.png,a.png,1,2,3,4,cat,animal\n")
    assert dataset.classes.names == ("cat",)
    assert "columns that are not used: path, class" in notes(dataset)


@pytest.mark.parametrize("header", ["Image Name,X-Min,Y-Min,X-Max,Y-Max,Class Name", "FILENAME,x1,y1,x2,y2,Category"])
def test_other_names_of_columns(tmp_path: Path, header: str) -> None:
    dataset = load(tmp_path, header + "\na.png,1,2,3,4,cat\n")
    assert dataset.splits["train"].records[0].truth.boxes.tolist() == [[1, 2, 3, 4]]


def test_sizes_that_contradict_each_other(tmp_path: Path) -> None:
    header = "image,width,height,xmin,ymin,xmax,ymax,label\n"
    rows = "a.png,100,80,1,2,3,4,cat\na.png,50,40,1,2,3,4,cat\nb.png,100.0,80,1,2,3,4,cat\n"
    assert "E106 rows of train.csv about a.png give it the sizes 100x80 and 50x40" in notes(
        load(tmp_path, header + rows)
    )


# ---- images and files


def test_rows_of_one_image_under_several_names_are_one_image(tmp_path: Path) -> None:
    rows = "a.png,1,2,3,4,cat\n./a.png,5,6,7,8,dog\nimages\\a.png,9,10,11,12,cat\n"
    dataset = load(tmp_path, HEADER + rows)
    [record] = dataset.splits["train"].records
    assert record.truth.boxes.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
    assert "images with several names in the rows, joined: ./a.png = a.png = images\\a.png" in notes(dataset)


def test_names_of_other_machines(tmp_path: Path) -> None:
    dataset = load(tmp_path, HEADER + "C:\\data\\a.png,1,2,3,4,cat\n/home/zoe/b.png,1,2,3,4,cat\n")
    assert [record.path.name for record in dataset.splits["train"].records] == ["b.png", "a.png"]
    assert "(backslashes and found by the end of the path): 1, e.g. C:\\data\\a.png is" in notes(dataset)


def test_a_file_in_the_folder_of_each_split(tmp_path: Path) -> None:
    """Roboflow's export for TensorFlow."""
    for split in ("train", "valid"):
        (tmp_path / split).mkdir()
        Image.new("RGB", (100, 80)).save(tmp_path / split / "a.png")
        text = "filename,width,height,class,xmin,ymin,xmax,ymax\na.png,100,80,cat,1,2,3,4\n"
        (tmp_path / split / "_annotations.csv").write_text(text)
    dataset = load_dataset(tmp_path, DataConfig())
    assert [split.records[0].path.parent.name for split in dataset.splits.values()] == ["train", "valid"]


def test_other_tables_beside_the_boxes_are_no_split(tmp_path: Path) -> None:
    root = folder(tmp_path, boxes=HEADER + "a.png,1,2,3,4,cat\n", cameras="camera,lens\nfront,35\n")
    assert find_splits(root) == {"train": root / "boxes.csv"}
    assert unused(root, [root / "boxes.csv"]) == ["CSV files that are not read as annotations: 1 (cameras.csv)"]
    assert "CSV files that are not read as annotations: 1 (cameras.csv)" in notes(load_dataset(root, DataConfig()))


def test_a_table_of_something_else_hides_no_other_format(tmp_path: Path) -> None:
    root = folder(tmp_path, cameras="camera,lens\nfront,35\n")
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>"
    (root / "images" / "a.xml").write_text(f"<annotation><object><name>cat</name>{box}</object></annotation>")
    (root / "Annotations").mkdir()
    (root / "images" / "a.xml").rename(root / "Annotations" / "a.xml")
    assert load_dataset(root, DataConfig()).format == "VOC XML"


def test_tables_without_a_split_in_their_names_must_be_named(tmp_path: Path) -> None:
    folder(tmp_path, one=HEADER + "a.png,1,2,3,4,cat\n", two=HEADER + "b.png,1,2,3,4,cat\n")
    with pytest.raises(DatasetError, match=r"E101 .*one\.csv, two\.csv.*--set data\.train=FILE --set data\.val=FILE"):
        load_dataset(tmp_path, DataConfig())
    assert list(load_dataset(tmp_path, DataConfig(train="one.csv", val="two.csv")).splits) == ["train", "val"]


def test_the_missing_columns_of_the_only_table_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"E103 .*lacks the columns xmin, ymin, xmax, ymax, label"):
        load_dataset(folder(tmp_path, boxes="image,bbox\na.png,1 2 3 4\n"), DataConfig())


@pytest.mark.parametrize(
    ("column", "words"), [("split", ("train", "val")), ("Subset", ("TRAIN", "VALIDATION")), ("set", ("train", "test"))]
)
def test_rows_of_several_splits_are_not_read_as_one(tmp_path: Path, column: str, words: tuple[str, str]) -> None:
    header = f"image,xmin,ymin,xmax,ymax,label,{column}\n"
    rows = [f"{name}.png,1,2,3,4,cat,{word}\n" for name, word in zip("ab", words, strict=True)]
    several, one = tmp_path / "several", tmp_path / "one"
    several.mkdir()
    one.mkdir()
    folder(several, annotations=header + "".join(rows))
    with pytest.raises(DatasetError, match=rf"E103 .*column {column} .*{words[0]} 1, {words[1]} 1.*train\.csv"):
        load_dataset(several, DataConfig())
    folder(one, train=header + rows[0])
    notes = load_dataset(one, DataConfig()).splits["train"].notes
    assert f"train.csv: columns that are not used: {column}" in notes


def test_rows_without_a_header_in_the_folder_of_a_split_are_refused_as_at_the_top(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    Image.new("RGB", (100, 80)).save(tmp_path / "train" / "a.png")
    for rows in ("a.png,1,2,3,4,cat\n", "b.png,,,,,\na.png,1,2,3,4,cat\n"):
        (tmp_path / "train" / "_annotations.csv").write_text(rows)
        with pytest.raises(DatasetError, match=r"E103 .*train/_annotations\.csv lacks the columns image, "):
            load_dataset(tmp_path, DataConfig())
    (tmp_path / "train" / "_annotations.csv").write_text("a.png,1,2,much,4,cat\n")  # a table of something else
    with pytest.raises(DatasetError, match=r"E101 .*no annotations that are known"):
        load_dataset(tmp_path, DataConfig())
