"""The session: frames, annotations, field and tracker of one camera, and what only it uses."""

from neural_seg_ros.session.result import Result
from neural_seg_ros.session.session import Session

__all__ = ["Result", "Session"]
