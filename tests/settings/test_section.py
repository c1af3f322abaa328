"""Every group of settings documents each of its settings."""

from __future__ import annotations

import pytest

from faster_rcnn.settings.schema import Config
from faster_rcnn.settings.section import Section


def test_groups_are_found() -> None:
    assert {field.annotation for field in Config.model_fields.values()} - {str} <= set(Section.__subclasses__())


@pytest.mark.parametrize("section", Section.__subclasses__())
def test_every_setting_has_a_description_of_its_own(section: type[Section]) -> None:
    """The settings reference prints them one by one, so none may lean on the one before."""
    nested = {name for name, field in section.model_fields.items() if isinstance(field.default, Section)}
    texts = {name: section.model_fields[name].description or "" for name in section.model_fields.keys() - nested}
    for name, text in texts.items():
        assert text.endswith("."), f"{section.__name__}.{name}"
        assert not text.startswith(("Of ", "The same", "At most this")), f"{section.__name__}.{name}: {text}"
    assert len(set(texts.values())) == len(texts)
