"""The command ``faster-rcnn serve``."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.cli.options import Integer, Precision, Settings, announce_work
from faster_rcnn.serving.http.options import Limits, ServeOptions, read_keys, read_token, refuse_port, require_server


def serve(
    model: str,
    /,
    *,
    host: str = "127.0.0.1",
    port: Integer = 8000,
    workers: Integer = 1,
    conf: float | str = 0.5,
    max_det: Integer | None = None,
    batch: Integer | None = None,
    precision: Precision = "auto",
    device: str = "auto",
    settings: Settings = None,
    api_key_file: Path | None = None,
    max_megabytes: Integer = 32,
    max_megapixels: Integer = 50,
    max_images: Integer = 16,
    queue: Integer = 64,
    timeout: float = 30.0,
    label_studio: str | None = None,
    label_studio_key_file: Path | None = None,
) -> int:
    """Serve a detector over HTTP, with a page for browsers, until Ctrl-C or SIGTERM.

    Args:
        model: Model file, run folder or published name.
        host: Address of this machine at which it is served; 0.0.0.0 for all of them.
        port: Port at which it is served; 0 for a free one.
        workers: Processes, each with a detector and an equal share of the CPU threads.
        conf: Lowest score that is reported, where a request names none: a number; or auto, by which each class has the
            threshold of its best F1 that the model holds, or a target such as precision=0.95.
        max_det: Most detections of one image, where a request names no number.
        batch: Images of waiting requests that are detected together; by default 8 on a GPU, and 1 on a CPU.
        precision: Number format of convolutions and matrix products; auto is the fastest one.
        device: Device that computes: auto, cpu, cuda or cuda:N.
        settings: Settings of inference in place of the model's own, as section.key=value; several may follow.
        api_key_file: File of keys, one a line; a request without one of them is refused.
        max_megabytes: Largest body of a request, in 2^20 bytes.
        max_megapixels: Largest image, in millions of pixels.
        max_images: Most images of a request.
        queue: Most requests of a process that are received, wait or are computed; others are refused.
        timeout: Seconds in which a body must arrive, and then in which it is answered.
        label_studio: Address of the Label Studio whose images are fetched, such as http://localhost:8080.
        label_studio_key_file: File with the access token of that Label Studio.
    """
    require_server()
    refuse_port(port)
    options = ServeOptions(
        model,
        conf=conf,
        max_det=max_det,
        precision=precision,
        device=device,
        settings=tuple(settings or ()),
        batch=batch,
        workers=workers,
        limits=Limits(max_megabytes, max_megapixels, max_images, queue, timeout),
        keys=() if api_key_file is None else read_keys(api_key_file),
        label_studio=label_studio,
        label_studio_key=None if label_studio_key_file is None else read_token(label_studio_key_file),
    )
    announce_work(f"serving {model}")
    from faster_rcnn.serving.http.running import serve as serve_until_signal

    serve_until_signal(options, host, port)
    return 0
