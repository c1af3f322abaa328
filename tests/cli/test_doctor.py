from __future__ import annotations

import sys

import pytest
import torch

from faster_rcnn.cli.doctor import _show_row, doctor
from faster_rcnn.system import machine_report
from faster_rcnn.training import self_test


def test_a_whole_machine_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor() == 0
    out, err = capsys.readouterr()
    assert err.splitlines()[1:] == []
    names = [line.split()[0] for line in out.splitlines()]
    assert names == [
        "faster-rcnn", "packages", "optional", "devices", "instructions", "precision", "fused", "compiler",
        "operations", "self-test",
    ]  # fmt: skip
    assert f"torch {torch.__version__.split('+')[0]}" in out
    assert "one training step and one detection" in out


def test_a_broken_check_is_named_and_the_others_still_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_operator() -> str:
        raise RuntimeError("operator torchvision::nms\n does not exist")

    monkeypatch.setattr(machine_report, "torchvision_operations", no_operator)
    monkeypatch.setattr(self_test, "self_test", lambda: "skipped in this test")
    assert doctor() == 5
    out, err = capsys.readouterr()
    assert "operations    BROKEN: RuntimeError: operator torchvision::nms does not exist\n" in out
    assert "self-test     skipped in this test\n" in out
    assert err.splitlines()[1:] == ["faster-rcnn: error: not working on this machine: operations"]


def test_on_a_terminal_long_findings_are_wrapped_within_their_column(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    _show_row("packages", "torch 2.14.1, torchvision 0.29.1, timm 1.0.31, pydantic 2.14.4")
    assert capsys.readouterr().out.splitlines() == [
        "packages      torch 2.14.1, torchvision",
        "              0.29.1, timm 1.0.31,",
        "              pydantic 2.14.4",
    ]
