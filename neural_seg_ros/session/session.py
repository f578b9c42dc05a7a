"""The one object that every interface drives: observe, annotate, fit, result, undo, redo, clear, save, load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neural_seg_ros.annotations import Annotation, check_annotation, classes_of, is_number
from neural_seg_ros.annotations.implied import FrameAnnotation, classes_among
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.errors import AnnotationError, ConfigError, NeuralSegError, SessionError, SessionFileError
from neural_seg_ros.field.engine import Losses
from neural_seg_ros.field.steps import MakeSteps, make_steps
from neural_seg_ros.images.arrays import check_image
from neural_seg_ros.session.fitting import ALL, Fitting
from neural_seg_ros.session.frame_answer import FrameAnswer, Frames, View
from neural_seg_ros.session.history import History, State
from neural_seg_ros.session.result import Result
from neural_seg_ros.session.session_file import placed_from_json, placed_to_json, read_session, write_session
from neural_seg_ros.torch_setup import choose_device

# Every class is a channel of full-size probabilities: more of them at a time would not fit into memory.
MAX_CLASSES = 1024


class Session:
    """Labels one camera's frames from a few annotations.

        session = Session(SessionConfig.preset("cpu"))
        session.observe(image)
        session.annotate(Click(x=120, y=80, class_id=1))
        session.fit()
        labels = session.result().labels

    The same configuration, device and sequence of calls gives the same results (``fit(seconds=...)`` excepted: how many
    steps fit into a time is not fixed). Not thread-safe: one thread at a time may call it.
    """

    def __init__(
        self, config: SessionConfig | None = None, device: str = "auto", make_steps: MakeSteps = make_steps
    ) -> None:
        """make_steps: how steps of the fit are made; ``Batcher.join``: together with those of other sessions."""
        self.config = _checked(config or SessionConfig())
        self.device = choose_device(device)
        self._frames = Frames()
        self._history = History(self.config.undo_megabytes)
        self._learning = Fitting(self.config, self.device, make_steps, self._history.forget_states)
        self._answering = FrameAnswer(self.config)

    # -- the main job --------------------------------------------------------------------------------------------------

    def observe(self, image: NDArray[np.uint8], stamp: float = 0.0) -> None:
        """Take a new frame of the same camera: (H, W, 3) uint8 RGB, stamp in seconds.

        The field goes on from what it knows (thesis 2.5.2): earlier annotations stay with the frames they were made on,
        their classes are carried by the temporal consistency loss. A frame that was annotated before (same stamp, same
        pixels) takes its annotations up again. Raises ImageError.
        """
        image = check_image(image)
        if not is_number(stamp):
            raise SessionError(f"stamp: got {stamp!r}, accepted: finite seconds")
        self._settle()
        self._learn_annotated()
        self._frames.observe(image, float(stamp))
        frame = self._observed()
        self._learning.observe(frame, self._frames.count)
        self._answering.observe(frame)
        if self._learning.following.knows:
            # It is asked when somebody looks or the fit goes on.
            self._answering.ask_again()
        if self._annotated_here:
            self._carry()
            self._apply_annotations()

    def annotate(self, annotation: Annotation) -> None:
        """Add an annotation in pixels of the frame observed last. Raises AnnotationError, SessionError without one."""
        height, width = self._observed().shape[:2]
        if not isinstance(annotation, Annotation):
            given = type(annotation).__name__
            raise AnnotationError(f"annotation: got {given}, accepted: Click | Box | Stroke | Region | Mask")
        check_annotation(annotation, (height, width), self.config.unlabelled)
        count = len({*self.classes, *classes_of(annotation, self.config.unlabelled)})
        if count > MAX_CLASSES:
            raise AnnotationError(f"classes: got {count} different ones, accepted: up to {MAX_CLASSES} at a time")
        if not self._annotated_here:
            self._carry()
        self._frames.know()
        placed = FrameAnnotation(annotation, self.stamp, (height, width), self.frame_number)
        self._history.add(placed, self._state())
        self._apply_annotations()

    def fit(self, steps: int | None = None, seconds: float | None = None) -> int:
        """Fit the field to the frame and its annotations: ``steps``, for ``seconds``, or the steps that are due.

        Due are ``config.fit``'s steps for what is new since the last fit. Returns the number of steps made.
        """
        self._observed()
        if seconds is not None:
            if steps is not None or not is_number(seconds) or seconds < 0:
                raise SessionError(
                    f"fit: got steps {steps!r}, seconds {seconds!r}, accepted: one of them, not negative"
                )
            return self._learning.fit_for(seconds, self._settle)
        if steps is not None and (isinstance(steps, bool) or not isinstance(steps, Integral) or steps < 0):
            raise SessionError(f"fit: got steps {steps!r}, accepted: an integer, not negative")
        if steps is None:
            field_steps, tracker_steps = self._learning.due, ALL
        else:
            field_steps = tracker_steps = int(steps)
        self._learning.step(field_steps, tracker_steps, self._settle)
        return field_steps

    def fit_slices(self) -> Iterator[None]:
        """What ``fit()`` does, a few steps at a time; who stops in between leaves steps due."""
        self._observed()
        return self._learning.steps(self._learning.due, ALL, self._settle)

    def advance(self, steps: int) -> None:
        """Make up to ``steps`` of the field's steps that are due."""
        self._observed()
        self._learning.step(min(steps, self._learning.due), 0, self._settle)

    def train(self, steps: int) -> int:
        """Make up to ``steps`` of the tracker's steps that are due; returns how many were made.

        Of all calls the only one that another thread may make beside the others.
        """
        return self._learning.following.train(steps)

    @property
    def steps_due(self) -> int:
        """What ``fit()`` would make: steps of the field, and of the tracker that follows the annotated classes."""
        return self._learning.due + self._learning.following.steps_due

    @property
    def field_steps_due(self) -> int:
        """Those of the field among ``steps_due``."""
        return self._learning.due

    def synchronize(self) -> None:
        """Wait until the device has made all steps: on CUDA ``fit`` returns before."""
        if self._learning.begun:
            self._learning.engine.synchronize()

    def prepare(self, wait: bool = False) -> None:
        """Begin in the background what the first annotation of this frame would have to wait for. Optional.

        With ``wait`` it is done when this returns.
        """
        self._observed()
        self._answering.prepare(wait)

    def result(self) -> Result:
        """The labels of the frame observed last, at its full size."""
        return self._answering.result(self._view, self._learning, self.stamp, hurry=False)

    def preview(self) -> Result:
        """As ``result``, but soon: on a frame that was not prepared the labels are found with fewer segmentations.

        While ``improves`` is True the next one is better once the frame is prepared, and ``result`` is better now.
        """
        return self._answering.result(self._view, self._learning, self.stamp, hurry=True)

    @property
    def prepared(self) -> bool:
        """Whether ``prepare`` has nothing left to do for the frame observed last."""
        return self._answering.prepared

    @property
    def improves(self) -> bool:
        """Whether ``result`` would give better labels than the last ``preview``, without new annotations or steps."""
        return self._answering.improves

    def suggest(self) -> tuple[float, float] | None:
        """(x, y) of the pixel of the frame observed last whose click would help most: see ``answer.suggest``.

        None before the first annotation, and when nothing is uncertain.
        """
        return self.result().suggestion

    # -- taking back ---------------------------------------------------------------------------------------------------

    def undo(self) -> bool:
        """Take the newest annotation back, with all that was learnt from it. Returns False when there is none.

        Exact while ``config.undo_megabytes`` hold the state before the annotation; the steps that the fit thereby loses
        are due again. What was tracked from a frame that was left stays while anything is annotated there. Beyond that
        (and for annotations of a loaded session) what was learnt stays, and the fit goes on with the annotations that
        remain.
        """
        if not self._history.placed:
            return False
        number = self._history.placed[-1].frame_number
        before = self._history.undo(self._state())
        if before is not None:
            left = number != self.frame_number
            if left and any(placed.frame_number == number for placed in self._history.placed):
                # Something is still annotated on the frame that was left: what the tracker learnt there stays.
                before = State(before.engine, self._learning.following.snapshot(), self._answering.channels)
            self._return_to(before)
        if not self._annotated_here:
            self._answering.carry_nothing()
        self._apply_annotations()
        return True

    def redo(self) -> bool:
        """Bring back what undo took, as it was when it was taken. Returns False when there is nothing (any more)."""
        if not self._history.can_redo():
            return False
        if not self._annotated_here:
            self._carry()
        self._return_to(self._history.redo(self._state()))
        self._apply_annotations()
        return True

    def clear(self) -> None:
        """Forget all annotations and classes; the fit to the frame stays."""
        self._history.clear()
        self._frames.forget()
        self._answering.forget()
        self._learning.forget_classes()

    # -- state ---------------------------------------------------------------------------------------------------------

    @property
    def frame(self) -> NDArray[np.uint8] | None:
        """The frame observed last, (H, W, 3) uint8, read-only, or None."""
        if self._frames.image is None:
            return None
        view = self._frames.image.view()
        view.setflags(write=False)
        return view

    @property
    def stamp(self) -> float:
        """The seconds that the frame observed last was given."""
        return self._frames.stamp

    @property
    def frame_number(self) -> int:
        """The number that annotations on the frame observed last are placed with."""
        return self._frames.number

    @property
    def annotations(self) -> tuple[FrameAnnotation, ...]:
        """All annotations, oldest first."""
        return tuple(self._history.placed)

    @property
    def classes(self) -> tuple[int, ...]:
        """The class ids that annotations name so far, ascending."""
        return classes_among(self._history.placed, self.config.unlabelled)

    @property
    def lost(self) -> tuple[int, ...]:
        """The class ids that are lost on the frame observed last, ascending: annotated before, and not in sight."""
        if self._annotated_here:
            return ()
        self._settle()
        lost = {self._answering.channels[channel] for channel in self._learning.following.lost}
        return tuple(sorted(lost.intersection(self.classes)))

    def status(self) -> Losses:
        """Steps made, loss and PSNR of the fit; waits for the device."""
        return self._learning.engine.losses() if self._learning.begun else Losses(0, 0.0, 0.0, 0.0)

    def configure(self, config: SessionConfig) -> None:
        """Change options. What was learnt stays, unless network, input or seed change: then it is fitted afresh."""
        config = _checked(config)
        if config.label_bits != self.config.label_bits and self._history.placed:
            raise ConfigError("label_bits: cannot change while there are annotations, accepted: after clear()")
        frame, old = self._frames.image, self.config
        remade = self._learning.configure(config, frame, self._frames.count)
        if (config.answer, config.border_prior) != (old.answer, old.border_prior):
            self._answering.remake(config, frame)
        self.config = config
        self._history.resize(config.undo_megabytes)
        if frame is None:
            return
        if remade:
            self._answering.observe(frame)
        self._apply_annotations()

    def save(self, path: str | Path) -> None:
        """Write everything but the undo states to one file, whole or not at all. Raises SessionFileError.

        The session in the file goes on as this one does, bit by bit, until something is undone.
        """
        frame = self._observed()
        answering, tensors = self._answering.saved(self._annotated_here)
        annotations, masks = placed_to_json(self._history.placed)
        document = {
            "config": self.config.to_dict(),
            "annotations": annotations,
            "steps_due": self._learning.due,
            **self._frames.saved(),
            **answering,
        }
        write_session(path, document, tensors | masks | self._learning.saved() | {"frame": torch.from_numpy(frame)})

    @staticmethod
    def load(path: str | Path, device: str = "auto", make_steps: MakeSteps = make_steps) -> Session:
        """A session as it was saved. Raises SessionFileError for a missing, damaged, newer or older file."""
        document, tensors = read_session(path)
        try:
            session = Session(SessionConfig.from_dict(document["config"]), device, make_steps)
            session.observe(tensors["frame"].numpy(), document["stamp"])
            session._restore(document, tensors)
        except (NeuralSegError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise SessionFileError(f"{path}: damaged: {type(error).__name__}: {error}") from None
        return session

    # -- inside --------------------------------------------------------------------------------------------------------

    def _restore(self, document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take everything but the frame, which is observed, from what ``save`` wrote."""
        self._frames.restore(document)
        self._history.placed.extend(placed_from_json(document["annotations"], tensors))
        self._learning.restore(tensors, int(document["steps_due"]), self._frames.count)
        self._answering.restore(document, tensors, self._observed(), self._annotated_here)

    def _observed(self) -> NDArray[np.uint8]:
        if self._frames.image is None:
            raise SessionError("session: no frame yet, accepted: observe(image) first")
        return self._frames.image

    @property
    def _view(self) -> View:
        """The frame in view. Raises SessionError before the first."""
        return View(self._observed(), tuple(self._annotated_here), self.classes, self.config)

    @property
    def _annotated_here(self) -> list[Annotation]:
        """The annotations made on this very frame, oldest first."""
        return [placed.annotation for placed in self._history.placed if placed.frame_number == self.frame_number]

    def _carry(self) -> None:
        """Keep what is known of this frame now, where anything was annotated on other frames."""
        if any(placed.frame_number != self.frame_number for placed in self._history.placed):
            self._answering.carry(self._learning)
        else:
            self._answering.carry_nothing()

    def _state(self) -> State:
        return self._learning.state(self._answering.channels)

    def _return_to(self, state: State) -> None:
        self._learning.return_to(state, self._frames.count)
        self._answering.channels = state.channels

    def _apply_annotations(self) -> None:
        """Take the annotations as they are now."""
        here = bool(self._annotated_here)
        self._answering.ask(self.classes, self.config.unlabelled, here)
        if here:
            self._learning.ask()

    def _settle(self) -> None:
        """Answer the frame in view, unless it is."""
        if not self._answering.settled:
            self._answering.settle(self._view, self._learning)

    def _learn_annotated(self) -> None:
        """Teach the tracker the annotated frame that is left."""
        if self.config.answer != "fused" or not self._annotated_here or not self.classes:
            return
        labels = self._answering.result(self._view, self._learning, self.stamp).labels
        channels = np.zeros(labels.shape, np.int64)
        for channel, class_id in enumerate(self._answering.channels):
            channels[labels == class_id] = channel
        self._learning.following.learn(channels, len(self._answering.channels))


def _checked(config: SessionConfig) -> SessionConfig:
    if not isinstance(config, SessionConfig):
        raise ConfigError(f"config: got {type(config).__name__}, accepted: SessionConfig")
    return config
