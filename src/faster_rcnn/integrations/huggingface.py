"""Upload of a detector to the Hugging Face Hub, from where ``Detector.load("hf://owner/name")`` loads it.

>>> from faster_rcnn.integrations.huggingface import push_to_hub  # doctest: +SKIP
>>> push_to_hub(detector, "owner/cells", metrics=detector.evaluate("cells"))  # doctest: +SKIP
'https://huggingface.co/owner/cells'
"""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from faster_rcnn.detector import Detector
from faster_rcnn.errors import MachineError, OptionError
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.integrations.model_card import model_card
from faster_rcnn.weights import hub
from faster_rcnn.weights.download import hub_answers, hub_server, reason

CARD = "README.md"


def push_to_hub(
    detector: Detector,
    repository: str,
    *,
    metrics: Metrics | None = None,
    data: str | None = None,
    licence: str | None = None,
    card: str | None = None,
    private: bool = False,
    message: str = "Upload a detector of faster-rcnn",
    token: str | None = None,
) -> str:
    """Upload a detector and its model card in one commit; a repository that does not exist is made.

    Args:
        detector: the detector.
        repository: such as ``owner/name``.
        metrics: what ``detector.evaluate`` measured, for the card.
        data: a name for the data of ``metrics``.
        licence: the hub's name of the licence, such as ``apache-2.0``.
        card: the text of the card, in place of the one that ``model_card`` writes.
        private: whether a new repository is private.
        message: the title of the commit.
        token: an access token; by default the one of ``hf auth login``.

    Returns:
        The address of the repository.

    Raises:
        OptionError: the name of the repository is none.
        MissingExtraError: huggingface_hub is not installed.
        MachineError: the hub does not answer, or refuses the upload.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise OptionError(f"repository '{repository}': it is named owner/name", code="E125")
    package = hub.package()
    if package.constants.HF_HUB_OFFLINE or not hub_answers():
        raise MachineError(f"{hub_server()} does not answer, so nothing was uploaded; connect this machine")
    text = card or model_card(
        repository, detector.config, detector.classes, metrics=metrics, data=data, licence=licence
    )
    with TemporaryDirectory() as folder:
        file = detector.save(Path(folder) / hub.FILE)
        content: dict[str, Path | bytes] = {CARD: text.encode(), hub.FILE: file}
        return _uploaded(package, repository, content, private=private, message=message, token=token)


def _uploaded(
    package: Any, repository: str, content: dict[str, Path | bytes], *, private: bool, message: str, token: str | None
) -> str:
    """Commit some files; returns the address of the repository."""
    operations = [package.CommitOperationAdd(path_in_repo=name, path_or_fileobj=each) for name, each in content.items()]
    try:
        api = package.HfApi(endpoint=hub_server(), token=token, library_name="faster-rcnn")
        address = api.create_repo(repository, private=private, exist_ok=True)
        api.create_commit(repository, operations, commit_message=message)
    except (package.errors.HfHubHTTPError, OSError) as error:
        raise MachineError(
            f"{repository} cannot be uploaded to {hub_server()}: {reason(error)}; log in with a token that may write: "
            "hf auth login"
        ) from error
    return str(address)
