from __future__ import annotations

import json
from dataclasses import replace

from faster_rcnn.evaluation.coco import measure
from faster_rcnn.evaluation.metrics import ClassMetrics, Metrics
from faster_rcnn.structures import ClassMap


def metrics(small: float | None = None, truths: int = 3) -> Metrics:
    return Metrics(
        ap=0.5,
        ap50=0.75,
        ap75=0.25,
        ap_small=small,
        ap_medium=0.5,
        ap_large=None,
        ar1=0.1,
        ar10=0.2,
        ar100=0.3,
        ar_small=small,
        ar_medium=0.4,
        ar_large=None,
        per_class=(ClassMetrics("red", 0.5, 0.75, truths), ClassMetrics("white", None, None, 0)),
        images=1,
        truths=truths,
        ignored=2,
        engine="hotcoco 1.3.0",
        notes=("a note",),
    )


def test_json_has_exactly_the_keys_of_the_contract() -> None:
    assert json.loads(json.dumps(metrics().to_json("test"))) == {
        "AP": 0.5,
        "AP50": 0.75,
        "AP75": 0.25,
        "APs": None,
        "APm": 0.5,
        "APl": None,
        "AR1": 0.1,
        "AR10": 0.2,
        "AR100": 0.3,
        "ARs": None,
        "ARm": 0.4,
        "ARl": None,
        "per_class": {"red": {"AP": 0.5, "AP50": 0.75, "truths": 3}, "white": {"AP": None, "AP50": None, "truths": 0}},
        "images": 1,
        "split": "test",
    }


def test_table_gives_reasons_instead_of_numbers() -> None:
    table = metrics().table()
    assert "APs    n/a    no small boxes" in table
    assert "APl    n/a    no large boxes" in table
    assert "n/a    n/a        0  white (no boxes of this class)" in table
    assert "1 image, 3 boxes to find, 2 ignored (crowd or difficult); hotcoco 1.3.0" in table
    assert table.endswith("a note")
    assert "-1" not in table


def test_printed_metrics_are_the_table() -> None:
    found = metrics()
    assert str(found) == f"{found}" == found.table()
    notebook = replace(found, notes=("a note of <b> & more",))._repr_html_()
    assert notebook.startswith("<pre>AP ")
    assert notebook.endswith("a note of &lt;b&gt; &amp; more</pre>")


def test_table_of_nothing_at_all() -> None:
    table = measure([], [], ClassMap((), ())).table()
    assert table.count("no boxes to find") == 12
    assert "-1" not in table


def test_class_names_keep_the_table_in_columns_and_lines() -> None:
    names = ("re\nd\x1b[2J", "箱", "b" * 100)
    lines = replace(metrics(), per_class=tuple(ClassMetrics(each, 0.5, 0.75, 3) for each in names)).table().split("\n")
    place = lines.index("AP     AP50   boxes  class")
    assert lines[place + 1 : place + 4] == [
        "0.500  0.750      3  re\\nd\\x1b[2J",
        "0.500  0.750      3  箱",
        f"0.500  0.750      3  {'b' * 100}",
    ]
