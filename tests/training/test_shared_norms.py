from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from several import in_processes
from several_gradients import alone, normed

pytestmark = pytest.mark.xdist_group("several processes")


@pytest.mark.parametrize("processes", [2, 3])
def test_the_statistics_are_those_of_the_images_of_all_processes(processes: int) -> None:
    expected, found = alone(), in_processes(processes, normed)
    for name in ("outputs", "gradient of inputs"):
        assert_close(torch.cat([each[name] for each in found]), expected[name], rtol=1e-4, atol=1e-5)
    for each in found:
        for name in ("gradients of weights", "statistics", "in inference"):
            assert_close(each[name], expected[name], rtol=1e-4, atol=1e-5)
        assert each["names"] == expected["names"]
