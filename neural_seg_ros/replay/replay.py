"""A bag in; masks, overlay and figures out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from neural_seg_ros.annotation_file import AnnotationFile
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.draw import overlay
from neural_seg_ros.files import write_text
from neural_seg_ros.replay.bag import Bag, BagImages
from neural_seg_ros.replay.mask_bag import open_mask_bag
from neural_seg_ros.replay.report import WorstFrames, render_report
from neural_seg_ros.replay.run import GroundTruth, run_session
from neural_seg_ros.replay.summary import Summary, write_metrics
from neural_seg_ros.replay.truth import open_truth_folder
from neural_seg_ros.replay.truth_topic import TruthTopic
from neural_seg_ros.session import Session
from neural_seg_ros.video import VideoWriter

T = TypeVar("T")


class Progress(Protocol):
    """Passes items on and shows how far it is; see ``cli.common.progress``."""

    def __call__(self, items: Iterable[T], description: str, total: int = 0) -> Iterator[T]: ...


@dataclass(frozen=True)
class ReplayInput:
    """``ground_truth``: a folder of label images by frame index, a topic of the bag, or None."""

    bag: Path
    image_topic: str
    annotations: AnnotationFile
    ground_truth: str | None = None


def replay_bag(inputs: ReplayInput, config: SessionConfig, device: str, out: Path, progress: Progress) -> list[str]:
    """Write masks.mcap, overlay.mp4, frames.csv, metrics.json and report.html into ``out``; nothing on an error.

    Returns what the user should know, a line each. Raises SourceError, AnnotationError and ConfigError.
    """
    summary, worst = Summary(), WorstFrames()
    with Bag(inputs.bag) as bag, ExitStack() as stack:
        frames = BagImages(bag, inputs.image_topic)
        truth = _ground_truth(inputs, frames, stack)
        session = Session(config, device)
        masks = stack.enter_context(open_mask_bag(out / "masks.mcap"))
        video = stack.enter_context(VideoWriter(out / "overlay.mp4", frames.fps))
        steps = run_session(session, frames, inputs.annotations, truth)
        for step in progress(steps, "replay", frames.count):
            row = summary.add(step)
            masks.write(step.frame, step.result)
            drawn = overlay(step.frame.image, step.result.labels, step.annotations, unlabelled=config.unlabelled)
            video.write(drawn)
            if session.annotations:
                worst.offer(row, drawn)
        unused = summary.check_annotated(inputs.annotations)
    metrics = summary.metrics(session, inputs.annotations) | _of_bag(inputs, bag, frames)
    summary.write_csv(out / "frames.csv")
    write_metrics(out / "metrics.json", metrics)
    write_text(out / "report.html", render_report(f"Replay of {inputs.bag.name}", metrics, summary.rows, worst))
    return [f"{out}: {summary.line()}", *filter(None, [unused]), *_warnings(bag, frames)]


def _ground_truth(inputs: ReplayInput, frames: BagImages, stack: ExitStack) -> GroundTruth | None:
    if inputs.ground_truth is None:
        return None
    if Path(inputs.ground_truth).is_dir():
        return open_truth_folder(inputs.ground_truth, frames)
    return TruthTopic(stack.enter_context(Bag(inputs.bag)), inputs.ground_truth)


def _of_bag(inputs: ReplayInput, bag: Bag, frames: BagImages) -> dict[str, Any]:
    return {
        "bag": inputs.bag.name,
        "image_topic": inputs.image_topic,
        "skipped": {"messages": frames.skipped.total(), "reasons": dict(frames.skipped)},
        "bag_damage": bag.damage,
    }


def _warnings(bag: Bag, frames: BagImages) -> list[str]:
    warnings = [f"warning: {count} messages skipped: {reason}" for reason, count in frames.skipped.most_common()]
    if bag.damage is not None:
        warnings.append(f"warning: {bag.path}: damaged, read as far as it goes: {bag.damage}")
    return warnings
