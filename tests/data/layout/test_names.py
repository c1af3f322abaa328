"""File names of other machines: the file that is found, and the note about it."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Literal

import pytest

from faster_rcnn.data.layout.folders import Folders
from faster_rcnn.data.layout.listing import Fault
from faster_rcnn.data.layout.names import Located, holders, locate, spellings

Form = Literal["NFC", "NFD"]


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode(errors="surrogateescape"))
    return root


def find(name: str, *roots: Path) -> Located:
    return locate([name], roots, Folders())


@pytest.mark.parametrize(
    ("written", "file", "what"),
    [
        ("a.jpg", "a.jpg", None),
        ("./a.jpg", "a.jpg", None),
        ("sub/a.jpg", "sub/a.jpg", None),
        ("sub\\a.jpg", "sub/a.jpg", "backslashes"),
        (".\\sub\\a.jpg", "sub/a.jpg", "backslashes"),
        ("my%20photo%200.jpg", "my photo 0.jpg", "percent signs"),
        ("caf%C3%A9.jpg", "café.jpg", "percent signs"),
        ("sub%5Ca.jpg", "a.jpg", None),  # a coded backslash is no separator, so there is no such file
        ("100%.jpg", "100%.jpg", None),
        ("a%20b.jpg", "a%20b.jpg", None),
        (" a.jpg ", "a.jpg", "blanks around the name"),
        ("https://host.example/bucket/a.jpg?key=1#x", "a.jpg", "an address and found by the end of the path"),
        ("s3://bucket/sub/a.jpg", "sub/a.jpg", "found by the end of the path"),
        ("file:///home/zoe/sub/a.jpg", "sub/a.jpg", "found by the end of the path"),
        ("/data/local-files/?d=sub/a.jpg", "sub/a.jpg", "an address"),
        ("/data/upload/1/a.jpg", "a.jpg", "found by the end of the path"),
        ("/data/upload/1/a.jpg", "1/a.jpg", "found by the end of the path"),
        ("C:\\Users\\Zoë\\my%20a.jpg", "my%20a.jpg", "backslashes and found by the end of the path"),
        ("C:\\Users\\my%20a.jpg", "my a.jpg", "backslashes and percent signs and found by the end of the path"),
    ],
)
def test_spellings_lead_to_the_file(tmp_path: Path, written: str, file: str, what: str | None) -> None:
    make(tmp_path, file)
    found = find(written, tmp_path)
    if "%5C" in written:
        assert not found.paths[0].exists()
        return
    assert found.paths == (tmp_path / file,)
    assert found.faults == (None,)
    notes = [f"file names in another spelling ({what}): 1, e.g. {written} is {tmp_path / file}"] if what else []
    assert list(found.notes) == notes


@pytest.mark.parametrize(("on_disk", "in_file"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_in_one_character_or_two_are_the_same_letter(tmp_path: Path, on_disk: Form, in_file: Form) -> None:
    names = ["äpfel/é0.jpg", "äpfel/é1.jpg"]
    make(tmp_path, *(unicodedata.normalize(on_disk, name) for name in names))
    written = [unicodedata.normalize(in_file, name) for name in names]
    found = locate(written, [tmp_path], Folders())
    assert [path.read_text() for path in found.paths] == [unicodedata.normalize(on_disk, name) for name in names]
    assert "(accents in one character or two): 2" in found.notes[0]


def test_two_files_that_differ_only_in_composition_are_both_named(tmp_path: Path) -> None:
    both = [unicodedata.normalize("NFC", "é.jpg"), unicodedata.normalize("NFD", "é.jpg")]
    make(tmp_path, *both)
    exact = locate(both, [tmp_path], Folders())
    assert exact.faults == (None, None)
    assert [path.name for path in exact.paths] == both
    mixed = "sub/" + both[0]  # not there as it is written: its end is
    assert find(mixed, tmp_path).faults == (None,)
    third = unicodedata.normalize("NFD", "ế.jpg")[:2] + "\u0301.jpg"
    make(tmp_path / "three", unicodedata.normalize("NFC", "ế.jpg"), unicodedata.normalize("NFD", "ế.jpg"))
    half = "\u00ea\u0301.jpg"  # a third way to write it, which is on no disk
    assert unicodedata.normalize("NFC", half) == unicodedata.normalize("NFC", third)
    [fault] = find(half, tmp_path / "three").faults
    assert fault is not None
    assert fault.code == "E104"
    assert fault.text.count("three") == 2


def test_letter_case_is_not_guessed(tmp_path: Path) -> None:
    make(tmp_path, "A.JPG")
    found = find("x\\a.jpg", tmp_path)
    assert not found.notes
    assert Folders().hint(found.paths[0]) == " (a file 'A.JPG' exists: letter case?)"


def test_the_folder_with_most_names_comes_first_and_the_rest_is_counted(tmp_path: Path) -> None:
    one, two = make(tmp_path / "one", "a.jpg"), make(tmp_path / "two", "b.jpg", "c.jpg")
    found = locate(["a.jpg", "b.jpg", "c.jpg"], [one, two], Folders())
    assert found.paths == (one / "a.jpg", two / "b.jpg", two / "c.jpg")
    assert list(found.notes) == [f"files that are not in {two} but in another folder: 1 ({one / 'a.jpg'})"]


def test_a_name_that_fits_two_folders_names_both(tmp_path: Path) -> None:
    most, one, two = (make(tmp_path / name, "b.jpg") for name in ("most", "one", "two"))
    for folder in (one, two):
        make(folder, "a.jpg")
    make(most, "c.jpg", "d.jpg")
    found = locate(["a.jpg", "b.jpg", "c.jpg", "d.jpg"], [one, two, most], Folders())
    assert found.faults == (
        Fault("E104", f"a.jpg fits both {one / 'a.jpg'} and {two / 'a.jpg'}"), None, None, None,
    )  # fmt: skip


def test_equal_names_in_two_folders_are_reported_unless_they_are_equal_files(tmp_path: Path) -> None:
    one, two = make(tmp_path / "one", "a.jpg"), make(tmp_path / "two", "a.jpg")
    assert not find("a.jpg", one, two).notes
    (two / "a.jpg").write_text("another")
    [note] = find("a.jpg", one, two).notes
    assert note.startswith(f"files of the same names, but of other content, are in {one} and in {two}")


def test_two_paths_that_end_alike_do_not_share_a_file(tmp_path: Path) -> None:
    make(tmp_path, "0.jpg", "1.jpg")
    found = locate(["/cam0/0.jpg", "/cam1/0.jpg", "/cam0/1.jpg"], [tmp_path], Folders())
    fault = Fault("E104", f"/cam0/0.jpg, /cam1/0.jpg end like one file, {tmp_path / '0.jpg'}")
    assert found.faults == (fault, fault, None)


def test_the_longest_end_of_a_path_decides(tmp_path: Path) -> None:
    make(tmp_path, "0.jpg", "cam1/0.jpg")
    found = locate(["/old/cam1/0.jpg", "/old/cam2/0.jpg"], [tmp_path], Folders())
    assert found.paths == (tmp_path / "cam1/0.jpg", tmp_path / "0.jpg")
    assert found.faults == (None, None)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "/",
        "sub",
        "sub/",
        "a\0.jpg",
        "s\0ub/a.jpg",
        "\ud800/é.jpg",
        "x" * 300 + "/é",
        "a/" * 100_000,
        "e\u0301\u0323" * 100_000,
    ],
)
def test_impossible_file_names_are_not_found(tmp_path: Path, name: str) -> None:
    make(tmp_path, "sub/a.txt")
    found = find(name, tmp_path)
    assert not Folders().has(found.paths[0]) or found.paths[0].is_dir()
    assert "\0" not in str(found.paths[0])


def test_bytes_that_are_no_utf8_can_be_named_by_percent_signs(tmp_path: Path) -> None:
    make(tmp_path, "caf\udce9.jpg")  # Latin-1 on the disk, as Python reads it
    assert find("caf%E9.jpg", tmp_path).paths == (tmp_path / "caf\udce9.jpg",)


def test_absolute_names_of_this_machine_are_used_unchanged(tmp_path: Path) -> None:
    make(tmp_path, "here/a.jpg", "there/a.jpg")
    found = find(str(tmp_path / "there/a.jpg"), tmp_path / "here")
    assert found.paths == (tmp_path / "there/a.jpg",)
    assert not found.notes


def test_holders_of_names(tmp_path: Path) -> None:
    one, two, three = (make(tmp_path / name, "x.jpg") for name in ("one", "two", "three"))
    make(two, "a.jpg")
    make(three, "a.jpg", "b.jpg")
    assert holders(["a.jpg", "b.jpg"], [one, two, three], Folders()) == [three, two]
    assert holders(["/old/a.jpg", "\\old\\b.jpg"], [one, two, three], Folders()) == [three, two]
    assert holders(["z.jpg"], [one, two, three], Folders()) == []


def test_spellings_start_with_the_name_itself() -> None:
    assert spellings("a b.jpg") == [("", "a b.jpg")]
    assert spellings("D:\\a%20b.jpg") == [
        ("", "D:\\a%20b.jpg"),
        ("backslashes", "D:/a%20b.jpg"),
        ("backslashes and percent signs", "D:/a b.jpg"),
    ]
