"""Tests of exports run without the checks of shapes, which would make constants of symbolic shapes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exports import unchecked


@pytest.fixture(autouse=True)
def _unchecked_shapes() -> Iterator[None]:
    with unchecked():
        yield
