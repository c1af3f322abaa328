"""The options of a request, by the names that ``predict`` has for them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from faster_rcnn.inference.choice import choice_of
from faster_rcnn.inference.limits import Conf, refuse_limits
from faster_rcnn.serving.http.options import ServeOptions
from faster_rcnn.serving.http.queue import Wanted


class Asked(BaseModel):
    """Options of one request; the server's own stand in for those that are left out. Others are refused."""

    model_config = ConfigDict(extra="forbid")

    conf: Conf | None = Field(
        None,
        union_mode="left_to_right",
        description="Lowest score that is reported, 0 to 1; or auto or a target such as precision=0.95, by the "
        "thresholds in the model.",
    )
    max_det: int | None = Field(None, ge=1, le=2**31, description="Largest number of detections of an image.")
    classes: str | None = Field(None, min_length=1, description="Names of the classes that are reported, as a,b,c.")
    iou: float | None = Field(None, ge=0, le=1, description="NMS threshold of the second stage.")
    agnostic_nms: bool = Field(False, description="Let NMS compare detections of different classes, too.")

    def wanted(self, options: ServeOptions) -> Wanted:
        """The detections that are asked for; raises ``OptionError`` (E125) for an option that makes no sense."""
        conf = options.conf if self.conf is None else self.conf
        max_det = options.max_det if self.max_det is None else self.max_det
        refuse_limits(conf, max_det)
        return Wanted(conf, max_det, choice_of(self.classes, self.iou, self.agnostic_nms))
