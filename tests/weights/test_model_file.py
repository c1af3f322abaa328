"""A model file is complete, the same for the same model, and refused when anything in it does not fit."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from faster_rcnn.config import Config
from faster_rcnn.errors import MachineError, ModelFileError
from faster_rcnn.model import FasterRCNN
from faster_rcnn.ops.eight_bit import Range
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights import model_file
from faster_rcnn.weights.model_file import (
    METADATA_KEY,
    find_model_file,
    is_pickle,
    load_model,
    read_model_config,
    save_model,
    stored_tensors,
)
from tiny import random_image, tiny_config, tiny_model

CLASSES = ClassMap(("cat", None, "dog"), (3, 7, 90))


@pytest.fixture
def config() -> Config:
    return tiny_config()


@pytest.fixture
def model() -> FasterRCNN:
    return tiny_model(3)


@pytest.fixture
def path(tmp_path: Path, model: FasterRCNN, config: Config) -> Path:
    file = tmp_path / "model.safetensors"
    save_model(file, model, config, CLASSES)
    return file


def rewrite(
    path: Path,
    header: Mapping[str, object] | None = None,
    tensors: Mapping[str, torch.Tensor | None] | None = None,
) -> None:
    """Change a model file: keys of its header, tensors by name (None removes)."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    content = {name: each for name, each in {**load_file(path), **(tensors or {})}.items() if each is not None}
    changed = {**json.loads(metadata[METADATA_KEY]), **(header or {})}
    save_file(content, path, metadata={METADATA_KEY: json.dumps(changed)})


def test_round_trip(path: Path, model: FasterRCNN, config: Config) -> None:
    loaded = load_model(path)
    assert loaded.config == config == read_model_config(path)
    assert loaded.classes == CLASSES
    assert not loaded.model.training
    for name, tensor in stored_tensors(model).items():
        assert torch.equal(stored_tensors(loaded.model)[name], tensor), name


def test_loaded_model_detects_the_same(path: Path, model: FasterRCNN) -> None:
    image = random_image(64, 80)
    model.roi.detection_filter = load_model(path).model.roi.detection_filter  # which knows the hole
    (expected,) = model.eval().detect([image])
    (found,) = load_model(path).model.detect([image])
    assert len(found) > 0
    assert 1 not in found.labels, "the class without a name is never reported"
    torch.testing.assert_close(found.boxes, expected.boxes, rtol=0, atol=0)


def test_equal_models_are_equal_files(path: Path, tmp_path: Path, config: Config) -> None:
    again = tmp_path / "again.safetensors"
    save_model(again, tiny_model(3).to(memory_format=torch.channels_last), config, CLASSES)
    assert again.read_bytes() == path.read_bytes()
    loaded = load_model(path)
    save_model(again, loaded.model, loaded.config, loaded.classes)
    assert again.read_bytes() == path.read_bytes()


def test_content(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    header = json.loads(metadata[METADATA_KEY])
    assert list(metadata) == ["faster_rcnn"]
    assert list(header) == sorted(header) == ["classes", "config", "format"]
    assert header["format"] == 1
    assert header["classes"] == {"ids": [3, 7, 90], "names": ["cat", None, "dog"]}
    assert {tensor.dtype for tensor in load_file(path).values()} == {torch.float32}
    assert not [name for name in load_file(path) if name.endswith("num_batches_tracked")]


def test_ranges_come_back_as_they_were(path: Path, tmp_path: Path, config: Config) -> None:
    assert load_model(path).ranges is None
    ranges = {"body.fused_3": Range(-0.1, 1 / 3), "head.pooled": Range(0.0, 2.5e-8)}
    quantised, again = tmp_path / "quantised.safetensors", tmp_path / "again.safetensors"
    save_model(quantised, tiny_model(3), config, CLASSES, ranges)
    loaded = load_model(quantised)
    assert loaded.ranges == ranges
    assert read_model_config(quantised) == config
    save_model(again, loaded.model, loaded.config, loaded.classes, loaded.ranges)
    assert again.read_bytes() == quantised.read_bytes()
    with safe_open(quantised, framework="pt") as file:
        header = json.loads(file.metadata()[METADATA_KEY])
    assert header["ranges"] == {"body.fused_3": [-0.1, 1 / 3], "head.pooled": [0.0, 2.5e-8]}
    # All else is that of the file without them.
    plain, other = load_file(path), load_file(quantised)
    assert list(plain) == list(other)
    assert all(torch.equal(plain[name], other[name]) for name in plain)


def test_loading_does_not_use_up_random_numbers(path: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    load_model(path)
    assert torch.equal(torch.rand(1), expected)


def test_missing_tensor(path: Path) -> None:
    rewrite(path, tensors={"rpn.deltas.bias": None})
    with pytest.raises(ModelFileError, match=r"E123 .*1 tensor \('rpn\.deltas\.bias'\) is missing; nothing was loaded"):
        load_model(path)


def test_extra_tensors(path: Path) -> None:
    rewrite(path, tensors={f"mask.{index}": torch.zeros(1) for index in range(4)})
    with pytest.raises(ModelFileError, match=r"4 tensors \('mask\.0', 'mask\.1', 'mask\.2' \.\.\.\) are unknown"):
        load_model(path)


def test_tensor_of_another_shape(path: Path) -> None:
    rewrite(path, tensors={"roi.classes.bias": torch.zeros(3)})
    with pytest.raises(ModelFileError, match=r"'roi\.classes\.bias' has the shape \(3,\), the detector needs \(4,\)"):
        load_model(path)


def test_newer_format(path: Path) -> None:
    rewrite(path, {"format": 2})
    with pytest.raises(ModelFileError, match=r"E123 .*format 2, written by a newer faster-rcnn; this one reads"):
        load_model(path)


def test_settings_of_another_version(path: Path) -> None:
    rewrite(path, {"config": {"rpn": {"cascade": 3}}})
    with pytest.raises(ModelFileError, match=r"its setting rpn\.cascade is not usable"):
        load_model(path)


@pytest.mark.parametrize(
    "header",
    [
        {"format": None},
        {"classes": {}},
        {"classes": {"names": ["a"], "ids": [1, 2]}},
        {"ranges": 3},
        {"ranges": [[0, 1]]},
        {"ranges": {"body.fused_1": [1]}},
        {"ranges": {"body.fused_1": 1}},
        {"ranges": {"body.fused_1": ["low", "high"]}},
        {"ranges": {"body.fused_1": [0, None]}},
    ],
)
def test_damaged_metadata(path: Path, header: dict[str, object]) -> None:
    rewrite(path, header)
    with pytest.raises(ModelFileError, match="its metadata is damaged"):
        load_model(path)


def test_body_that_does_not_exist(path: Path, config: Config) -> None:
    backbone = config.backbone.model_copy(update={"body": "resnet_of_tomorrow"})
    rewrite(path, {"config": config.model_copy(update={"backbone": backbone}).model_dump(mode="json")})
    with pytest.raises(ModelFileError, match=r"no detector can be built from its settings.*resnet_of_tomorrow"):
        load_model(path)


@pytest.mark.parametrize("share", [0.3, 0.9999])
def test_truncated_file(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelFileError, match=r"model\.safetensors is incomplete or damaged; was the copy interrupted"):
        load_model(path)


@pytest.mark.parametrize("content", [b"", b"hello, I am a text of some length"])
def test_other_content(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"E123 .*is not a safetensors file"):
        load_model(path)


def test_safetensors_of_others(tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, file)
    with pytest.raises(ModelFileError, match=r"E123 .*without a faster-rcnn model in it.*faster-rcnn import --help"):
        load_model(file)


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("zipped", [True, False])
def test_pickle_is_never_run(tmp_path: Path, zipped: bool) -> None:
    file, mark = tmp_path / "best.pt", tmp_path / "exploded"
    torch.save({"model": Bomb(mark)}, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        ModelFileError, match=r"E123 .*best\.pt is a pickle.*not loaded\. See faster-rcnn import --help"
    ):
        load_model(file)
    assert not mark.exists()


def test_no_safetensors_file_is_taken_for_a_pickle(tmp_path: Path) -> None:
    # The first byte is the low one of the header's length, which may be 0x80, a pickle's first byte.
    file = tmp_path / "a.safetensors"
    for length in range(200):
        save_file({"weight": torch.zeros(2)}, file, metadata={"padding": "x" * length})
        assert not is_pickle(file)
        if file.read_bytes()[0] == 0x80:
            return
    pytest.fail("no header of such a length was made")


def test_full_disk_keeps_the_old_file(
    path: Path, model: FasterRCNN, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = path.read_bytes()

    def half(file: Path, content: bytes) -> int:
        with file.open("wb") as opened:
            opened.write(content[:1000])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(MachineError, match=r"no space left .*model\.safetensors; the old file is kept") as fault:
        save_model(path, model, config, CLASSES)
    assert fault.value.exit_code == 5
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


def test_find_file_and_run_folder(path: Path, tmp_path: Path) -> None:
    assert find_model_file(str(path)) == path
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(ModelFileError, match=r"E123 .*run holds neither best\.safetensors nor last\.safetensors"):
        find_model_file(str(run))
    (run / "last.safetensors").touch()
    assert find_model_file(str(run)).name == "last.safetensors"
    (run / "best.safetensors").touch()
    assert find_model_file(str(run)).name == "best.safetensors"


def test_find_tells_of_similar_names(path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"there is no model file .*; did you mean '.*model\.safetensors'"):
        find_model_file(str(path.with_name("modle.safetensors")))
    with pytest.raises(ModelFileError, match=r"the folder .*nowhere does not exist either"):
        find_model_file(str(path.parent / "nowhere" / "model.safetensors"))


def test_metadata_key_is_the_documented_one() -> None:
    assert model_file.METADATA_KEY == "faster_rcnn"
