"""A file of torch.export that holds anything that could run code is refused before torch interprets it."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from exports import SIZE, written
from faster_rcnn.errors import ModelFileError
from faster_rcnn.inference.sessions import open_exported
from faster_rcnn.weights.program_archive import CONFIGS, GRAPH, SAMPLES, read_program

pytestmark = pytest.mark.xdist_group("exports")

Change = Callable[[dict[str, Any]], None]


class Bomb:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def changed(path: Path, entries: dict[str, bytes], graph: Change | None = None) -> Path:
    """The file of a tiny detector with other entries, or with another graph."""
    source = zipfile.ZipFile(written("pt2", prepares=True, size=SIZE))
    content = {name.partition("/")[2]: source.read(name) for name in source.namelist()} | entries
    if graph is not None:
        read = json.loads(content[GRAPH])
        graph(read)
        content[GRAPH] = json.dumps(read).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, data in content.items():
            file.writestr(f"model/{name}", data)
    return path


def first_node(graph: dict[str, Any]) -> dict[str, Any]:
    node: dict[str, Any] = graph["graph_module"]["graph"]["nodes"][0]
    return node


def test_our_own_file_is_read_when_it_is_packed_again(tmp_path: Path) -> None:
    assert "names" in (read_program(changed(tmp_path / "m.pt2", {})).metadata or "")


def test_a_file_for_any_size_is_read() -> None:
    assert read_program(written("pt2")).metadata


def test_no_pickle_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    saved = io.BytesIO()
    torch.save((Bomb(mark),), saved)
    pickled_weights = {"config": {"w": {"path_name": "weight_0", "is_param": True, "use_pickle": True}}}
    bombs: list[dict[str, bytes]] = [
        {SAMPLES: saved.getvalue()},
        {CONFIGS[0]: json.dumps(pickled_weights).encode(), "data/weights/weight_0": saved.getvalue()},
        {CONFIGS[1]: json.dumps(pickled_weights).encode()},
        {"data/constants/opaque_obj_0": pickle.dumps(Bomb(mark))},
        {"data/constants/custom_obj_0": pickle.dumps(Bomb(mark))},
        {"data/aotinductor/model/m.so": b"\x7fELF"},
        {"version": b"8.14", "serialized_state_dict.pt": saved.getvalue()},
    ]
    for number, entries in enumerate(bombs):
        with pytest.raises(ModelFileError, match=r"E123 .*may run code"):
            open_exported(changed(tmp_path / f"{number}.pt2", entries))
    assert not mark.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda graph: first_node(graph).update(target="torch.hub.load"),
        lambda graph: first_node(graph).update(target="torch.ops.aten.from_file.default"),
        lambda graph: first_node(graph).update(target="_operator.methodcaller"),
        lambda graph: graph["range_constraints"].update({"__import__('os').abort()": {"min_val": 1, "max_val": 2}}),
        lambda graph: first_node(graph).update(name="x=__import__('os').abort()"),
        lambda graph: graph["graph_module"]["graph"].update(extra=[{"expr_str": "Symbol('s').func.__class__"}]),
        lambda graph: graph["graph_module"]["graph"].update(extra=[{"expr_str": "eval(Symbol('s'))"}]),
        lambda graph: graph["graph_module"]["graph"].update(extra=[{"in_spec": "[1, (lambda: 0)()]"}]),
    ],
)
def test_a_graph_that_calls_or_evaluates_anything_else_is_refused(change: Change, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"E123 .*may run code"):
        open_exported(changed(tmp_path / "m.pt2", {}, change))


def test_an_entry_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    path = changed(tmp_path / "m.pt2", {})
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as file:
        file.writestr(f"model/{GRAPH}", "{}")
    with pytest.raises(ModelFileError, match="E123"):
        open_exported(path)
