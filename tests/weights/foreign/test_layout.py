"""Rules rename tensors by their prefix, in both directions."""

from __future__ import annotations

import pytest

from faster_rcnn.weights.foreign.layout import Rules, renamed, reversed_rules

RULES: Rules = (("backbone.fpn.", "backbone.pyramid."), ("backbone.", "backbone.body."), ("head.", "rpn."))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("backbone.fpn.0.weight", "backbone.pyramid.0.weight"),  # the first rule that fits wins over the second
        ("backbone.conv1.weight", "backbone.body.conv1.weight"),
        ("head.backbone.bias", "rpn.backbone.bias"),  # only the prefix is replaced
        ("other.bias", "other.bias"),  # no rule fits
    ],
)
def test_prefixes_are_replaced_in_both_directions(theirs: str, ours: str) -> None:
    assert renamed(theirs, RULES) == ours
    assert renamed(ours, reversed_rules(RULES)) == theirs


def test_reversing_twice_gives_the_same_rules() -> None:
    assert reversed_rules(RULES)[0] == ("backbone.pyramid.", "backbone.fpn.")
    assert reversed_rules(reversed_rules(RULES)) == RULES
