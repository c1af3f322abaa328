"""The application as a whole: its description holds for requests that are made of it."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.serving.http.app import load_app
from faster_rcnn.serving.http.options import ServeOptions
from files import model_file
from served import Served, listening_app, png, served

ROUTES = {
    "/predict", "/health", "/metrics", "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/cells",
    "/v2/models/cells/ready", "/v2/models/cells/infer", "/setup", "/webhook",
}  # fmt: skip


def test_every_route_is_described() -> None:
    with served() as server:
        described = server.get("/openapi.json").json
    assert set(described["paths"]) == ROUTES
    for methods in described["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert operation["description"]
            assert "401" not in operation["responses"]
    bodies = described["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert list(bodies) == ["image/*", "application/octet-stream", "multipart/form-data", "application/json"]


def test_an_application_is_loaded_for_any_server(tmp_path: Path) -> None:
    app = load_app(ServeOptions(str(model_file(tmp_path / "pets.safetensors")), precision="float32"))
    with listening_app(app) as port:
        assert Served(port).predict(png()).status == 200
    assert app.title == "faster-rcnn: pets"
