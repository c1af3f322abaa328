"""The application: all routes of a service, behind what guards them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from faster_rcnn._version import __version__
from faster_rcnn.serving.http.guards import AnswerFaults, CountRequests, LimitBytes, RequireKey
from faster_rcnn.serving.http.label_studio import LabelStudio, label_studio_routes
from faster_rcnn.serving.http.native import native_routes
from faster_rcnn.serving.http.open_inference import open_inference_routes
from faster_rcnn.serving.http.options import ServeOptions
from faster_rcnn.serving.http.page import page_routes
from faster_rcnn.serving.http.problems import add_problem_handlers, documented
from faster_rcnn.serving.http.service import Service, load_service

DESCRIPTION = 'Objects in images, by Faster R-CNN. Every fault is one line of JSON: {"error": "..."}.'


def make_app(service: Service) -> FastAPI:
    """The application of a service, which it closes when it ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title=f"faster-rcnn: {service.name}",
        description=DESCRIPTION,
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # the page of FastAPI loads scripts from elsewhere
        redoc_url=None,
        responses=documented(401) if service.options.keys else {},
    )
    label_studio = LabelStudio(service)
    for router in (
        native_routes(service, label_studio),
        open_inference_routes(service),
        label_studio_routes(label_studio),
        page_routes(service, app),
    ):
        app.include_router(router)
    add_problem_handlers(app)
    routes = [*app.openapi()["paths"], "/", "/docs", "/openapi.json"]
    # The last one that is added is the first one that a request meets.
    app.add_middleware(LimitBytes, megabytes=service.limits.megabytes)
    app.add_middleware(RequireKey, keys=service.options.keys)
    app.add_middleware(AnswerFaults)
    app.add_middleware(CountRequests, counts=service.counts, routes=routes)
    return app


def load_app(options: ServeOptions) -> FastAPI:
    """Load a detector, and make its application, for any server of ASGI applications."""
    return make_app(load_service(options))
