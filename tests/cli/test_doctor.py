from __future__ import annotations

import sys

import pytest
import torch

from faster_rcnn.cli.bodies import doctor
from faster_rcnn.kernels import fused_layers, int8_layers
from faster_rcnn.kernels.fused_layers import Operation


def test_a_whole_machine_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.run() == 0
    out, err = capsys.readouterr()
    assert err == ""
    names = [line.split()[0] for line in out.splitlines()]
    assert names == [
        "faster-rcnn", "packages", "optional", "devices", "instructions", "precision", "fused", "compiler",
        "operations", "self-test",
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


def test_on_a_terminal_long_findings_stand_in_their_column(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    doctor._show_row("packages", "torch 2.14.1, torchvision 0.29.1, timm 1.0.31, pydantic 2.14.4")
    assert capsys.readouterr().out.splitlines() == [
        "packages      torch 2.14.1, torchvision",
        "              0.29.1, timm 1.0.31,",
        "              pydantic 2.14.4",
    ]


def test_a_missing_optional_package_comes_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "OPTIONAL", {"no-such-package": "demo"})
    assert doctor._optional_packages() == "no no-such-package (pip install 'faster-rcnn[demo]')"


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        ((), "conv, depthwise, sum, linear in float32, bfloat16, int8"),
        (("bfloat16",), "conv, depthwise, sum, linear in float32, int8; none in bfloat16"),
        (("sum in bfloat16",), "conv, depthwise, sum, linear in float32, int8; no sum in bfloat16"),
        (("sum in int8", "conv in int8"), "conv, depthwise, sum, linear in float32, bfloat16; no conv, sum in int8"),
        (("float32", "bfloat16", "int8"), "none in float32, bfloat16, int8"),
    ],
)
def test_fused_operations_are_told_by_precision(
    missing: tuple[str, ...], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def works(operation: Operation, precision: torch.dtype = torch.int8) -> bool:
        name = str(precision).removeprefix("torch.")
        return name not in missing and f"{operation.name} in {name}" not in missing

    monkeypatch.setattr(fused_layers, "fused_works", works)
    monkeypatch.setattr(int8_layers, "int8_works", works)
    found = doctor._fused_operations()
    assert found == line
    assert len(f"{'fused on CPU':<14}{found}") <= 80 or len(missing) > 1


def test_one_operation_of_a_kind_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    one = fused_layers.OPERATIONS[1]
    assert one.name == "conv"
    monkeypatch.setattr(fused_layers, "fused_works", lambda operation, precision: operation != one)
    monkeypatch.setattr(int8_layers, "int8_works", lambda operation: True)
    assert doctor._fused_operations() == "no conv in float32, bfloat16; conv, depthwise, sum, linear in int8"
