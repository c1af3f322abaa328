"""Detectors on the Hugging Face Hub, named ``hf://owner/name``; huggingface_hub downloads them into its cache."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from faster_rcnn._version import __version__
from faster_rcnn.errors import MachineError, MissingExtraError, ModelFileError
from faster_rcnn.weights.download import hub_answers, hub_server, reason

ADDRESS = re.compile(r"hf:/{1,2}(?P<repository>[^/@]+/[^/@]+)(?:@(?P<revision>[^/]+))?(?:/(?P<file>.+))?")
"""``hf://owner/name``, with ``@revision`` and ``/file`` where these are not the usual ones; ``Path`` drops a slash."""
FILE = "model.safetensors"
"""The model file of a repository."""


def is_on_hub(text: str) -> bool:
    """Whether the name of a model is an address on the hub."""
    return text.startswith("hf:/")


def downloaded(text: str) -> Path:
    """The model file at an address; one that was downloaded before is used where the hub cannot be reached.

    Raises:
        ModelFileError: the text is no address, or the hub has no such repository, revision or file (E123).
        MachineError: the file was not downloaded before, and the hub does not answer; or huggingface_hub is missing.
    """
    match = ADDRESS.fullmatch(text)
    if match is None:
        raise ModelFileError(
            f"'{text}' is no address of a model; write hf://owner/name, hf://owner/name@revision or "
            "hf://owner/name/FILE.safetensors",
            code="E123",
        )
    hub = package()
    local = hub.constants.HF_HUB_OFFLINE or not hub_answers()
    with _faults_of(text, hub):
        found = hub.hf_hub_download(
            match["repository"],
            match["file"] or FILE,
            revision=match["revision"],
            endpoint=hub_server(),
            local_files_only=local,
            library_name="faster-rcnn",
            library_version=__version__,
        )
    return Path(found)


def package() -> Any:
    """The package huggingface_hub; raises ``MissingExtraError`` where it is not installed."""
    try:
        import huggingface_hub
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "hub") from error
    return huggingface_hub


@contextmanager
def _faults_of(text: str, hub: Any) -> Iterator[None]:
    """Show no bar, and turn the package's exceptions into one line each."""
    shown = not hub.utils.are_progress_bars_disabled()
    hub.utils.disable_progress_bars()
    try:
        yield
    except hub.errors.LocalEntryNotFoundError as error:
        raise MachineError(
            f"{text} was not downloaded before, and {hub_server()} does not answer; connect this machine, or give a "
            "model file"
        ) from error
    except (hub.errors.RepositoryNotFoundError, hub.errors.HFValidationError) as error:
        raise ModelFileError(
            f"{text}: {hub_server()} has no such repository, or it is private; for a private one log in first: hf auth "
            "login",
            code="E123",
        ) from error
    except (hub.errors.RevisionNotFoundError, hub.errors.EntryNotFoundError) as error:
        raise ModelFileError(
            f"{text}: the repository has no such revision or file; the usual name of a model file there is {FILE}",
            code="E123",
        ) from error
    except (hub.errors.HfHubHTTPError, OSError) as error:
        raise MachineError(f"{text} cannot be downloaded: {reason(error)}") from error
    finally:
        if shown:
            hub.utils.enable_progress_bars()
