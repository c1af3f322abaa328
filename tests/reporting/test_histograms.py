"""Histograms: the counts of the spans, and a drawing that escapes its texts."""

from __future__ import annotations

from xml.etree import ElementTree

from faster_rcnn.reporting.histograms import BOTTOM, HEIGHT, WIDTH, draw_histogram, spans


def test_a_span_includes_its_upper_border() -> None:
    assert spans([0, 1, 1, 2, 5, 9], [0, 1, 5]) == (["≤0", "≤1", "≤5", ">5"], [1, 2, 2, 1])
    assert spans([], [1.5]) == (["≤1.5", ">1.5"], [0, 0])


def test_the_largest_count_has_the_highest_bar_and_none_has_no_number() -> None:
    root = ElementTree.fromstring(draw_histogram("Sizes", "pixels", ["≤4", "<b>", ">8"], [0, 12_345, 950]))
    bars = [each for each in root.iter() if each.tag.endswith("rect")]
    heights = [float(bar.attrib["height"]) for bar in bars]
    assert heights[0] == 0
    assert heights[1] == max(heights)
    assert all(float(bar.attrib["y"]) + float(bar.attrib["height"]) <= BOTTOM + 0.1 for bar in bars)
    texts = [each.text for each in root.iter() if each.tag.endswith("text")]
    assert texts == ["≤4", "12k", "<b>", "950", ">8", "pixels"]
    assert root.attrib["viewBox"] == f"0 0 {WIDTH} {HEIGHT}"
    assert root.attrib["aria-label"] == "Sizes: ≤4: 0, <b>: 12345, >8: 950"


def test_nothing_at_all_is_drawn_flat() -> None:
    assert "<rect" in draw_histogram("Sizes", "pixels", ["≤4"], [0])
