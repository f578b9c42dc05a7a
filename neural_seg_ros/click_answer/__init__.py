"""Answers: from a frame, its annotations and the field to class probabilities; chosen by ``SessionConfig.answer``."""

from neural_seg_ros.annotations.implied import AnnotationTargets
from neural_seg_ros.click_answer.field_answer import FieldAnswer
from neural_seg_ros.click_answer.interface import Answer, Estimate
from neural_seg_ros.click_answer.region_answer import FusedAnswer

__all__ = ["AnnotationTargets", "Answer", "Estimate", "make_answer"]


def make_answer(name: str) -> Answer:
    """The answer that ``SessionConfig.answer`` names: ``field`` or ``fused``."""
    return FieldAnswer() if name == "field" else FusedAnswer()
