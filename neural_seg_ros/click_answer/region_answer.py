"""``answer: fused``: a region graph answers on the annotated frame at once, the field learns it and carries it on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.annotations.implied import AnnotationTargets, Draw
from neural_seg_ros.click_answer.boxes import recall_boxes
from neural_seg_ros.click_answer.carried_seeds import recall
from neural_seg_ros.click_answer.graph import graph_answer
from neural_seg_ros.click_answer.interface import Estimate
from neural_seg_ros.click_answer.vote import PastClick
from neural_seg_ros.images.arrays import MIN_SIDE, field_shape, resize_image
from neural_seg_ros.regions import FEW_MEMBERS, MEMBERS, RegionFinder, Regions

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class AnswerVersion:
    """What the user saw after some annotations of one frame, oldest first.

    clicks   those among the annotations, with what the user saw when making each
    classes  (R,) int64 channel of every region
    members  segmentations that the regions were found with
    """

    annotations: tuple[Annotation, ...]
    channels: int
    clicks: tuple[PastClick, ...]
    classes: NDArray[np.int64]
    estimate: Estimate
    members: int


def turns_to_json(turns: Sequence[AnswerVersion]) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    """Turns as JSON values, and the arrays that these name."""
    arrays: dict[str, NDArray[Any]] = {}
    # Clicks share what was seen with each other and with the turn that showed it: it is written once.
    seen = {id(turn.classes): f"{number}.classes" for number, turn in enumerate(turns)}
    values = []
    for number, turn in enumerate(turns):
        clicks: list[tuple[int, int, int, str | None]] = []
        for click in turn.clicks:
            name = None
            if click.seen is not None:
                name = seen.setdefault(id(click.seen), f"seen.{len(seen)}")
                arrays[name] = click.seen
            clicks.append((click.channel, click.x, click.y, name))
        arrays[f"{number}.classes"] = turn.classes
        arrays[f"{number}.probabilities"] = turn.estimate.probabilities
        counts = {"annotations": len(turn.annotations), "channels": turn.channels, "members": turn.members}
        values.append({**counts, "clicks": clicks, "doubt": turn.estimate.doubt})
    return values, arrays


def turns_from_json(
    values: Sequence[Mapping[str, Any]],
    arrays: Arrays,
    frame: NDArray[np.uint8],
    annotations: Sequence[Annotation],
) -> list[AnswerVersion]:
    """What ``turns_to_json`` gave of a frame (H, W, 3) and its annotations, oldest first.

    Raises KeyError and TypeError when it is something else.
    """
    turns = []
    for number, value in enumerate(values):
        clicks = tuple(
            PastClick(channel, x, y, None if name is None else arrays[name]) for channel, x, y, name in value["clicks"]
        )
        probabilities = arrays[f"{number}.probabilities"]
        image = resize_image(frame, *probabilities.shape[1:])
        estimate = Estimate(image, probabilities, float(value["doubt"]))
        made = tuple(annotations[: int(value["annotations"])])
        classes, channels, members = arrays[f"{number}.classes"], int(value["channels"]), int(value["members"])
        turns.append(AnswerVersion(made, channels, clicks, classes, estimate, members))
    return turns


GRAPH_SIZE = 300
# Answers that undo can return to; before them an answer is found anew.
TURNS = 64


class FusedAnswer:
    """Keeps the regions of the frame observed last, and the answers that its annotations had one after the other."""

    def __init__(self) -> None:
        self._frame: NDArray[np.uint8] | None = None
        self._finding: _Finding | None = None
        self._turns: list[AnswerVersion] = []

    def observe(self, frame: NDArray[np.uint8]) -> None:
        """Drop what was prepared for the last frame, and its answers."""
        self._frame = frame
        if self._finding is not None:
            self._finding.stop()
        self._finding = None
        self._turns = []

    def prepare(self, wait: bool) -> None:
        """Find the regions of the frame in a thread of its own; without ``wait`` a click waits for what is left."""
        if not wait:
            # Who is in a hurry meanwhile waits for these alone.
            self._found(FEW_MEMBERS)
        found = self._found(MEMBERS)
        if wait:
            found.result()

    @property
    def prepared(self) -> bool:
        """Whether the regions are found, with all segmentations."""
        return self._finding is not None and self._finding.has(MEMBERS)

    def forget(self) -> None:
        """Drop the answers."""
        self._turns = []

    def instant(self, draw: Draw, carried: Estimate | None, hurry: bool) -> Estimate | None:
        """The region graph's answer to this frame's annotations and what it remembers, at 300 pixels.

        Annotations that came since the last answer are answered together. Fewer of them than before: the answer of
        then, exactly. In a hurry the graph of a frame that was not prepared has FEW_MEMBERS segmentations.
        """
        assert self._frame is not None
        drawn = draw(_graph_shape(self._frame))
        if not drawn.weights.any():
            return None
        self._return_to(drawn)
        last = self._turns[-1] if self._turns else None
        answered = last is not None and last.annotations == _annotations(drawn) and last.channels == drawn.count
        if answered and self.improves(hurry):
            # As if there had been time: what the user saw before these annotations stays what it was.
            self._turns.pop()
            answered, last = False, self._turns[-1] if self._turns else None
        if not answered:
            if hurry and not self.prepared:
                self._found(FEW_MEMBERS).result()
            members = FEW_MEMBERS if hurry and not self.prepared else MEMBERS
            self._turns.append(self._turn(drawn, carried, last, members))
            del self._turns[:-TURNS]
        return self._turns[-1].estimate

    def improves(self, hurry: bool) -> bool:
        """Whether the newest answer was found with few segmentations and, in a hurry, the others are there by now."""
        return bool(self._turns) and self._turns[-1].members < MEMBERS and (self.prepared or not hurry)

    def final(self, instant: Estimate | None, field: Callable[[], Estimate]) -> Estimate:
        """The graph's answer on an annotated frame; on later ones the field's, which was taught it."""
        return instant if instant is not None else field()

    def saved(self, annotations: Sequence[Annotation]) -> tuple[Any, dict[str, NDArray[Any]]]:
        """The answers that ``annotations`` begin with; others would be dropped at the next answer."""
        return turns_to_json([turn for turn in self._turns if _begin_with(annotations, turn)])

    def restore(self, values: Any, arrays: Arrays, annotations: Sequence[Annotation]) -> None:
        """Take the answers up again."""
        assert self._frame is not None
        self._turns = turns_from_json(values, arrays, self._frame, annotations)

    def _return_to(self, drawn: AnnotationTargets) -> None:
        """Drop the turns whose annotations are not all among the first ones of ``drawn``."""
        annotations = _annotations(drawn)
        while self._turns:
            turn = self._turns[-1]
            if turn.channels <= drawn.count and _begin_with(annotations, turn):
                return
            self._turns.pop()

    def _found(self, members: int) -> Future[Regions]:
        """The regions of the frame, being found in a thread of their own."""
        assert self._frame is not None
        if self._finding is None:
            self._finding = _Finding(resize_image(self._frame, *_graph_shape(self._frame)))
        return self._finding.begin(members)

    def _turn(
        self, drawn: AnnotationTargets, carried: Estimate | None, last: AnswerVersion | None, members: int
    ) -> AnswerVersion:
        regions = self._found(members).result()
        clicks = last.clicks if last is not None else ()
        known = len(last.annotations) if last is not None else 0
        seen = last.classes if last is not None else None
        if last is None and carried is not None:
            seen = _classes_in(regions, carried)
        new = drawn.marks[known:]
        clicks += tuple(PastClick(mark.channels[0], *mark.pixel, seen) for mark in new if mark.pixel is not None)
        named = {channel for mark in new for channel in mark.channels}
        if carried is not None:
            drawn = recall(drawn, carried)
        drawn = recall_boxes(drawn, regions)
        found = graph_answer(regions, drawn.labels, drawn.weights, drawn.count, clicks, seen, named)
        estimate = Estimate(drawn.image, found.probabilities, found.doubt)
        return AnswerVersion(_annotations(drawn), drawn.count, clicks, found.classes, estimate, members)


class _Finding:
    """The regions of one image, found in a thread of their own with as many segmentations as are asked for."""

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self._finder = RegionFinder(image)
        self._thread = ThreadPoolExecutor(1, "regions")
        self._regions: dict[int, Future[Regions]] = {}

    def begin(self, members: int) -> Future[Regions]:
        """The regions with so many segmentations; the same ones when asked again."""
        if members not in self._regions:
            self._regions[members] = self._thread.submit(self._finder.regions, members)
        return self._regions[members]

    def has(self, members: int) -> bool:
        """Whether these are found."""
        return members in self._regions and self._regions[members].done()

    def stop(self) -> None:
        """Begin nothing more; the thread ends when it has done what it is at."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _begin_with(annotations: Sequence[Annotation], turn: AnswerVersion) -> bool:
    return turn.annotations == tuple(annotations[: len(turn.annotations)])


def _annotations(drawn: AnnotationTargets) -> tuple[Annotation, ...]:
    return tuple(mark.annotation for mark in drawn.marks)


def _graph_shape(frame: NDArray[np.uint8]) -> tuple[int, int]:
    height, width = frame.shape[:2]
    return field_shape(height, width, GRAPH_SIZE, MIN_SIDE)


def _classes_in(regions: Regions, estimate: Estimate) -> NDArray[np.int64]:
    """The class (R,) that ``estimate`` has at the centre of every region."""
    height, width = regions.ids.shape
    size = (width, height)
    full = np.stack([cv2.resize(p, size, interpolation=cv2.INTER_LINEAR) for p in estimate.probabilities])
    x, y = np.rint(regions.centroids).astype(int).T
    return np.asarray(full[:, y, x].argmax(0), np.int64)
