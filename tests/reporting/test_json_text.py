from __future__ import annotations

import json

from faster_rcnn.reporting.json_text import json_text


def test_names_stay_readable_where_they_can() -> None:
    assert json_text("红枣é") == '"红枣é"'
    assert json_text("é", "cp1252") == '"é"'
    assert json_text("é", None) == '"\\u00e9"'


def test_bytes_that_are_no_letters_come_back() -> None:
    text = json_text({"image": "\udce9.jpg"}, indent=2)
    assert text.isascii()
    assert json.loads(text) == {"image": "\udce9.jpg"}
