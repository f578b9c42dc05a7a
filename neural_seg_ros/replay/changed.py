"""Annotations that change from some frame on: what came before them is not labelled again."""

from __future__ import annotations

from neural_seg_ros.annotation_file import AnnotationFile
from neural_seg_ros.errors import AnnotationError
from neural_seg_ros.replay.journal import Journal
from neural_seg_ros.replay.record import digest


def check_unchanged(journal: Journal, annotations: AnnotationFile, frame: int) -> None:
    """Raise AnnotationError unless the frames before ``frame`` are annotated as they were."""
    latest: float | None = None
    for record in journal.records():
        if record.index >= frame:
            return
        now = tuple(digest(each) for each in annotations.for_frame(record.index, record.stamp, latest))
        if now != record.annotations:
            accepted = f"accepted: changes on frame {frame} and later"
            raise AnnotationError(f"annotations: got a change on frame {record.index}, {accepted}")
        latest = record.place.latest
