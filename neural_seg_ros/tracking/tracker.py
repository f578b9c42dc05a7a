"""Carries an answer from frame to frame: moved with the scene, found again by a network taught on annotated frames."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neural_seg_ros.click_answer.estimate import Estimate
from neural_seg_ros.config import TrackConfig
from neural_seg_ros.errors import SessionError
from neural_seg_ros.images.arrays import check_image, likeliest, resize_channels, resize_image
from neural_seg_ros.torch_setup import part_of
from neural_seg_ros.tracking.frame_memory import Memory, windows_of_tensor, windows_to_tensor
from neural_seg_ros.tracking.network import Learner
from neural_seg_ros.tracking.pixel_evidence import (
    Colors,
    backward_flow,
    color_bins,
    combine_evidence,
    motion_evidence,
    moved,
)
from neural_seg_ros.tracking.training_samples import TrainingFrame, inputs_of, sample
from neural_seg_ros.tracking.visibility import Presence, far_or_small_components, place_of_colors, smaller_components
from neural_seg_ros.tracking.windows import Window, merged, paste, view, windows_of


@dataclass(frozen=True)
class TrackerTuning:
    """Constants of the tracker's training and answers."""

    # Step size after an annotation; it falls as a cosine to this share of it.
    first_step_size: float = 4e-3
    last_step_share: float = 0.1
    # Step size on later frames.
    frame_step_size: float = 1.5e-3
    # Samples of a step.
    batch: int = 2
    # Decay of the averaged weights, in the fit and on later frames.
    average_decay: float = 0.98
    frame_average_decay: float = 0.9
    # Bound of the network's log-odds.
    max_network_log_odds: float = 3.0
    # Weight of color and motion without the network.
    evidence_weight_alone: float = 0.5
    # Factor applied to the odds of a class where it is ruled out.
    ruled_out_odds_factor: float = 1e-2
    # Share of the first fit after which the network answers.
    ready_share: float = 0.03
    # Probability of an object outside of all windows.
    outside_probability: float = 1e-3
    # Least probability of a warped answer without the network.
    min_warped_probability: float = 0.02
    # Least probability at which the tracker's own answers are taught.
    min_taught_probability: float = 0.65


TUNING = TrackerTuning()


class Tracker:
    """The tracking of all annotated classes of one camera through its frames.

        tracker = Tracker(TrackConfig())
        tracker.learn(frame, probabilities)  # an annotated frame and its answer
        tracker.train(tracker.steps_due)  # in slices of any size, or not at all
        estimate = tracker.observe(next_frame)

    Frames are to be given at ``config.size``. The same calls give the same answers on one device. Another thread may
    ``train`` while one observes: it then learns from the frames before; no other calls may meet.
    """

    def __init__(self, config: TrackConfig | None = None, device: torch.device | None = None, seed: int = 0) -> None:
        self.config = config or TrackConfig()
        self.seed = seed
        self._learner = Learner(device or torch.device("cpu"), seed, self.config.precision)
        self._memory = Memory(self.config.recent)
        self._colors = Colors()
        self._presence = Presence()
        self._frame: NDArray[np.uint8] | None = None
        self._probabilities = np.zeros((0, 0, 0), np.float32)
        # Around the objects in the frame observed last, and around lost ones where they would be.
        self._windows: dict[int, Window] = {}
        # The channel around the objects: it has no window.
        self._background_channel = 0
        self._steps = self._fit_left = self._frame_left = self._ready_at = 0
        self._counting = Lock()

    # -- the main job --------------------------------------------------------------------------------------------------

    def learn(
        self,
        frame: NDArray[np.uint8],
        probabilities: NDArray[np.float32],
        trusted: NDArray[np.float32] | NDArray[np.bool_] | None = None,
    ) -> None:
        """Learn an annotated frame, which becomes the current one; other labels of the same frame are replaced.

        frame: (H, W, 3) uint8 RGB; probabilities: (C, h, w) float32, summing to 1 over C, at any size; there may be
        more channels than before, never fewer; trusted: (h, w) in [0, 1] or bool, how far their labels are to be relied
        on, fully by default. Raises ImageError, SessionError.
        """
        frame = check_image(frame).copy()
        count = _checked_channels(probabilities, self._learner.classes)
        probabilities = _at_size(probabilities, frame.shape[:2])
        labels, _ = likeliest(probabilities)
        weights = np.ones(labels.shape, np.float32)
        if trusted is not None:
            weights = _at_size(np.asarray(trusted, np.float32)[None], frame.shape[:2])[0]
        self._background_channel = int(np.bincount(labels.ravel(), minlength=count).argmax())
        windows = windows_of(labels, [channel for channel in range(count) if channel != self._background_channel], {})
        self._windows = {**self._windows, **windows}
        self._windows.pop(self._background_channel, None)
        # Channels that the network was to find before: a class of which nothing was to be seen is not among them.
        taught = {channel for known in self._memory.annotated for channel in known.windows}
        self._memory.learn(TrainingFrame(frame, labels, weights, windows))
        self._colors.learn(self._memory.annotated, count, self._background_channel)
        if count > self._learner.classes:
            self._doubt_older(range(self._learner.classes, count))
        self._presence.learn(labels, probabilities)
        self._learner.grow(count)
        self._frame, self._probabilities = frame, probabilities
        self._plan(added=not windows.keys() <= taught)

    def observe(self, frame: NDArray[np.uint8]) -> Estimate:
        """Answer the next frame, (H, W, 3) uint8 RGB. Raises ImageError, SessionError before ``learn``."""
        frame = check_image(frame).copy()
        if self._frame is None:
            raise SessionError("track: no annotated frame yet, accepted: learn(frame, probabilities) first")
        before, answer = self._frame, self._probabilities
        if before.shape != frame.shape:
            before, answer = resize_image(before, *frame.shape[:2]), _at_size(answer, frame.shape[:2])
        flow = backward_flow(before, frame)
        answer = moved(answer, flow)
        bins = color_bins(frame)
        color = self._colors.evidence(bins, self._background_channel)
        motion = motion_evidence(flow, answer, self._background_channel)
        evidence = (
            combine_evidence(color, motion, answer, self._background_channel)
            if self.ready
            else TUNING.evidence_weight_alone * (color + motion)
        )
        windows = self._windows_in_sight(answer, flow)
        searched = self._windows_to_search(color)
        probabilities = _together(self._seen(frame, answer, [*merged(list(windows.values())), *searched]), evidence)
        self._update_visibility(probabilities, answer, bins)
        self._colors.follow(bins, probabilities, self._background_channel)
        labels, share = likeliest(probabilities)
        weights = (share > TUNING.min_taught_probability).astype(np.float32)
        self._memory.observe(TrainingFrame(frame, labels, weights, windows))
        self._frame, self._probabilities = frame, probabilities
        with self._counting:
            self._frame_left = 0 if self._fit_left or not self._windows else self.config.frame_steps
        return Estimate(frame, probabilities)

    def train(self, steps: int) -> int:
        """Make up to ``steps`` of the steps that are due; returns how many were made."""
        for made in range(steps):
            how = self._next_step()
            if how is None:
                return made
            # Counted from the start, so that steps are the same however they are sliced.
            rng = np.random.default_rng([self.seed, self._steps])
            count, memory = self._learner.classes, self._memory
            batch = [
                sample(rng, memory.annotated, memory.recent, count, self._background_channel)
                for _ in range(TUNING.batch)
            ]
            self._learner.step(batch, *how, self._background_channel)
            self._steps += 1
        return steps

    @property
    def steps_due(self) -> int:
        """The number of due steps: of the fit to annotated frames first, then of the last observed frame."""
        return self._fit_left + self._frame_left

    @property
    def ready(self) -> bool:
        """True if the network takes part; until then estimates come from motion and colors alone."""
        return self._steps >= self._ready_at

    @property
    def lost(self) -> tuple[int, ...]:
        """Channels that were annotated and are not in sight."""
        return self._presence.lost

    @property
    def confidence(self) -> NDArray[np.float32]:
        """(C,) in [0, 1]: how sure the answer is of each class where it is, and how like its colors; 0 where lost."""
        return self._presence.confidence.copy()

    def configure(self, config: TrackConfig) -> bool:
        """Take new options. Returns False, with nothing changed, when they need another network."""
        if config.precision != self.config.precision:
            return False
        self.config = config
        self._memory.most_recent = config.recent
        return True

    # -- state ---------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Tensor]:
        """Copy all state to the CPU; a tracker restored from it continues bit for bit like this one."""
        counts = [self._steps, self._fit_left, self._frame_left, self._ready_at, self._background_channel]
        state = {"counts": torch.tensor(counts), "windows": windows_to_tensor(self._windows)}
        if self._frame is not None:
            state["frame"] = torch.from_numpy(self._frame.copy())
            state["probabilities"] = torch.from_numpy(self._probabilities.copy())
            state["colours"] = torch.from_numpy(self._colors.histograms.copy())
        for part, owner in self._parts.items():
            state.update({f"{part}.{name}": tensor for name, tensor in owner.snapshot().items()})
        return state

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Return to a ``snapshot()`` of a tracker with the same configuration and seed."""
        counts = snapshot["counts"].tolist()
        self._steps, self._fit_left, self._frame_left, self._ready_at, self._background_channel = counts
        self._windows = windows_of_tensor(snapshot["windows"])
        self._frame, self._probabilities = None, np.zeros((0, 0, 0), np.float32)
        self._colors = Colors()
        if "frame" in snapshot:
            self._frame = snapshot["frame"].numpy().copy()
            self._probabilities = snapshot["probabilities"].numpy().copy()
            self._colors.histograms = snapshot["colours"].numpy().copy()
        for part, owner in self._parts.items():
            owner.restore(part_of(snapshot, part))

    @property
    def _parts(self) -> dict[str, Memory | Presence | Learner]:
        return {"memory": self._memory, "presence": self._presence, "learner": self._learner}

    # -- inside --------------------------------------------------------------------------------------------------------

    def _plan(self, added: bool) -> None:
        """Return the steps that an annotated frame asks for."""
        self._frame_left = 0
        if not self._windows:
            self._fit_left = 0
        elif added:
            self._fit_left = self.config.first_steps
            self._ready_at = self._steps + round(TUNING.ready_share * self._fit_left)
        else:
            self._fit_left = max(self._fit_left, self.config.correction_steps)

    def _next_step(self) -> tuple[float, float] | None:
        """Take the next due step off the queue: (learning rate, decay of the weights' mean), None without one."""
        with self._counting:
            left = self._fit_left
            self._fit_left = max(0, left - 1)
            if left:
                done = max(0, self.config.first_steps - left)
                # Early weights are not worth keeping.
                return self._rate(left), min(TUNING.average_decay, (1 + done) / (10 + done))
            if not self._frame_left:
                return None
            self._frame_left -= 1
            return TUNING.frame_step_size, TUNING.frame_average_decay

    def _rate(self, left: int) -> float:
        done = 1 - min(1.0, left / self.config.first_steps)
        return TUNING.first_step_size * (
            TUNING.last_step_share + (1 - TUNING.last_step_share) * (1 + math.cos(math.pi * done)) / 2
        )

    def _doubt_older(self, new: range) -> None:
        """Stop teaching older annotated frames where they have the colors of a class that came later."""
        for number, known in enumerate(self._memory.annotated[:-1]):
            color = self._colors.evidence(color_bins(known.image), self._background_channel)
            for channel in new:
                self._memory.doubt(channel, color[channel] == 0, number)

    def _windows_in_sight(self, answer: NDArray[np.float32], flow: NDArray[np.float32]) -> dict[int, Window]:
        """Return the windows around the visible objects; those of lost objects move with the scene."""
        lost = self.lost
        labels, _ = likeliest(answer)
        in_sight = [channel for channel in self._windows if channel not in lost]
        windows = windows_of(labels, in_sight, self._windows)
        for channel in self._windows.keys() - windows.keys():
            self._windows[channel] = self._windows[channel].moved(flow)
        self._windows.update(windows)
        return windows

    def _windows_to_search(self, color: NDArray[np.float32]) -> list[Window]:
        """Choose where to look for a lost class: where it was last, and at a place of its colors."""
        lost = [channel for channel in self.lost if channel in self._windows]
        if not lost:
            return []
        channel = lost[int(self._presence.searches[lost].min()) % len(lost)]
        last = self._windows[channel]
        others = np.delete(color, channel, 0).max(0)
        likely = (1 / (1 + np.exp(others - color[channel]))).astype(np.float32)
        return [last, place_of_colors(last.side, likely, int(self._presence.searches[channel]) // len(lost))]

    def _seen(
        self, frame: NDArray[np.uint8], answer: NDArray[np.float32], windows: list[Window]
    ) -> NDArray[np.float32]:
        """Compute the network's answer (C, h, w); before it is ready, the warped answer."""
        if not self.ready:
            return np.maximum(answer, TUNING.min_warped_probability)
        seen = np.full_like(answer, TUNING.outside_probability)
        seen[self._background_channel] = 1
        for window in sorted(windows, key=lambda window: -window.side):
            to_frame = window.to_frame
            prior = np.stack([view(channel, to_frame) for channel in answer]).astype(np.float32)
            inputs = inputs_of(np.asarray(view(frame, to_frame), np.uint8), prior)
            logits = self._learner.answer(inputs[None])[0]
            paste(seen, np.exp(np.maximum(logits - logits.max(0), -TUNING.max_network_log_odds)), window)
        return seen

    def _update_visibility(
        self, probabilities: NDArray[np.float32], answer: NDArray[np.float32], bins: NDArray[np.int64]
    ) -> None:
        """Drop from an answer, in place, what cannot be; decide which classes are in sight."""
        (labels, _), (before, _) = likeliest(probabilities), likeliest(answer)
        for channel, window in self._windows.items():
            lost = channel in self.lost
            mask = labels == channel
            if lost:
                drop = smaller_components(mask, probabilities[channel])
            else:
                drop = far_or_small_components(mask, before == channel, window.side)
            mask &= ~drop
            likeness = self._colors.likeness(bins, mask, channel) if mask.any() else 0.0
            if not self._presence.update_visibility(channel, probabilities[channel], mask, likeness):
                probabilities[channel] *= TUNING.ruled_out_odds_factor
                continue
            probabilities[channel][drop] *= TUNING.ruled_out_odds_factor
            if lost:
                self._windows.update(windows_of(np.where(mask, channel, -1), [channel], {}))
        probabilities /= probabilities.sum(0)
        around = likeliest(probabilities)[0] == self._background_channel
        if around.any():
            self._presence.confidence[self._background_channel] = probabilities[self._background_channel][around].mean()


def _together(seen: NDArray[np.float32], evidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """Combine unnormalized probabilities (C, h, w) with log-likelihoods."""
    out = seen * np.exp(evidence)
    out /= out.sum(0)
    return out


def _at_size(channels: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return (C, h, w) at another size."""
    height, width = shape
    _, *size = channels.shape
    if size == [height, width]:
        return np.array(channels, np.float32)
    shrinks = height * width < math.prod(size)
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return resize_channels(channels, height, width, method).astype(np.float32)


def _checked_channels(probabilities: NDArray[np.float32], known: int) -> int:
    shape: tuple[int, ...] = getattr(probabilities, "shape", ())
    if len(shape) != 3 or shape[0] < max(1, known):
        raise SessionError(
            f"probabilities: got shape {shape}, accepted: (C, h, w) with at least {max(1, known)} classes"
        )
    return int(shape[0])
