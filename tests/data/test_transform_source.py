from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faster_rcnn.data.transform_source import transform_of
from faster_rcnn.errors import OptionError

TEXT = """
import beside_it

def turn(image, boxes, labels):
    return image, boxes, labels, beside_it.NUMBER

def two(image, boxes):
    pass

number = 5
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "own").mkdir()
    (tmp_path / "own/augment.py").write_text(TEXT)
    (tmp_path / "own/beside_it.py").write_text("NUMBER = 7\n")
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    (tmp_path / "leaving.py").write_text("raise SystemExit(3)\n")
    yield tmp_path
    for name in ("beside_it", "transform_in_augment", "broken", "own.augment"):
        sys.modules.pop(name, None)


def test_a_file_may_import_what_lies_beside_it() -> None:
    found = transform_of("own/augment.py:turn")
    assert found is not None
    assert found.function(1, 2, 3) == (1, 2, 3, 7)
    assert (found.name, found.digest) == ("own/augment.py:turn", hashlib.sha256(TEXT.encode()).hexdigest())
    assert pickle.loads(pickle.dumps(found)).function(1, 2, 3) == (1, 2, 3, 7)  # as a process that is not forked


def test_a_module_is_found_from_the_working_folder() -> None:
    sys.path.append("own")
    found = transform_of("own.augment:turn")
    assert found is not None
    assert (found.function(1, 2, 3), found.name) == ((1, 2, 3, 7), "own.augment:turn")


def turned(image: Any, boxes: Any, labels: Any) -> Any:
    return image, boxes, labels


class Turning:
    def __call__(self, image: Any, boxes: Any, labels: Any) -> Any:
        return image, boxes, labels


def test_a_function_of_python() -> None:
    found = transform_of(turned)
    assert found is not None
    assert (found.function, found.name, found.reload) == (turned, "turned", None)
    assert found.digest is not None
    instance = transform_of(Turning())
    assert instance is not None
    assert (instance.name, instance.digest) == ("Turning", None)
    assert transform_of(None) is None
    with pytest.raises(OptionError, match=r"^E139 --transform len: the function must take \(image, boxes, labels\): "):
        transform_of(len)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own/augment.py", "give a file and the name of a function in it, such as own/augment.py:augment"),
        ("nowhere.py:turn", "nowhere.py does not exist"),
        ("nowhere:turn", "nowhere cannot be loaded: ModuleNotFoundError: No module named 'nowhere'"),
        ("broken.py:turn", "broken.py cannot be loaded: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("leaving.py:turn", "leaving.py cannot be loaded: SystemExit: 3"),
        ("own/augment.py:turm", "own/augment.py has no function turm; it has turn, two"),
        ("own/augment.py:number", "own/augment.py has no function number; it has turn, two"),
        ("own/augment.py:two", "the function must take (image, boxes, labels): too many positional arguments"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(name: str, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        transform_of(name)
    assert str(caught.value) == f"E139 --transform {name}: {message}"
