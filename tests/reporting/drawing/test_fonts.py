from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings, strategies
from PIL import ImageFont

from faster_rcnn.cli.main import main
from faster_rcnn.reporting.drawing import fonts
from faster_rcnn.reporting.drawing.boxes import draw_boxes
from faster_rcnn.reporting.drawing.fonts import Lettering, font_folders, letterings
from faster_rcnn.structures import ClassMap
from files import image_file, model_file

matplotlib = pytest.importorskip("matplotlib", reason="its fonts stand for those of a machine")
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@pytest.fixture(autouse=True)
def _afresh() -> Iterator[None]:
    letterings.cache_clear()
    yield
    letterings.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the only one in which fonts are searched."""
    monkeypatch.setattr(fonts, "font_folders", lambda: [tmp_path])
    return tmp_path


def written(*names: str) -> tuple[Lettering, ...]:
    return letterings(ClassMap(names, tuple(range(10, 10 + len(names)))))


def test_plain_names_need_no_font_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "font_folders", lambda: pytest.fail("fonts were searched"))
    assert written("cat", "50%", " ") == (
        Lettering("cat", (None,) * 3),
        Lettering("50%", (None,) * 3),
        Lettering("#12", (None,) * 3),
    )


def test_a_name_is_written_in_a_font_that_has_its_letters(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "deep").mkdir()
    shutil.copy(FONTS / "cmr10.ttf", folder)  # has no Cyrillic letters
    shutil.copy(FONTS / "DejaVuSans.ttf", folder / "deep")
    (folder / "broken.ttf").write_bytes(b"no font")
    (one,) = written("кошка 1")
    assert one == Lettering("кошка 1", (str(folder / "deep" / "DejaVuSans.ttf"),) * 7)
    assert one.runs() == [("кошка 1", str(folder / "deep" / "DejaVuSans.ttf"))]
    assert caplog.text == ""


def test_fonts_are_searched_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []

    def counted() -> list[Path]:
        calls.append(folder)
        return [folder]

    monkeypatch.setattr(fonts, "font_folders", counted)
    for _ in range(3):
        written("кошка", "собака", "птица")
    assert calls == [folder]


@pytest.mark.parametrize("name", ["日本語クラス", "แมว", "\ue000\ue001", "देवनागरी"])
def test_a_name_that_no_font_can_write_is_its_id_with_one_warning(
    folder: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    classes = ClassMap(("cat", name), (7, 30))
    with caplog.at_level(logging.WARNING, "faster_rcnn"):
        for _ in range(3):
            draw_boxes(torch.zeros(3, 90, 120, dtype=torch.uint8), torch.tensor([[9.0, 9, 80, 80]]), [1], classes)
    assert [one.text for one in letterings(classes)] == ["cat", "#30"]
    assert len(caplog.records) == 1
    message = caplog.records[0].getMessage()
    assert f"{name!r} as '#30'" in message
    assert "apt-get install" in message


def test_many_such_names_are_one_warning_with_examples(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "faster_rcnn"):
        written("猫", "犬", "鳥", "馬", "牛")
    (record,) = caplog.records
    assert "'猫' as '#10', '犬' as '#11', '鳥' as '#12' and 2 more" in record.getMessage()


@pytest.mark.parametrize(
    ("name", "text"),
    [("café", "cafe"), ("🌴 tree", ":palm tree: tree"), ("e\u0301te\u0301", "ete"), ("☀️", ":black sun with rays:")],
)
def test_without_fonts_a_name_is_written_in_similar_letters(folder: Path, name: str, text: str) -> None:
    assert written(name)[0].text == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tab\there", "tab\\there"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u202egnp", "\\u202egnp"),
        ("line\u2028end", "line\\u2028end"),
        ("\udcff.x", "\\udcff.x"),
        ("wide\u3000space", "wide space"),
        ("\t", "#10"),
    ],
)
def test_control_characters_are_escaped_without_a_warning(
    folder: Path, caplog: pytest.LogCaptureFixture, name: str, text: str
) -> None:
    assert written(name)[0].text == text
    assert caplog.text == ""


def test_several_fonts_write_a_name_where_none_has_all_of_it(folder: Path) -> None:
    shutil.copy(FONTS / "DejaVuSans.ttf", folder)
    shutil.copy(FONTS / "STIXNonUni.ttf", folder)  # letters of the private use area that DejaVu does not have
    own = next(
        letter
        for letter in map(chr, range(0xE000, 0xF8FF))
        if fonts._letters_in(str(folder / "STIXNonUni.ttf"), frozenset({letter}))
        and not fonts._letters_in(str(folder / "DejaVuSans.ttf"), frozenset({letter}))
    )
    (one,) = written(f"дом {own}")
    assert one.runs() == [("дом ", str(folder / "DejaVuSans.ttf")), (own, str(folder / "STIXNonUni.ttf"))]
    assert one.width(20) > Lettering("дом", one.files[:3]).width(20)


def test_a_shortened_name_keeps_the_fonts_of_its_ends() -> None:
    long = Lettering("abcdefgh", ("1", "2", "3", "4", "5", "6", "7", "8"))
    assert long.shortened(5) == Lettering("abc…gh", ("1", "2", "3", None, "7", "8"))


@pytest.mark.parametrize("name", ["قطة صغيرة", "חתול", "é", "👩‍🔬", "Z͑ͫ̓a̴l̷g̸o", "नमस्ते", "\uff46\uff55"])
def test_names_in_any_script_are_drawn_with_the_fonts_of_this_machine(name: str) -> None:
    classes = ClassMap((name,), (1,))
    plain = torch.full((3, 200, 300), 120, dtype=torch.uint8)
    picture = draw_boxes(plain, torch.tensor([[50.0, 60, 250, 150]]), [0], classes, [0.5])
    assert (0, 0, 0) in {colour for _, colour in picture.getcolors(200 * 300) or []}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(name=strategies.text(max_size=40), score=strategies.sampled_from([None, 0.0, 0.999]))
def test_any_name_is_drawn(name: str, score: float | None) -> None:
    letterings.cache_clear()
    classes = ClassMap((name,), (1,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fonts, "font_folders", list)
        (one,) = letterings(classes)
        picture = draw_boxes(
            torch.full((3, 200, 300), 120, dtype=torch.uint8),
            torch.tensor([[50.0, 60, 250, 150]]),
            [0],
            classes,
            None if score is None else [score],
        )
    assert len(one.text) == len(one.files) > 0
    assert one.text.strip()
    assert set(one.files) == {None}
    darkest, _ = picture.crop((54, 40, 250, 60)).convert("L").getextrema()
    assert isinstance(darkest, int)
    assert darkest < 70  # letters, of which an accent alone has 44, or the score's ground; the rim of a tag is 78


def test_the_folders_of_each_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDIR", "/win")
    for system, place in (("win32", Path("/win/Fonts")), ("darwin", Path("/System/Library/Fonts"))):
        monkeypatch.setattr(sys, "platform", system)
        assert place in font_folders()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_DIRS", "/a:/b")
    assert font_folders()[-2:] == [Path("/a/fonts"), Path("/b/fonts")]


def test_the_font_that_pillow_brings_has_the_ellipsis_of_shortened_names() -> None:
    font = ImageFont.load_default(16)
    assert bytes(font.getmask("…")) != bytes(font.getmask(fonts.NO_LETTER))


def test_predict_warns_once_of_names_that_it_cannot_write_and_draws_all_pictures(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_file(tmp_path / "m.safetensors", ClassMap(("红枣🌴", "date", "無花果"), (1, 2, 3)))
    for name in ("a.png", "b.png", "c.png"):
        image_file(tmp_path / "photos" / name, 120, 160)
    out = tmp_path / "out"
    assert main(["predict", str(model), str(tmp_path / "photos"), "--conf", "0.05", "--out", str(out)]) == 0
    assert len(list(out.iterdir())) == 3
    warnings = [line for line in capsys.readouterr().err.splitlines() if "font" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("warning: no font on this machine has all letters of some class names")
    assert "'红枣🌴' as '#1', '無花果' as '#3'" in warnings[0]


def test_the_command_shows_the_warnings_of_the_library(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def logging_app(*_: object, **__: object) -> int:
        logging.getLogger("faster_rcnn.reporting.drawing.fonts").warning("no font has %s", "猫")
        return 0

    monkeypatch.setattr("faster_rcnn.cli.main.app", logging_app)
    handlers = list(logging.getLogger("faster_rcnn").handlers)
    assert main(["doctor"]) == 0
    assert capsys.readouterr().err == "warning: no font has 猫\n"
    assert logging.getLogger("faster_rcnn").handlers == handlers
