"""The table of kinds: complete sentences, and a level that reports know."""

from __future__ import annotations

from faster_rcnn.checking.kinds import KINDS, LEVELS


def test_every_kind_has_a_level_a_consequence_and_a_remedy() -> None:
    for name, kind in KINDS.items():
        assert kind.level in LEVELS
        assert name == name.lower() and "." in name
        assert kind.leads_to.endswith(".") and kind.remedy.endswith(".") and not kind.title.endswith(".")


def test_no_two_kinds_are_alike() -> None:
    assert len({kind.title for kind in KINDS.values()}) == len(KINDS)
