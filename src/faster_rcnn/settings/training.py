"""Settings of the training of a detector; the sources are named as in ``settings/schema.py``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from faster_rcnn.choices import OptimizerName, TrainingPrecision
from faster_rcnn.settings.section import Section


class TrainingConfig(Section):
    """Optimization, augmentation and the devices of training."""

    scheme: Literal["joint", "alternating"] = "joint"
    """Both stages are trained together (FRCNN, 3.2, approximate joint training), or in four alternating steps."""
    shared_layers: Literal["trained", "fixed"] = "trained"
    """Whether the backbone is ``trained`` or ``fixed``, as in steps 3 and 4 of alternating training (FRCNN, 3.2)."""
    epochs: PositiveInt | Literal["auto"] = "auto"
    """Number of passes over the training images; in alternating training, for each step. ``auto``: at least 12 and at
    least 480 optimizer steps, but at most 60; the run logs and stores the number."""
    batch: PositiveInt | Literal["auto"] = 4
    """Number of images per optimizer step, over all processes; ``auto``: what a GPU's memory holds, at most 16."""
    micro_batch: int = Field(0, ge=0)
    """Maximum number of images that a process holds at once, whose gradients are added; 0: all its images of a step."""
    processes: Annotated[int, Field(ge=1, le=65_536)] = 1
    """Number of processes that share the images of each step, on which last bits depend. A run stores it here."""
    optimizer: OptimizerName = "sgd"
    """Stochastic gradient descent with momentum (FRCNN, 3.1.3), or ``adamw``, which scales the move of each weight by
    the size of its gradients (1711.05101)."""
    lr: PositiveFloat = 0.08
    """Learning rate for 16 images per step; it is scaled to ``batch`` in proportion and logged."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of stochastic gradient descent (FRCNN, 3.1.3); in ``adamw`` the decay of the mean gradient."""
    weight_decay: float = Field(1e-4, ge=0)
    """Weight decay; norms and biases have none (TV: 1e-4; FRCNN, 3.1.3: 5e-4)."""
    warmup_steps: int = Field(50, ge=0)
    """Number of steps during which the learning rate rises linearly; at most a tenth of all steps."""
    schedule: Literal["cosine", "multistep"] = "cosine"
    """The learning rate falls along half a cosine to 0, or is multiplied by ``decay`` at each of the ``milestones``."""
    milestones: tuple[float, ...] = Field((2 / 3, 8 / 9), max_length=1000)
    """Shares of all steps, 0..1, at which ``multistep`` lowers the learning rate (TV: epochs 16 and 22 of 26)."""
    decay: float = Field(0.1, gt=0, lt=1)
    """Factor of the learning rate at each milestone of the schedule ``multistep`` (FRCNN, 3.1.3: 0.1)."""
    clip_norm: PositiveFloat = 10.0
    """Maximum norm of the gradient; larger gradients are scaled down to it."""
    ema_decay: float = Field(0.0, ge=0, lt=1)
    """Decay per step of an exponential moving average of the weights, which then is the model; 0: no average."""
    flip: float = Field(0.5, ge=0, le=1)
    """Probability of a horizontal flip (FRCNN, 4)."""
    scale_jitter: tuple[PositiveFloat, PositiveFloat] = (0.8, 1.25)
    """Range of the random factor that enlarges an image, which is then cropped or padded to the size without it."""
    photometric: float = Field(0.5, ge=0, le=1)
    """Strength of random changes of brightness, contrast, saturation and hue, 0..1; 0: none."""
    patience: int = Field(0, ge=0)
    """Number of epochs without a better validation AP after which training stops; 0: it never stops early."""
    seed: int = Field(0, ge=0)
    """Seed of the random numbers of new weights, the order of images, augmentation and sampling."""
    workers: int = Field(1, ge=0)
    """Number of processes that prefetch images; 0: the training process decodes them itself."""
    device: str = "auto"
    """Device that trains: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``, the first GPU where there is one."""
    precision: TrainingPrecision = "auto"
    """Number format of convolutions and matrix products. ``auto``: bfloat16 where it is fast; a run stores it here."""
    threads: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = "auto"
    """CPU threads, on which last bits depend. ``auto``: that of torch, limited to usable CPUs; a run stores it here."""

    @property
    def images_per_step(self) -> int:
        """``batch`` as a number, which every run has; raises ``ValueError`` while it is ``auto``."""
        if self.batch == "auto":
            raise ValueError("training.batch is auto, which a run replaces by a number when it begins")
        return self.batch
