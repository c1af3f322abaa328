"""Checkpoints in the form of Detectron2's, with weights made by a formula from the names and shapes of its own."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

CONSTANTS = {
    "pixel_mean": torch.tensor([103.53, 116.28, 123.675]).view(3, 1, 1),
    "pixel_std": torch.ones(3, 1, 1),
}
"""As most of its models hold them beside the weights: B, G, R of 0..255."""


@dataclass(frozen=True)
class Peer:
    """One of Detectron2's models: what its configuration says, and its tensors by shape."""

    layout: str
    settings: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]

    def outputs(self, classes: int) -> Peer:
        """The same with another number of classes."""
        shapes = dict(self.shapes)
        for name, rows in (("cls_score", classes + 1), ("bbox_pred", 4 * classes)):
            for kind in ("weight", "bias"):
                full = f"roi_heads.box_predictor.{name}.{kind}"
                if full in shapes:
                    shapes[full] = (rows, *shapes[full][1:])
        return Peer(self.layout, self.settings, shapes)


def read_peer(folder: Path, name: str) -> Peer:
    """By its name in the model zoo."""
    content = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    shapes = {key: tuple(shape) for key, shape in content["shapes"].items()}
    return Peer(f"detectron2:{name}", content["settings"], shapes)


def cheap_weights(peer: Peer) -> dict[str, Tensor]:
    """Tensors of the right shapes that take no memory: each holds one number, its place among the tensors."""
    return {name: torch.tensor(float(place)).expand(shape) for place, (name, shape) in enumerate(peer.shapes.items())}


def formula_weights(peer: Peer, seed: int) -> dict[str, Tensor]:
    """Weights that carry activations of about 1 through the network (He et al., 1502.01852: variance 2 / fan-in)."""
    generator = torch.Generator().manual_seed(seed)
    return {name: _formula(name, shape, generator) for name, shape in peer.shapes.items()}


def _formula(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    noise = torch.randn(shape, generator=generator)
    if len(shape) > 1:
        return noise * math.sqrt(2 / noise[0].numel())
    if name.endswith("running_var"):
        # The stem sees pixels of 0..255 that spread by about 60: 2 * 60^2. Elsewhere about 1.
        return (1 + 0.1 * noise).clamp(min=0.5) * (7200 if "stem" in name else 1)
    if name.endswith("norm.weight"):
        # Branches add little to the shortcuts, as in trained networks; else rounding grows from block to block.
        return (1 + 0.1 * noise) * (0.2 if "conv3" in name else 1)
    return noise * 0.05


def write_pickle(path: Path, tensors: dict[str, Tensor], *, core: str = "numpy._core", protocol: int = 2) -> Path:
    """As the files of the model zoo: numpy arrays by name, under the names of numpy before or since version 2."""
    content = {"model": {name: each.numpy() for name, each in tensors.items()}, "__author__": "Detectron2 Model Zoo"}
    written = pickle.dumps(content, protocol=protocol)
    # Up to protocol 3 names stand in lines of their own, so another length does no harm.
    path.write_bytes(written.replace(b"cnumpy._core.", f"c{core}.".encode()))
    return path
