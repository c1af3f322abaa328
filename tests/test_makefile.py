"""``make test`` runs all tests, then those of operators as with AVX2 alone where the processor has more."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")

PYTHON = """#!/bin/sh
case "$*" in
    -c*) echo "$WIDEST"; exit "$ANSWER_CODE" ;;
esac
echo "ran $* with ${ATEN_CPU_CAPABILITY-all} ${ONEDNN_MAX_CPU_ISA-all}"
case "$ATEN_CPU_CAPABILITY" in
    avx2) exit "$SECOND_CODE" ;;
    *) exit "$FIRST_CODE" ;;
esac
"""
"""Stands for the interpreter: tells what it was to run, and on which instructions."""


def make_test(folder: Path, widest: str, first: int = 0, second: int = 0, answer: int = 0) -> tuple[int, list[str]]:
    """The exit code of ``make test`` where the interpreter answers and ends so, and what it was to run."""
    python, ready = folder / "python", folder / "ready"
    python.write_text(PYTHON)
    python.chmod(0o755)
    ready.touch()
    codes = {"FIRST_CODE": str(first), "SECOND_CODE": str(second), "ANSWER_CODE": str(answer)}
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ATEN_", "ONEDNN_", "MAKE"))}
    done = subprocess.run(
        ["make", "-C", str(ROOT), "test", f"BIN={folder}", f"READY={ready}"],
        env={**clean, **codes, "WIDEST": widest}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, [line for line in done.stdout.splitlines() if line.startswith("ran ")]


ALL = "ran -m pytest -n auto --dist loadgroup --durations 20 with all all"
OPERATORS = (
    "ran -m pytest -n auto --dist loadgroup tests/ops tests/kernels tests/acceleration "
    "tests/inference/test_predictor.py tests/inference/test_prepared.py tests/inference/test_external_proposals.py "
    "tests/inference/test_merging.py with avx2 AVX2"
)


@pytest.mark.parametrize(
    ("widest", "runs"),
    [("AVX512", [ALL, OPERATORS]), ("AVX2", [ALL]), ("DEFAULT", [ALL]), ("SVE256", [ALL])],
)
def test_operators_are_tested_again_where_the_processor_has_more_than_avx2(
    widest: str, runs: list[str], tmp_path: Path
) -> None:
    assert make_test(tmp_path, widest) == (0, runs)


def test_a_failure_in_either_run_fails(tmp_path: Path) -> None:
    assert make_test(tmp_path, "AVX512", first=1) == (2, [ALL])
    assert make_test(tmp_path, "AVX512", second=1) == (2, [ALL, OPERATORS])
    assert make_test(tmp_path, "AVX2", second=1) == (0, [ALL])


def test_where_the_instructions_cannot_be_told_the_run_fails(tmp_path: Path) -> None:
    assert make_test(tmp_path, "", answer=1) == (2, [ALL])


def test_check_is_format_lint_types_and_the_pages(tmp_path: Path) -> None:
    (tmp_path / "ready").touch()
    shown = subprocess.run(
        ["make", "-n", "-C", str(ROOT), "check", "BIN=bin", f"READY={tmp_path / 'ready'}"],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    steps = ["bin/ruff format --check .", "bin/ruff check .", "bin/mypy", "bin/python tools/make_docs.py"]
    assert [line for line in shown.splitlines() if line.startswith("bin/")] == steps
