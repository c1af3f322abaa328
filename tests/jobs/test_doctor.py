from __future__ import annotations

import pytest
import torch

from faster_rcnn.jobs import doctor


def test_a_whole_machine_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.run() == 0
    out, err = capsys.readouterr()
    assert err == ""
    names = [line.split()[0] for line in out.splitlines()]
    assert names == [
        "faster-rcnn", "packages", "optional", "devices", "instructions", "precision", "compiler", "operations",
        "self-test",
    ]  # fmt: skip
    assert f"torch {torch.__version__.split('+')[0]}" in out
    assert "one training step and one detection" in out


def test_what_is_broken_is_named_and_the_rest_still_looked_at(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_operator() -> str:
        raise RuntimeError("operator torchvision::nms\n does not exist")

    monkeypatch.setattr(doctor, "_operations", no_operator)
    monkeypatch.setattr(doctor, "_self_test", lambda: "skipped in this test")
    assert doctor.run() == 5
    out, err = capsys.readouterr()
    assert "operations    BROKEN: RuntimeError: operator torchvision::nms does not exist\n" in out
    assert "self-test     skipped in this test\n" in out
    assert err == "faster-rcnn: error: not working on this machine: operations\n"


def test_a_missing_optional_package_comes_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "OPTIONAL", {"no-such-package": "demo"})
    assert doctor._optional_packages() == "no no-such-package (pip install 'faster-rcnn[demo]')"
