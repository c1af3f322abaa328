"""The configuration under its public name; ``settings.schema`` holds it."""

from faster_rcnn.settings.schema import *  # noqa: F403
