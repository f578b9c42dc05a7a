"""The replay of a bag: masks, overlay and figures from its images and annotations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from neural_seg_ros.annotations.yaml_file import AnnotationFile
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.errors import AnnotationError
from neural_seg_ros.offline.bags.bag import Bag, storage_files
from neural_seg_ros.offline.bags.frames import Extent, ImageTopic, extent_of
from neural_seg_ros.offline.bags.ground_truth import TruthTopic, open_truth_folder
from neural_seg_ros.offline.outputs.summary import Summary, versions
from neural_seg_ros.offline.outputs.writer import Outputs, write_outputs
from neural_seg_ros.offline.records import State, digest
from neural_seg_ros.offline.replay.journal import Journal
from neural_seg_ros.offline.replay.passes import Pass, backward, forward
from neural_seg_ros.offline.replay.two_pass import merged, stretches_of
from neural_seg_ros.offline.replay.work_folder import open_work_folder
from neural_seg_ros.offline.run import GroundTruth
from neural_seg_ros.session import Session
from neural_seg_ros.torch_setup import choose_device


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


T = TypeVar("T")


class Progress(Protocol):
    """A function that passes items on and shows the progress; see ``cli.common.progress``."""

    def __call__(self, items: Iterable[T], description: str, total: int = 0) -> Iterator[T]: ...


@dataclass(frozen=True)
class ReplayInput:
    """The frames to label, the annotations to start from, and the session's configuration.

    ground_truth  a folder of label images by frame index, a topic of the bag, or None
    rate          factor to real time at which the bag plays, dropping frames that the fit cannot keep up with; None
                  drops no frame
    two_pass      annotations also label the frames before them
    """

    images: ImageTopic
    annotations: AnnotationFile
    config: SessionConfig
    device: str = "auto"
    ground_truth: str | None = None
    rate: float | None = None
    two_pass: bool = False

    def identity(self) -> dict[str, Any]:
        """Return JSON values of all that affects the masks."""
        images = self.images
        files = storage_files(images.bag)
        return {
            "bag": str(images.bag.resolve()),
            "bag size": {path.name: path.stat().st_size for path in files},
            "image topic": images.topic,
            "start": images.start,
            "duration": images.duration,
            "every": images.every,
            "rate": self.rate,
            "two-pass": self.two_pass,
            "annotations": [(each.frame, each.stamp, digest(each.annotation)) for each in self.annotations.entries],
            "settings": self.config.to_dict(),
            "device": str(choose_device(self.device)),
            "threads": torch.get_num_threads(),
            "versions": versions(),
        }


@dataclass(frozen=True)
class ResumeOptions:
    """The checkpoints of a run, and its start.

    checkpoint  seconds from one checkpoint to the next
    resume      continue from the last checkpoint in the output folder, if there is one
    redo_from   continue from the last checkpoint before this frame; annotations may differ from this frame on
    started     name of the batch that the run is part of; a retry of the same batch continues its runs
    """

    checkpoint: float = 30.0
    resume: bool = False
    redo_from: int | None = None
    started: str = ""


def replay_bag(inputs: ReplayInput, out: Path, progress: Progress, resume_options: ResumeOptions) -> list[str]:
    """Write masks.mcap, overlay.mp4, frames.csv, metrics.json, timings.json and report.html into ``out``.

    Each of them is whole or absent; an interrupted run leaves ``.replay`` there to resume from. All but timings.json
    and its line in the report depend on the inputs alone, with or without interruptions.
    Returns lines for the user: a summary, then warnings. Raises SourceError, AnnotationError and ConfigError.
    """
    extent = extent_of(inputs.images)
    with ExitStack() as stack:
        # Errors of the ground truth must appear before the work, not after it.
        truth = _ground_truth(inputs, stack)
        frame = resume_options.redo_from
        resume = resume_options.resume or frame is not None
        change = (
            None if frame is None else ("annotations", partial(_rewind, annotations=inputs.annotations, frame=frame))
        )
        opened = open_work_folder(out, inputs.identity(), resume_options.started, resume, change)
        work = stack.enter_context(opened)
        first = _forward_journal(work)
        _run_forward(inputs, work, first, extent, progress, resume_options.checkpoint)
        second = _run_backward(inputs, work, first, progress, resume_options.checkpoint) if inputs.two_pass else []
        state = first.state
        count = sum(1 for _ in first.records())
        outputs = Outputs(
            out,
            work / "outputs",
            inputs.images,
            inputs.annotations,
            truth,
            inputs.config.unlabelled,
            count,
            extent.fps,
        )
        show_progress = partial(progress, description="write", total=count)
        summary = write_outputs(outputs, merged(first, second), partial(_metrics, inputs, state), show_progress)
    return [f"{out}: {summary.line()}", *_warnings(inputs, summary, state)]


def _run_forward(
    inputs: ReplayInput, work: Path, journal: Journal, extent: Extent, progress: Progress, checkpoint: float
) -> None:
    anchors = _anchors(work)
    anchors.mkdir(exist_ok=True)
    for half_written in anchors.glob(".*"):
        half_written.unlink()

    def save_anchor(session: Session, index: int) -> None:
        session.save(anchors / f"{index}.session")

    pass_ = Pass(journal, inputs.device, checkpoint, inputs.rate, save_anchor if inputs.two_pass else None)
    done = sum(1 for _ in journal.records())
    steps = forward(pass_, inputs.images, inputs.annotations, lambda: Session(inputs.config, inputs.device))
    for _ in progress(steps, "replay", max(0, extent.count - done)):
        pass


def _run_backward(
    inputs: ReplayInput, work: Path, first: Journal, progress: Progress, checkpoint: float
) -> list[Journal]:
    """Return the journals of the second pass in the order of time."""
    journals = []
    for stretch in stretches_of(first):
        index = stretch.anchor.index
        journal = Journal(work / "backward" / f"{index:08d}")
        height, width = stretch.anchor.size
        anchor = _anchors(work) / f"{index}.session"
        places = partial(stretch.places, first)
        steps = backward(Pass(journal, inputs.device, checkpoint), inputs.images, places, height * width, anchor)
        for _ in progress(steps, f"back from frame {index}"):
            pass
        anchor.unlink(missing_ok=True)
        journals.append(journal)
    return journals


def _rewind(work: Path, annotations: AnnotationFile, frame: int) -> None:
    """Remove the results that depend on annotations from ``frame`` on; raise AnnotationError if earlier ones differ."""
    first = _forward_journal(work)
    check_unchanged(first, annotations, frame)
    first.rewind(frame)
    for folder in (work / "backward").glob("*"):
        if int(folder.name) >= frame:
            Journal(folder).rewind(0)
            folder.rmdir()
    for anchor in _anchors(work).glob("[0-9]*"):
        if int(anchor.stem) >= frame:
            anchor.unlink()


def _forward_journal(work: Path) -> Journal:
    return Journal(work / "forward")


def _anchors(work: Path) -> Path:
    """Return the folder of the sessions after annotated frames, from which the backward passes start."""
    return work / "anchors"


def _ground_truth(inputs: ReplayInput, stack: ExitStack) -> GroundTruth | None:
    if inputs.ground_truth is None:
        return None
    if Path(inputs.ground_truth).is_dir():
        return open_truth_folder(inputs.ground_truth, None)
    return TruthTopic(stack.enter_context(Bag(inputs.images.bag)), inputs.ground_truth)


def _metrics(inputs: ReplayInput, state: State, summary: Summary) -> dict[str, Any]:
    images, device = inputs.images, str(choose_device(inputs.device))
    return summary.metrics(inputs.annotations, inputs.config, device, state.fit) | {
        "bag": images.bag.name,
        "image_topic": images.topic,
        "options": {
            "start": images.start,
            "duration": images.duration,
            "every": images.every,
            "rate": inputs.rate,
            "two_pass": inputs.two_pass,
            "ground_truth": inputs.ground_truth,
        },
        "skipped": {"messages": sum(state.skipped.values()), "reasons": state.skipped},
        "dropped": state.dropped,
        "bag_damage": state.damage,
    }


def _warnings(inputs: ReplayInput, summary: Summary, state: State) -> list[str]:
    warnings = [f"warning: {count} messages skipped: {reason}" for reason, count in _most_first(state.skipped)]
    if state.dropped:
        warnings.append(f"warning: {state.dropped} frames dropped at {inputs.rate:g} times real time")
    if state.damage is not None:
        warnings.append(f"warning: {inputs.images.bag}: damaged, read as far as it goes: {state.damage}")
    unused = summary.check_annotated(inputs.annotations)
    return warnings if unused is None else [unused, *warnings]


def _most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: -item[1])
