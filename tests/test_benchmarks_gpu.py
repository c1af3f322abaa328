"""The benchmark of all that only a GPU can show, at its small size on a CPU, and what it does where a part fails."""

from __future__ import annotations

import json
import subprocess
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark_scripts import assert_judged, bars_in, run, script

SECTIONS = "waits,parity,training,inference,batch,compiled"


def results(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_all_sections_are_measured_at_a_small_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run("gpu", "--small", "--json", tmp_path / "gpu.json", "--sections", SECTIONS)
    out = capsys.readouterr().out
    found = results(tmp_path / "gpu.json")
    assert list(found["sections"]) == SECTIONS.split(",") == list(found["seconds"])
    assert "failed" not in str(found["sections"])
    assert [f"bar: {bar[0]}" for bar in bars_in(out)] == [bar.partition(": measured")[0] for bar in found["bars"]]
    assert_judged(code, bars_in(out), len(found["bars"]))
    assert found["sections"]["parity"]["features and first stage"]["largest difference"] <= 1e-3
    detection, training = (found["sections"][name] for name in ("inference", "training"))
    for times in (detection, training):
        assert {"batch 2 in float32, ours", "batch 2 in float32, torchvision"} <= set(times)
        assert all(each["images per second"] > 0 for each in times.values())
    exact, peer = (detection[f"batch 2 in float32, {name}"] for name in ("ours, contiguous", "torchvision"))
    assert exact["boxes"] == peer["boxes"] > 20  # both have something left for NMS, and the same
    assert found["sections"]["batch"]["largest training batch"]["images"] == 2
    if found["device"] == "cpu":
        assert "no GPU" in found["sections"]["compiled"]["compiled"]["left out"]


@pytest.fixture
def section(tmp_path: Path) -> Any:
    module = script("gpu")
    report = module.Report(tmp_path / "gpu.json")
    report.content |= {"device": "cpu", "sizes": module.vars_of(module.SMALL)}
    return module.Section("parts", report, time.monotonic() + 60)


def test_a_part_that_fails_is_a_line_and_the_next_part_runs(section: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> Mapping[str, object]:
        raise RuntimeError("CUDA error: out of luck\nand more")

    assert section.part("one", fails) is None
    assert results(section.report.path)["sections"] == {
        "parts": {"one": {"failed": "RuntimeError: CUDA error: out of luck"}}
    }
    assert section.part("two", lambda: {"seconds": 0.12345}) == {"seconds": 0.12345}
    assert results(section.report.path)["sections"]["parts"]["two"] == {"seconds": 0.12345}
    assert capsys.readouterr().out.splitlines() == [
        "parts: one: failed RuntimeError: CUDA error: out of luck",
        "parts: two: seconds 0.1235",
    ]


def test_a_part_ends_with_the_time_of_its_section_and_the_rest_is_left_out(section: Any) -> None:
    section.ends = time.monotonic() + 0.05
    assert section.part("one", lambda: time.sleep(60) or {}) is None  # type: ignore[func-returns-value]
    assert section.part("two", lambda: pytest.fail("it has no time")) is None
    found = results(section.report.path)["sections"]["parts"]
    assert found["one"] == {"failed": "TimeoutError: the time of the section is over"}
    assert found["two"] == {"left out": "the time of the section is over"}


def test_without_time_all_is_left_out(tmp_path: Path) -> None:
    assert run("gpu", "--small", "--seconds", 0, "--json", tmp_path / "gpu.json") == 1
    found = results(tmp_path / "gpu.json")["sections"]
    assert set(found) == set(script("gpu").SHARES)
    assert all("left out" in part for parts in found.values() for part in parts.values())


def test_outcomes_of_tests_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "test_made.py"
    file.write_text(
        "import pytest\n"
        "def test_a(): pass\n"
        "def test_b(): assert 0, 'broken'\n"
        "@pytest.mark.skip(reason='no GPU')\n"
        "def test_c(): pass\n"
    )
    found = script("gpu")._outcome_of(file, 60.0)
    assert {name: found[name] for name in ("passed", "failed", "errors", "skipped")} == {
        "passed": 1,
        "failed": 1,
        "errors": 0,
        "skipped": 1,
    }
    assert "broken" in found["output"]


def test_tests_that_did_not_run_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = script("gpu")
    ended = subprocess.CompletedProcess([], 4, stdout="", stderr="file or directory not found")
    monkeypatch.setattr(module.subprocess, "run", lambda *_, **__: ended)
    found = module._outcome_of(tmp_path / "test_none.py", 60.0)
    assert (found["passed"], found["errors"], found["output"]) == (0, 1, ended.stderr)


def test_waits_are_counted_by_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[str] = []
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)

    def work() -> None:
        for _ in range(2):
            warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
        warnings.warn("something else", stacklevel=1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = script("gpu")._waits(lambda: work)
    assert modes == ["warn", "default"]
    assert found["waits"] == 2
    assert [place.partition(":")[0] for place in found["places"]] == ["test_benchmarks_gpu.py"]


def test_a_compiled_detector_is_timed_as_a_whole_batch(section: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module, contenders = script("gpu"), script("gpu_contenders")
    monkeypatch.setattr(contenders, "compiled_model", lambda network, plain: network)
    setting = contenders.Setting.of(module.SMALL.preset, 64, torch.device("cpu")).spread()
    found = module._measured(lambda: contenders.our_compiled_detection(setting, 2, torch.float32), 2, section)
    assert found["boxes"] > 20
