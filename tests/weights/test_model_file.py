"""A model file is complete, the same for the same model, and refused when anything in it does not fit."""

from __future__ import annotations

import errno
import itertools
import json
import random
import re
import sys
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from faster_rcnn.building import build_model, build_without_values, holds_weights_alone
from faster_rcnn.errors import MachineError, ModelFileError
from faster_rcnn.kernels.int8_layers import Range
from faster_rcnn.model import FasterRCNN
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.header import METADATA_KEY
from faster_rcnn.weights.model_file import (
    LoadedModel,
    is_pickle,
    load_model,
    packed_model,
    read_model_config,
    save_model,
    stored_tensors,
    unpacked_model,
    write_loaded,
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


def test_a_floor_that_no_run_has_chosen_is_stored_as_0(tmp_path: Path, model: FasterRCNN, config: Config) -> None:
    auto = config.model_copy(update={"rpn": config.rpn.model_copy(update={"score_floor": "auto"})})
    save_model(tmp_path / "auto.safetensors", model, auto, CLASSES)
    assert read_model_config(tmp_path / "auto.safetensors") == config


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
    write_loaded(again, loaded)
    assert again.read_bytes() == path.read_bytes()


def test_content(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    header = json.loads(metadata[METADATA_KEY])
    assert list(metadata) == ["faster_rcnn"]
    assert list(header) == sorted(header) == ["checksum", "classes", "config", "format"]
    assert header["format"] == 1
    assert header["classes"] == {"ids": [3, 7, 90], "names": ["cat", None, "dog"]}
    assert {tensor.dtype for tensor in load_file(path).values()} == {torch.float32}
    assert not [name for name in load_file(path) if name.endswith("num_batches_tracked")]


def test_ranges_come_back_as_they_were(path: Path, tmp_path: Path, config: Config) -> None:
    assert load_model(path).ranges is None
    ranges = {"body.fused_3": Range(-0.1, 1 / 3), "head.pooled": Range(0.0, 2.5e-8)}
    quantized, again = tmp_path / "quantized.safetensors", tmp_path / "again.safetensors"
    write_loaded(quantized, LoadedModel(tiny_model(3), config, CLASSES, ranges))
    loaded = load_model(quantized)
    assert loaded.ranges == ranges
    assert read_model_config(quantized) == config
    write_loaded(again, loaded)
    assert again.read_bytes() == quantized.read_bytes()
    with safe_open(quantized, framework="pt") as file:
        header = json.loads(file.metadata()[METADATA_KEY])
    assert header["ranges"] == {"body.fused_3": [-0.1, 1 / 3], "head.pooled": [0.0, 2.5e-8]}
    # All else is that of the file without them.
    plain, other = load_file(path), load_file(quantized)
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


def test_metadata_key_is_the_documented_one() -> None:
    assert METADATA_KEY == "faster_rcnn"


def test_the_checksum_is_that_of_the_file_with_zeros_in_its_place(path: Path) -> None:
    content = path.read_bytes()
    with safe_open(path, framework="pt") as file:
        stored = json.loads(file.metadata()[METADATA_KEY])["checksum"].encode()
    assert content.count(stored) == 1
    assert zlib.crc32(content.replace(stored, b"0" * 8)) == int(stored, 16)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_flipped_bit_in_a_tensor_is_refused(path: Path, share: float) -> None:
    content = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    content[start + int(share * (len(content) - start))] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"^E123 .*is damaged, or another program changed it: its checksum is "):
        load_model(path)
    with pytest.raises(ModelFileError, match="its checksum is"):
        read_model_config(path)
    with pytest.raises(ModelFileError, match="its checksum is"):
        unpacked_model(bytes(content), "the copy")


def test_any_damaged_byte_is_one_line_or_changes_nothing(path: Path, model: FasterRCNN, config: Config) -> None:
    content = path.read_bytes()
    chance = random.Random(0)
    places = [*range(12), *chance.sample(range(12, 8 + int.from_bytes(content[:8], "little")), 30)]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << chance.randrange(8)
        loaded = loaded_or_refused(partial(unpacked_model, bytes(damaged), "the model"))
        if loaded is None:
            continue
        assert (loaded.config, loaded.classes) == (config, CLASSES), f"byte {place}"
        wanted = stored_tensors(model)
        assert all(torch.equal(each, wanted[name]) for name, each in stored_tensors(loaded.model).items())


def test_a_file_of_version_0_1_0_without_a_checksum_is_loaded(path: Path, model: FasterRCNN) -> None:
    rewrite(path, {"checksum": None})
    loaded = load_model(path)
    wanted = stored_tensors(model)
    assert all(torch.equal(each, wanted[name]) for name, each in stored_tensors(loaded.model).items())
    assert read_model_config(path) == loaded.config


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_weight_that_is_not_finite_is_named(path: Path, value: float) -> None:
    weight = load_file(path)["roi.classes.weight"]
    weight[1, 2] = value
    rewrite(path, {"checksum": None}, {"roi.classes.weight": weight})
    with pytest.raises(ModelFileError, match=r"^E123 .*1 tensor \('roi\.classes\.weight'\) is not finite"):
        load_model(path)


def test_a_negative_variance_is_named(path: Path) -> None:
    name = next(each for each in load_file(path) if each.endswith("running_var"))
    rewrite(path, {"checksum": None}, {name: -torch.ones_like(load_file(path)[name])})
    with pytest.raises(ModelFileError, match=rf"1 tensor \('{name}'\) is below 0, and no variance is"):
        load_model(path)


@pytest.mark.parametrize(
    "kind",
    [
        *(torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn),
        *(torch.int8, torch.int64, torch.bool, torch.complex64),
    ],
)
def test_weights_of_another_type_are_named(path: Path, kind: torch.dtype) -> None:
    weight = load_file(path)["roi.classes.bias"].to(kind)
    rewrite(path, {"checksum": None}, {"roi.classes.bias": weight})
    name = str(kind).removeprefix("torch.")
    with pytest.raises(ModelFileError, match=rf"'roi\.classes\.bias' holds {name}, a model file holds float32"):
        load_model(path)


def changed(config: Config, section: str, **values: object) -> dict[str, object]:
    """The header of a detector with other settings."""
    dumped = config.model_dump(mode="json")
    return {"checksum": None, "config": {**dumped, section: {**dumped[section], **values}}}


def test_settings_of_version_0_1_0_that_are_gone_load_at_their_defaults(path: Path, config: Config) -> None:
    dumped = config.model_dump(mode="json")
    older = {"backbone": {"pyramid_padding": "zeros"}, "rpn": {"head": "siblings", "head_padding": "zeros"}}
    rewrite(path, {"checksum": None, "config": dumped | {name: dumped[name] | older[name] for name in older}})
    assert load_model(path).config == config


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("backbone", {"body": "hf-hub:owner/name"}, "backbone.body is not usable: 'hf-hub:owner/name' is no name"),
        ("backbone", {"body": "local-dir:/tmp"}, "backbone.body is not usable: 'local-dir:/tmp' is no name"),
        ("backbone", {"body": "timm/resnet50"}, "backbone.body is not usable: 'timm/resnet50' is no name"),
        ("backbone", {"body": "torchvision:vgg16"}, "backbone.body 'torchvision:vgg16' is no architecture of timm"),
        ("image", {"mean": [0.0, float("nan"), 0.0]}, "image.mean.1 is not usable"),
        ("image", {"std": [0.2, 0.0, 0.2]}, "image.std.1 is not usable"),
        ("image", {"std": [0.2, 0.2, -0.2]}, "image.std.2 is not usable"),
        ("image", {"std": [0.2, 0.2, 1e-300]}, "image.std.2 is not usable"),
        ("roi", {"delta_weights": [10.0, float("inf"), 5.0, 5.0]}, "roi.delta_weights.1 is not usable"),
        ("roi", {"delta_weights": [10.0, 0.0, 5.0, 5.0]}, "roi.delta_weights.1 is not usable"),
        ("rpn", {"head_convs": 10**6}, "rpn.head_convs is not usable"),
        ("roi", {"head_convs": [16] * 1000}, "roi.head_convs is not usable"),
        ("roi", {"head_hidden": [16] * 10**6}, "metadata is damaged: 'its settings are"),
        ("rpn", {"anchor_sizes": [[8.0] * 1000] * 5}, "rpn.anchor_sizes.0 is not usable"),
        ("image", {"multiple_of": 10**6}, "image.multiple_of is not usable"),
        ("rpn", {"head": "joined"}, "the setting rpn.head was removed, and 'joined' with it"),
    ],
)
def test_settings_that_no_detector_has_are_refused(
    path: Path, config: Config, section: str, values: dict[str, object], message: str
) -> None:
    rewrite(path, changed(config, section, **values))
    with pytest.raises(ModelFileError, match=re.escape(message)) as raised:
        load_model(path)
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of memory is read from Linux")
@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("backbone", {"pyramid_channels": 8192}),
        ("backbone", {"body": "convnext_xxlarge", "levels": [0, 1, 2, 3]}),
        ("rpn", {"head_channels": 16384, "head_convs": 64}),
        ("roi", {"head_hidden": [16384] * 8, "pooled_side": 64}),
    ],
)
def test_a_small_file_that_asks_for_much_takes_no_memory(
    path: Path, config: Config, section: str, values: dict[str, object]
) -> None:
    rewrite(path, changed(config, section, **values))
    before = peak_of_memory()
    with pytest.raises(ModelFileError, match=r"^E123 .*tensors? .*; nothing was loaded"):
        load_model(path)
    assert peak_of_memory() - before < 300_000  # of 3 to 100 GB


def peak_of_memory() -> int:
    """Kilobytes that this process has held at once since the last call."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    Path("/proc/self/clear_refs").write_text("5")
    return int(found[1])


def test_too_many_classes_are_refused(path: Path) -> None:
    count = 10**6
    many = {"names": [f"c{number}" for number in range(count)], "ids": list(range(count))}
    rewrite(path, {"checksum": None, "classes": many})
    with pytest.raises(ModelFileError, match="it has 1000000 classes; a detector has 100000 at most"):
        load_model(path)


@pytest.mark.parametrize(
    "classes",
    [
        {"names": ["a", 5, "b"], "ids": [1, 2, 3]},
        {"names": ["a", ["b"], "c"], "ids": [1, 2, 3]},
        {"names": ["a", "b", "c"], "ids": [1, 2, 2.5]},
        {"names": ["a", "b", "c"], "ids": [1, 2, 2**70]},
        {"names": ["a", "a", "c"], "ids": [1, 2, 3]},
    ],
)
def test_classes_that_are_none(path: Path, classes: dict[str, object]) -> None:
    rewrite(path, {"checksum": None, "classes": classes})
    with pytest.raises(ModelFileError, match=r"its metadata is damaged: '.*class"):
        load_model(path)


def test_a_body_with_tables_beside_its_weights_comes_back(tmp_path: Path) -> None:
    # MaxViT computes its relative positions when it is built; no file holds them.
    sections: dict[str, dict[str, Any]] = {
        "image": {"multiple_of": 160},
        "backbone": {"body": "test_maxvit", "levels": (0, 1, 2, 3)},
    }
    config = tiny_config(**sections)
    model = tiny_model(3, **sections).eval()
    assert not holds_weights_alone(build_without_values(config, 3))
    save_model(tmp_path / "model.safetensors", model, config, ClassMap(("a", "b", "c"), (1, 2, 3)))
    image = random_image(64, 80)
    (found,), (expected,) = load_model(tmp_path / "model.safetensors").model.detect([image]), model.detect([image])
    torch.testing.assert_close(found.boxes, expected.boxes, rtol=0, atol=0)


def test_loading_opens_no_connection_and_no_other_file(path: Path) -> None:
    load_model(path)  # so that Python has read its modules
    opened: list[str] = []
    listening = [True]

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if listening and (event.startswith("socket.") or event == "open"):
            opened.append(f"{event} {arguments[0]}")

    sys.addaudithook(note)  # it stays, and notes nothing from the end of this test on
    load_model(path)
    listening.clear()
    assert set(opened) == {f"open {path}"}


@pytest.mark.parametrize("swap", ["rename", "copy"])
def test_a_file_that_is_replaced_meanwhile_gives_one_of_both_or_one_line(
    swap: str, tmp_path: Path, config: Config
) -> None:
    check_replaced(tmp_path, config, swap, 12)


@pytest.mark.soak
@pytest.mark.parametrize("swap", ["rename", "copy"])
def test_sixty_loads_of_a_larger_file_that_is_replaced_meanwhile(swap: str, tmp_path: Path) -> None:
    check_replaced(tmp_path, preset("small"), swap, 60)


def check_replaced(folder: Path, config: Config, swap: str, loads: int) -> None:
    """Load a file again and again while two models take turns in its place."""
    file, contents = folder / "model.safetensors", []
    model = build_model(config, 3)
    for value in (0.25, 0.75):
        torch.nn.init.constant_(model.roi.classes.bias, value)
        contents.append(packed_model(LoadedModel(model, config, CLASSES)))
    file.write_bytes(contents[0])
    done = threading.Event()
    replacing = threading.Thread(target=replace_until, args=(done, file, contents, swap))
    replacing.start()
    try:
        outcomes = [bias_in(file) for _ in range(loads)]
    finally:
        done.set()
        replacing.join()
    assert set(outcomes) <= {0.25, 0.75, None}
    if swap == "rename":
        assert None not in outcomes


def replace_until(done: threading.Event, file: Path, contents: Sequence[bytes], swap: str) -> None:
    """Put one content after the other in the place of a file."""
    for content in itertools.cycle(contents):
        if done.wait(0.003):
            return
        if swap == "rename":
            file.with_suffix(".new").write_bytes(content)
            file.with_suffix(".new").replace(file)
        else:
            file.write_bytes(content)


def bias_in(file: Path) -> float | None:
    """The value of all biases, of which the file has one; none where it is refused in one line."""
    loaded = loaded_or_refused(partial(load_model, file))
    if loaded is None:
        return None
    (value,) = loaded.model.roi.classes.bias.unique().tolist()
    return float(value)


def loaded_or_refused(load: Callable[[], LoadedModel]) -> LoadedModel | None:
    """The detector, or none where it is refused in one line."""
    try:
        return load()
    except ModelFileError as error:
        if "\n" in str(error):
            raise
        return None
