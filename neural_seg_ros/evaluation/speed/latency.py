"""The latency of a session: first frame and click, later clicks, new frames."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import psutil
from numpy.typing import NDArray

from neural_seg_ros.annotations import Click
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.session import Session


@dataclass(frozen=True)
class Latency:
    """The latencies of a session in seconds, unless named otherwise, to the full-size result.

    cold_start       from the first frame and click, in a process that has loaded torch
    prepare          from a frame to all that its first click needs but the fit
    click_p50, _p95  from a click to its mask, on the same frame
    preview_p95      from a click to the mask before any fit
    frame_p50, _p95  from a new frame to its mask
    step_ms          milliseconds a step of the fit
    psnr             dB of the fit at the end
    resident_mb      memory of the process after all of it, MiB
    """

    cold_start: float
    prepare: float
    click_p50: float
    click_p95: float
    preview_p95: float
    frame_p50: float
    frame_p95: float
    step_ms: float
    psnr: float
    resident_mb: float


def measure_latency(
    config: SessionConfig, device: str, image: NDArray[np.uint8], clicks: int, frames: int, seed: int = 0
) -> Latency:
    """Drive one session over ``image`` (H, W, 3) uint8 RGB: a click, more clicks on it, then frames that move.

    clicks: how many after the first, at random pixels, classes 0 to 3; frames: how many, each moved by a pixel.
    """
    generator = np.random.default_rng(seed)
    session = Session(config, device)
    started = time.perf_counter()
    session.observe(image)
    session.annotate(random_click(generator, image, 1))
    session.fit()
    session.result()
    cold_start = time.perf_counter() - started
    prepare = _prepare_wait(config, device, image)
    waits = list(_click_waits(session, generator, image, clicks))
    preview_waits, click_waits = np.array(waits).reshape(-1, 2).T
    frame_waits = list(_frame_waits(session, image, frames))
    started = time.perf_counter()
    session.fit(steps=10)
    status = session.status()
    step_ms = (time.perf_counter() - started) * 100
    return Latency(
        cold_start=cold_start,
        prepare=prepare,
        click_p50=float(np.median(click_waits)),
        click_p95=float(np.quantile(click_waits, 0.95)),
        preview_p95=float(np.quantile(preview_waits, 0.95)),
        frame_p50=float(np.median(frame_waits)),
        frame_p95=float(np.quantile(frame_waits, 0.95)),
        step_ms=step_ms,
        psnr=status.psnr,
        resident_mb=psutil.Process().memory_info().rss / 2**20,
    )


def _prepare_wait(config: SessionConfig, device: str, image: NDArray[np.uint8]) -> float:
    session = Session(config, device)
    session.observe(image)
    started = time.perf_counter()
    session.prepare(wait=True)
    return time.perf_counter() - started


def _click_waits(
    session: Session, generator: np.random.Generator, image: NDArray[np.uint8], clicks: int
) -> Iterator[tuple[float, float]]:
    """Measure (seconds to the mask before the fit, seconds to the mask after it) of every click."""
    for number in range(clicks):
        started = time.perf_counter()
        session.annotate(random_click(generator, image, number % 4))
        session.result()
        preview = time.perf_counter() - started
        session.fit()
        session.result()
        yield preview, time.perf_counter() - started


def _frame_waits(session: Session, image: NDArray[np.uint8], frames: int) -> Iterator[float]:
    for number in range(1, frames + 1):
        moved = np.roll(image, number, axis=1)
        started = time.perf_counter()
        session.observe(moved, stamp=float(number))
        session.fit()
        session.result()
        yield time.perf_counter() - started


def random_click(generator: np.random.Generator, image: NDArray[np.uint8], class_id: int) -> Click:
    """Make a click at any pixel of an image (H, W, 3)."""
    height, width = image.shape[:2]
    return Click(int(generator.integers(width)), int(generator.integers(height)), class_id)
