"""Detectron2's names and settings: every layout, every way to write it down, and strict about each tensor."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from detectron2_peer import CONSTANTS, cheap_weights, formula_weights, read_peer, write_pickle
from faster_rcnn.cli.import_weights import import_weights
from faster_rcnn.errors import ModelFileError, OptionError
from faster_rcnn.rpn.anchors import base_anchors
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.classes import coco_80_classes
from faster_rcnn.weights.foreign.checkpoint_import import table_of
from faster_rcnn.weights.foreign.detectron2_layout import LAYOUTS
from faster_rcnn.weights.foreign.layouts import classes_of, fit_of, layout_named, model_from_layout
from faster_rcnn.weights.foreign.state_dict import read_checkpoint
from faster_rcnn.weights.model_file import load_model, stored_tensors

NAMES = [layout.removeprefix("detectron2:") for layout in LAYOUTS]
FPN, RPN = "faster_rcnn_R_50_FPN_3x", "rpn_R_50_FPN_1x"

SIZES = (32.0, 64.0, 128.0, 256.0, 512.0)
RATIOS = (0.5, 1.0, 2.0)


def constants(levels: list[tuple[float, ...]]) -> dict[str, Tensor]:
    """What files may hold beside weights; anchors by size, then ratio."""
    anchors = {
        f"proposal_generator.anchor_generator.cell_anchors.{level}": torch.cat(
            [base_anchors([size], RATIOS, rounding=False) for size in sizes]
        )
        for level, sizes in enumerate(levels)
    }
    return {**CONSTANTS, **anchors, "backbone.some.norm.num_batches_tracked": torch.tensor(7)}


OF_PYRAMID = constants([(size,) for size in SIZES])


@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_finds_its_place(name: str, detectron2_keys: Path) -> None:
    peer = read_peer(detectron2_keys, name)
    layout, foreign = layout_named(peer.layout), cheap_weights(peer)
    classes = classes_of("peer", foreign, peer.layout, None)
    fit = fit_of(foreign, peer.layout, len(classes))
    assert (fit.missing, fit.left_over, fit.not_needed) == ((), (), 0)
    assert all(found == wanted for found, wanted in fit.parts.values())
    assert sum(found for found, _ in fit.parts.values()) == len(peer.shapes)
    assert classes == (ClassMap(("object",), (1,)) if name == RPN else coco_80_classes())
    # Loading is by shape as well, and the way back gives every name its own tensor again.
    ours = stored_tensors(model_from_layout("peer", foreign, peer.layout, classes).model)
    for theirs, tensor in layout.to_theirs(ours).items():
        assert torch.equal(tensor, foreign[theirs]), theirs


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_those_of_the_model_zoo(name: str, detectron2_keys: Path) -> None:
    settings = read_peer(detectron2_keys, name).settings
    config = LAYOUTS[f"detectron2:{name}"].config()
    image, rpn, roi = config.image, config.rpn, config.roi
    assert settings["INPUT.FORMAT"] == "BGR"
    assert [255 * each for each in reversed(image.mean)] == pytest.approx(settings["MODEL.PIXEL_MEAN"])
    assert [255 * each for each in reversed(image.std)] == pytest.approx(settings["MODEL.PIXEL_STD"])
    assert (image.short_side, image.long_side) == (settings["INPUT.MIN_SIZE_TEST"], settings["INPUT.MAX_SIZE_TEST"])
    assert (image.resize, image.size_rounding) == ("antialias", "nearest")
    assert image.multiple_of == (0 if "FPN" in name else 1)
    assert config.backbone.stride_in_1x1 == settings["MODEL.RESNETS.STRIDE_IN_1X1"]
    assert config.backbone.norm_epsilon == 1e-5
    assert [list(each) for each in rpn.anchor_sizes] == settings["MODEL.ANCHOR_GENERATOR.SIZES"]
    assert [list(rpn.anchor_heights_over_widths)] == settings["MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS"]
    assert (rpn.anchor_offset, rpn.anchor_rounding) == (settings["MODEL.ANCHOR_GENERATOR.OFFSET"], False)
    assert rpn.anchor_stride == "exact"
    assert rpn.proposals_before_nms == settings["MODEL.RPN.PRE_NMS_TOPK_TEST"]
    assert rpn.proposals_after_nms == settings["MODEL.RPN.POST_NMS_TOPK_TEST"]
    assert rpn.nms_iou == settings["MODEL.RPN.NMS_THRESH"]
    assert roi.score_floor == settings["MODEL.ROI_HEADS.SCORE_THRESH_TEST"]
    assert roi.nms_iou == settings["MODEL.ROI_HEADS.NMS_THRESH_TEST"]
    assert (roi.pooling, settings["MODEL.ROI_BOX_HEAD.POOLER_TYPE"]) == ("aligned-align", "ROIAlignV2")
    assert roi.pooled_side == settings["MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION"]
    assert roi.sampling_ratio == settings["MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO"]
    assert list(roi.delta_weights) == settings["MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS"]
    assert roi.class_agnostic == settings["MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG"]
    assert roi.max_detections == settings["TEST.DETECTIONS_PER_IMAGE"]
    training = (2000, 1000) if "FPN" in name else (12000, 2000)
    assert (rpn.proposals_before_nms_training, rpn.proposals_after_nms_training) == training
    assert (rpn.box_loss_beta, roi.box_loss_beta) == (0, 0)
    kinds = {"fast_rcnn": "fast-rcnn", "rpn_R_50": "rpn"}
    assert config.detector.kind == kinds.get(name[: len("rpn_R_50")] if name == RPN else name[:9], "faster-rcnn")


@pytest.mark.parametrize("name", NAMES)
def test_with_constants(name: str, detectron2_keys: Path) -> None:
    peer = read_peer(detectron2_keys, name)
    foreign, config = cheap_weights(peer), LAYOUTS[peer.layout].config()
    beside = constants(list(config.rpn.anchor_sizes))
    if "X_101" in name:
        beside["pixel_std"] = torch.tensor([57.375, 57.12, 58.395])
    everything = {**beside, **foreign}
    classes = classes_of("peer", everything, peer.layout, None)
    fit = fit_of(everything, peer.layout, len(classes))
    assert (fit.missing, fit.left_over, fit.not_needed) == ((), (), len(beside))
    # The same settings as without them: their float32 is not ours to the last digit, and nothing else differs.
    assert LAYOUTS[peer.layout].read_settings("peer", everything, config) == config


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
@pytest.mark.parametrize("beside", [{}, OF_PYRAMID], ids=["weights alone", "with constants"])
def test_pickle_and_pth_are_the_same_detector(
    core: str, beside: dict[str, Tensor], detectron2_keys: Path, tmp_path: Path
) -> None:
    foreign = formula_weights(read_peer(detectron2_keys, RPN), seed=1)
    layout = f"detectron2:{RPN}"
    paths = [write_pickle(tmp_path / "model_final.pkl", {**foreign, **beside}, core=core), tmp_path / "model.pth"]
    torch.save({"model": {**foreign, **beside}, "iteration": 7}, paths[1])
    models = []
    for path in paths:
        read = read_checkpoint(path).tensors
        models.append(stored_tensors(model_from_layout(path, read, layout, classes_of(path, read, layout, None)).model))
    # BGR to RGB; the rest of what differs is names.
    stem = foreign["backbone.bottom_up.stem.conv1.weight"]
    for model in models:
        assert torch.equal(model["backbone.body.layers.conv1.weight"][:, 0], stem[:, 2])
        assert torch.equal(model["backbone.body.layers.conv1.weight"][:, 2], stem[:, 0])
        assert torch.equal(model["rpn.deltas.bias"], foreign["proposal_generator.rpn_head.anchor_deltas.bias"])
        assert torch.equal(
            model["backbone.body.layers.layer4.0.downsample.1.running_var"],
            foreign["backbone.bottom_up.res5.0.shortcut.norm.running_var"],
        )


@pytest.mark.usefixtures("shown_log")
def test_the_command_accounts_for_every_tensor(
    detectron2_keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = formula_weights(read_peer(detectron2_keys, RPN), seed=1)
    path, out = write_pickle(tmp_path / "model.pkl", {**foreign, **CONSTANTS}), tmp_path / "rpn.safetensors"
    assert import_weights(path, layout=f"detectron2:{RPN}", classes=None, out=out) == 0
    said = capsys.readouterr().err.splitlines()[1:]
    assert [" ".join(line.split()) for line in said[:5]] == [
        "weights taken from 'model'",
        "body 265 of 265 tensors",
        "pyramid 16 of 16 tensors",
        "first stage 6 of 6 tensors",
        "289 tensors in the file, 287 taken, 2 constants and counters not needed, 0 missing, 0 left over",
    ]
    # Mean and deviation are in the file; a first stage alone has no second one.
    assert said[5].startswith("the file does not hold these settings; the layout's own are assumed, and --set changes")
    assert "image.short_side=800 image.long_side=1333 rpn.anchor_sizes=[[32],[64],[128],[256],[512]] rpn." in said[5]
    assert "roi." not in said[5]
    assert said[6].endswith("as detectron2:rpn_R_50_FPN_1x (from preset base): 1 class")
    loaded = load_model(out)
    assert (loaded.classes.names, loaded.config.detector.kind) == (("object",), "rpn")


def test_the_table_of_a_file_that_does_not_fit(detectron2_keys: Path) -> None:
    # Of FPN's 295, C4 knows the 6 of the first stage and the 4 outputs by name; it wants 275.
    fit = fit_of(cheap_weights(read_peer(detectron2_keys, FPN)), "detectron2:faster_rcnn_R_50_C4_3x", 80)
    *_, total = table_of(fit)
    assert total == "295 tensors in the file, 10 with a place, 265 missing, 285 left over"


def test_anchors_by_size_become_anchors_by_ratio() -> None:
    # Two sizes a, b and three ratios 1, 2, 3: theirs a1 a2 a3 b1 b2 b3, ours a1 b1 a2 b2 a3 b3.
    layout = layout_named("detectron2:faster_rcnn_R_50_C4_3x")
    ours = layout.to_ours({"proposal_generator.rpn_head.objectness_logits.bias": torch.arange(15)})
    assert ours["rpn.objectness.bias"].tolist() == [0, 3, 6, 9, 12, 1, 4, 7, 10, 13, 2, 5, 8, 11, 14]
    name = "proposal_generator.rpn_head.anchor_deltas.weight"
    theirs = torch.arange(60.0)[:, None, None, None]
    ours = layout.to_ours({name: theirs})
    # Ours number 1 is theirs number 3: rows 12 to 15.
    assert ours["rpn.deltas.weight"][4:8].flatten().tolist() == [12, 13, 14, 15]
    assert torch.equal(layout.to_theirs(ours)[name], theirs)
    pyramid = layout_named(f"detectron2:{FPN}")
    assert torch.equal(pyramid.to_ours({name: theirs[:12]})["rpn.deltas.weight"], theirs[:12])


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("backbone.fpn_output3.bias", None, r"1 tensor \('backbone\.fpn_output3\.bias'\) is missing; nothing was load"),
        ("roi_heads.mask_head.0.weight", torch.zeros(1), r"1 tensor \('roi_heads\.mask_head.*\) is unknown; nothing"),
        ("backbone.fpn_output3.bias", torch.zeros(7), r"has the shape \(7,\), the detector needs \(256,\)"),
        ("roi_heads.box_predictor.bbox_pred.bias", torch.zeros(4), r"has the shape \(4,\), the detector needs \(320"),
        ("pixel_mean", torch.zeros(4), r"'pixel_mean' is \[0\.0, 0\.0, 0\.0, 0\.0\], which are not three numbers"),
        ("pixel_std", torch.zeros(3), r"'pixel_std' is .*, which are not three numbers"),
        ("pixel_mean", torch.tensor([123.675, 116.28, 103.53]), "'pixel_mean' is in the order RGB"),
        (
            "proposal_generator.anchor_generator.cell_anchors.0",
            torch.tensor([[-8.0, -8.0, 8.0, 8.0]]),
            r"cell_anchors\.0' holds other anchors than this layout, of the sizes \(32,\)",
        ),
    ],
)
def test_one_tensor_that_does_not_fit(name: str, tensor: Tensor | None, message: str, detectron2_keys: Path) -> None:
    peer = read_peer(detectron2_keys, FPN)
    foreign = {**cheap_weights(peer), name: tensor}
    complete = {each: value for each, value in foreign.items() if value is not None}
    with pytest.raises(ModelFileError, match=f"E123 peer.pkl: .*{message}") as raised:
        model_from_layout("peer.pkl", complete, peer.layout, coco_80_classes())
    assert "look like" not in str(raised.value)


def test_mean_and_deviation_of_the_file_are_taken_over(detectron2_keys: Path) -> None:
    peer = read_peer(detectron2_keys, RPN)
    own = {"pixel_mean": torch.tensor([51.0, 102.0, 153.0]), "pixel_std": torch.tensor([25.5, 51.0, 255.0])}
    image = model_from_layout("x", {**cheap_weights(peer), **own}, peer.layout, ClassMap(("x",), (1,))).config.image
    assert image.mean == pytest.approx((0.6, 0.4, 0.2))  # 153, 102, 51 of 255
    assert image.std == pytest.approx((1.0, 0.2, 0.1))


def test_anchors_of_ones_own_are_imported_with_set(detectron2_keys: Path, tmp_path: Path) -> None:
    foreign = formula_weights(read_peer(detectron2_keys, RPN), seed=1)
    beside = constants([(size / 2,) for size in SIZES])
    path, out = write_pickle(tmp_path / "model.pkl", {**foreign, **beside}), tmp_path / "rpn.safetensors"
    with pytest.raises(
        ModelFileError, match=r"holds other anchors than this layout.*--set rpn\.anchor_sizes and --set"
    ):
        import_weights(path, layout=f"detectron2:{RPN}", classes=None, out=out)
    assert import_weights(path, layout=f"detectron2:{RPN}", classes=None, out=out, settings=[
        "rpn.anchor_sizes=[[16],[32],[64],[128],[256]]"
    ]) == 0  # fmt: skip
    assert load_model(out).config.rpn.anchor_sizes == ((16,), (32,), (64,), (128,), (256,))


def test_a_setting_that_the_file_holds_itself_is_not_overruled(detectron2_keys: Path, tmp_path: Path) -> None:
    foreign = formula_weights(read_peer(detectron2_keys, RPN), seed=1)
    path, out = write_pickle(tmp_path / "model.pkl", {**foreign, **CONSTANTS}), tmp_path / "rpn.safetensors"
    with pytest.raises(OptionError, match=r"^E125 --set image\.std: .*model\.pkl holds it itself, as \["):
        import_weights(path, layout=f"detectron2:{RPN}", classes=None, out=out, settings=["image.std=[0.5,0.5,0.5]"])
    assert not out.exists()


def test_rows_of_anchors_are_ordered_for_the_layouts_number_of_sizes(detectron2_keys: Path) -> None:
    """C4's 5 sizes x 3 ratios are 15 rows, which 3 sizes x 5 ratios would be, too, in another order."""
    peer = read_peer(detectron2_keys, "faster_rcnn_R_50_C4_3x")
    foreign, config = cheap_weights(peer), LAYOUTS[peer.layout].config()
    rpn = config.rpn.model_copy(
        update={"anchor_sizes": ((32.0, 64.0, 128.0),), "anchor_heights_over_widths": (0.25, 0.5, 1.0, 2.0, 4.0)}
    )
    other = config.model_copy(update={"rpn": rpn})
    with pytest.raises(ModelFileError, match=r"has \[3\] sizes per level, and this layout's rows are ordered for 5"):
        model_from_layout("x", foreign, peer.layout, coco_80_classes(), other)


def test_another_number_of_classes(detectron2_keys: Path) -> None:
    peer = read_peer(detectron2_keys, FPN).outputs(3)
    foreign = formula_weights(peer, seed=2)
    with pytest.raises(ModelFileError, match="the file has 3 classes without names and COCO has 80; name them with"):
        classes_of("x", foreign, peer.layout, None)
    classes = classes_of("x", foreign, peer.layout, "cat,dog,cow")
    loaded = model_from_layout("x", foreign, peer.layout, classes)
    assert loaded.classes.names == ("cat", "dog", "cow")
    # Background is last in both: no row moves.
    theirs = foreign["roi_heads.box_predictor.cls_score.weight"]
    assert torch.equal(loaded.model.roi.classes.weight.detach(), theirs)
    assert loaded.model.roi.deltas.weight.shape == (12, 1024)


@pytest.mark.parametrize(
    ("name", "asked", "likely"),
    [
        ("faster_rcnn_R_101_FPN_3x", FPN, "faster_rcnn_R_101_FPN_3x"),
        (FPN, "faster_rcnn_R_50_C4_3x", FPN),
        ("faster_rcnn_R_101_FPN_3x", "faster_rcnn_X_101_32x8d_FPN_3x", "faster_rcnn_R_101_FPN_3x"),
    ],
)
def test_another_layout_is_recognised(name: str, asked: str, likely: str, detectron2_keys: Path) -> None:
    foreign = cheap_weights(read_peer(detectron2_keys, name))
    with pytest.raises(ModelFileError, match=rf"fit --layout detectron2:{likely}$"):
        model_from_layout("x", foreign, f"detectron2:{asked}", coco_80_classes())


def test_a_file_of_another_project_is_recognised(detectron2_keys: Path) -> None:
    foreign = cheap_weights(read_peer(detectron2_keys, RPN))
    with pytest.raises(ModelFileError, match=rf"cls_score\.weight', so it is no torchvision:.* fit .*{RPN}$"):
        classes_of("x", foreign, "torchvision:fasterrcnn_resnet50_fpn", None)
