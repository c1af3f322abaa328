"""The graph of a part of a detector, traced while other threads of the process keep running.

While ``torch.fx`` traces, the call of every module in the process goes through its tracer, which would record a call by
another thread as one of the traced part. Two concurrent traces leave the modules of the process unusable for good.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from torch import fx, nn

from faster_rcnn.kernels.depthwise import DepthwiseConv2d

_TRACING = threading.Lock()
"""Held while a part is traced."""


class _Tracer(fx.Tracer):
    """Records the calls of one thread; does not enter convolutions, whose padding may depend on their input."""

    def __init__(self) -> None:
        super().__init__()
        self.thread = threading.get_ident()

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.Conv2d | DepthwiseConv2d) or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if threading.get_ident() != self.thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if threading.get_ident() != self.thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)


def traced_part(part: nn.Module) -> fx.GraphModule | None:
    """The graph of a part, for inference; ``None`` where its path depends on its input. Safe in threads."""
    if any(each._forward_hooks or each._forward_pre_hooks for each in part.modules()):
        return None  # a trace does not record what they do, and some bodies of timm take their features by them
    try:
        with _TRACING:
            return fx.GraphModule(part, _Tracer().trace(part)).eval()
    except Exception:  # noqa: BLE001  # every family has its own way not to be traced; the plain part is right, too
        return None
