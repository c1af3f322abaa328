"""One XML: flags by their meaning, encodings, boxes of other tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.data.formats.voc_xml import Annotation, read_annotation
from faster_rcnn.data.layout.listing import Fault
from faster_rcnn.errors import DatasetError

BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>"


def read(folder: Path, *objects: str, head: str = "", encoding: str = "utf-8", more: str = "") -> Annotation:
    text = f"{head}<annotation>{more}{''.join(f'<object>{each}</object>' for each in objects)}</annotation>"
    (folder / "a.xml").write_bytes(text.encode(encoding))
    found = read_annotation(folder / "a.xml", "x/a.xml", 1)
    assert isinstance(found, Annotation)
    return found


@pytest.mark.parametrize("word", ["0", "", "False", "no", "Unspecified", "NONE", " 0 ", "0.0", "f"])
def test_not_difficult(tmp_path: Path, word: str) -> None:
    found = read(tmp_path, f"<name>cat</name><difficult>{word}</difficult>{BOX}")
    assert (found.boxes[0].ignored, found.unclear) == (False, ())


@pytest.mark.parametrize("word", ["1", "True", "YES", "1.0", "t\n"])
def test_difficult(tmp_path: Path, word: str) -> None:
    found = read(tmp_path, f"<name>cat</name><difficult>{word}</difficult>{BOX}")
    assert (found.boxes[0].ignored, found.unclear) == (True, ())


@pytest.mark.parametrize("word", ["maybe", "2", "nan", "-1", "hard"])
def test_other_words_are_not_difficult_and_kept_for_a_note(tmp_path: Path, word: str) -> None:
    found = read(tmp_path, f"<name>cat</name><difficult>{word}</difficult>{BOX}", f"<name>cat</name>{BOX}")
    assert [box.ignored for box in found.boxes] == [False, False]
    assert found.unclear == (word,)


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [("gb2312", "gb2312"), ("Shift-JIS", "cp932"), ("UTF-16", "utf-16"), ("big5", "big5"), ("windows-1252", "cp1252")],
)
def test_names_in_declared_encodings(tmp_path: Path, declared: str, encoding: str) -> None:
    name = {"cp1252": "haselnuß", "cp932": "なつめ", "big5": "紅棗"}.get(encoding, "红枣")
    head = f'<?xml version="1.0" encoding="{declared}"?>\n'
    found = read(tmp_path, f"<name>{name}</name>{BOX}", head=head, encoding=encoding)
    assert found.boxes[0].category == name


def test_a_wrong_declaration_is_a_fault_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(
        '<?xml version="1.0" encoding="utf-8"?><annotation>ß</annotation>'.encode("cp1252")
    )
    fault = read_annotation(tmp_path / "a.xml", "x/a.xml", 1)
    assert isinstance(fault, Fault)
    assert fault.code == "E102"
    assert 'a.xml declares encoding="utf-8", but byte 50' in fault.text


def test_a_polygon_beside_the_box_is_voc(tmp_path: Path) -> None:
    polygon = "<polygon><x1>10</x1><y1>10</y1><x2>20</x2><y2>10</y2></polygon>"
    found = read(tmp_path, f"<name>cat</name>{polygon}{BOX}", f"<name>dog</name>{polygon}")
    assert found.boxes[0].written == ("1", "2", "30", "40")
    assert found.boxes[1].where == "object 2 ('dog'), which has no <bndbox>,"
    assert found.boxes[1].written == ("", "", "", "")


def test_polygons_without_any_box_are_labelme(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"E103 .*a\.xml is a LabelMe file with polygons"):
        read(tmp_path, "<name>cat</name><polygon><pt><x>1</x><y>1</y></pt></polygon>")


def test_the_box_around_a_rotated_one(tmp_path: Path) -> None:
    """roLabelImg: a quarter turn exchanges the sides, and pixels are counted from 1 as everywhere in the file."""
    shape = "<cx>50</cx><cy>40</cy><w>20</w><h>10</h><angle>1.5707963267948966</angle>"
    found = read(tmp_path, f"<name>cat</name><robndbox>{shape}</robndbox>")
    # 50 -+ 5 and 40 -+ 10; 1 is added to the left and upper edge, from which the reader subtracts it
    assert found.boxes[0].written == pytest.approx((46, 31, 55, 50))
    assert found.rotated == 1


def test_a_rotated_box_without_numbers_is_no_box(tmp_path: Path) -> None:
    found = read(tmp_path, "<name>cat</name><robndbox><cx>50</cx><cy>x</cy></robndbox>")
    assert found.boxes[0].written == ("", "", "", "")


def test_several_boxes_of_an_object_are_counted(tmp_path: Path) -> None:
    assert read(tmp_path, f"<name>cat</name>{BOX}{BOX}", f"<name>cat</name>{BOX}").repeated == 1


def test_a_part_is_no_object(tmp_path: Path) -> None:
    found = read(tmp_path, f"<name>person</name><part><name>head</name>{BOX}</part>{BOX}")
    assert [box.category for box in found.boxes] == ["person"]
    assert found.repeated == 0


@pytest.mark.parametrize("size", ["1e999", "nan", "-5", "x", "0", ""])
def test_invalid_sizes_are_ignored(tmp_path: Path, size: str) -> None:
    assert read(tmp_path, more=f"<size><width>{size}</width><height>9</height></size>").size is None


@pytest.mark.parametrize("name", ["C:\\photos\\cat 1.jpg", "/home/me/cat 1.jpg", "cat 1.jpg", " cat 1.jpg\n"])
def test_the_file_name_is_the_last_part_of_a_path(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, more=f"<filename>{name}</filename>").file_name == "cat 1.jpg"
