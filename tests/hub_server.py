"""A hub for tests: the requests of huggingface_hub for one file or one commit, on this machine and without a login."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REVISIONS = ("main", COMMIT)


class Hub(ThreadingHTTPServer):
    """Holds the files of repositories, each by ``owner/name`` and its path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.refuses = False
        """Whether uploads are refused, as without a token that may write."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Requests(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""

    def do_HEAD(self) -> None:
        self._send_file() if "/resolve/" in self.path else self._answer(200, b"")

    def do_GET(self) -> None:
        self._send_file() if "/resolve/" in self.path else self._answer(404, b"{}")

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.server.refuses or self.headers["Authorization"] != "Bearer hf_test":
            self._answer(403, b'{"error": "You have no right to write"}')
        elif self.path == "/api/validate-yaml":
            self._answer_json({"errors": [], "warnings": []})
        elif self.path == "/api/repos/create":
            self._create(json.loads(sent))
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/main", self.path.partition("?")[0]):
            self._prepare(json.loads(sent)) if match[2] == "preupload" else self._commit(match[1], sent)
        else:
            self._answer(404, b"{}")

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted.get('organization', 'owner')}/{wanted['name']}"
        self.server.repositories.setdefault(name, {})
        if wanted.get("private") or wanted.get("visibility") == "private":
            self.server.private.add(name)
        self._answer_json({"url": f"{self.server.address}/{name}"})

    def _prepare(self, wanted: dict[str, Any]) -> None:
        files = [{"path": each["path"], "uploadMode": "regular", "shouldIgnore": False} for each in wanted["files"]]
        self._answer_json({"files": files})

    def _commit(self, name: str, lines: str) -> None:
        for line in map(json.loads, lines.splitlines()):
            if line["key"] == "file":
                self.server.repositories[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        url = f"{self.server.address}/{name}/commit/{COMMIT}"
        self._answer_json({"success": True, "commitOid": COMMIT, "commitUrl": url, "hookOutput": ""})

    def _send_file(self) -> None:
        name, _, rest = self.path[1:].partition("/resolve/")
        revision, _, file = rest.partition("/")
        files = self.server.repositories.get(name)
        if files is None:
            self._answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif revision not in REVISIONS:
            self._answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif file not in files:
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        else:
            tag = f'"{hashlib.sha1(files[file]).hexdigest()}"'
            self._answer(200, files[file], {"ETag": tag, "X-Repo-Commit": COMMIT})

    def _answer_json(self, value: object) -> None:
        self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextmanager
def running_hub(cache: Path, patch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that the package of this process uses, with a cache of its own."""
    from huggingface_hub import constants

    hub = Hub()
    patch.setenv("HF_ENDPOINT", hub.address)
    patch.setattr(constants, "HF_HUB_CACHE", str(cache))
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(constants, "HF_TOKEN_PATH", str(cache / "no-token"))
    thread = Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
