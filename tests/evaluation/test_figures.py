from __future__ import annotations

from dataclasses import replace

from faster_rcnn.evaluation.details import Confusion
from faster_rcnn.evaluation.figures import matrix_of, page_values, precision_curves, reliability_diagram
from made_details import made_metrics


def test_a_matrix_shows_the_classes_of_the_most_mistakes() -> None:
    confusion = Confusion(("a", "b", "c"), ((5, 0, 0, 0), (0, 4, 3, 1), (0, 2, 6, 0), (0, 0, 1, 0)))
    columns, rows = matrix_of(confusion, most=2)
    assert columns == ["b", "c", "background"]
    assert [[each.count for each in row.cells] for row in rows] == [[4, 3, 1], [2, 6, 0], [0, 1, 0]]
    assert rows[0].cells[1].share == 3 / 8
    assert [each.is_right for each in rows[1].cells] == [False, True, False]


def test_curves_are_of_all_classes_and_the_largest() -> None:
    metrics = made_metrics()
    assert metrics.details is not None
    drawing = precision_curves(metrics.details)
    assert drawing.count("<polyline") == 4
    for name in ("all classes", "&lt;b&gt;", "cow", "dog"):
        assert name in drawing
    filled = [each for each in metrics.details.calibration.bins if each.count]
    assert reliability_diagram(metrics.details).count("<circle") == len(filled)


def test_without_details_the_page_has_none() -> None:
    assert page_values(replace(made_metrics(), details=None)) == {"details": None}
