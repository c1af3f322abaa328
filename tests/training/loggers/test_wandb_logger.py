from __future__ import annotations

import json
import logging
import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from logged_runs import assert_holds_metrics, trained_with

wandb = pytest.importorskip("wandb")


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No account of whoever runs the tests."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def records_of(path: Path) -> Iterator[Any]:
    """The records of a file of wandb, which is a log as LevelDB writes it: parts of records in blocks of 32 KiB."""
    from wandb.proto import wandb_internal_pb2

    data, place, record = path.read_bytes(), 7, b""  # behind the file's own header
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:  # a part does not begin there
            place += left
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])  # behind a checksum
        record += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # the whole record, or its last part
            yield wandb_internal_pb2.Record.FromString(record)  # type: ignore[attr-defined]  # made at run time
            record = b""


def test_a_run_without_a_key_stays_in_its_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="faster_rcnn"):
        run = trained_with("wandb", tmp_path)
    assert "there is no key (wandb login), so the run stays in" in caplog.text
    files = sorted(run.glob("wandb/offline-run-*/run-*.wandb"), key=lambda path: path.parent.name)
    assert len(files) == 2  # before and after the run was resumed
    assert len({path.name for path in files}) == 1  # of one run
    curves: dict[str, list[tuple[int, float]]] = defaultdict(list)
    pictures = 0
    artifacts: list[set[str]] = []
    for record in (record for path in files for record in records_of(path)):
        if record.WhichOneof("record_type") == "artifact":
            artifacts.append({each.path for each in record.artifact.manifest.contents})
        values = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
        pictures += any(name.startswith("pictures") for name in values)
        for name, value in values.items():
            if not name.startswith(("_", "pictures")):
                curves[name].append((record.history.step.num, float(json.loads(value))))
    assert_holds_metrics(curves, run)
    assert pictures == 2  # at the end of each of the two
    assert len(artifacts) == 2
    assert {"best.safetensors", "metrics.csv", "report.html", "summary.json"} <= artifacts[1]
    assert "state.pt" not in artifacts[1]
