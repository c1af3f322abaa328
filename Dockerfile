# A server of one detector on CPUs: docker build -t faster-rcnn .
# It runs as a user without rights and writes to /tmp only, so that the root may be read-only:
#   docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --stop-timeout 70 -p 127.0.0.1:8000:8000 \
#       -v "$PWD/runs/cells:/model:ro" faster-rcnn serve /model --host 0.0.0.0
# docker stop kills after 10 seconds otherwise, and a request may take 60 (twice --timeout).

FROM python:3.12-slim AS build
WORKDIR /source
# PyTorch first: this layer is kept until its version changes.
RUN python -m venv /opt/venv && \
    /opt/venv/bin/pip install --no-cache-dir torch torchvision --index-url https://download.pytorch.org/whl/cpu
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/venv/bin/pip install --no-cache-dir '.[serve]'

FROM python:3.12-slim
COPY --from=build /opt/venv /opt/venv
RUN useradd --system --no-create-home --uid 10001 detector
USER 10001
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=60s --interval=30s --timeout=5s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["faster-rcnn"]
CMD ["serve", "/model", "--host", "0.0.0.0"]
