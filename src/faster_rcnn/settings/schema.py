"""Every setting of the detector and its training, each with its unit and its source.

The sections ``detector``, ``image``, ``backbone``, ``rpn``, ``roi``, ``data`` and ``training`` have the names of the
folders and stages that they configure. ``faster-rcnn config`` prints all settings, ``--config FILE`` reads them back,
and ``--set section.key=value`` changes one. Settings reach functions of the detector as plain numbers.

Sources: FRCNN = Faster R-CNN (arXiv 1506.01497v3), Fast = Fast R-CNN (1504.08083), FPN = Feature Pyramid Networks
(1612.03144), Mask = Mask R-CNN (1703.06870), TV = torchvision's detection models, D2 = Detectron2's model zoo. A number
after a source is its section.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from faster_rcnn.choices import BoxLossKind, PoolingMethod, ResizeMethod, SearchMode, SizeRounding
from faster_rcnn.settings.limits import (
    MAX_LAYERS,
    MAX_LEVELS,
    MAX_SHAPES,
    Architecture,
    Channels,
    Factor,
    Pixels,
    Ratio,
    Shift,
)
from faster_rcnn.settings.section import Section
from faster_rcnn.settings.training import TrainingConfig


class DetectorConfig(Section):
    """The stages that the detector has, and how Fast R-CNN gets its proposals."""

    kind: Literal["faster-rcnn", "fast-rcnn", "rpn"] = "faster-rcnn"
    """Both stages; the second stage alone, on external proposals (Fast); or the first stage alone, without classes."""
    selective_search: SearchMode = "fast"
    """Mode of selective search, which Fast R-CNN runs where no proposals are given (Uijlings, IJCV 2013, 5)."""
    outside_proposals: PositiveInt = 2000
    """Maximum number of external proposals per image; the best ones are used (Fast, 5.5: 2000)."""


class ImageConfig(Section):
    """Resizing and normalisation of an image before the backbone runs on it."""

    short_side: int = Field(416, gt=0, le=32_768)
    """Pixels of the shorter side after resizing, unless the longer one would exceed ``long_side`` (Fast, 5.2)."""
    long_side: int = Field(640, gt=0, le=1_000_000)
    """Maximum of the longer side in pixels after resizing (Fast, 5.2: 1000)."""
    resize: ResizeMethod = "antialias"
    """Bilinear resizing: ``antialias`` of uint8 pixels, fast and smooth, or ``plain`` of floats, not smoothed (TV)."""
    size_rounding: SizeRounding = "down"
    """Rounding of the sides after resizing: ``down`` to the integer below (TV), or to the ``nearest`` integer (D2)."""
    multiple_of: int = Field(0, ge=0, le=1024)
    """Multiple of pixels that sides are padded to; 0: backbone's stride (TV: 32; D2's C4 and DC5: 1, no padding)."""
    mean: tuple[Shift, Shift, Shift] = (0.485, 0.456, 0.406)
    """Mean that is subtracted from each RGB channel, for values in 0..1 (ImageNet)."""
    std: tuple[Factor, Factor, Factor] = (0.229, 0.224, 0.225)
    """Standard deviation that each RGB channel is divided by, for values in 0..1 (ImageNet)."""


class BackboneConfig(Section):
    """The network that runs once per image, and the pyramid on top of it (FPN, section 3)."""

    body: Architecture = "tf_efficientnet_lite0"
    """Network without its classifier: a name of timm, or ``torchvision:mobilenet_v3_large``."""
    neck: Literal["pyramid", "none"] = "pyramid"
    """``pyramid``: a feature pyramid over all ``levels`` (FPN); ``none``: the features of a single level (FRCNN, 3)."""
    levels: tuple[int, ...] = Field((1, 2, 3, 4), min_length=1, max_length=MAX_LEVELS)
    """Indices of the body's feature maps that enter the neck; 1 has stride 4 in most bodies."""
    stride_in_1x1: bool = False
    """Whether bottlenecks have their stride in the first 1x1 convolution (D2's R50, R101), not in the 3x3 one (TV)."""
    dilated_last_stage: bool = False
    """Whether the body's last stage keeps the resolution and dilates its 3x3 kernels by 2 (D2's DC5)."""
    weights: Literal["imagenet", "none"] = "none"
    """Initial weights of the body: trained on ImageNet (from an installed package, else downloaded), or random."""
    norm: Literal["frozen", "batch"] = "frozen"
    """Batch norm of the body: statistics, scale and shift are ``frozen`` (TV), or trained as usual (``batch``)."""
    norm_epsilon: float = Field(1e-5, ge=0)
    """Added to the variance of the body's batch norm (TV: 1e-5; 0 in its published R50 COCO weights)."""
    frozen_stages: int = Field(0, ge=0)
    """Number of stages of the body, counted from the image, that are not trained (TV freezes 2 of ResNet's 5)."""
    pyramid_channels: Channels = 128
    """Number of channels of every pyramid level (FPN: 256)."""
    pyramid_norm: bool = False
    """Whether batch norm follows the pyramid's convolutions (TV's v2 models)."""
    pyramid_plain: int = Field(0, ge=0)
    """Number of the finest pyramid levels without the 3x3 convolution, whose cost is greatest there (FPN: 0)."""


class RpnConfig(Section):
    """First stage: the region proposal network (FRCNN, section 3.1)."""

    anchor_sizes: tuple[Annotated[tuple[Pixels, ...], Field(max_length=MAX_SHAPES)], ...] = Field(
        ((32,), (64,), (128,), (256,), (512,)), max_length=MAX_LEVELS
    )
    """Sizes of the anchors of each level: the square root of their area, in pixels of the resized image (FPN, 4.1). The
    finest levels may have none, ``[]``: regions are pooled from them, and the first stage does not run there."""
    follow_data: bool = False
    """Whether a run that begins replaces anchors that hardly an object of its training images fits, and allows more
    proposals where images hold many objects. It logs what it changes, and stores the numbers and ``false``."""
    anchor_heights_over_widths: (
        tuple[Ratio, ...] | tuple[Annotated[tuple[Ratio, ...], Field(max_length=MAX_SHAPES)], ...]
    ) = Field((0.5, 1.0, 2.0), min_length=1, max_length=MAX_SHAPES)
    """Aspect ratios of the anchors, height / width (FRCNN, 3.1.1): one list for all levels, or one for each level."""
    anchor_rounding: bool = True
    """Whether the corners of the base anchors, relative to their centre, are rounded to integers (TV)."""
    anchor_stride: Literal["exact", "fitted"] = "exact"
    """Pixels between anchors: the level's stride, or padded image size // feature map size (TV; differs on P6)."""
    anchor_offset: float = Field(0.0, ge=0, lt=1)
    """Position of an anchor's centre within its cell, in strides (TV, D2: 0; the authors' code of FRCNN: 0.5)."""
    head_channels: int = Field(0, ge=0, le=16_384)
    """Number of channels of the 3x3 convolutions; 0: as many as the features have (FRCNN, 3.1: 512 for VGG16)."""
    head_convs: int = Field(1, gt=0, le=MAX_LAYERS)
    """Number of 3x3 convolutions before the 1x1 convolutions (FRCNN, 3.1: 1; TV's v2: 2)."""
    objectness: Literal["logit", "softmax"] = "logit"
    """Objectness of k anchors: k outputs with a sigmoid, or 2k with a two-way softmax (FRCNN, 3.1.1 and footnote)."""
    positive_iou: float = Field(0.7, gt=0, le=1)
    """IoU with a truth from which on an anchor is positive (FRCNN, 3.1.2)."""
    negative_iou: float = Field(0.3, ge=0, le=1)
    """IoU with every truth below which an anchor is negative (FRCNN, 3.1.2)."""
    crossing_anchors: Literal["train", "ignore"] = "train"
    """Anchors that cross the border of the image: ``train`` on them (TV), or ``ignore`` them (FRCNN, 3.3)."""
    samples_per_image: PositiveInt = 256
    """Number of sampled anchors per image, which enter the losses (FRCNN, 3.1.3)."""
    positive_fraction: float = Field(0.5, gt=0, le=1)
    """Maximum share of positive anchors among the sampled anchors (FRCNN, 3.1.3: 1:1)."""
    box_loss: BoxLossKind = "smooth_l1"
    """Box loss: smooth L1 (Fast, Eq. 3) or L1 of deltas, or 1 - GIoU (1902.09630) or CIoU (1911.08287) of boxes."""
    box_loss_beta: float = Field(1 / 9, ge=0)
    """Difference where smooth L1 changes from quadratic to linear, in units of deltas (TV, FRCNN's authors: 1/9)."""
    box_loss_normaliser: Literal["samples", "positions"] = "samples"
    """N_reg in FRCNN's Eq. 1: the number of sampled anchors (TV), or of anchor positions (FRCNN, 3.1.2: about 2400)."""
    box_loss_weight: float = Field(1.0, ge=0)
    """Weight of the box loss, lambda of FRCNN's Eq. 1 (TV: 1; FRCNN, 3.1.2: 10, where N_reg counts positions)."""
    proposals_before_nms_training: PositiveInt = 1000
    """Maximum number of anchors per level that are decoded in training, best scores first (FPN, 4.1: 2000)."""
    proposals_after_nms_training: PositiveInt = 1000
    """Maximum number of proposals per image after NMS in training (FRCNN, 3.3: 2000)."""
    proposals_before_nms: PositiveInt = 1000
    """Maximum number of anchors per level that are decoded in inference, best scores first (TV: 1000)."""
    proposals_after_nms: PositiveInt = 300
    """Maximum number of proposals per image after NMS in inference (FRCNN, 3.3: 300)."""
    nms_iou: float = Field(0.7, gt=0, le=1)
    """IoU threshold of NMS among the proposals of a level (FRCNN, 3.3)."""
    min_side: float = Field(1e-3, ge=0)
    """Minimum side of a proposal in pixels of the resized image; smaller ones are dropped (TV)."""
    score_floor: Annotated[float, Field(ge=0, lt=1)] | Literal["auto"] = 0.0
    """Minimum objectness of a proposal, 0..1; lower ones are dropped (TV: 0; 0.05 in its mobile models). ``auto``: none
    in training; when it ends, the model stores the floor that loses 0.1 point of the validation split's recall."""

    @property
    def min_objectness(self) -> float:
        """``score_floor`` as a number: 0 while it is ``auto``, since no proposal is dropped before it is chosen."""
        return 0.0 if self.score_floor == "auto" else self.score_floor

    def ratios_of_levels(self, levels: int) -> list[tuple[float, ...]]:
        """The aspect ratios of each level, from one list for all or a list for each."""
        given = self.anchor_heights_over_widths
        lists = [each for each in given if isinstance(each, tuple)]
        return lists or [tuple(each for each in given if not isinstance(each, tuple))] * levels


class RoiConfig(Section):
    """Second stage: Fast R-CNN on the proposals (Fast, section 2; FPN, section 4.2)."""

    pooling: PoolingMethod = "align"
    """Pooling of a region's features. ``align``: RoIAlign, bilinear samples (Mask, 3); ``aligned-align``: RoIAlign with
    coordinates shifted by half a feature (D2's ROIAlignV2); ``pool``: RoI pooling, the maximum over rounded bins (Fast,
    2.1)."""
    pooled_side: int = Field(7, gt=0, le=64)
    """Number of bins along each side of a pooled region (Fast, 2.1: 7)."""
    sampling_ratio: int = Field(2, ge=0, le=64)
    """Number of RoIAlign's samples along each side of a bin (TV: 2); 0: one for each feature of its length (D2)."""
    canonical_size: Pixels = 224.0
    """Size in pixels of regions that are pooled from pyramid level 4, of stride 16 (FPN, Eq. 1)."""
    head: Literal["layers", "last_stage"] = "layers"
    """Network on each region: the layers below, or the body's stage after ``backbone.levels``, averaged (C4: conv5)."""
    head_convs: tuple[Channels, ...] = Field((), max_length=MAX_LAYERS)
    """Channels of the 3x3 convolutions with batch norm before the fully connected layers (TV's v2: four of 256)."""
    head_hidden: tuple[Channels, ...] = Field((1024, 1024), max_length=MAX_LAYERS)
    """Widths of the fully connected layers (FPN, 4.2: two of 1024; Fast, 2.3: fc6 and fc7 of 4096)."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the outputs of each fully connected layer that training sets to 0 (VGG16's fc6 and fc7: 0.5)."""
    class_agnostic: bool = False
    """Whether a region has the same four deltas for all classes, instead of four for each class (Fast, 2.1)."""
    samples_per_image: PositiveInt = 512
    """Number of sampled regions per image, which enter the losses (FPN, 4.2: 512; Fast, 2.3: 64)."""
    positive_fraction: float = Field(0.25, gt=0, le=1)
    """Maximum share of positive regions among the sampled regions (Fast, 2.3)."""
    positive_iou: float = Field(0.5, gt=0, le=1)
    """IoU with a truth from which on a region is positive (Fast, 2.3)."""
    negative_iou: float = Field(0.5, gt=0, le=1)
    """IoU with every truth below which a region is background (Fast, 2.3)."""
    negative_iou_from: float = Field(0.0, ge=0, le=1)
    """IoU with some truth that a background region needs to be sampled (Fast, 2.3: 0.1; FRCNN's authors: 0)."""
    delta_weights: tuple[Factor, Factor, Factor, Factor] = (10.0, 10.0, 5.0, 5.0)
    """Factors of the targets (dx, dy, dw, dh), which give them a spread of about 1 (TV)."""
    box_loss: BoxLossKind = "smooth_l1"
    """Box loss: smooth L1 (Fast, Eq. 3) or L1 of deltas, or 1 - GIoU (1902.09630) or CIoU (1911.08287) of boxes."""
    box_loss_beta: float = Field(1 / 9, ge=0)
    """Difference where smooth L1 changes from quadratic to linear, in units of weighted deltas (TV: 1/9; Fast: 1)."""
    box_loss_weight: float = Field(1.0, ge=0)
    """Weight of the box loss; both losses are divided by the number of sampled regions (Fast, Eq. 1)."""
    score_floor: float = Field(0.05, ge=0, lt=1)
    """Minimum score of a detection, 0..1; lower ones are never reported (TV)."""
    min_side: float = Field(1e-2, ge=0)
    """Minimum side of a detection in pixels of the resized image; smaller ones are dropped (TV)."""
    nms_iou: float = Field(0.5, gt=0, le=1)
    """IoU threshold of NMS among the detections of a class (TV)."""
    max_detections: PositiveInt = 100
    """Maximum number of detections per image, best scores first (COCO)."""


class DataConfig(Section):
    """Location of the parts of a data set, where they are not recognised, and how they are read."""

    train: str | None = None
    """Annotation file or folder of the training split, relative to the data set; recognised where not given."""
    val: str | None = None
    """Annotation file or folder of the validation split, relative to the data set; recognised where not given."""
    test: str | None = None
    """Annotation file or folder of the test split, relative to the data set; recognised where not given."""
    images: str | None = None
    """Folder that the names of images are relative to; recognised where not given."""
    proposals: str | None = None
    """File of external proposals that Fast R-CNN is trained on (``--proposals``)."""
    voc_offset: int = 1
    """Coordinate of the first pixel in VOC XML; 0 for files that count from 0."""
    missing_labels: Literal["background", "error"] = "background"
    """A YOLO image without a label file has no objects, as the format defines it, or it cannot be used."""
    val_share: float = Field(0.0, ge=0, lt=1)
    """Share of the training images, 0..1, that are used for validation where the data has no validation split."""
    val_seed: int | None = Field(None, ge=0)
    """Seed by which ``val_share`` chooses images; where not given, ``training.seed``. A run stores its seed here."""
    max_pixels: PositiveInt = 178_956_970
    """Maximum number of pixels of an image; larger ones are refused (Pillow's limit for decompression bombs)."""


class Config(Section):
    """All settings of a detector and its training."""

    preset: str = "small"
    """Name of the preset that the values were taken from before they were changed."""
    detector: DetectorConfig = DetectorConfig()
    image: ImageConfig = ImageConfig()
    backbone: BackboneConfig = BackboneConfig()
    rpn: RpnConfig = RpnConfig()
    roi: RoiConfig = RoiConfig()
    data: DataConfig = DataConfig()
    training: TrainingConfig = TrainingConfig()


def with_score_floor(config: Config, floor: float) -> Config:
    """The settings with a number as the floor of objectness."""
    return config.model_copy(update={"rpn": config.rpn.model_copy(update={"score_floor": floor})})
