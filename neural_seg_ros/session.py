"""The one object that every interface drives: observe, annotate, fit, result, undo, redo, clear, save, load."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neural_seg_ros.annotations import Annotation, check_annotation, classes_of, is_number
from neural_seg_ros.answer import Drawn, Estimate, make_answer
from neural_seg_ros.answer.upsample import guided_upsampler
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.device import choose_device
from neural_seg_ros.errors import AnnotationError, ConfigError, NeuralSegError, SessionError, SessionFileError
from neural_seg_ros.field.engine import Engine, Losses
from neural_seg_ros.field.snapshot import part_of
from neural_seg_ros.field.steps import MakeSteps, make_steps
from neural_seg_ros.history import History, State
from neural_seg_ros.image import check_image, field_shape
from neural_seg_ros.likeliest import likeliest
from neural_seg_ros.placed import Placed, classes_among, draw, extended, rest_of
from neural_seg_ros.rasterise import bounding_boxes, outside_boxes, rasterise
from neural_seg_ros.result import FullSize, Result, empty_result, full_size_result
from neural_seg_ros.session_file import (
    estimate_from_tensors,
    estimate_to_tensors,
    placed_from_json,
    placed_to_json,
    read_session,
    write_session,
)
from neural_seg_ros.track import Following

# How much the field is held to an instant answer, against 1 for what the user drew.
TAUGHT_WEIGHT = 0.1
# More steps than are ever due, and how many are made between two looks at the world.
ALL, SLICE = 10**9, 16
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
        self._make_steps = make_steps
        self.stamp = 0.0
        # Steps of the field; those of the tracker are counted by itself.
        self._field_due = 0
        # Whether the odd step of an uneven number is the tracker's.
        self._frame: NDArray[np.uint8] | None = None
        self._frame_number = 0
        self._frames = 0
        # The numbers of annotated frames, by stamp and checksum: one that is observed again is the same frame.
        self._frame_key = (0.0, 0)
        self._known: dict[tuple[float, int], int] = {}
        self._engine: Engine | None = None
        self._answer = make_answer(self.config.answer)
        self._following = self._new_following(self.config)
        self._instant: Estimate | None = None
        # What was known of this frame before the first annotation on it.
        self._carried: Estimate | None = None
        self._channels: tuple[int, ...] = ()
        # Whether the engine and the answer know of all annotations.
        self._settled = True
        # Whether somebody waits for a preview, and no longer than needed.
        self._hurry = False
        self._history = History(self.config.undo_megabytes)

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
        self._frame = image.copy()
        self._frames += 1
        self.stamp = float(stamp)
        self._frame_key = (self.stamp, zlib.crc32(self._frame.data))
        self._frame_number = self._known.get(self._frame_key, self._frames)
        self._look(first=self._engine is None)
        if self._annotated_here:
            self._carry()
            self._apply_annotations()

    def annotate(self, annotation: Annotation) -> None:
        """Add an annotation in pixels of the frame observed last. Raises AnnotationError, SessionError without one."""
        frame, _ = self._observed()
        height, width = frame.shape[:2]
        if not isinstance(annotation, Annotation):
            given = type(annotation).__name__
            raise AnnotationError(f"annotation: got {given}, accepted: Click | Box | Stroke | Region | Mask")
        check_annotation(annotation, (height, width), self.config.unlabelled)
        count = len({*self.classes, *classes_of(annotation, self.config.unlabelled)})
        if count > MAX_CLASSES:
            raise AnnotationError(f"classes: got {count} different ones, accepted: up to {MAX_CLASSES} at a time")
        if not self._annotated_here:
            self._carry()
        self._known[self._frame_key] = self._frame_number
        placed = Placed(annotation, self.stamp, (height, width), self._frame_number)
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
            return self._fit_for(seconds)
        if steps is not None and (isinstance(steps, bool) or not isinstance(steps, Integral) or steps < 0):
            raise SessionError(f"fit: got steps {steps!r}, accepted: an integer, not negative")
        if steps is None:
            field_steps, tracker_steps = self._field_due, ALL
        else:
            field_steps = tracker_steps = int(steps)
        self._step(field_steps, tracker_steps)
        return field_steps

    def fit_slices(self) -> Iterator[None]:
        """What ``fit()`` does, a few steps at a time; who stops in between leaves steps due."""
        return self._steps(self._field_due, ALL)

    def advance(self, steps: int) -> None:
        """Make up to ``steps`` of the field's steps that are due."""
        self._step(min(steps, self._field_due), 0)

    def train(self, steps: int) -> int:
        """Make up to ``steps`` of the tracker's steps that are due; returns how many were made.

        Of all calls the only one that another thread may make beside the others.
        """
        return self._following.train(steps)

    @property
    def steps_due(self) -> int:
        """What ``fit()`` would make: steps of the field, and of the tracker that follows the annotated classes."""
        return self._field_due + self._following.steps_due

    @property
    def field_steps_due(self) -> int:
        """Those of the field among ``steps_due``."""
        return self._field_due

    def synchronise(self) -> None:
        """Wait until the device has made all steps: on CUDA ``fit`` returns before."""
        if self._engine is not None:
            self._engine.synchronise()

    def prepare(self, wait: bool = False) -> None:
        """Begin in the background what the first annotation of this frame would have to wait for. Optional.

        With ``wait`` it is done when this returns.
        """
        self._observed()
        self._answer.prepare(wait)

    def result(self) -> Result:
        """The labels of the frame observed last, at its full size."""
        self._hurry = False
        return self._labels()

    def preview(self) -> Result:
        """As ``result``, but soon: on a frame that was not prepared the labels are found with fewer segmentations.

        While ``improves`` is True the next one is better once the frame is prepared, and ``result`` is better now.
        """
        self._hurry = True
        return self._labels()

    @property
    def prepared(self) -> bool:
        """Whether ``prepare`` has nothing left to do for the frame observed last."""
        return self._answer.prepared

    @property
    def improves(self) -> bool:
        """Whether ``result`` would give better labels than the last ``preview``, without new annotations or steps."""
        return self._settled and self._hurry and self._answer_improves(hurry=False)

    def _labels(self) -> Result:
        frame, engine = self._observed()
        self._settle()
        unlabelled = self.config.unlabelled
        if not self.classes:
            return empty_result(frame, self.stamp, unlabelled)
        estimate = self._answer.final(self._instant, lambda: self._field_estimate(engine))
        shown = self._shown
        probabilities = estimate.probabilities[[self._channels.index(class_id) for class_id in shown]]
        upsampler = guided_upsampler(frame, estimate.image, probabilities)
        annotated, outside = self._certain(frame)
        source = FullSize(upsampler, estimate.doubt, annotated, outside, shown)
        return full_size_result(source, self.stamp, unlabelled)

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
            left = number != self._frame_number
            if left and any(placed.frame_number == number for placed in self._history.placed):
                # Something is still annotated on the frame that was left: what the tracker learnt there stays.
                before = State(before.engine, self._following.snapshot(), self._channels)
            self._return_to(before)
        if not self._annotated_here:
            self._carried = None
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
        self._history = History(self.config.undo_megabytes)
        self._known.clear()
        self._channels = ()
        self._instant = self._carried = None
        self._settled = True
        self._answer.forget()
        self._following.forget()
        if self._engine is not None:
            self._engine.forget_classes()

    # -- state ---------------------------------------------------------------------------------------------------------

    @property
    def frame(self) -> NDArray[np.uint8] | None:
        """The frame observed last, (H, W, 3) uint8, read-only, or None."""
        if self._frame is None:
            return None
        view = self._frame.view()
        view.setflags(write=False)
        return view

    @property
    def frame_number(self) -> int:
        """The number that annotations on the frame observed last are placed with."""
        return self._frame_number

    @property
    def annotations(self) -> tuple[Placed, ...]:
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
        lost = {self._channels[channel] for channel in self._following.lost}
        return tuple(sorted(lost.intersection(self.classes)))

    def status(self) -> Losses:
        """Steps made, loss and PSNR of the fit; waits for the device."""
        return self._engine.losses() if self._engine is not None else Losses(0, 0.0, 0.0, 0.0)

    def configure(self, config: SessionConfig) -> None:
        """Change options. What was learnt stays, unless network, input or seed change: then it is fitted afresh."""
        config = _checked(config)
        if config.label_bits != self.config.label_bits and self._history.placed:
            raise ConfigError("label_bits: cannot change while there are annotations, accepted: after clear()")
        afresh = (config.seed, config.label_bits) != (self.config.seed, self.config.label_bits)
        old = self._engine
        remade = old is not None and (afresh or not old.reconfigure(config.field))
        # A new engine may not fit into the device's memory: then nothing has changed yet.
        engine = self._new_engine(config) if remade else old
        if (config.answer, config.border_prior) != (self.config.answer, self.config.border_prior):
            self._answer = make_answer(config.answer)
            if self._frame is not None:
                self._answer.observe(self._frame)
        kept = (config.answer, config.seed) == (self.config.answer, self.config.seed)
        if not kept or not self._following.configure(config.track):
            self._following = self._new_following(config)
            self._history.forget_states()
            if self._frame is not None:
                self._following.show(self._frame, self._frames)
        self.config, self._engine = config, engine
        if engine is None:
            return
        if remade:
            self._history.forget_states()
            self._look(first=True)
        self._history.resize(config.undo_megabytes)
        self._apply_annotations()

    def save(self, path: str | Path) -> None:
        """Write everything but the undo states to one file, whole or not at all. Raises SessionFileError.

        The session in the file goes on as this one does, bit by bit, until something is undone.
        """
        frame, engine = self._observed()
        answer, arrays = self._answer.saved(self._annotated_here)
        entries, masks = placed_to_json(self._history.placed)
        tensors = {f"engine.{name}": tensor for name, tensor in engine.snapshot().items()}
        tensors |= {f"answer.{name}": torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        tensors |= masks | {"frame": torch.from_numpy(frame)}
        tensors |= {f"track.{name}": tensor for name, tensor in self._following.snapshot().items()}
        tensors |= estimate_to_tensors("carried", self._carried) | estimate_to_tensors("instant", self._instant)
        document = {
            "config": self.config.to_dict(),
            "stamp": self.stamp,
            "frame_number": self._frame_number,
            "frames": self._frames,
            "known": [(stamp, checksum, number) for (stamp, checksum), number in self._known.items()],
            "steps_due": self._field_due,
            "channels": self._channels,
            "settled": self._settled,
            "hurry": self._hurry,
            "annotations": entries,
            "answer": answer,
        }
        write_session(path, document, tensors)

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
        frame, engine = self._observed()
        self._frame_number, self._frames = int(document["frame_number"]), int(document["frames"])
        self._known = {(float(stamp), checksum): number for stamp, checksum, number in document["known"]}
        self._history.placed.extend(placed_from_json(document["annotations"], tensors))
        self._channels = tuple(document["channels"])
        engine.restore(part_of(tensors, "engine"))
        arrays = {name: tensor.numpy() for name, tensor in part_of(tensors, "answer").items()}
        self._answer.restore(document["answer"], arrays, self._annotated_here)
        self._carried, self._instant = (estimate_from_tensors(name, tensors, frame) for name in ("carried", "instant"))
        self._settled, self._hurry = bool(document["settled"]), bool(document["hurry"])
        self._field_due = int(document["steps_due"])
        self._following.restore(part_of(tensors, "track"), self._frames)

    def _observed(self) -> tuple[NDArray[np.uint8], Engine]:
        if self._frame is None or self._engine is None:
            raise SessionError("session: no frame yet, accepted: observe(image) first")
        return self._frame, self._engine

    def _look(self, first: bool) -> None:
        """Make the frame the engine's target, at the field's size."""
        assert self._frame is not None
        config = self.config
        height, width = self._field_shape(config)
        if self._engine is None:
            self._engine = self._new_engine(config)
        elif self._engine.shape != (height, width):
            self._engine = self._engine.resized(height, width)
            self._history.forget_states()
        self._engine.set_target(torch.from_numpy(self._frame))
        self._answer.observe(self._frame)
        self._instant = self._carried = None
        self._following.show(self._frame, self._frames)
        if self._following.knows:
            # It is asked when somebody looks or the fit goes on.
            self._settled = False
        self._field_due = max(self._field_due, config.fit.first_steps if first else config.fit.frame_steps)

    def _field_shape(self, config: SessionConfig) -> tuple[int, int]:
        assert self._frame is not None
        height, width = self._frame.shape[:2]
        return field_shape(height, width, config.field.size, config.field.least_side)

    def _new_engine(self, config: SessionConfig) -> Engine:
        return Engine(config.field, *self._field_shape(config), self.device, config.seed, self._make_steps)

    def _carry(self) -> None:
        """Keep what is known of this frame now, where anything was annotated on other frames."""
        _, engine = self._observed()
        elsewhere = any(placed.frame_number != self._frame_number for placed in self._history.placed)
        self._carried = (self._following.estimate() or self._field_estimate(engine)) if elsewhere else None

    def _state(self) -> State:
        _, engine = self._observed()
        return State(engine.snapshot(), self._following.snapshot(), self._channels)

    def _return_to(self, state: State) -> None:
        _, engine = self._observed()
        steps = engine.steps
        engine.restore(state.engine)
        self._following.restore(state.following, self._frames)
        self._channels = state.channels
        lost = min(steps - engine.steps, self.config.fit.first_steps)
        self._field_due = max(self._field_due, lost)

    def _apply_annotations(self) -> None:
        """Take the annotations as they are now; they are answered together when somebody looks or the fit goes on."""
        self._channels = extended(self._channels, self.classes, self.config.unlabelled)
        self._settled = False
        if self._annotated_here:
            self._field_due = max(self._field_due, self.config.fit.click_steps)

    def _settle(self) -> None:
        """Answer this frame, and draw its annotations, with what they imply and the answer, into the engine's masks."""
        if self._settled and not self._answer_improves(self._hurry):
            return
        _, engine = self._observed()
        self._settled = True
        drawn = self._draw(engine.shape)
        labels, weights = drawn.labels, drawn.weights
        # On other frames it would draw nothing, and have nothing to say.
        instant = self._answer.instant(self._draw, self._remembered, self._hurry) if self._annotated_here else None
        self._instant = self._following.estimate() if instant is None else instant
        if self._instant is not None:
            size = engine.shape[::-1]
            taught = np.stack([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in self._instant.probabilities])
            labels = np.where(weights == 1, labels, likeliest(taught)[0])
            weights = np.maximum(weights, TAUGHT_WEIGHT)
        engine.set_annotations(torch.from_numpy(labels), torch.from_numpy(weights), len(self._channels))

    def _answer_improves(self, hurry: bool) -> bool:
        # The answer to annotations that were all taken back is kept, but is not this frame's.
        return bool(self._annotated_here) and self._answer.improves(hurry)

    def _draw(self, size: tuple[int, int]) -> Drawn:
        """The annotations made on this very frame, and what is presumed, at (height, width)."""
        assert self._frame is not None
        return draw(self._annotated_here, self.classes, self._channels, self._frame, size, self.config)

    @property
    def _annotated_here(self) -> list[Annotation]:
        """The annotations made on this very frame, oldest first."""
        return [placed.annotation for placed in self._history.placed if placed.frame_number == self._frame_number]

    @property
    def _shown(self) -> tuple[int, ...]:
        """The classes of the answer, ascending: those annotated, and the rest beside a single one."""
        classes = self.classes
        rest = rest_of(classes, self.config.unlabelled)
        return classes if rest is None else tuple(sorted({*classes, rest}))

    @property
    def _remembered(self) -> Estimate | None:
        """What was carried to this frame of the classes that are shown."""
        if self._carried is None:
            return None
        # An undo may have taken back the class of the last channels.
        shown, probabilities = self._shown, self._carried.probabilities[: len(self._channels)].copy()
        known = self._channels[: len(probabilities)]
        probabilities[[channel for channel, class_id in enumerate(known) if class_id not in shown]] = 0
        return Estimate(self._carried.image, probabilities)

    def _certain(self, frame: NDArray[np.uint8]) -> tuple[NDArray[np.int32] | None, dict[int, NDArray[np.bool_]]]:
        """(H, W) int32 class ids of what was drawn on this frame, NOTHING elsewhere, or None when nothing was.

        Then {class id: (H, W) bool} of the classes with bounding boxes on it: True where the class cannot be.
        """
        size = frame.shape[:2]
        here = self._annotated_here
        if not here:
            return None, {}
        drawn = rasterise(here, size, size, self.config.unlabelled)
        return drawn, outside_boxes(bounding_boxes(here, size, size), drawn)

    def _field_estimate(self, engine: Engine) -> Estimate:
        image, probabilities = engine.fetch().wait()
        return Estimate(image.numpy(), probabilities.numpy())

    def _step(self, field_steps: int, tracker_steps: int) -> None:
        for _ in self._steps(field_steps, tracker_steps):
            pass

    def _steps(self, field_steps: int, tracker_steps: int) -> Iterator[None]:
        """Make steps of the field, and up to so many of the tracker before and after it looks at this frame."""
        self._observed()
        left = yield from _in_slices(tracker_steps, self._following.train)
        self._settle()
        yield from _in_slices(left, self._following.train)
        yield from _in_slices(field_steps, self._fit_field)

    def _fit_field(self, steps: int) -> int:
        _, engine = self._observed()
        engine.step(steps)
        self._field_due = max(0, self._field_due - steps)
        return steps

    def _fit_for(self, seconds: float) -> int:
        deadline = time.monotonic() + seconds
        made = 0
        while time.monotonic() < deadline:
            self._step(1, 1)
            made += 1
            self.synchronise()
        return made

    def _learn_annotated(self) -> None:
        """Teach the tracker the annotated frame that is left."""
        if self.config.answer != "fused" or not self._annotated_here or not self.classes:
            return
        labels = self._labels().labels
        channels = np.zeros(labels.shape, np.int64)
        for channel, class_id in enumerate(self._channels):
            channels[labels == class_id] = channel
        self._following.learn(channels, len(self._channels))

    def _new_following(self, config: SessionConfig) -> Following:
        return Following(config.track, self.device, config.seed)


def _in_slices(steps: int, make: Callable[[int], int]) -> Generator[None, None, int]:
    """Have steps made, SLICE at a time, until it makes no more; returns how many are left."""
    while steps and (made := make(min(SLICE, steps))):
        steps -= made
        yield
    return steps


def _checked(config: SessionConfig) -> SessionConfig:
    if not isinstance(config, SessionConfig):
        raise ConfigError(f"config: got {type(config).__name__}, accepted: SessionConfig")
    return config
