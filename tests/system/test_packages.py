from __future__ import annotations

import json

import pytest

from faster_rcnn.errors import MissingExtraError
from faster_rcnn.system import packages


def test_every_required_package_is_listed_with_its_version() -> None:
    assert [each.split()[0] for each in packages.required_packages().split(", ")] == list(packages.REQUIRED)


def test_an_optional_package_is_imported_or_named_with_its_extra() -> None:
    assert packages.imported("json", "demo") is json
    with pytest.raises(MissingExtraError, match=r"the package 'no_such_package': pip install 'faster-rcnn\[demo\]'"):
        packages.imported("no_such_package", "demo")


def test_a_missing_optional_package_comes_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "OPTIONAL", {"no-such-package": "demo"})
    assert packages.optional_packages() == "no no-such-package (pip install 'faster-rcnn[demo]')"
