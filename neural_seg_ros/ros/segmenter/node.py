"""The lifecycle node ``segmenter``: camera images and annotations in, masks out."""

from __future__ import annotations

import dataclasses
import gc
import sys
from collections.abc import Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.executors import MultiThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_msgs.msg import Header, String
from std_srvs.srv import SetBool

from neural_seg_ros.errors import SessionError, error_text
from neural_seg_ros.files import inside
from neural_seg_ros.live import (
    Autosave,
    ContourCallbacks,
    ContourResult,
    LiveCallbacks,
    LiveResult,
    LiveSession,
    open_autosave,
)
from neural_seg_ros.ros.segmenter import interface
from neural_seg_ros.ros.segmenter.diagnostics import Report, diagnostics, resident_bytes, status_text
from neural_seg_ros.ros.segmenter.inputs import Inputs
from neural_seg_ros.ros.segmenter.outputs import Outputs
from neural_seg_ros.ros.segmenter.parameters import Parameters, Settings, names_of
from neural_seg_ros.ros.segmenter.projection import CameraFrame
from neural_seg_ros.ros.segmenter.services import trigger_services, wait_for
from neural_seg_ros.ros.toolkit.endpoints import Endpoints
from neural_seg_ros.ros.toolkit.process import run_node
from neural_seg_ros.ros.toolkit.throttled_log import ThrottledLog

if TYPE_CHECKING:
    from neural_seg_ros.field.steps import MakeSteps
    from neural_seg_ros.session import Session

SESSION_SUFFIX, AUTOSAVE = ".safetensors", "autosave"
_POLL_SECONDS = 0.1
# Number of executor threads per segmenter, so that images and annotations need not wait for a service.
EXECUTOR_THREADS = 3
# At Python's default of 5 ms, the worker thread would delay the image callback for too long.
SWITCH_INTERVAL_SECONDS = 0.0005


class Segmenter(LifecycleNode):
    """The lifecycle node that gives a LiveSession its topics, services and parameters.

    An unconfigured node has parameters and diagnostics. An inactive one also has a session, services and publishers.
    An active one also has subscriptions. Raises ConfigError or rclpy's ParameterException for invalid parameters.
    """

    def __init__(self, make_steps: MakeSteps | None = None, **node_options: Any) -> None:
        """Create the node; ``make_steps``, if given, makes the fit's steps in place of the session's default."""
        super().__init__("segmenter", **node_options)
        self._session_options = {} if make_steps is None else {"make_steps": make_steps}
        self._live: LiveSession | None = None
        # The session's device; None while there is no session.
        self._device: str | None = None
        self._outputs: Outputs | None = None
        self._inputs: Inputs | None = None
        self._camera_frame: CameraFrame | None = None
        self._trigger_services: list[Any] = []
        self._is_enabled = True
        self._throttled = ThrottledLog(self)
        try:
            self._ros_parameters = Parameters(self, self._apply)
            parameters = dataclasses.asdict(self._settings.start)
            self._endpoints = Endpoints(
                self,
                interface.SEGMENTER,
                self._throttled,
                lock_step=self._settings.live.lock_step,
                exists=lambda topic: topic.exists(parameters),
            )
            self._diagnostics = self._endpoints.publisher(interface.DIAGNOSTICS)
            self._status = self._endpoints.publisher(interface.STATUS)
            # With use_sim_time the node's clock stands still until a time is published, so the timer has its own clock.
            publish_report = self._throttled.guard("report", self._publish_report)
            self.create_timer(1.0, publish_report, clock=Clock(clock_type=ClockType.STEADY_TIME))
            if self._settings.start.autostart:
                self._autostart()
        except BaseException:
            # The caller gets no node that it could destroy to stop the worker and leave the graph.
            self.destroy_node()
            raise

    def destroy_node(self) -> None:
        """Stop the worker, then destroy the node."""
        self._unconfigure()
        super().destroy_node()

    # -- lifecycle -----------------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Build the session, the publishers and the services."""
        try:
            self._configure()
        except Exception as error:  # rclpy would drop it silently
            self._log(error)
            self._unconfigure()
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and enable the session, unless ~/enable disabled it."""
        result = super().on_activate(state)
        try:
            self._subscribe()
        except Exception as error:  # rclpy would drop it silently
            self._log(error)
            self.on_deactivate(state)
            return TransitionCallbackReturn.FAILURE
        self.get_logger().info(self._active_text())
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Remove the subscriptions and disable the session, which keeps its state."""
        self._unsubscribe()
        if self._live is not None:
            self._live.enable(False)
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the session."""
        self._unconfigure()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the session, as for a clean-up."""
        self._unconfigure()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the session and return to the state unconfigured."""
        self._unconfigure()
        return super().on_error(state)

    def _autostart(self) -> None:
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() != TransitionCallbackReturn.SUCCESS:
                if self.context.ok():
                    self.get_logger().error(
                        f"autostart failed, the node is {self._lifecycle_state}; retry with its lifecycle services"
                    )
                return

    @property
    def _lifecycle_state(self) -> str:
        """Label of the lifecycle state, such as ``active``."""
        # Private: rclpy has no public way for a node to read its own state.
        return str(self._state_machine.current_state[1])

    def _configure(self) -> None:
        settings = self._settings
        device, options = settings.start.device, self._session_options
        self._outputs = Outputs(self, self._endpoints)
        self._live = LiveSession(
            lambda config: _session_class()(config, device, **options),
            lambda path: _session_class().load(path, device, **options),
            settings.session,
            settings.live,
            LiveCallbacks(self._publish, self._outputs.wanted, self._report, self._notify),
            ContourCallbacks(self._publish_contours, self._outputs.contours_wanted),
            self._open_autosave(settings),
            enabled=False,
        )
        self._wait_ready(self._live)
        self._device = self._live.device
        self._create_services(self._live)

    def _open_autosave(self, settings: Settings) -> Autosave | None:
        start = settings.start
        # In lock-step a result depends on all earlier frames, and autosave does not keep those.
        if not start.autosave or settings.live.lock_step:
            return None
        # Dots make the file name unique, because names of nodes and namespaces have none.
        name = self.get_fully_qualified_name().strip("/").replace("/", ".")
        return open_autosave(
            Path(start.session_directory).expanduser() / AUTOSAVE / name,
            self.resolve_topic_name("image"),
            restore=start.restore,
            max_age=start.restore_max_age,
            megabytes=start.autosave_megabytes,
            notice=self._notify,
            failed=self._report,
        )

    def _subscribe(self) -> None:
        assert self._live is not None
        self._publish_names(self._live, self._settings)
        self._live.enable(self._is_enabled)
        # A transform listener cannot be ended, so one is created and reused for the life of the node.
        self._camera_frame = self._camera_frame or CameraFrame(self)
        self._inputs = Inputs(self._endpoints, self._live, lambda: self._settings, self._camera_frame, self._throttled)

    def _active_text(self) -> str:
        """Describe input, device and output in one line."""
        image = self.resolve_topic_name(interface.image(self._settings.start.image_transport).name)
        mask = self.resolve_topic_name(interface.RESULTS["mask"].name)
        disabled = "" if self._is_enabled else "; disabled until ~/enable is called"
        return f"active: images from {image}, computed on {self._device}, masks on {mask}{disabled}"

    def _log(self, error: Exception) -> None:
        if self.context.ok():
            self.get_logger().error(error_text(error))

    def _wait_ready(self, live: LiveSession) -> None:
        while self.context.ok():
            try:
                return live.wait_ready(_POLL_SECONDS)
            except FutureTimeoutError:
                continue
        raise SessionError("cannot start the segmenter, because the process is shutting down")

    def _unsubscribe(self) -> None:
        inputs, self._inputs = self._inputs, None
        if inputs is not None:
            inputs.destroy()

    def _unconfigure(self) -> None:
        self._unsubscribe()
        live, self._live, self._device = self._live, None, None
        if live is not None:
            live.close()
        services, self._trigger_services = self._trigger_services, []
        for service in services:
            self.destroy_service(service)
        outputs, self._outputs = self._outputs, None
        if outputs is not None:
            outputs.destroy()

    # -- services ------------------------------------------------------------------------------------------------------

    def _create_services(self, live: LiveSession) -> None:
        # A service waits for the worker; images, parameters and lifecycle must not wait with it.
        group = MutuallyExclusiveCallbackGroup()
        handlers = [
            *trigger_services(live, lambda: self._session_path(), lambda: self._load(live)),
            (interface.ENABLE, self._on_enable),
        ]
        self._trigger_services = [
            self.create_service(service.kind, service.name, handle, callback_group=group)
            for service, handle in handlers
        ]

    def _load(self, live: LiveSession) -> str:
        path = self._session_path()
        parameters = self._ros_parameters
        parameters.adopt(lambda: wait_for(live.load(path, parameters.with_session)))
        return f"loaded {path}"

    def _session_path(self) -> Path:
        settings = self._settings
        # Several cameras, each in its namespace, must not write to the same file.
        folder = Path(settings.start.session_directory).expanduser() / str(self.get_namespace()).strip("/")
        try:
            return inside(folder, settings.node.session_name + SESSION_SUFFIX)
        except ValueError as error:
            raise SessionError(f"session_name: {error}") from None

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._is_enabled = request.data
        live = self._live
        if live is not None and self._inputs is not None:
            live.enable(request.data)
        response.success, response.message = True, "enabled" if request.data else "disabled"
        return response

    # -- parameters and output -----------------------------------------------------------------------------------------

    @property
    def _settings(self) -> Settings:
        return self._ros_parameters.settings

    def _apply(self, old: Settings, new: Settings) -> None:
        live = self._live
        if live is None:
            return
        if new.session != old.session:
            wait_for(live.configure(new.session))
        if new.live != old.live:
            live.set_options(new.live)
        if new.class_names != old.class_names:
            self._publish_names(live, new)

    def _publish_names(self, live: LiveSession, settings: Settings) -> None:
        if self._outputs is not None:
            header = Header(stamp=self.get_clock().now().to_msg())
            self._outputs.publish_labels(settings.class_names, header)
            self._outputs.publish_lost(names_of(live.status().lost, settings.class_names))

    def _publish(self, output: LiveResult) -> None:
        outputs, settings = self._outputs, self._settings
        if outputs is not None and self.context.ok():
            outputs.publish_lost(names_of(output.lost, settings.class_names))
            outputs.publish(output, settings.session.unlabelled, settings.node.overlay_alpha)

    def _publish_contours(self, output: ContourResult) -> None:
        outputs = self._outputs
        if outputs is not None and self.context.ok():
            outputs.publish_contours(output)

    def _report(self, error: Exception) -> None:
        self._throttled.refused("session", error)

    def _notify(self, notice: str) -> None:
        self._throttled.warning(("notice", notice.partition(":")[0]), notice)

    def _publish_report(self) -> None:
        live, inputs, settings = self._live, self._inputs, self._settings
        report = Report(
            name=self.get_fully_qualified_name(),
            state=self._lifecycle_state,
            status=None if live is None else live.status(),
            class_names=settings.class_names,
            memory=resident_bytes(),
            device=self._device or settings.start.device,
            limits=settings.health,
            lock_step=settings.live.lock_step,
            mismatches=self._endpoints.mismatches,
            callbacks=() if inputs is None else inputs.callback_seconds(),
        )
        stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(diagnostics(report, stamp))
        if self._status.get_subscription_count():
            self._status.publish(String(data=status_text(report, stamp)))


def main(args: Sequence[str] | None = None) -> int:
    """Run the segmenter until a signal stops it; return the exit status, 2 for invalid parameters."""
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    return run_node("segmenter", Segmenter, _spin, args)


def _spin(node: Segmenter) -> None:
    executor = MultiThreadedExecutor(EXECUTOR_THREADS)
    executor.add_node(node)
    executor.spin()


@cache
def _session_class() -> type[Session]:
    # torch takes seconds to import. The worker imports it here, so that the node reacts to SIGINT meanwhile.
    from neural_seg_ros.session import Session

    # Modules live as long as the process. Unless frozen, each full garbage collection would scan them for 0.2 s.
    gc.collect()
    gc.freeze()
    return Session


if __name__ == "__main__":
    sys.exit(main())
