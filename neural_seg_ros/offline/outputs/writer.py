"""The outputs of a replay from its journals, frame by frame, each of them whole or absent."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from neural_seg_ros.annotations.yaml_file import AnnotationFile
from neural_seg_ros.drawing import overlay
from neural_seg_ros.files import write_text
from neural_seg_ros.images.files import VideoWriter
from neural_seg_ros.metrics import class_figures
from neural_seg_ros.offline.bags.frames import BagFrame, ImageTopic, read_frames
from neural_seg_ros.offline.outputs.frames_csv import open_row_file
from neural_seg_ros.offline.outputs.html_report import TimeLines, WorstFrames, render_report
from neural_seg_ros.offline.outputs.mask_bag import Labeled, open_mask_bag
from neural_seg_ros.offline.outputs.summary import Row, Summary, write_metrics
from neural_seg_ros.offline.prefetch import prefetch
from neural_seg_ros.offline.run import GroundTruth

Pair = tuple[BagFrame, Labeled]


@dataclass(frozen=True)
class Outputs:
    """The output files of a run, and their settings.

    folder   receives the outputs when all of them are whole
    staging  holds them until then
    frames   number of frames
    fps      frames per second of the video
    """

    folder: Path
    staging: Path
    source: ImageTopic
    annotations: AnnotationFile
    truth: GroundTruth | None
    unlabelled: int
    frames: int
    fps: float


def write_outputs(
    outputs: Outputs,
    labeled: Iterable[Labeled],
    metrics_of: Callable[[Summary], dict[str, Any]],
    progress: Callable[[Iterable[Pair]], Iterator[Pair]],
) -> Summary:
    """Write masks.mcap, overlay.mp4, frames.csv, metrics.json, timings.json and report.html in the order of time.

    The images are read once more. Raises SourceError and AnnotationError, with no output written.
    """
    staging = outputs.staging
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    summary, worst, lines = Summary(), WorstFrames(), TimeLines(outputs.frames)
    with ExitStack() as stack:
        masks = stack.enter_context(open_mask_bag(staging / "masks.mcap"))
        video = stack.enter_context(VideoWriter(staging / "overlay.mp4", outputs.fps))
        rows = stack.enter_context(open_row_file(staging / "rows"))
        read = partial(read_frames, outputs.source, outputs.annotations)
        images = stack.enter_context(closing(prefetch(read)))
        for frame, each in progress(_paired(images, labeled)):
            labels = each.masks.labels()
            truth = outputs.truth.labels_of(frame) if outputs.truth is not None and each.record.classes else None
            figures = {} if truth is None else class_figures(labels, truth, each.record.classes, frame.index)
            row = _row(each, figures)
            summary.add(row)
            lines.add(row)
            rows.add(row)
            masks.copy(each.masks)
            drawn = overlay(frame.image, labels, frame.annotations, unlabelled=outputs.unlabelled)
            video.write(drawn)
            if each.record.classes:
                worst.offer(row, drawn)
        rows.write_table(staging / "frames.csv", summary)
        summary.check_annotated(outputs.annotations)
    metrics, timings = metrics_of(summary), summary.timings()
    write_metrics(staging / "metrics.json", metrics)
    write_metrics(staging / "timings.json", timings)
    title = f"Replay of {outputs.source.bag.name}"
    write_text(staging / "report.html", render_report(title, metrics, timings, lines, worst))
    for path in sorted(staging.iterdir()):
        path.replace(outputs.folder / path.name)
    staging.rmdir()
    return summary


def _paired(images: Iterable[object], labeled: Iterable[Labeled]) -> Iterator[Pair]:
    """Pair each result with its frame; frames without a result were dropped."""
    results = iter(labeled)
    each = next(results, None)
    for item in images:
        if each is not None and isinstance(item, BagFrame) and item.index == each.record.index:
            yield item, each
            each = next(results, None)


def _row(each: Labeled, figures: dict[str, dict[int, float]]) -> Row:
    record = each.record
    return Row(
        record.index,
        record.stamp,
        record.seconds,
        len(record.annotations),
        record.confidence,
        record.class_confidence,
        figures,
        each.backward,
    )
