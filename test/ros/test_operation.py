"""The segmenter operated by lifecycle managers, parameter tools and process managers, over real services."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions, GetState
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters, SetParametersAtomically
from rclpy.parameter import Parameter
from segmenter_rig import TINY, Rig, header, picture
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool

from neural_seg_ros.ros.toolkit.conversion import from_array

pytestmark = pytest.mark.ros

NUMBERS = (ParameterType.PARAMETER_INTEGER, ParameterType.PARAMETER_DOUBLE)
# Parameters that rclpy declares.
RCLPY = {"use_sim_time", "start_type_description_service"}
ALL = {"qos_overrides./segmenter/mask.publisher.reliability", "field.size", "diagnostics.silent_warn", "class_names"}


def service(rig: Rig, kind: Any, name: str, **request: Any) -> Any:
    return rig.probe.call(kind, f"/segmenter/{name}", kind.Request(**request))


def message(name: str, value: Any) -> ParameterMessage:
    return Parameter(name, value=value).to_parameter_msg()


def value(rig: Rig, name: str) -> Any:
    (found,) = service(rig, GetParameters, "get_parameters", names=[name]).values
    return Parameter.from_parameter_msg(ParameterMessage(name=name, value=found)).value


def test_a_report_that_fails_does_not_end_the_node(probe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(probe, autostart=False)
    rig.status()
    failed = threading.Event()

    def no_files_left() -> int:
        failed.set()
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("neural_seg_ros.ros.segmenter.node.resident_bytes", no_files_left)
        probe.until(failed.is_set, what="a report")
    assert rig.status().message == "node is unconfigured"


def test_parameters_are_described_in_any_state(probe: Any) -> None:
    rig = Rig(probe, autostart=False)
    names = service(rig, ListParameters, "list_parameters").result.names
    assert set(names) >= ALL
    own = [name for name in names if name not in RCLPY]
    descriptors = service(rig, DescribeParameters, "describe_parameters", names=own).descriptors
    assert len(descriptors) == len(own)
    for described in descriptors:
        assert described.description, described.name
        assert described.type != ParameterType.PARAMETER_NOT_SET, described.name
        if described.type in NUMBERS:
            assert [*described.integer_range, *described.floating_point_range], described.name
        if described.name.startswith("qos_overrides."):
            assert described.read_only, described.name
    # No parameter is declared later.
    assert rig.change(Transition.TRANSITION_CONFIGURE)
    assert rig.change(Transition.TRANSITION_ACTIVATE)
    assert set(service(rig, ListParameters, "list_parameters").result.names) == set(names)


def test_a_bad_set_is_refused_with_a_reason_and_changes_nothing(probe: Any) -> None:
    rig = Rig(probe)
    before = rig.node._settings
    bad = (
        ("field.width", 7, "512"),
        ("overlay_alpha", "much", "DOUBLE"),
        ("answer", "nonsense", "fused | field"),
        ("class_names", ["x:cat"], "id:name"),
        ("device", "cpu", "read-only"),
        ("qos_overrides./segmenter/mask.publisher.depth", 3, "read-only"),
        ("use_sim_time", "yes", "BOOL"),
        ("no_such_parameter", 1, "undeclared"),
    )
    for name, given, reason in bad:
        messages = [message("active_class", 2), message(name, given)]
        result = service(rig, SetParametersAtomically, "set_parameters_atomically", parameters=messages).result
        assert not result.successful, name
        assert reason in result.reason
        assert value(rig, "active_class") == 1
        assert rig.node._settings == before
        # Set one by one, the valid one is accepted and the invalid one is not.
        results = service(rig, SetParameters, "set_parameters", parameters=messages).results
        assert [each.successful for each in results] == [True, False], name
        assert service(rig, SetParameters, "set_parameters", parameters=[message("active_class", 1)])


def test_lifecycle_services(probe: Any) -> None:
    rig = Rig(probe, autostart=False)

    def state() -> str:
        return str(service(rig, GetState, "get_state").current_state.label)

    def possible() -> set[str]:
        answer = service(rig, GetAvailableTransitions, "get_available_transitions")
        return {each.transition.label for each in answer.available_transitions}

    def change(label: str) -> bool:
        request = ChangeState.Request(transition=Transition(label=label))
        return bool(probe.call(ChangeState, "/segmenter/change_state", request).success)

    assert (state(), possible()) == ("unconfigured", {"configure", "shutdown"})
    assert not change("activate"), "invalid in this state"
    assert state() == "unconfigured"
    assert change("configure")
    assert (state(), possible()) == ("inactive", {"cleanup", "activate", "shutdown"})
    assert change("activate")
    assert (state(), possible()) == ("active", {"deactivate", "shutdown"})
    assert change("shutdown")
    assert state() == "finalized"
    assert rig.values()["state"] == "finalized"
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("neural_seg")]


def test_activation_is_logged_once(probe: Any, capfd: pytest.CaptureFixture[str]) -> None:
    rig = Rig(probe, image_transport="compressed", device="cpu")
    line = "active: images from /image/compressed, computed on cpu, masks on /segmenter/mask\n"
    assert capfd.readouterr().err.count(line) == 1
    assert rig.node._device == "cpu"
    assert rig.change(Transition.TRANSITION_DEACTIVATE)
    assert rig.probe.call(SetBool, "/segmenter/enable", SetBool.Request(data=False)).success
    assert rig.change(Transition.TRANSITION_ACTIVATE)
    lines = [text for text in capfd.readouterr().err.splitlines() if "active: " in text]
    assert len(lines) == 1
    assert lines[0].endswith("/segmenter/mask; disabled until ~/enable is called")
    assert rig.status().hardware_id == "cpu"


def test_a_destroyed_node_leaves_no_threads(ros: Any, probe: Any) -> None:
    before = set(threading.enumerate())
    rig = Rig(probe).connected()
    rig.show(1.0)
    rig.click(20, 15)
    rig.until_labeled(1.0)
    assert [thread for thread in threading.enumerate() if thread.name.startswith("neural_seg")]
    rig.node.destroy_node()
    left = [thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith("neural_seg")]
    assert not left


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_a_fit_exits_with_0(ros_domain: int, probe: Any, stop: signal.Signals) -> None:
    # Enough steps for minutes.
    parameters = {**TINY, "fit.first_steps": 100_000, "track.first_steps": 100_000}
    arguments = [item for name, given in parameters.items() for item in ("-p", f"{name}:={given}")]
    process = subprocess.Popen(
        [sys.executable, "-m", "neural_seg_ros.ros.segmenter.node", "--ros-args", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])},
    )
    try:
        masks = probe.listen(Image, "/segmenter/mask")
        camera = probe.node.create_publisher(Image, "/image", 1)
        probe.until(camera.get_subscription_count, 60, "the start of the node")

        def masked() -> bool:
            camera.publish(from_array(picture(), "rgb8", header(1.0)))
            return bool(masks)

        probe.until(masked, 60, "a mask")
        process.send_signal(stop)
        began = time.monotonic()
        _, errors = process.communicate(timeout=30)
        seconds = time.monotonic() - began
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    # It took six seconds on two cores with a load of 22.
    assert seconds < 20
