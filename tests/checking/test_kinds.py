"""The table of kinds: complete sentences, and a level that reports know."""

from __future__ import annotations

from faster_rcnn.checking.kinds import KINDS, LEVELS


def test_every_kind_has_a_level_a_consequence_and_a_remedy() -> None:
    for name, kind in KINDS.items():
        assert kind.level in LEVELS
        assert name == name.lower()
        assert [text.endswith(".") for text in (kind.title, kind.leads_to, kind.remedy)] == [False, True, True]


def test_no_two_kinds_are_alike() -> None:
    assert len({kind.title for kind in KINDS.values()}) == len(KINDS)
