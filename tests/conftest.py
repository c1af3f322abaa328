"""What all tests share: real images where they are, one thread, and fixed seeds."""

from __future__ import annotations

import os

# OpenMP reads this once, when torch is imported. By default threads that wait for each other keep a processor busy:
# beside another worker of the tests, tiny trainings on two threads took five times as much of the processors.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import gc
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import jaxtyping
import pytest
import torch
from torch import fx

from faster_rcnn.system.console import shown

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
ROOT = Path(__file__).parents[1]


def pytest_collection_finish() -> None:
    """Take what is imported by now out of garbage collection: a full collection of all of it takes half a second."""
    gc.collect()
    gc.freeze()


hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


@pytest.fixture(scope="session")
def data_folder() -> Callable[[str], Path]:
    """Finds a folder of real images by name (``bccd``, ``coco128``, ...), or skips the test.

    They lie under the environment variable FASTER_RCNN_TEST_DATA, by default ``../shared/data`` beside the project.
    """
    root = Path(os.environ.get("FASTER_RCNN_TEST_DATA", ROOT / ".." / "shared" / "data"))

    def find(name: str) -> Path:
        folder = root / name
        if not folder.exists():
            pytest.skip(f"needs the real images '{name}' in {root}; set FASTER_RCNN_TEST_DATA to their folder")
        return folder.resolve()

    return find


@pytest.fixture(scope="session")
def detectron2_keys() -> Path:
    """The folder with names and shapes of the tensors in Detectron2's files; skips where it is absent.

    It lies beside the folder of real images.
    """
    data = Path(os.environ.get("FASTER_RCNN_TEST_DATA", ROOT / ".." / "shared" / "data"))
    folder = data.parent / "peers" / "detectron2_keys"
    if not folder.exists():
        pytest.skip(f"needs the names of Detectron2's tensors in {folder}")
    return folder.resolve()


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """One thread here, and by default in every process that a test starts.

    Small tensors gain nothing from a second thread, and on a busy machine threads that wait for each other crawl.
    """
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
        yield


@pytest.fixture(scope="session", autouse=True)
def _traces_without_checks_of_shapes() -> Iterator[None]:
    """A trace runs layers on stand-ins for tensors, which the checks that the test run adds would refuse."""
    trace = fx.Tracer.trace

    def unchecked(tracer: fx.Tracer, root: torch.nn.Module, *more: Any) -> fx.Graph:
        before = jaxtyping.config.jaxtyping_disable
        jaxtyping.config.update("jaxtyping_disable", True)
        try:
            return trace(tracer, root, *more)
        finally:
            jaxtyping.config.update("jaxtyping_disable", before)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fx.Tracer, "trace", unchecked)
        yield


@pytest.fixture
def shown_log() -> Iterator[None]:
    """Shows what the library logs and counts, as the command shows it."""
    with shown():
        yield


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    """Each test starts from the same random numbers, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser of this machine: FASTER_RCNN_TEST_BROWSER, or one in the search path."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    found = os.environ.get("FASTER_RCNN_TEST_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("needs a browser, such as Debian's chromium: apt-get install chromium")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()
