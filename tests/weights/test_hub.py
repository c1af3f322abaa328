"""Addresses on the hub: huggingface_hub itself downloads from a hub on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from faster_rcnn.errors import MachineError, MissingExtraError, ModelFileError
from faster_rcnn.weights.hub import ADDRESS, downloaded, is_on_hub
from faster_rcnn.weights.resolve import resolve_model
from files import CLASSES, model_file
from hub_server import Hub, running_hub


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with pytest.MonkeyPatch.context() as patch, running_hub(tmp_path / "cache", patch) as hub:
        hub.repositories["owner/cells"] = {"model.safetensors": b"first", "other/small.safetensors": b"second"}
        yield hub


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("hf://owner/name", ("owner/name", None, None)),
        ("hf:/owner/name", ("owner/name", None, None)),
        ("hf://owner/name@v1.0", ("owner/name", "v1.0", None)),
        ("hf://owner/name@v1.0/a/b.safetensors", ("owner/name", "v1.0", "a/b.safetensors")),
    ],
)
def test_the_parts_of_an_address(text: str, parts: tuple[str | None, ...]) -> None:
    match = ADDRESS.fullmatch(text)
    assert match is not None
    assert (match["repository"], match["revision"], match["file"]) == parts
    assert is_on_hub(text)
    assert not is_on_hub("runs/cells")


def test_files_are_downloaded_and_kept(hub: Hub) -> None:
    assert downloaded("hf://owner/cells").read_bytes() == b"first"
    assert downloaded("hf://owner/cells@main/other/small.safetensors").read_bytes() == b"second"
    hub.shutdown()
    hub.server_close()
    assert downloaded("hf://owner/cells").read_bytes() == b"first"
    with pytest.raises(MachineError) as raised:
        downloaded("hf://owner/gone")
    assert str(raised.value) == (
        f"hf://owner/gone was not downloaded before, and {hub.address} does not answer; connect this machine, or give "
        "a model file"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hf://cells", "'hf://cells' is no address of a model; write hf://owner/name, "),
        ("hf://owner/gone", "hf://owner/gone: http://.* has no such repository, or it is private; "),
        ("hf://owner/cells@v9", "hf://owner/cells@v9: the repository has no such revision or file; "),
        ("hf://owner/cells/x.bin", "hf://owner/cells/x.bin: the repository has no such revision or file; "),
    ],
)
def test_what_is_not_there_is_one_line(hub: Hub, text: str, message: str) -> None:
    with pytest.raises(ModelFileError, match=f"^E123 {message}"):
        downloaded(text)


def test_a_model_is_named_by_its_address(hub: Hub, tmp_path: Path) -> None:
    hub.repositories["owner/cells"]["model.safetensors"] = model_file(tmp_path / "tiny.safetensors").read_bytes()
    assert resolve_model("hf://owner/cells").classes == CLASSES
    with pytest.raises(ModelFileError, match="E123"):
        resolve_model("hf://owner/cells/other/small.safetensors")


def test_the_package_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"^this needs .*'huggingface_hub': pip install 'faster-rcnn\[hub\]'$"):
        downloaded("hf://owner/cells")
