"""Inputs of several processes are compared."""

from __future__ import annotations

import pytest

from faster_rcnn.errors import ElsewhereError
from faster_rcnn.system.agreement import refuse_differing
from faster_rcnn.system.distributed import ALONE
from several import in_processes
from several_commands import agreed

pytestmark = pytest.mark.xdist_group("several processes")

DIGEST = "0123456789abcdef" * 2


def test_equal_inputs_pass() -> None:
    refuse_differing(ALONE, {"model": DIGEST})
    assert in_processes(2, agreed, [{"model": DIGEST}] * 2) == [None, None]


def test_a_difference_is_named_with_its_process_and_short_values() -> None:
    other = {"model": DIGEST[::-1], "options": DIGEST, "precision": "float32"}
    values = [{"model": DIGEST, "options": DIGEST, "precision": "bfloat16"}] * 2 + [other]
    first, second, third = in_processes(3, agreed, values)
    assert str(first) == (
        "process 2 of 3: not the same as in the first process: model, precision (float32, not bfloat16); start all "
        "processes with the same options and copies of the same files"
    )
    assert first.exit_code == 2
    assert (type(second), type(third)) == (ElsewhereError, ElsewhereError)
