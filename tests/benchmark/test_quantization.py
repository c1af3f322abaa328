"""The gain of int8: its line of text and its JSON."""

from __future__ import annotations

from faster_rcnn.benchmark.quantization import Gain
from faster_rcnn.benchmark.values import Contender, Spread
from faster_rcnn.evaluation.metrics import Metrics


def metrics(ap: float | None) -> Metrics:
    return Metrics(
        ap, *(None,) * 11, per_class=(), images=2, truths=0 if ap is None else 2, ignored=0, engine="", notes=()
    )


def gain(speed: float, before: float | None, after: float | None) -> Gain:
    seconds = [Spread(each, each, each) for each in (0.026 * speed, 0.026)]
    floats, ours = Contender("ours", "float32", seconds[0], 40), Contender("int8", "int8", seconds[1], 41)
    return Gain(floats, ours, metrics(before), metrics(after), "test")


def test_the_gain_is_one_line() -> None:
    assert str(gain(1.36, 0.5435, 0.5419)) == (
        "int8 is 1.36 times as fast as float32, pixels to boxes: 26.0 ms (26.0 to 26.0 ms) and 35.4 ms (35.4 to "
        "35.4 ms); AP on test is 0.5419, and 0.5435 in float32"
    )
    assert str(gain(1.36, None, None)).endswith("; there is nothing to find in test, so no AP")
    assert gain(1.36, None, None).to_json()["ap_lost"] is None
    assert gain(1.36, 0.5, 0.25).to_json()["ap_lost"] == 0.25
