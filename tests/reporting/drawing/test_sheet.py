from __future__ import annotations

from PIL import Image

from faster_rcnn.reporting.drawing.sheet import contact_sheet


def test_contact_sheet_fills_its_width_with_rows_of_equal_height() -> None:
    # Row 1: aspects 2 and 1 at the same height h with 6 between: 2h + h + 6 = 306, h = 100. Row 2: one picture of
    # aspect 1, no higher than row 1. Height 100 + 6 + 100.
    pictures = [Image.new("RGB", size, "red") for size in ((400, 200), (50, 50), (80, 80))]
    sheet = contact_sheet(pictures, columns=2, width=306)
    assert sheet.size == (306, 206)
    assert sheet.getpixel((199, 50)) == (255, 0, 0)
    assert sheet.getpixel((203, 50)) == (255, 255, 255)
    assert sheet.getpixel((305, 99)) == (255, 0, 0)
    assert sheet.getpixel((99, 205)) == (255, 0, 0)
    assert sheet.getpixel((150, 150)) == (255, 255, 255)


def test_contact_sheet_of_one_picture_has_the_given_width() -> None:
    assert contact_sheet([Image.new("RGB", (50, 100))], columns=3, width=200).size == (200, 400)
