"""The gain of int8: its line of text and its JSON."""

from __future__ import annotations

from made_gain import gain


def test_the_gain_is_one_line() -> None:
    assert str(gain(1.36, 0.5435, 0.5419)) == (
        "int8 is 1.36 times as fast as float32, pixels to boxes: 26.0 ms (26.0 to 26.0 ms) and 35.4 ms (35.4 to "
        "35.4 ms); AP on test is 0.5419, and 0.5435 in float32"
    )
    assert str(gain(1.36, None, None)).endswith("; there is nothing to find in test, so no AP")
    assert gain(1.36, None, None).to_json()["ap_lost"] is None
    assert gain(1.36, 0.5, 0.25).to_json()["ap_lost"] == 0.25
