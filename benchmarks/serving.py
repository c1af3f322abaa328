"""`faster-rcnn serve` under load: every good request has the result of `predict`, and every bad one a line.

    python benchmarks/serving.py --model RUN --images DIR [--requests 10000] [--clients 32] [--bad 0.1]

The server computes in float32 to the last bit, one image at a time, unless `--precision` or `--batch` is given; with
`--precision auto` it detects two images at a time, as it does without options. Clients are threads of this process, on
the same cores. A share of the requests is damaged, empty, huge or mislabelled. The throughput is that of the good
images, against that of `Detector.predict` on the same encoded images in this process, before and after.
The processor time of a request in the server, in the clients and in `predict` is printed, too: other programs on the
machine change it less.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPException
from statistics import fmean, quantiles
from typing import Any, get_args

from bars import Bar, judge
from pictures import parser_for, paths_of
from PIL import Image
from serve_command import ServeCommand
from timing import machine

from faster_rcnn.choices import Precision
from faster_rcnn.detector import Detector

THROUGHPUT = 0.8
"""What is left of the throughput of plain prediction, at least."""
GROWTH_MB = 30
"""Growth of the server's memory from the second to the last quarter of the requests, at most."""
MEGABYTES = 4
"""Largest body that the server reads."""
CONF = 0.05
PRECISION_HELP = "of the server and of plain prediction; results are equal to 1e-5 where it is not float32"


@dataclass(frozen=True, slots=True)
class Body:
    """A body with its type, and what it is answered."""

    kind: str
    content: bytes
    content_type: str
    statuses: tuple[int, ...]
    image: int | None = None
    """The number of the image whose result is expected."""


@dataclass(slots=True)
class Tally:
    """What the clients have found."""

    seconds: list[float] = field(default_factory=list)
    """Time of each good request."""
    kinds: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    """Memory of the server at even intervals."""


def bad_bodies(content: bytes) -> list[Body]:
    """Bodies that have no result, made of a good one."""
    return [
        Body("damaged", content[: len(content) // 2], "image/jpeg", (200, 422)),  # half a JPEG is decoded, and logged
        Body("garbage", random.Random(0).randbytes(2000), "image/png", (422,)),
        Body("empty", b"", "image/png", (422,)),
        Body("huge", bytes(MEGABYTES * 2**20 + 1), "image/png", (413,)),
        Body("many pixels", _large(), "image/png", (413,)),
        Body("mislabelled", content, "text/html", (415,)),
        Body("no multipart", content, "multipart/form-data; boundary=x", (422,)),
    ]


def _large() -> bytes:
    """A small file of very many pixels."""
    buffer = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(buffer, "PNG")
    return buffer.getvalue()


def planned(contents: Sequence[bytes], count: int, share: float, seed: int = 0) -> list[Body]:
    """The bodies of all requests, in an order that depends on the seed alone."""
    numbers = random.Random(seed)
    good = [Body("good", each, "image/jpeg", (200,), index) for index, each in enumerate(contents)]
    # The content decides what an image is: a wrong type of image changes nothing.
    good += [Body("mislabelled image", each, "image/x-icon", (200,), index) for index, each in enumerate(contents)]
    bad = bad_bodies(contents[0])
    return [numbers.choice(bad) if numbers.random() < share else numbers.choice(good) for _ in range(count)]


def fault_of(body: Body, status: int, reply: Any, expected: Sequence[Any], tolerance: float) -> str | None:
    """What is wrong with an answer; `None` where nothing is."""
    if status not in body.statuses:
        return f"{body.kind}: status {status}, expected {body.statuses}: {reply}"
    if "Traceback" in json.dumps(reply):
        return f"{body.kind}: a traceback"
    if body.image is None:
        return None if status == 200 or reply.get("error") else f"{body.kind}: no line: {reply}"
    found = [[*each["box"], each["confidence"], each["class_id"]] for each in reply["predictions"]]
    wanted = expected[body.image]
    if len(found) != len(wanted):
        return f"image {body.image}: {len(found)} detections instead of {len(wanted)}"
    worst = max((abs(a - b) / max(1, abs(b)) for one, other in zip(found, wanted, strict=True)
                 for a, b in zip(one, other, strict=True)), default=0.0)  # fmt: skip
    return None if worst <= tolerance else f"image {body.image}: a number differs by {worst:g}"


def ask(connection: HTTPConnection, body: Body) -> tuple[int, Any]:
    """Send a request, and read its answer."""
    connection.request("POST", f"/predict?conf={CONF}", body.content, {"Content-Type": body.content_type})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def soak(port: int, bodies: Sequence[Body], clients: int, check: Callable[[Body, int, Any], str | None]) -> Tally:
    """Send all bodies, each by the client that is free next."""
    tally, lock, numbers = Tally(), threading.Lock(), iter(range(len(bodies)))

    def client() -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=600)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                connection.close()
                return
            body, start = bodies[number], time.perf_counter()
            try:
                fault = check(body, *ask(connection, body))
            except (OSError, HTTPException, ValueError) as error:
                fault = f"{body.kind}: {type(error).__name__}: {error}"
                connection.close()
            seconds = time.perf_counter() - start
            with lock:
                tally.kinds[body.kind] += 1
                tally.faults += [fault] if fault else []
                tally.seconds += [seconds] if body.image is not None else []

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tally


def watched(server: ServeCommand, tally: Callable[[], Tally]) -> Tally:
    """Run the clients, and note the server's memory meanwhile."""
    memory, ends = [server.memory()], threading.Event()

    def watch() -> None:
        while not ends.wait(0.5):
            memory.append(server.memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    found = tally()
    ends.set()
    watcher.join()
    found.memory = [*memory, server.memory()]
    return found


def growth(memory: Sequence[float]) -> float:
    """The mean of the last quarter minus that of the second one."""
    quarter = max(1, len(memory) // 4)
    return fmean(memory[-quarter:]) - fmean(memory[quarter : 2 * quarter] or memory[:1])


def plain_throughput(detector: Detector, contents: Sequence[bytes], count: int) -> tuple[float, float]:
    """Images per second of `Detector.predict` on encoded images, and processor time of an image in ms."""
    images = [contents[number % len(contents)] for number in range(count)]
    detector.predict(contents[0], conf=CONF)
    start, computed = time.perf_counter(), time.process_time()
    for _ in detector.predict(iter(images), conf=CONF):
        pass
    return count / (time.perf_counter() - start), 1000 * (time.process_time() - computed) / count


def rows_of(detector: Detector, contents: Sequence[bytes]) -> list[list[list[float]]]:
    """Box, score and class of each detection of `predict`, for each image."""
    return [
        [[*each["box"], each["score"], each["label_id"]] for each in result.to_json()["detections"]]
        for result in detector.predict(list(contents), conf=CONF)
    ]


def parser_of_soak() -> argparse.ArgumentParser:
    parser = parser_for(__doc__, count=50)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--bad", type=float, default=0.1, help="share of the requests that have no result")
    parser.add_argument("--batch", type=int, help="images that are detected together; results are then equal to 1e-5")
    parser.add_argument("--precision", choices=get_args(Precision), default="float32", help=PRECISION_HELP)
    return parser


def report(tally: Tally, seconds: float) -> None:
    """Print times, counts and faults."""
    percent = quantiles(tally.seconds, n=100)
    print(f"{sum(tally.kinds.values())} requests in {seconds:.1f} s: {dict(sorted(tally.kinds.items()))}", flush=True)
    print(f"good requests: p50 {1000 * percent[49]:.0f} ms, p99 {1000 * percent[98]:.0f} ms", flush=True)
    print(f"memory of the server: {tally.memory[0]:.0f} MB at first, at most {max(tally.memory):.0f} MB", flush=True)
    for fault in tally.faults[:10]:
        print(f"fault: {fault}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = parser_of_soak()
    options = parser.parse_args(arguments)
    contents = [path.read_bytes() for path in paths_of(parser, options)]
    print(machine(), flush=True)
    detector = Detector.load(options.model, precision=options.precision)
    is_exact = options.precision == "float32" and options.batch in (None, 1)
    expected, tolerance = rows_of(detector, contents), 0.0 if is_exact else 1e-5
    bodies = planned(contents, options.requests, options.bad)
    few = max(10, min(300, options.requests // 10))
    plain = [plain_throughput(detector, contents, few)]
    batch = [] if options.batch is None else ["--batch", options.batch]
    given = [options.model, "--precision", options.precision, "--max-megabytes", MEGABYTES, "--timeout", 300, *batch]
    with ServeCommand(*given, "--queue", max(64, 2 * options.clients)) as server:
        with closing(HTTPConnection("127.0.0.1", server.port)) as first:
            ask(first, bodies[0])
        start, computed, served = time.perf_counter(), time.process_time(), server.processor_seconds()
        check = partial(fault_of, expected=expected, tolerance=tolerance)
        tally = watched(server, partial(soak, server.port, bodies, options.clients, check))
        seconds, computed = time.perf_counter() - start, time.process_time() - computed
        served = server.processor_seconds() - served
        code = server.end()
    plain.append(plain_throughput(detector, contents, few))
    report(tally, seconds)
    rate, (rates, times) = len(tally.seconds) / seconds, zip(*plain, strict=True)
    print(f"throughput: {rate:.2f} images/s served, {rates[0]:.2f} and {rates[1]:.2f} images/s by predict", flush=True)
    ours, theirs = (f"{1000 * each / len(bodies):.1f} ms" for each in (served, computed))
    print(f"processor time of each: {ours} in the server, {theirs} in the clients, {fmean(times):.1f} ms by predict")
    return judge(
        [
            Bar("answers that are not as they should be", len(tally.faults), at_most=0),
            Bar("growth of the server's memory, MB", growth(tally.memory), at_most=GROWTH_MB),
            Bar("throughput of the server to plain prediction", rate / fmean(rates), at_least=THROUGHPUT),
            Bar("exit code after SIGTERM", code, at_most=0),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
