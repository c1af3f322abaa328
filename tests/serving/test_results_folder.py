from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from faster_rcnn.errors import OptionError
from faster_rcnn.serving.results_folder import MANIFEST, Manifest, ResultsFolder
from faster_rcnn.serving.rows import failed_rows

MADE = Manifest("runs/cells", "ab12", {"conf": 0.5, "classes": None, "settings": ["rpn.nms_iou=0.8"]}, ["photos"])


def test_parts_are_numbered_and_what_they_hold_is_known(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "new", MADE)
    assert folder.held() == {}
    good = failed_rows(["a", "b"], "any").set_column(11, "error", pa.nulls(2, pa.string()))
    assert folder.write(good) == tmp_path / "new" / "part-00000.parquet"
    folder.write(failed_rows(["c"], "no image"))
    again = ResultsFolder(tmp_path / "new", MADE)
    assert again.held() == {"a": False, "b": False, "c": True}
    (tmp_path / "new" / "part-00000.parquet").unlink()
    assert again.held() == {"c": True}
    assert again.write(good).name == "part-00002.parquet"
    assert ResultsFolder(tmp_path / "new", MADE).held() == {"c": True, "a": False, "b": False}


def test_readers_of_parquet_read_the_folder_as_one_table(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path, MADE)
    for name in ("a", "b"):
        folder.write(failed_rows([name], "any"))
    assert parquet.read_table(tmp_path)["image"].to_pylist() == ["a", "b"]


def test_the_manifest_names_what_the_results_were_made_with(tmp_path: Path) -> None:
    ResultsFolder(tmp_path, MADE)
    ResultsFolder(tmp_path, replace(MADE, sources=["more", "photos"]))
    assert json.loads((tmp_path / MANIFEST).read_text()) == {
        "version": 1,
        "model": "runs/cells",
        "sha256": "ab12",
        "options": {"conf": 0.5, "classes": None, "settings": ["rpn.nms_iou=0.8"]},
        "sources": ["photos", "more"],
    }


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (replace(MADE, model="runs/new", sha256="cd34"), "model runs/cells -> runs/new"),
        (
            replace(MADE, options={**MADE.options, "conf": 0.3, "classes": "cat"}),
            "conf 0.5 -> 0.3; classes none -> cat",
        ),
        (replace(MADE, options={**MADE.options, "iou": 0.1}), "iou none -> 0.1"),
    ],
)
def test_results_of_another_kind_are_refused_and_kept(tmp_path: Path, other: Manifest, difference: str) -> None:
    ResultsFolder(tmp_path, MADE)
    before = (tmp_path / MANIFEST).read_bytes()
    with pytest.raises(OptionError, match=f"^E132 --out {tmp_path} holds results of another kind: {difference}. Give"):
        ResultsFolder(tmp_path, other)
    assert (tmp_path / MANIFEST).read_bytes() == before


def test_the_same_model_may_have_another_name(tmp_path: Path) -> None:
    ResultsFolder(tmp_path, MADE)
    ResultsFolder(tmp_path, replace(MADE, model="copy.safetensors"))


def test_files_of_something_else_are_not_mixed_with_results(tmp_path: Path) -> None:
    (tmp_path / "sales.parquet").write_bytes(b"")
    with pytest.raises(OptionError, match=f"^E132 --out {tmp_path} holds sales.parquet and no {MANIFEST}, so it is no"):
        ResultsFolder(tmp_path, MADE)
    assert not (tmp_path / MANIFEST).exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b"3", b"{}", b'{"version": 2, "model": "m", "sha256": "s", "options": {}, "sources": []}',
     b'{"version": 1, "model": 3, "sha256": "s", "options": {}, "sources": []}', b"[" * 100_000,
     b'{"version": 1, "model": "m", "sha256": "s", "options": {}, "sources": [1]}'],
)  # fmt: skip
def test_a_damaged_manifest_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(OptionError, match=rf"^E132 {tmp_path / MANIFEST} is no manifest that this version reads \(.*"):
        ResultsFolder(tmp_path, MADE)


@pytest.mark.parametrize("kind", ["cut", "empty", "other columns", "folder"])
def test_a_damaged_part_is_named_with_the_remedy(tmp_path: Path, kind: str) -> None:
    folder = ResultsFolder(tmp_path, MADE)
    path = folder.write(failed_rows(["a"], "any"))
    content = path.read_bytes()
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "other columns":
        parquet.write_table(pa.table({"image": ["a"]}), path)
    else:
        path.write_bytes(content[: len(content) // 2] if kind == "cut" else b"")
    with pytest.raises(
        OptionError, match=rf"^E132 {path} is damaged, or is no part of these results: .*Delete it, and"
    ):
        folder.held()
