"""What the node reports on /diagnostics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import psutil
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from neural_seg_ros.live.status import LiveStatus, percentile
from neural_seg_ros.ros.parameters import names_of

_MILLI = 1e3


def diagnostics(
    name: str,
    state: str,
    status: LiveStatus | None,
    class_names: Mapping[int, str],
    callbacks: Iterable[float],
    memory: int,
    device: str,
    stamp: Time,
) -> DiagnosticArray:
    """One status of the segmenter.

    name        fully qualified node name
    state       lifecycle state
    status      of the live session, None while the node is not configured
    class_names by class id
    callbacks   durations of the image callback in seconds
    memory      resident bytes of the process
    device      where the field is fitted
    """
    entry = DiagnosticStatus(name=f"{name}: segmentation", hardware_id=device)
    lost = "" if status is None else names_of(status.lost, class_names)
    entry.level, entry.message = _level(state, status, lost)
    values = {"state": state, "memory [MB]": f"{memory / 2**20:.1f}"}
    if status is not None:
        samples = list(callbacks)
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
            "image callback p50 [ms]": _ms(percentile(samples, 50)),
            "image callback p99 [ms]": _ms(percentile(samples, 99)),
            "frames in": str(status.frames_in),
            "frames processed": str(status.processed),
            "frames dropped": str(status.dropped),
            "frames stale": str(status.stale),
            "masks out": str(status.masks_out),
            "commands waiting": str(status.queue_depth),
            "annotations waiting": str(status.waiting),
            "lost": lost,
            "errors": str(status.errors),
            "last error": status.last_error,
        }
    entry.values = [KeyValue(key=key, value=value) for key, value in values.items()]
    array = DiagnosticArray(status=[entry])
    array.header.stamp = stamp
    return array


def resident_bytes() -> int:
    """Resident memory of this process."""
    return int(psutil.Process().memory_info().rss)


def _level(state: str, status: LiveStatus | None, lost: str) -> tuple[bytes, str]:
    if state != "active" or status is None:
        return DiagnosticStatus.OK, f"node is {state}"
    if not status.enabled:
        return DiagnosticStatus.OK, "disabled"
    warnings = []
    if status.fps_in == 0:
        warnings.append("no frames" if status.frames_in == 0 else "frames stopped")
    if lost:
        warnings.append(f"lost: {lost}")
    return (DiagnosticStatus.WARN, "; ".join(warnings)) if warnings else (DiagnosticStatus.OK, "running")


def _ms(seconds: float) -> str:
    """Milliseconds as text; empty when not yet known."""
    return "" if seconds < 0 else f"{seconds * _MILLI:.2f}"
