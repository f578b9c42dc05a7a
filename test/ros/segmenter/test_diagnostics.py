"""The reports of the segmenter on /diagnostics and ~/status."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from segmenter_rig import Rig
from std_msgs.msg import String

from neural_seg_ros.live import HealthConfig, LiveStatus
from neural_seg_ros.live.statistics import Counters
from neural_seg_ros.ros.segmenter.diagnostics import Report, diagnostics, status_text
from neural_seg_ros.ros.toolkit.qos_mismatch import Mismatch

pytestmark = pytest.mark.ros

NOW = Time(sec=12, nanosec=500_000_000)
MISMATCH = Mismatch("/image", "reliability", "/cam", "/image: /cam offers too little")
KEYS = {
    "stamp": float,
    "node": str,
    "state": str,
    "began": float,
    "level": str,
    "message": str,
    "enabled": bool,
    "device": str,
    "memory_mb": float,
    "input_hz": float,
    "output_hz": float,
    "mask_latency_ms": float,
    "click_latency_ms": float,
    "frames_in": int,
    "frames_dropped": int,
    "masks_out": int,
    "fit_steps": int,
    "psnr_db": float,
    "lost": list,
    "errors": int,
    "last_error": str,
    "mismatches": list,
}


def status(**figures: Any) -> LiveStatus:
    """Return the status of a healthy session, with the given figures changed."""
    healthy = replace(Counters().snapshot(True, 0), frames_in=100, fps_in=15.0, silent=0.05, psnr=20.0)
    return replace(healthy, **figures)


def report(**figures: Any) -> Report:
    values = {
        "state": "active",
        "status": status(),
        "class_names": {1: "dog"},
        "memory": 2**20,
        "device": "cpu",
        **figures,
    }
    return Report(name="/segmenter", **values)


def health(report: Report) -> tuple[bytes, str]:
    """Return level and message in the diagnostics."""
    (entry,) = diagnostics(report, NOW).status
    return entry.level, entry.message


def test_levels() -> None:
    assert health(report()) == (DiagnosticStatus.OK, "running")
    assert health(report(state="inactive", status=None)) == (DiagnosticStatus.OK, "node is inactive")
    assert health(report(status=status(enabled=False, silent=90.0))) == (DiagnosticStatus.OK, "disabled")
    assert health(report(status=status(silent=9.0))) == (DiagnosticStatus.WARN, "no frames for 9 s")
    assert health(report(status=status(silent=90.0))) == (DiagnosticStatus.ERROR, "no frames for 90 s")
    assert health(report(status=status(silent=90.0), lock_step=True)) == (DiagnosticStatus.OK, "running")
    assert health(report(status=status(lost=(1, 3)))) == (DiagnosticStatus.WARN, "lost: dog, 3")


def test_problems_are_sorted_and_mismatches_always_count() -> None:
    worse = report(status=status(silent=90.0, lost=(1,)), mismatches=(MISMATCH,), limits=HealthConfig())
    assert health(worse) == (DiagnosticStatus.ERROR, f"no frames for 90 s; {MISMATCH.text}; lost: dog")
    inactive = report(state="inactive", mismatches=(MISMATCH,))
    assert health(inactive) == (DiagnosticStatus.WARN, MISMATCH.text)
    values = {entry.key: entry.value for entry in diagnostics(inactive, NOW).status[0].values}
    assert values["mismatch /image reliability"] == MISMATCH.text


def test_the_status_for_dashboards() -> None:
    full = report(
        status=status(recent_mask_latency=0.1234, recent_click_latency=1.0, lost=(1, 3), last_error="x", errors=2),
        mismatches=(MISMATCH,),
    )
    figures = json.loads(status_text(full, NOW))
    assert {key: type(value) for key, value in figures.items()} == KEYS
    assert (figures["stamp"], figures["level"]) == (12.5, "WARN")
    assert (figures["mask_latency_ms"], figures["click_latency_ms"]) == (123.4, 1000.0)
    assert (figures["lost"], figures["mismatches"]) == (["dog", "3"], [MISMATCH.text])


def test_unknown_figures_are_null() -> None:
    unknown = json.loads(status_text(report(status=status(psnr=float("nan"))), NOW))
    assert [key for key, value in unknown.items() if value is None] == [
        "mask_latency_ms",
        "click_latency_ms",
        "psnr_db",
    ]
    nothing = json.loads(status_text(report(state="unconfigured", status=None), NOW))
    assert set(nothing) == set(KEYS)
    assert (nothing["enabled"], nothing["frames_in"], nothing["lost"]) == (False, None, [])


def test_a_limit_changes_while_the_node_runs(probe: Any) -> None:
    rig = Rig(probe).connected()
    rig.show(1.0)
    assert rig.status().level == DiagnosticStatus.OK
    assert rig.node.set_parameters([Parameter("diagnostics.memory_error_mb", value=1.0)])[0].successful
    probe.until(lambda: rig.status().level == DiagnosticStatus.ERROR, what="an error")
    assert rig.status().message.startswith("memory ")
    assert rig.node.set_parameters([Parameter("diagnostics.memory_error_mb", value=0.0)])[0].successful
    probe.until(lambda: rig.status().level == DiagnosticStatus.OK, what="no error")


def test_status_is_published_in_any_state(probe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []

    def counted(report: Report, stamp: Any) -> str:
        texts.append(status_text(report, stamp))
        return texts[-1]

    monkeypatch.setattr("neural_seg_ros.ros.segmenter.node.status_text", counted)
    rig = Rig(probe, autostart=False)
    rig.status()
    assert not texts
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    received = probe.listen(String, "/segmenter/status", latched)

    def states() -> list[str]:
        return [json.loads(message.data)["state"] for message in received]

    probe.until(lambda: "unconfigured" in states(), what="the status before it is configured")
    assert rig.change(Transition.TRANSITION_CONFIGURE)
    assert rig.change(Transition.TRANSITION_ACTIVATE)
    probe.until(lambda: "active" in states(), what="the status of the active node")
    earlier = [message.data for message in received]
    late = probe.listen(String, "/segmenter/status", latched)
    probe.until(lambda: late, what="a status for a late subscriber")
    assert late[0].data in earlier
