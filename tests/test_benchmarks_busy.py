"""The benchmark of a busy machine: what it runs, and how it judges."""

from __future__ import annotations

from argparse import Namespace
from subprocess import Popen
from typing import Any

import pytest

from benchmark_scripts import bars_in, run, script

OURS, OWN = "ours", "torch's own"
TINY = Namespace(steps=1, batch=1, image_size=64)


@pytest.mark.parametrize("waiting", [OURS, OWN])
def test_a_step_is_timed_in_a_process_that_waits_as_it_should(waiting: str) -> None:
    assert 0 < script("busy").step_seconds(waiting, TINY) < 600


def test_a_process_that_waits_in_another_way_ends_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    module = script("busy")
    monkeypatch.setattr(module, "STEPS", "print(True, 0.25)")
    assert module.step_seconds(OURS, TINY) == 0.25
    with pytest.raises(SystemExit, match="threads of a process with the waiting of torch's own do not wait so"):
        module.step_seconds(OWN, TINY)


def test_ratios_are_those_within_a_round(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    module = script("busy")
    turns: list[tuple[str, bool]] = []
    others: list[Popen[bytes]] = []

    def started(*arguments: Any, **options: Any) -> Popen[bytes]:
        others.append(Popen(*arguments, **options))
        return others[-1]

    def seconds(waiting: str, options: Namespace) -> float:
        turns.append((waiting, any(other.poll() is None for other in others)))
        slow = 1.0 if len(turns) <= 4 else 3.0  # the machine is slower in the second round
        return slow * {(OURS, False): 2.0, (OURS, True): 4.0, (OWN, False): 1.9, (OWN, True): 20.0}[turns[-1]]

    monkeypatch.setattr(module, "step_seconds", seconds)
    monkeypatch.setattr(module.subprocess, "Popen", started)
    assert run("busy", "--rounds", 2) == 1
    first = [(OURS, False), (OURS, True), (OWN, False), (OWN, True)]
    assert turns == first + first[::-1]
    assert len(others) == 4
    out = capsys.readouterr().out
    assert "a training step, busy machine, waiting: torch's own: 40.000 s (20.000..60.000)\n" in out
    assert "busy / idle with torch's own waiting: 10.526\n" in out  # 20 / 1.9
    busy, idle = bars_in(out)
    assert busy[1:] == ("2", "at most", "2.5", "met")
    assert idle[1:] == ("1.053", "at most", "1.02", "missed")  # 2 / 1.9
