"""The reports of the segmenter: /diagnostics for monitoring tools, and ~/status for dashboards."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import psutil
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from neural_seg_ros.errors import ConfigError, short
from neural_seg_ros.live import HealthConfig
from neural_seg_ros.live.health import Level, Problem, find_problems
from neural_seg_ros.live.statistics import LiveStatus, percentile
from neural_seg_ros.ros.segmenter.parameters import names_of
from neural_seg_ros.ros.toolkit.qos_mismatch import Mismatch

_MS_PER_SECOND, _BYTES_PER_MEGABYTE = 1e3, 2**20


@dataclass(frozen=True)
class Report:
    """The state of the segmenter at one moment.

    name        fully qualified node name
    state       lifecycle state
    status      status of the live session, None while the node is not configured
    class_names class id to name
    memory      resident bytes of the process
    device      device of the session
    limits      limits of warnings and errors
    lock_step   True in lock-step mode
    mismatches  endpoints of other nodes that do not match
    callbacks   durations of the image callback in seconds
    """

    name: str
    state: str
    status: LiveStatus | None
    class_names: Mapping[int, str]
    memory: int
    device: str
    limits: HealthConfig = field(default_factory=HealthConfig)
    lock_step: bool = False
    mismatches: tuple[Mismatch, ...] = ()
    callbacks: Iterable[float] = ()

    @property
    def lost(self) -> str:
        """Names of the lost classes, with commas."""
        return "" if self.status is None else names_of(self.status.lost, self.class_names)

    @cached_property
    def health(self) -> tuple[Level, str]:
        """The worst level, and all problems in one line, the worst first."""
        found = self._problems()
        if found:
            return found[0].level, "; ".join(problem.text for problem in found)
        if self.state != "active" or self.status is None:
            return Level.OK, f"node is {self.state}"
        return Level.OK, "running" if self.status.enabled else "disabled"

    def _problems(self) -> list[Problem]:
        """List the problems, the worst first."""
        found = [Problem(Level.WARN, mismatch.text) for mismatch in self.mismatches]
        if self.state == "active" and self.status is not None and self.status.enabled:
            if self.lost:
                found.append(Problem(Level.WARN, f"lost: {self.lost}"))
            found += find_problems(self.status, self.limits, self.memory, self.lock_step)
        return sorted(found, key=lambda problem: -problem.level)


def diagnostics(report: Report, stamp: Time) -> DiagnosticArray:
    """Make the message of /diagnostics, with all figures in one status."""
    level, message = report.health
    entry = DiagnosticStatus(name=f"{report.name}: segmentation", hardware_id=report.device, message=message)
    entry.level = bytes([level])
    status = report.status
    values = {"state": report.state, "memory [MB]": f"{report.memory / _BYTES_PER_MEGABYTE:.1f}"}
    if status is not None:
        durations = list(report.callbacks)
        values |= {
            "enabled": str(status.enabled),
            "input rate [Hz]": f"{status.fps_in:.2f}",
            "output rate [Hz]": f"{status.fps_out:.2f}",
            "fit rate [steps/s]": f"{status.steps_per_second:.2f}",
            "fit steps": str(status.steps),
            "loss": f"{status.loss:.6g}",
            "PSNR [dB]": f"{status.psnr:.2f}",
            "click latency p50 [ms]": _ms(status.click_latency[0]),
            "click latency p95 [ms]": _ms(status.click_latency[1]),
            "mask latency p50 [ms]": _ms(status.mask_latency[0]),
            "mask latency p95 [ms]": _ms(status.mask_latency[1]),
            "input age [ms]": _ms(status.input_age),
            "input age max [ms]": _ms(status.input_age_max),
            "image callback p50 [ms]": _ms(percentile(durations, 50)),
            "image callback p99 [ms]": _ms(percentile(durations, 99)),
            "frames in": str(status.frames_in),
            "frames processed": str(status.processed),
            "frames dropped": str(status.dropped),
            "frames stale": str(status.stale),
            "masks out": str(status.masks_out),
            "commands waiting": str(status.queue_depth),
            "annotations waiting": str(status.waiting),
            "lost": report.lost,
            "errors": str(status.errors),
            "last error": status.last_error,
        }
    entry.values = [KeyValue(key=key, value=value) for key, value in values.items()]
    entry.values += [
        KeyValue(key=f"mismatch {found.topic} {found.policy}", value=found.text) for found in report.mismatches
    ]
    array = DiagnosticArray(status=[entry])
    array.header.stamp = stamp
    return array


def status_text(report: Report, stamp: Time) -> str:
    """Return the text of ~/status: one line of JSON, with null for unknown figures."""
    level, message = report.health
    status = report.status
    figures: dict[str, Any] = {
        "stamp": stamp.sec + stamp.nanosec * 1e-9,
        "node": report.name,
        "state": report.state,
        "level": level.name,
        "message": message,
        "began": status and status.began,
        "enabled": status is not None and status.enabled,
        "device": report.device,
        "memory_mb": round(report.memory / _BYTES_PER_MEGABYTE, 1),
        "input_hz": status and _rounded(status.fps_in),
        "output_hz": status and _rounded(status.fps_out),
        "mask_latency_ms": status and _rounded(status.recent_mask_latency, _MS_PER_SECOND),
        "click_latency_ms": status and _rounded(status.recent_click_latency, _MS_PER_SECOND),
        "frames_in": status and status.frames_in,
        "frames_dropped": status and status.dropped,
        "masks_out": status and status.masks_out,
        "fit_steps": status and status.steps,
        "psnr_db": status and _rounded(status.psnr),
        "lost": [names_of([class_id], report.class_names) for class_id in status.lost] if status else [],
        "errors": status and status.errors,
        "last_error": status and status.last_error,
        "mismatches": [found.text for found in report.mismatches],
    }
    return json.dumps(figures, allow_nan=False)


def began_at(text: str) -> float | None:
    """Return the start time of the session in a text by ``status_text``, None if it has none.

    Raises ConfigError if the text is not a status.
    """
    try:
        status = json.loads(text)
    except (ValueError, RecursionError):
        status = None
    if not isinstance(status, dict) or not isinstance(status.get("began"), (int, float, type(None))):
        raise ConfigError(f"status: got {short(text)}, accepted: the JSON of a segmenter's status")
    return status.get("began")


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes."""
    return int(psutil.Process().memory_info().rss)


def _ms(seconds: float) -> str:
    """Format seconds as milliseconds; an unknown time, which is negative, is empty."""
    return "" if seconds < 0 else f"{seconds * _MS_PER_SECOND:.2f}"


def _rounded(value: float, scale: float = 1.0) -> float | None:
    """Return a figure times ``scale`` with two digits, None if it is unknown: negative or not finite."""
    return round(value * scale, 2) if math.isfinite(value) and value >= 0 else None
