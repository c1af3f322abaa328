"""The text of a CSV: cells by hand, and the standard library's writer as an oracle."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faster_rcnn.data.formats.table_text import Row, has_known_header, is_without_header, read_table
from faster_rcnn.errors import DatasetError

HEADER = "image,xmin,ymin,xmax,ymax,label"


def written(folder: Path, text: str) -> Path:
    path = folder / "boxes.csv"
    path.write_text(text, newline="")
    return path


def test_rows_have_the_line_of_the_file_and_the_cells_in_one_order(tmp_path: Path) -> None:
    text = "label;ymax;xmax;ymin;xmin;note;image;height;width\r\n\r\ncat;4;3;2;1;x;a.jpg;80;100\r\n;;;;;;b.jpg;;\r\n"
    table = read_table(written(tmp_path, text))
    assert table.rows == (
        Row(3, "a.jpg", ("1", "2", "3", "4"), "cat", ("80", "100")),
        Row(4, "b.jpg", ("", "", "", ""), "", ("", "")),
    )
    assert table.unused == ("note",)


def test_one_column_of_a_size_is_none(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, f"{HEADER},width\na,1,2,3,4,cat,100\n"))
    assert table.rows == (Row(2, "a", ("1", "2", "3", "4"), "cat"),)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(st.integers(0, 9), st.text(st.characters(blacklist_categories=["Cs", "Cc"])))),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
)
def test_whatever_a_csv_writer_writes_is_read(tmp_path: Path, rows: list[tuple[int, str]], delimiter: str) -> None:
    path = tmp_path / "boxes.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(HEADER.split(","))
        writer.writerows((f"{number}.jpg", 1, 2, 3, 4, label) for number, label in rows)
    table = read_table(path)
    assert [(row.image, row.label) for row in table.rows] == [
        (f"{number}.jpg", label.strip()) for number, label in rows
    ]


@pytest.mark.parametrize(
    ("text", "known", "bare"),
    [
        (f"{HEADER}\n", True, False),
        (f"\n\n{HEADER.upper()}\n", True, False),
        (f"sep=;\n{HEADER.replace(',', ';')}\n", True, False),
        (f"\ufeff{HEADER}", True, False),
        ("Image Name,X-Min,Y-Min,X-Max,Y-Max,Class Name", True, False),
        ("image,xmin,ymin,xmax,label\n", False, False),
        ("a.jpg,1,2,3,4,cat\n", False, True),
        ("a.jpg,,,,,\n", False, True),  # an image without objects
        ("a.jpg,1,2,3,wide,cat\n", False, False),
        ("a.jpg,1,2,3,4\n", False, False),
        ("", False, False),
    ],
)
def test_the_first_line_decides_what_a_file_is(tmp_path: Path, text: str, known: bool, bare: bool) -> None:
    path = written(tmp_path, text)
    assert (has_known_header(path), is_without_header(path)) == (known, bare)


def test_files_that_cannot_be_read_are_no_tables(tmp_path: Path) -> None:
    assert not has_known_header(tmp_path / "absent.csv")
    assert not is_without_header(tmp_path)
    (tmp_path / "wide.csv").write_bytes(f"{HEADER}\n".encode("utf-16"))
    assert has_known_header(tmp_path / "wide.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEADER}\na,1,2,3,4\n", r"E103 .*boxes\.csv line 2 has 5 cells, the header 6: a,1,2,3,4; is the line cut\?"),
        (f"{HEADER}\na,1,2,3,4,x,y\n", r"E103 .*line 2 has 7 cells, the header 6: .*; text that holds ',' must be"),
        ("image,xmin,ymin,label\n", "E103 .*lacks the columns xmax, ymax: the header must be"),
        ("ImageID,LabelName,XMin,XMax,YMin,YMax\n", "E103 .*it is an Open Images file, whose numbers are shares"),
        ("1,2,3,4,5,6\n", "E103 .*its first line is no header"),
        (f"{HEADER},label\na,1,2,3,4,x,y\n", "E103 .*has the column label twice"),
        (f'{HEADER}\na,1,2,3,4,"x\n', "E102 .*is not read from line 2 on: a quotation mark is not closed"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_table(written(tmp_path, text))
