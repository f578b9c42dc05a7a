"""The one object that every interface drives: observe, annotate, fit, result, undo, redo, clear, save, load."""

from __future__ import annotations

import time
from collections.abc import Iterator
from numbers import Integral
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from neural_seg_ros.annotations import Annotation, check_annotation, classes_of, is_number
from neural_seg_ros.annotations.implied import FrameAnnotation, classes_among, extended
from neural_seg_ros.click_answer import RegionAnswer
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.errors import AnnotationError, ConfigError, NeuralSegError, SessionError, SessionFileError
from neural_seg_ros.field.engine import Losses
from neural_seg_ros.field.steps import MakeSteps, make_steps
from neural_seg_ros.images.arrays import check_image
from neural_seg_ros.session.fitting import Fitting, Remade, in_slices
from neural_seg_ros.session.frame_answer import AnnotatedFrame, FrameAnswer, FrameNumbers
from neural_seg_ros.session.history import History, Snapshot
from neural_seg_ros.session.result import Result
from neural_seg_ros.session.scheduler import Scheduler
from neural_seg_ros.session.session_file import annotations_from_json, annotations_to_json, read_session, write_session
from neural_seg_ros.torch_setup import choose_device

# Every class is a channel of full-size probabilities: more of them at a time would not fit into memory.
MAX_CLASSES = 1024
# More steps than are ever due.
_ALL = 10**9


class Session:
    """One camera's frames, annotations, field and tracker.

        session = Session(SessionConfig.preset("cpu"))
        session.observe(image)
        session.annotate(Click(x=120, y=80, class_id=1))
        session.fit()
        labels = session.result().labels

    The same configuration, device and sequence of calls gives the same results, except for ``fit(seconds=...)``, whose
    number of steps varies. Not thread-safe: one thread at a time may call it.
    """

    def __init__(
        self, config: SessionConfig | None = None, device: str = "auto", make_steps: MakeSteps = make_steps
    ) -> None:
        """Make a session without frames.

        make_steps: makes the steps of the fit; ``Batcher.join`` makes them together with those of other sessions.
        """
        self.config = _checked(config or SessionConfig())
        self.device = choose_device(device)
        self._numbers = FrameNumbers()
        self._history = History(self.config.undo_megabytes)
        self._fitting = Fitting(self.config, self.device, make_steps)
        self._answer: FrameAnswer | None = None
        # The class id of each channel, in the order in which the classes came.
        self._channels: tuple[int, ...] = ()

    # -- the main job --------------------------------------------------------------------------------------------------

    def observe(self, image: NDArray[np.uint8], stamp: float = 0.0) -> None:
        """Take a new frame of the same camera: (H, W, 3) uint8 RGB, stamp in seconds.

        The field continues from its state (thesis 2.5.2). Earlier annotations stay on their frames, and the tracker or
        the temporal consistency loss carries their classes on. Observing an annotated frame again (same stamp and
        pixels) restores its annotations. Raises ImageError.
        """
        image = check_image(image)
        if not is_number(stamp):
            raise SessionError(f"stamp: got {stamp!r}, accepted: finite seconds")
        image, stamp = image.copy(), float(stamp)
        self._update_answer()
        self._teach_tracker()
        last = self._answer
        if last is not None and last.regions is not None:
            last.regions.close()
        number = self._numbers.next(image, stamp)
        self._answer = FrameAnswer(image, stamp, number, self._new_regions(image), last is not None and last.fast)
        if not self._fitting.observe(image, self._numbers.count):
            self._history.forget_snapshots()
        if self._fitting.tracker.has_learned:
            self._answer.invalidate()
        if self._annotations_here:
            self._remember_prior()
            self._annotations_changed()

    def annotate(self, annotation: Annotation) -> int:
        """Add an annotation in pixels of the current frame; returns its running number.

        Raises AnnotationError, and SessionError without a frame.
        """
        answer = self._current()
        height, width = answer.image.shape[:2]
        if not isinstance(annotation, Annotation):
            given = type(annotation).__name__
            raise AnnotationError(f"annotation: got {given}, accepted: Click | Box | Stroke | Region | Mask")
        check_annotation(annotation, (height, width), self.config.unlabelled)
        count = len({*self.classes, *classes_of(annotation, self.config.unlabelled)})
        if count > MAX_CLASSES:
            raise AnnotationError(f"classes: got {count} different ones, accepted: up to {MAX_CLASSES} at a time")
        if not self._annotations_here:
            self._remember_prior()
        self._numbers.mark_annotated(answer.image, answer.stamp, answer.number)
        made = FrameAnnotation(annotation, answer.stamp, (height, width), answer.number, self._history.new_id())
        self._history.add(made, self._snapshot())
        self._annotations_changed()
        return made.id

    def fit(self, steps: int | None = None, seconds: float | None = None) -> int:
        """Fit to the current frame and its annotations: ``steps``, for ``seconds``, or the steps that are due.

        ``config.fit`` says how many steps are due for a frame or an annotation. Returns the number of steps made.
        """
        self._current()
        if seconds is not None:
            if steps is not None or not is_number(seconds) or seconds < 0:
                raise SessionError(
                    f"fit: got steps {steps!r}, seconds {seconds!r}, accepted: one of them, not negative"
                )
            return self._fit_for(seconds)
        if steps is not None and (isinstance(steps, bool) or not isinstance(steps, Integral) or steps < 0):
            raise SessionError(f"fit: got steps {steps!r}, accepted: an integer, not negative")
        if steps is None:
            field_steps, tracker_steps = self._fitting.due, _ALL
        else:
            field_steps = tracker_steps = int(steps)
        self._fit(field_steps, tracker_steps)
        return field_steps

    @property
    def scheduler(self) -> Scheduler:
        """The calls that spread ``fit`` and ``result`` over time, for a live camera."""
        # Not cached: a reference cycle would keep the device's memory of a dropped session until a collection.
        return Scheduler(self)

    @property
    def steps_due(self) -> int:
        """The number of steps that ``fit()`` would make, of field and tracker."""
        return self._fitting.due + self._fitting.tracker.steps_due

    def prepare(self, wait: bool = False) -> None:
        """Start in the background the work that the first annotation of this frame would wait for. Optional.

        With ``wait``, return when it is done.
        """
        answer = self._current()
        if answer.regions is not None:
            answer.regions.prepare(wait)

    def result(self) -> Result:
        """Return the labels of the current frame at full size."""
        return self._result(fast=False)

    def suggest(self) -> tuple[float, float] | None:
        """Return (x, y) of the pixel of the current frame whose click would help most, as ``Result.suggestion``.

        None before the first annotation, and when nothing is uncertain.
        """
        return self.result().suggestion

    # -- undo ----------------------------------------------------------------------------------------------------------

    def undo(self) -> bool:
        """Undo the newest annotation and everything learned from it. Returns False when there is none.

        Exact while ``config.undo_megabytes`` hold the snapshot from before the annotation; fit steps that are lost by
        it are due again. While other annotations remain on an earlier frame, the tracker keeps what it learned there.
        Beyond that bound, and for annotations of a loaded session, the learned state stays and the fit continues with
        the annotations that remain.
        """
        if not self._history.annotations:
            return False
        number = self._history.annotations[-1].frame_number
        before = self._history.undo(self._snapshot())
        if before is not None:
            if number != self.frame_number and any(each.frame_number == number for each in self._history.annotations):
                # Annotations remain on the frame of the undone one: the tracker keeps what it learned there.
                before = Snapshot(before.field, self._fitting.tracker.snapshot(), self._channels)
            self._return_to(before)
        if not self._annotations_here:
            self._current().prior = None
        self._annotations_changed()
        return True

    def redo(self) -> bool:
        """Redo the annotation that was undone last, exactly. Returns False when there is none (any more)."""
        if not self._history.can_redo():
            return False
        if not self._annotations_here:
            self._remember_prior()
        self._return_to(self._history.redo(self._snapshot()))
        self._annotations_changed()
        return True

    def clear(self) -> None:
        """Forget all annotations and classes; the fit to the frame stays."""
        self._history.clear()
        self._numbers.forget()
        self._channels = ()
        if self._answer is not None:
            self._answer = self._answer.cleared()
        self._fitting.forget_classes()

    # -- state ---------------------------------------------------------------------------------------------------------

    @property
    def frame(self) -> NDArray[np.uint8] | None:
        """The current frame, (H, W, 3) uint8, read-only, or None."""
        if self._answer is None:
            return None
        view = self._answer.image.view()
        view.setflags(write=False)
        return view

    @property
    def stamp(self) -> float:
        """The stamp of the current frame in seconds."""
        return 0.0 if self._answer is None else self._answer.stamp

    @property
    def frame_number(self) -> int:
        """The running number of the current frame, which annotations on it carry."""
        return 0 if self._answer is None else self._answer.number

    @property
    def annotations(self) -> tuple[FrameAnnotation, ...]:
        """All annotations, oldest first."""
        return tuple(self._history.annotations)

    @property
    def classes(self) -> tuple[int, ...]:
        """The annotated class ids, ascending."""
        return classes_among(self._history.annotations, self.config.unlabelled)

    @property
    def lost(self) -> tuple[int, ...]:
        """The class ids that are lost on the current frame, ascending."""
        if self._annotations_here:
            return ()
        self._update_answer()
        lost = {self._channels[channel] for channel in self._fitting.tracker.lost}
        return tuple(sorted(lost.intersection(self.classes)))

    def status(self) -> Losses:
        """Return steps made, loss and PSNR of the fit; waits for the device."""
        return self._fitting.engine.losses() if self._fitting.begun else Losses(0, 0.0, 0.0, 0.0)

    def configure(self, config: SessionConfig) -> None:
        """Change options. The learned state stays, unless network, input or seed change."""
        config = _checked(config)
        if config.label_bits != self.config.label_bits and self._history.annotations:
            raise ConfigError("label_bits: cannot change while there are annotations, accepted: after clear()")
        answer, old = self._answer, self.config
        image = None if answer is None else answer.image
        remade = self._fitting.configure(config, image, self._numbers.count)
        if remade:
            self._history.forget_snapshots()
        self.config = config
        self._history.resize(config.undo_megabytes)
        if answer is None:
            return
        if (config.answer, config.border_prior, config.rest) != (old.answer, old.border_prior, old.rest):
            answer = answer.with_regions(self._new_regions(answer.image))
        if Remade.FIELD in remade:
            regions = self._new_regions(answer.image)
            answer = FrameAnswer(answer.image, answer.stamp, answer.number, regions, answer.fast)
        self._answer = answer
        self._annotations_changed()

    def save(self, path: str | Path) -> None:
        """Write everything except the undo snapshots to one file, whole or not at all. Raises SessionFileError.

        A session loaded from the file gives the same results as this one, bit for bit, until something is undone.
        """
        answer = self._current()
        values, tensors = answer.saved(self._annotations_here)
        annotations, masks = annotations_to_json(self._history.annotations)
        document = {
            "config": self.config.to_dict(),
            "annotations": annotations,
            "steps_due": self._fitting.due,
            "channels": self._channels,
            **self._numbers.saved(),
            **values,
        }
        frame = {"frame": torch.from_numpy(answer.image)}
        write_session(path, document, tensors | masks | self._fitting.saved() | frame)

    @staticmethod
    def load(path: str | Path, device: str = "auto", make_steps: MakeSteps = make_steps) -> Session:
        """Return a saved session. Raises SessionFileError for a missing, damaged, newer or older file."""
        document, tensors = read_session(path)
        try:
            session = Session(SessionConfig.from_dict({"rest": "none", **document["config"]}), device, make_steps)
            session.observe(tensors["frame"].numpy(), document["stamp"])
            answer = session._current()
            answer.number = int(document["frame_number"])
            session._numbers.restore(document)
            annotations = annotations_from_json(document["annotations"], tensors, session._history.new_id)
            session._history.annotations.extend(annotations)
            session._channels = tuple(document["channels"])
            session._fitting.restore(tensors, int(document["steps_due"]), session._numbers.count)
            answer.restore(document, tensors, session._annotations_here)
        except (NeuralSegError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise SessionFileError(f"{path}: damaged: {type(error).__name__}: {error}") from None
        return session

    # -- inside; the scheduler calls the first three
    # ---------------------------------------------------------------------

    def _result(self, fast: bool | None) -> Result:
        """Return the labels at full size; fast: as a preview or in full, None as last time."""
        answer = self._current()
        if fast is not None:
            answer.fast = fast
        self._update_answer()
        return answer.result(self._annotated_frame(), self._fitting.field_estimate)

    def _slices(self) -> Iterator[None]:
        """Make the due steps, yielding every few of them."""
        self._current()
        return self._steps(self._fitting.due, _ALL)

    def _fit(self, field_steps: int, tracker_steps: int) -> None:
        """Make ``field_steps`` steps of the field, and up to ``tracker_steps`` of the tracker."""
        for _ in self._steps(field_steps, tracker_steps):
            pass

    def _steps(self, field_steps: int, tracker_steps: int) -> Iterator[None]:
        tracker = self._fitting.tracker
        left = yield from in_slices(tracker_steps, tracker.train)
        self._update_answer()
        yield from in_slices(left, tracker.train)
        yield from in_slices(field_steps, self._fitting.fit_field)

    def _fit_for(self, seconds: float) -> int:
        """Make steps for so long; returns how many."""
        deadline = time.monotonic() + seconds
        made = 0
        while time.monotonic() < deadline:
            self._fit(1, 1)
            made += 1
            self._fitting.engine.synchronize()
        return made

    def _current(self) -> FrameAnswer:
        if self._answer is None:
            raise SessionError("no frame yet: call observe(image) first")
        return self._answer

    def _annotated_frame(self) -> AnnotatedFrame:
        image = self._current().image
        return AnnotatedFrame(image, tuple(self._annotations_here), self.classes, self._channels, self.config)

    @property
    def _annotations_here(self) -> list[Annotation]:
        """The annotations on the current frame, oldest first."""
        number = self.frame_number
        return [each.annotation for each in self._history.annotations if each.frame_number == number]

    def _new_regions(self, image: NDArray[np.uint8]) -> RegionAnswer | None:
        return RegionAnswer(image) if self.config.answers_at_once else None

    def _remember_prior(self) -> None:
        """Remember the estimate of the current frame before its first annotation, if other frames are annotated."""
        answer = self._current()
        others = any(each.frame_number != answer.number for each in self._history.annotations)
        answer.prior = self._fitting.estimate() if others else None

    def _snapshot(self) -> Snapshot:
        return self._fitting.snapshot(self._channels)

    def _return_to(self, snapshot: Snapshot) -> None:
        self._fitting.return_to(snapshot, self._numbers.count)
        self._channels = snapshot.channels

    def _annotations_changed(self) -> None:
        """Mark the answer as stale and, with annotations on this frame, make steps due."""
        here = bool(self._annotations_here)
        self._channels = extended(self._channels, self.classes, self.config)
        self._current().invalidate(here)
        if here:
            self._fitting.annotations_changed()

    def _update_answer(self) -> None:
        """Answer the current frame and teach the answer to the field, unless it is current."""
        answer = self._answer
        if answer is None or answer.is_current:
            return
        frame, engine = self._annotated_frame(), self._fitting.engine
        answer.update(frame, self._fitting.tracker.estimate)
        engine.set_annotations(*answer.field_targets(frame, engine.shape), len(self._channels))

    def _teach_tracker(self) -> None:
        """Teach the tracker the annotated frame that is about to be left."""
        if self._answer is None or self._answer.regions is None or not self._annotations_here or not self.classes:
            return
        labels = self._result(fast=None).labels
        channels = np.zeros(labels.shape, np.int64)
        for channel, class_id in enumerate(self._channels):
            channels[labels == class_id] = channel
        self._fitting.tracker.learn(channels, len(self._channels))


def _checked(config: SessionConfig) -> SessionConfig:
    if not isinstance(config, SessionConfig):
        raise ConfigError(f"config: got {type(config).__name__}, accepted: SessionConfig")
    return config
