"""The page at ``/`` and the description of all routes at ``/docs``; neither loads anything from elsewhere."""

from __future__ import annotations

from typing import Any

import torch
from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse

from faster_rcnn.explanation.embedding import json_for_script, policy_of, script_text
from faster_rcnn.inference.confidence import min_scores
from faster_rcnn.reporting.drawing.colours import colour_of, hex_of, is_light
from faster_rcnn.reporting.pages import render_page
from faster_rcnn.serving.http.service import Service
from faster_rcnn.weights.thresholds import USUAL_SCORE

LOWEST_SCORE = 0.05
"""The score from which on the page asks for detections; its threshold moves above it."""


def page_routes(service: Service, app: FastAPI) -> APIRouter:
    """The routes of the pages, which are rendered once."""
    router = APIRouter(include_in_schema=False)
    page, policy = predict_page(service)
    headers = {"Content-Security-Policy": policy, "Permissions-Policy": "camera=(self)"}
    described: list[str] = []

    @router.get("/")
    async def home() -> HTMLResponse:
        return HTMLResponse(page, headers=headers)

    @router.get("/docs")
    async def docs() -> HTMLResponse:
        if not described:  # the description is complete when all routes are
            described.append(docs_page(app.openapi(), service.name))
        policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'"
        return HTMLResponse(described[0], headers={"Content-Security-Policy": policy})

    return router


def predict_page(service: Service) -> tuple[str, str]:
    """The page where images are dropped, and its content security policy."""
    classes, conf = service.classes, service.options.conf
    by_label = torch.as_tensor(min_scores(conf, service.queue.detector.thresholds)).expand(len(classes)).tolist()
    lowest = min(LOWEST_SCORE, *by_label) if isinstance(conf, str) else LOWEST_SCORE
    named = zip(classes.ids, classes.names, map(colour_of, range(len(classes))), by_label, strict=True)
    data = {
        "classes": [
            {"id": label, "name": name, "colour": hex_of(colour), "is_light": is_light(colour), "conf": score}
            for label, name, colour, score in named
            if name is not None
        ],
        "conf": conf,
        "lowest": lowest,
        "needs_key": bool(service.options.keys),
        "megabytes": service.limits.megabytes,
    }
    script = script_text("serve.js")
    html = render_page(
        "serve.html.jinja", model=service.name, data=json_for_script(data), script=script, lowest=lowest,
        conf=USUAL_SCORE if isinstance(conf, str) else max(conf, LOWEST_SCORE),
    )  # fmt: skip
    policy = policy_of(str(script)).replace("img-src data:", "img-src 'self' data: blob:")
    return html, f"{policy}; connect-src 'self'; media-src blob: mediastream:; frame-ancestors 'none'"


def docs_page(described: dict[str, Any], model: str) -> str:
    """The page that lists the routes of an OpenAPI description."""
    routes = [
        {"method": method.upper(), "path": path, "text": " ".join(operation["description"].split()), **operation}
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    return render_page("serve_docs.html.jinja", model=model, version=described["info"]["version"], routes=routes)
