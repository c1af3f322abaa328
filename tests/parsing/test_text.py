"""Encodings: marked and declared ones are read, all others are refused with likely readings."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.text import read_text, read_xml_text

WORDS = "naïve 红枣\nä\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_is_read_in_each_of_its_marked_forms(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.txt").write_bytes(WORDS.encode(encoding))
    assert read_text(tmp_path / "a.txt") == WORDS


def test_lines_end_with_newlines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a\r\nb\rc\n")
    assert read_text(tmp_path / "a.txt") == "a\nb\nc\n"


def test_big_endian_utf_16_has_another_mark(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xfe\xff" + WORDS.encode("utf-16-be"))
    assert read_text(tmp_path / "a.txt") == WORDS


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        # 'names: [pi' are 10 bytes, and a line of 5 before it
        ("a: 1\nnames: [piña, fig]\n".encode("cp1252"), r"byte 15 \(0xF1, line 2\).*cp1252 gives '\[piña,'"),
        ("名字 红枣".encode("gb18030"), r"byte 0 \(0xC3, line 1\).*gb18030 gives '名字'"),
        ("name: なつめ".encode("cp932"), r"byte 6 \(0x82, line 1\).*cp932 gives 'なつめ'"),
        (b"\x00\x05\x16\x07Mac OS X", "is not text: byte 0 is zero"),
        ("cat".encode("utf-16-le"), "byte 1 is zero. If it is text in UTF-16 without a byte order mark, save it"),
        (b"\xff\xfea", r"is not text in UTF-16: byte 2"),
    ],
)
def test_other_encodings_are_named_and_not_guessed(tmp_path: Path, raw: bytes, message: str) -> None:
    (tmp_path / "a.txt").write_bytes(raw)
    with pytest.raises(DatasetError, match=rf"E102 .*a\.txt .*{message}"):
        read_text(tmp_path / "a.txt")


@pytest.mark.parametrize(
    "declared", ["punycode", "idna", "unicode_escape", "utf-7", "rot13", "hex", "zip", "undefined"]
)
def test_encodings_that_are_none_of_a_file_are_not_used(tmp_path: Path, declared: str) -> None:
    (tmp_path / "a.xml").write_text(f'<?xml version="1.0" encoding="{declared}"?><a>\\ud800 +2AA- xn--{"a" * 20}</a>')
    with pytest.raises(DatasetError, match=rf'E102 .* declares encoding="{declared}", .*it is UTF-8, so declare that'):
        read_xml_text(tmp_path / "a.xml")


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"E102 cannot read .*: Is a directory"):
        read_text(tmp_path)


def xml(encoding: str | None, text: str = "红枣") -> str:
    declaration = "" if encoding is None else f'<?xml version="1.0" encoding="{encoding}"?>\n'
    return f"{declaration}<annotation><name>{text}</name></annotation>"


@pytest.mark.parametrize(
    ("declared", "written"),
    [
        (None, "utf-8"),
        (None, "utf-16"),
        ("utf-8", "utf-8-sig"),
        ("gb2312", "gb2312"),
        ("GBK", "gbk"),
        ("big5", "utf-16"),  # the byte order mark decides
        ("utf-16", "utf-16"),
        ("UTF-16", "utf-16-le"),
        ("utf-16", "utf-16-be"),
    ],
)
def test_xml_is_read_in_the_encoding_that_it_declares(tmp_path: Path, declared: str | None, written: str) -> None:
    (tmp_path / "a.xml").write_bytes(xml(declared).encode(written))
    assert ElementTree.fromstring(read_xml_text(tmp_path / "a.xml")).findtext("name") == "红枣"


@pytest.mark.parametrize(
    ("declared", "written", "text"),
    [
        ("gb2312", "gb18030", "镕"),
        ("Shift-JIS", "cp932", "①なつめ"),
        ("big5", "cp950", "紅棗€"),
        ("euc-kr", "cp949", "햏"),
    ],
)
def test_files_that_use_more_than_they_declare_are_read(tmp_path: Path, declared: str, written: str, text: str) -> None:
    with pytest.raises(UnicodeDecodeError):
        text.encode(written).decode(declared)
    (tmp_path / "a.xml").write_bytes(xml(declared, text).encode(written))
    assert ElementTree.fromstring(read_xml_text(tmp_path / "a.xml")).findtext("name") == text


@pytest.mark.parametrize(
    ("declared", "written", "message"),
    [
        ("utf-8", "gb2312", r'declares encoding="utf-8", but byte \d+ \(0xBA, line 2\).*save it as UTF-8'),
        (
            "klingon",
            "utf-8",
            'declares encoding="klingon", which is not a known encoding; it is UTF-8, so declare',
        ),
        ("rot13", "utf-8", 'declares encoding="rot13", which is not a known encoding'),
        ("gb2312", "utf-8", 'declares encoding="gb2312", but byte .* it is UTF-8, so declare that'),
        ("utf-16", "utf-8", 'declares encoding="utf-16", which it is not; it is UTF-8, so declare that'),
    ],
)
def test_a_wrong_declaration_is_an_error_of_the_file(tmp_path: Path, declared: str, written: str, message: str) -> None:
    (tmp_path / "a.xml").write_bytes(xml(declared).encode(written))
    with pytest.raises(DatasetError, match=rf"E102 .*a\.xml {message}"):
        read_xml_text(tmp_path / "a.xml")
