from __future__ import annotations

from pathlib import Path

from faster_rcnn.system.numbering import first_free


def test_a_free_name_is_taken_as_it_is(tmp_path: Path) -> None:
    assert first_free(tmp_path / "predictions") == tmp_path / "predictions"
    assert list(tmp_path.iterdir()) == []


def test_the_first_number_that_is_free_is_added(tmp_path: Path) -> None:
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions-2").touch()
    (tmp_path / "predictions-3").symlink_to(tmp_path / "nothing")  # a broken link has the name, too
    (tmp_path / "predictions-5").mkdir()
    assert first_free(tmp_path / "predictions") == tmp_path / "predictions-4"


def test_a_caller_decides_what_is_taken(tmp_path: Path) -> None:
    full = tmp_path / "cells.v2"
    full.mkdir()
    assert first_free(full, lambda folder: folder.exists() and any(folder.iterdir())) == full
    (full / "best.safetensors").touch()
    assert first_free(full, lambda folder: folder.exists() and any(folder.iterdir())) == tmp_path / "cells.v2-2"
