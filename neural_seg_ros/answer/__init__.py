"""Answers: from a frame, its annotations and the field to class probabilities; chosen by ``SessionConfig.answer``."""

from neural_seg_ros.answer.estimate import Answer, Drawn, Estimate
from neural_seg_ros.answer.field import FieldAnswer
from neural_seg_ros.answer.fused import FusedAnswer

__all__ = ["Answer", "Drawn", "Estimate", "make_answer"]


def make_answer(name: str) -> Answer:
    """The answer that ``SessionConfig.answer`` names: ``field`` or ``fused``."""
    return FieldAnswer() if name == "field" else FusedAnswer()
