"""What the library logs and counts is shown in these tests as the command shows it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faster_rcnn.system.console import shown


@pytest.fixture(autouse=True)
def _shown() -> Iterator[None]:
    with shown():
        yield
