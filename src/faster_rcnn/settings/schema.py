"""Every setting of the detector and its training, each with its unit and its source.

Sections follow the code: ``detector``, ``image``, ``backbone``, ``rpn``, ``roi``, ``data``, ``training``.
``faster-rcnn config`` prints them; ``--config FILE`` reads them back; ``--set section.key=value`` changes one. Settings
reach functions as plain numbers: only ``building.build_model`` and the jobs read this file.

Sources: FRCNN = Faster R-CNN (arXiv 1506.01497v3), Fast = Fast R-CNN (1504.08083), FPN (1612.03144),
Mask = Mask R-CNN (1703.06870), TV = torchvision's detection models, D2 = Detectron2's model zoo.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from faster_rcnn.choices import (
    BoxLossKind,
    PoolingMethod,
    ResizeMethod,
    SearchMode,
    SizeRounding,
    TrainingPrecision,
)
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


class Section(BaseModel):
    """A frozen group of settings; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class DetectorConfig(Section):
    """Which of the two stages there are."""

    kind: Literal["faster-rcnn", "fast-rcnn", "rpn"] = "faster-rcnn"
    """Both stages; the second one on proposals from outside (Fast); or the first one alone, which finds objects."""
    selective_search: SearchMode = "fast"
    """Mode of selective search, where ``fast-rcnn`` is given no proposals (Uijlings et al., IJCV 2013, section 5)."""
    outside_proposals: PositiveInt = 2000
    """Proposals from outside that are used of one image, best first (Fast, 5.5: 2000)."""


class ImageConfig(Section):
    """What happens to an image before the backbone sees it."""

    short_side: int = Field(416, gt=0, le=32_768)
    """Pixels of the shorter side after resizing, unless the longer one would exceed ``long_side`` (Fast, 5.2)."""
    long_side: int = Field(640, gt=0, le=1_000_000)
    """Pixels that the longer side may have at most."""
    resize: ResizeMethod = "antialias"
    """``antialias``: 8-bit with antialiasing, fast and smooth; ``plain``: float bilinear without it, as TV does."""
    size_rounding: SizeRounding = "down"
    """Sides after resizing become whole pixels by leaving out the fraction (TV), or by going to the nearest (D2)."""
    multiple_of: int = Field(0, ge=0, le=1024)
    """Images are padded to multiples of this; 0 is the backbone's stride (TV: 32; D2's C4 and DC5: 1, no padding)."""
    mean: tuple[Shift, Shift, Shift] = (0.485, 0.456, 0.406)
    """Subtracted per RGB channel, of values 0..1 (ImageNet)."""
    std: tuple[Factor, Factor, Factor] = (0.229, 0.224, 0.225)
    """Divides each RGB channel, of values 0..1 (ImageNet)."""


class BackboneConfig(Section):
    """The network that runs once per image, and the pyramid on top of it (FPN, section 3)."""

    body: Architecture = "tf_efficientnet_lite0"
    """A timm model name, or ``torchvision:mobilenet_v3_large``."""
    neck: Literal["pyramid", "none"] = "pyramid"
    """A feature pyramid over all ``levels`` (FPN), or the features of the one level as they are (FRCNN, 3)."""
    levels: tuple[int, ...] = Field((1, 2, 3, 4), min_length=1, max_length=MAX_LEVELS)
    """Which of the body's feature maps enter the neck; 1 is stride 4 in most bodies."""
    stride_in_1x1: bool = False
    """Bottlenecks halve the resolution in their first 1x1 convolution, not in the 3x3 one (D2's R50 and R101)."""
    dilated_last_stage: bool = False
    """The body's last stage keeps the resolution and has its 3x3 kernels dilated by 2 (D2's DC5)."""
    weights: Literal["imagenet", "none"] = "none"
    """Where a new body starts: ImageNet weights (from an installed package, else fetched) or random numbers."""
    norm: Literal["frozen", "batch"] = "frozen"
    """``frozen``: batch norm's statistics and affine part stay as they are (TV); ``batch``: trained as usual."""
    norm_epsilon: float = Field(1e-5, ge=0)
    """Added to the variance of the body's batch norm (TV: 1e-5; 0 in its published R50 COCO weights)."""
    frozen_stages: int = Field(0, ge=0)
    """How many stages of the body, counted from the image, are not trained (TV freezes 2 of ResNet's 5)."""
    pyramid_channels: Channels = 128
    """Channels of every pyramid level (FPN: 256)."""
    pyramid_norm: bool = False
    """Batch norm after the pyramid's convolutions (TV's v2 models)."""


class RpnConfig(Section):
    """First stage: the region proposal network (FRCNN, section 3.1)."""

    anchor_sizes: tuple[Annotated[tuple[Pixels, ...], Field(max_length=MAX_SHAPES)], ...] = Field(
        ((32,), (64,), (128,), (256,), (512,)), max_length=MAX_LEVELS
    )
    """Square root of the anchors' area in pixels of the resized image, for each level (FPN, 4.1)."""
    anchor_heights_over_widths: (
        tuple[Ratio, ...] | tuple[Annotated[tuple[Ratio, ...], Field(max_length=MAX_SHAPES)], ...]
    ) = Field((0.5, 1.0, 2.0), min_length=1, max_length=MAX_SHAPES)
    """Aspect ratios of the anchors (FRCNN, 3.1.1): of every level, or a list for each level."""
    anchor_rounding: bool = True
    """Anchor corners around the centre are rounded to whole pixels (TV)."""
    anchor_stride: Literal["exact", "fitted"] = "exact"
    """Distance of anchors: the level's stride, or padded image size // feature size (TV; differs on P6)."""
    anchor_offset: float = Field(0.0, ge=0, lt=1)
    """Where in its cell an anchor's centre lies, in strides (TV, D2: 0; the authors' code of FRCNN: 0.5)."""
    head_channels: int = Field(0, ge=0, le=16_384)
    """Channels of the 3x3 convolutions; 0 is as many as the features have (FRCNN, 3.1: 512 for VGG16)."""
    head_convs: int = Field(1, gt=0, le=MAX_LAYERS)
    """3x3 convolutions before the 1x1 ones (FRCNN: 1; TV's v2: 2)."""
    objectness: Literal["logit", "softmax"] = "logit"
    """k outputs with a sigmoid, or 2k with a two-way softmax (FRCNN, 3.1.1 and its footnote)."""
    positive_iou: float = Field(0.7, gt=0, le=1)
    """Anchors at least this similar to a truth are positive (FRCNN, 3.1.2)."""
    negative_iou: float = Field(0.3, ge=0, le=1)
    """Anchors less similar than this to every truth are negative (FRCNN, 3.1.2)."""
    crossing_anchors: Literal["train", "ignore"] = "train"
    """Whether anchors that cross the image border take part in training (FRCNN, 3.3: ignored; TV: trained)."""
    samples_per_image: PositiveInt = 256
    """Anchors of one image that enter the losses (FRCNN, 3.1.3)."""
    positive_fraction: float = Field(0.5, gt=0, le=1)
    """At most this share of them is positive (FRCNN, 3.1.3: 1:1)."""
    box_loss: BoxLossKind = "smooth_l1"
    """Loss of the transforms: smooth L1 (Fast, Eq. 3), L1, or 1 - GIoU (1902.09630) or CIoU (1911.08287) of boxes."""
    box_loss_beta: float = Field(1 / 9, ge=0)
    """Where smooth L1 turns from square to straight, in units of deltas (TV: 1/9; FRCNN's authors: 1/9)."""
    box_loss_normaliser: Literal["samples", "positions"] = "samples"
    """N_reg of FRCNN's Eq. 1: the sampled anchors (TV), or the positions of the anchors (FRCNN, 3.1.2: about 2400)."""
    box_loss_weight: float = Field(1.0, ge=0)
    """Lambda of FRCNN's Eq. 1 (TV: 1; FRCNN, 3.1.2: 10, with N_reg positions)."""
    proposals_before_nms_training: PositiveInt = 1000
    """Best-scored anchors of each level that are decoded, in training (FPN, 4.1: 2000)."""
    proposals_after_nms_training: PositiveInt = 1000
    """Proposals of one image that reach the second stage, in training (FRCNN, 3.3: 2000)."""
    proposals_before_nms: PositiveInt = 1000
    """Best-scored anchors of each level that are decoded, in inference."""
    proposals_after_nms: PositiveInt = 300
    """n, the proposals of one image that reach the second stage, in inference (FRCNN, 3.3: 300)."""
    nms_iou: float = Field(0.7, gt=0, le=1)
    """Of two proposals of one level more similar than this, the worse one is dropped (FRCNN, 3.3)."""
    min_side: float = Field(1e-3, ge=0)
    """Proposals with a shorter side in pixels are dropped (TV)."""
    score_floor: float = Field(0.0, ge=0, lt=1)
    """Proposals of a lower objectness are dropped (TV: 0; 0.05 in its mobile models)."""


class RoiConfig(Section):
    """Second stage: Fast R-CNN on the proposals (Fast, section 2; FPN, section 4.2)."""

    pooling: PoolingMethod = "align"
    """``align``: bilinear samples (Mask, 3); ``aligned-align``: the same, half a feature up and left (D2's ROIAlignV2);
    ``pool``: maximum over rounded bins (Fast, 2.1)."""
    pooled_side: int = Field(7, gt=0, le=64)
    """Bins of a region along each side (Fast: 7)."""
    sampling_ratio: int = Field(2, ge=0, le=64)
    """Samples of ``align`` along each side of a bin (TV: 2); 0 is one per feature that the bin is long (D2)."""
    canonical_size: Pixels = 224.0
    """A region of this size in pixels reads pyramid level 4, of stride 16 (FPN, Eq. 1)."""
    head: Literal["layers", "last_stage"] = "layers"
    """Layers as below, or the body's next stage after ``backbone.levels``, averaged (C4: ResNet's conv5)."""
    head_convs: tuple[Channels, ...] = Field((), max_length=MAX_LAYERS)
    """Channels of 3x3 convolutions with batch norm before the fully connected layers (TV's v2: four of 256)."""
    head_hidden: tuple[Channels, ...] = Field((1024, 1024), max_length=MAX_LAYERS)
    """Widths of the fully connected layers (FPN, 4.2: two of 1024; Fast: fc6 and fc7 of 4096)."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of each fully connected layer's outputs that are dropped in training (VGG16's fc6 and fc7: 0.5)."""
    class_agnostic: bool = False
    """One transform per region, whatever its class, instead of one for each class (Fast, 2.1)."""
    samples_per_image: PositiveInt = 512
    """Regions of one image that enter the losses (FPN, 4.2: 512; Fast: 64)."""
    positive_fraction: float = Field(0.25, gt=0, le=1)
    """At most this share of them is positive (Fast, 2.3)."""
    positive_iou: float = Field(0.5, gt=0, le=1)
    """Regions at least this similar to a truth are positive (Fast, 2.3)."""
    negative_iou: float = Field(0.5, gt=0, le=1)
    """Regions less similar than this to every truth are background (Fast, 2.3)."""
    negative_iou_from: float = Field(0.0, ge=0, le=1)
    """Regions less similar than this to every truth are not trained on (Fast, 2.3: 0.1; FRCNN's authors: 0)."""
    delta_weights: tuple[Factor, Factor, Factor, Factor] = (10.0, 10.0, 5.0, 5.0)
    """Multiply (dx, dy, dw, dh) so that their spread is about 1 (TV)."""
    box_loss: BoxLossKind = "smooth_l1"
    """Loss of the transforms: smooth L1 (Fast, Eq. 3), L1, or 1 - GIoU (1902.09630) or CIoU (1911.08287) of boxes."""
    box_loss_beta: float = Field(1 / 9, ge=0)
    """Where smooth L1 turns from square to straight, in units of weighted deltas (TV: 1/9; Fast: 1)."""
    box_loss_weight: float = Field(1.0, ge=0)
    """Weight of the box loss; both losses are divided by the number of sampled regions (Fast, Eq. 1)."""
    score_floor: float = Field(0.05, ge=0, lt=1)
    """Detections with a lower score are never reported (TV)."""
    min_side: float = Field(1e-2, ge=0)
    """Detections with a shorter side in pixels of the resized image are dropped (TV)."""
    nms_iou: float = Field(0.5, gt=0, le=1)
    """Of two detections of one class more similar than this, the worse one is dropped (TV)."""
    max_detections: PositiveInt = 100
    """Detections of one image at most (COCO)."""


class DataConfig(Section):
    """Where the parts of a data set lie, if looking is not enough, and how to read them."""

    train: str | None = None
    """Annotation file or folder of the training split; found by looking where not given."""
    val: str | None = None
    """The same for validation."""
    test: str | None = None
    """The same for testing."""
    images: str | None = None
    """Folder that image names are relative to."""
    proposals: str | None = None
    """File of proposals that a second stage alone is trained on (``--proposals``)."""
    voc_offset: int = 1
    """Number of VOC XML's first pixel; 0 for files that count from 0."""
    missing_labels: Literal["background", "error"] = "background"
    """A YOLO image without a label file has no objects, as the format's makers define it, or cannot be used."""
    val_share: float = Field(0.0, ge=0, lt=1)
    """Share of the training images that are taken for validation where the data has no validation split."""
    val_seed: int | None = Field(None, ge=0)
    """Seed by which these images are chosen; none is ``training.seed``, and a run writes down here which it was."""
    max_pixels: PositiveInt = 178_956_970
    """Larger images are refused rather than decoded (Pillow's limit for decompression bombs)."""


class TrainingConfig(Section):
    """How a detector is trained."""

    scheme: Literal["joint", "alternating"] = "joint"
    """Both stages at once (FRCNN, 3.2, approximate joint training), or FRCNN's four alternating steps."""
    shared_layers: Literal["trained", "fixed"] = "trained"
    """Whether the backbone is trained; steps 3 and 4 of alternating training keep it fixed (FRCNN, 3.2)."""
    epochs: PositiveInt | Literal["auto"] = "auto"
    """Passes over the training images; of each step, in alternating training. ``auto``: at least 12 and at least 480
    steps, but at most 60; the number is stated and stored."""
    batch: PositiveInt = 4
    """Images per step."""
    lr: PositiveFloat = 0.08
    """Learning rate for 16 images per step; scaled to the batch and printed."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Of stochastic gradient descent (FRCNN, 3.1.3)."""
    weight_decay: float = Field(1e-4, ge=0)
    """Of weights; norms and biases have none (TV: 1e-4; FRCNN: 5e-4)."""
    warmup_steps: int = Field(50, ge=0)
    """Steps during which the learning rate rises linearly; at most a tenth of all steps."""
    schedule: Literal["cosine", "multistep"] = "cosine"
    """How the learning rate falls: along half a cosine to 0, or by ``decay`` at each milestone."""
    milestones: tuple[float, ...] = Field((2 / 3, 8 / 9), max_length=1000)
    """Shares of all steps at which ``multistep`` decays (TV: epochs 16 and 22 of 26)."""
    decay: float = Field(0.1, gt=0, lt=1)
    """Factor of each decay of ``multistep``."""
    clip_norm: PositiveFloat = 10.0
    """Gradients are scaled down to this norm."""
    ema_decay: float = Field(0.0, ge=0, lt=1)
    """Moving average of the weights, per step; 0 is off. Where it is on, the averaged weights are the model."""
    flip: float = Field(0.5, ge=0, le=1)
    """Chance of a horizontal flip (FRCNN, 4)."""
    scale_jitter: tuple[PositiveFloat, PositiveFloat] = (0.8, 1.25)
    """The image is enlarged by a factor from this range, then cut or surrounded to its size without it."""
    photometric: float = Field(0.5, ge=0, le=1)
    """Strength of changes of brightness, contrast, saturation and hue; 0 is off."""
    patience: int = Field(0, ge=0)
    """Epochs without a better validation AP after which training stops; 0 is never."""
    seed: int = Field(0, ge=0)
    """Of the new weights, the order of images, augmentation and sampling."""
    workers: int = Field(1, ge=0)
    """Processes that decode images ahead."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""
    precision: TrainingPrecision = "auto"
    """Of convolutions and matrix products; boxes and losses stay float32. ``auto``: bfloat16 where it is fast; a run
    writes down here which it was, and goes on in it."""
    threads: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = "auto"
    """Threads of torch on a CPU, which decide last bits. ``auto`` is torch's own number; a run writes it down here."""


class Config(Section):
    """All settings of one detector."""

    preset: str = "small"
    """The preset that the other values were taken from."""
    detector: DetectorConfig = DetectorConfig()
    image: ImageConfig = ImageConfig()
    backbone: BackboneConfig = BackboneConfig()
    rpn: RpnConfig = RpnConfig()
    roi: RoiConfig = RoiConfig()
    data: DataConfig = DataConfig()
    training: TrainingConfig = TrainingConfig()
