"""Worker processes: signals to the group do not end them, and their death is raised between two steps."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from faster_rcnn.data.loading import TrainingLoader
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.data.workers import workers_here
from faster_rcnn.errors import MachineError
from faster_rcnn.settings.schema import DataConfig, ImageConfig
from faster_rcnn.settings.training import TrainingConfig
from made_data import make_squares

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are sent as on Unix")
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found in /proc")


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("squares") / "data", {"train": 8})


def loader_of(data: Path, workers: int = 1) -> TrainingLoader:
    split = load_dataset(data, DataConfig()).splits["train"]
    return TrainingLoader(split, ImageConfig(), TrainingConfig(workers=workers, batch=1), DataConfig())


def processes_of(loader: TrainingLoader) -> list[int]:
    return [each.pid for each in loader._loader._iterator._workers]  # type: ignore[union-attr]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_group_does_not_end_them(squares: Path, number: signal.Signals) -> None:
    loader = loader_of(squares, workers=2)
    before = signal.getsignal(signal.SIGCHLD)
    batches = loader.epoch(0)
    next(batches)
    for process in processes_of(loader):
        os.kill(process, number)
    assert len(list(batches)) == 7
    assert len(list(loader.epoch(1))) == 8
    loader.close()
    assert signal.getsignal(signal.SIGCHLD) is before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) & {number} == set()  # nor is it blocked here


def test_the_death_of_a_worker_is_raised_between_batches_and_nowhere_else(squares: Path) -> None:
    loader = loader_of(squares)
    batches = loader.epoch(0)
    next(batches)
    [process] = processes_of(loader)
    os.kill(process, signal.SIGKILL)
    time.sleep(0.5)  # a step is made meanwhile: nothing is raised
    with pytest.raises(
        MachineError, match=r"reads images ended \(.*Killed.*\); .* \(--workers 0 needs none\)"
    ) as raised:
        list(batches)
    assert raised.value.exit_code == 5
    loader.close()


def test_off_the_main_thread_they_work_too(squares: Path) -> None:
    read: list[int] = []
    loader = loader_of(squares)
    thread = threading.Thread(target=lambda: read.append(len(list(loader.epoch(0)))))
    thread.start()
    thread.join(timeout=60)
    loader.close()
    assert read == [8]


def _read_in_this_process(data: Path, answer: multiprocessing.queues.Queue[int]) -> None:
    answer.put(workers_here(3))
    answer.put(len(list(loader_of(data).epoch(0))))


def test_a_daemonic_process_reads_the_images_itself(squares: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answer: multiprocessing.queues.Queue[int] = context.Queue()
    process = context.Process(target=_read_in_this_process, args=(squares, answer), daemon=True)
    process.start()
    assert (answer.get(timeout=60), answer.get(timeout=60)) == (0, 8)
    process.join()
    assert workers_here(3) == 3


def ended(process: int, seconds: float = 10.0) -> bool:
    """Whether a process ends within this time; a zombie, which its parent has not yet collected, has ended."""
    status = Path(f"/proc/{process}/stat")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if status.read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.1)
    return False


def children_of_killed(script: str, *arguments: str) -> list[int]:
    """Process numbers that a script prints in its only line, after it was killed."""
    parent = subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    children = [int(each) for each in parent.stdout.readline().split()]
    assert children
    assert not any(ended(each, 0.2) for each in children)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    return children


READING = """
import sys, time
from pathlib import Path
from faster_rcnn.settings.schema import DataConfig, ImageConfig
from faster_rcnn.settings.training import TrainingConfig
from faster_rcnn.data.loading import TrainingLoader
from faster_rcnn.data.reading import load_dataset
split = load_dataset(Path(sys.argv[1]), DataConfig()).splits["train"]
loader = TrainingLoader(split, ImageConfig(), TrainingConfig(workers=3, batch=1), DataConfig())
batches = loader.epoch(0)
next(batches)
time.sleep(0.5)  # they read on, and wait to hand over images that are larger than a pipe holds
print(*[each.pid for each in loader._loader._iterator._workers], flush=True)
time.sleep(600)
"""

SEARCHING = """
import os, time
from faster_rcnn.inference.external_proposals import _processes
def work(_):
    time.sleep(0.1)
    return os.getpid()
with _processes() as each:
    print(*set(each(work, range(40))), flush=True)
    time.sleep(600)
"""


@needs_proc
def test_they_end_when_their_parent_is_killed(squares: Path) -> None:
    assert [each for each in children_of_killed(READING, str(squares)) if not ended(each)] == []


@needs_proc
def test_those_that_search_for_proposals_end_when_their_parent_is_killed() -> None:
    assert [each for each in children_of_killed(SEARCHING) if not ended(each)] == []
