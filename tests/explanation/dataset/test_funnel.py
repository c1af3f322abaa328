from __future__ import annotations

from faster_rcnn.explanation.causes.kinds import ORDER, VerdictKind
from faster_rcnn.explanation.dataset.funnel import funnel_of
from made_surveys import judged_truth

TRUTHS = [
    *(judged_truth(VerdictKind.FOUND) for _ in range(5)),
    judged_truth(VerdictKind.NO_ANCHOR, "dog"),
    judged_truth(VerdictKind.BACKGROUND, "cat", 5000.0),
    judged_truth(VerdictKind.BACKGROUND, "dog"),
]


def test_steps_add_up_to_the_truths_in_the_order_of_the_stages() -> None:
    funnel = funnel_of(TRUTHS, ["cat", "dog", "emu"])
    steps = funnel.steps()
    assert [each.kind for each in steps] == list(ORDER[:-1])
    assert [(each.lost, each.left) for each in steps if each.lost] == [(1, 7), (2, 5)]
    assert steps[-1].left == funnel.total.found == 5
    assert sum(each.lost for each in steps) + funnel.total.found == funnel.total.truths == 8


def test_each_attribute_counts_every_truth_once() -> None:
    funnel = funnel_of(TRUTHS, ["cat", "dog", "emu"])
    for groups in funnel.groups.values():
        assert sum(each.truths for each in groups.values()) == 8
    assert funnel.groups["class"]["dog"].kinds == {VerdictKind.NO_ANCHOR: 1, VerdictKind.BACKGROUND: 1}
    assert (funnel.groups["class"]["emu"].truths, funnel.groups["class"]["emu"].recall) == (0, None)
    assert funnel.groups["size"]["medium"].to_json() == {"truths": 1, "verdicts": {"background": 1}}
    assert funnel.groups["class"]["cat"].recall == 5 / 6


def test_no_truth_at_all() -> None:
    funnel = funnel_of([], ["cat"])
    assert {each.left for each in funnel.steps()} == {0}
    assert funnel.to_json()["verdicts"] == {}
