"""The ROS parameters of the segmenter, declared from its configuration options."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from neural_seg_ros.config import PRESETS, SessionConfig
from neural_seg_ros.errors import ConfigError, error_text, short
from neural_seg_ros.live import HealthConfig, LiveConfig
from neural_seg_ros.options import Option, from_flat, option, options_of, to_flat, validate
from neural_seg_ros.ros.toolkit.node_parameters import declare, descriptor

LIVE, HEALTH = "live.", "diagnostics."
# Prefix of the parameter names of each group of settings that can change.
_PREFIXES = {"node": "", "live": LIVE, "health": HEALTH, "session": ""}
CLASS_NAMES = "class_names"
CLASS_NAMES_OPTION = Option(
    CLASS_NAMES,
    list,
    # Not empty, as rclpy cannot tell the type of an empty list.
    ["0:background"],
    "names of the classes, each 'id:name' or 'name'; 'name' gets the id after the entry before it, or 1 if it is first",
)


@dataclass(frozen=True)
class StartConfig:
    """The settings that are fixed once the node runs."""

    preset: str = option(
        "cpu", "preset that sets the defaults of the session's parameters", choices=tuple(PRESETS), fixed=True
    )
    device: str = option("auto", "device that computes the masks: auto, cpu, cuda or cuda:N", fixed=True)
    autostart: bool = option(True, "configure and activate at the start, without a lifecycle manager", fixed=True)
    image_transport: str = option(
        "raw", "subscribe to image (raw) or image/compressed", choices=("raw", "compressed"), fixed=True
    )
    session_directory: str = option("~/.ros/neural_seg", "directory of session files and of autosave", fixed=True)
    autosave: bool = option(
        True,
        "log every change of the annotations below session_directory within 100 ms, and restore them after the node "
        "was killed; off in lock-step",
        fixed=True,
    )
    restore: str = option(
        "crash",
        "when to restore autosaved annotations: crash (only after the node was killed) or always (also after a clean "
        "shutdown)",
        choices=("crash", "always"),
        fixed=True,
    )
    restore_max_age: float = option(
        300.0,
        "longest time in seconds since the last sign of life of the node after which annotations are restored",
        low=0.0,
        high=1e9,
        fixed=True,
    )
    autosave_megabytes: int = option(
        512,
        "disk space of autosaved frames in megabytes; beyond it the oldest frames are dropped with their annotations",
        low=1,
        high=1_000_000,
        fixed=True,
    )

    def __post_init__(self) -> None:
        validate(self)


# A file name may have 255 bytes, including suffixes and the marks of temporary files.
MAX_NAME = 100


@dataclass(frozen=True)
class NodeConfig:
    """The settings of the node beside its session's, changeable at any time."""

    active_class: int = option(1, "class of annotations whose message names no class", low=0, high=65534)
    session_name: str = option("session", "file name, without suffix, that ~/save_session and ~/load_session use")
    max_megapixels: float = option(
        32.0,
        "largest accepted camera image in millions of pixels; larger ones are refused before decoding",
        low=0.01,
        high=100.0,
    )
    overlay_alpha: float = option(0.45, "opacity of the class colors in ~/overlay", low=0.0, high=1.0)
    canvas_frame: str = option(
        "canvas", "frame of the canvas; the segmenter ignores points on /clicked_point in this frame"
    )

    def __post_init__(self) -> None:
        validate(self)
        if len(self.session_name) > MAX_NAME:
            raise ConfigError(f"session_name: got {len(self.session_name)} characters, accepted: at most {MAX_NAME}")
        if not self.session_name or self.session_name.startswith(".") or set(self.session_name) & set('/\\\0:*?"<>|'):
            raise ConfigError(
                f"session_name: got {short(self.session_name)}, accepted: a file name without directories"
            )


@dataclass(frozen=True)
class Settings:
    """All parameters as configurations; ``class_names`` maps class id to name."""

    start: StartConfig
    node: NodeConfig
    live: LiveConfig
    health: HealthConfig
    session: SessionConfig
    class_names: Mapping[int, str]

    def __post_init__(self) -> None:
        if self.node.active_class >= self.session.unlabelled:
            high = self.session.unlabelled - 1
            raise ConfigError(f"active_class: got {self.node.active_class}, accepted: int in [0, {high}]")
        for class_id in self.class_names:
            if class_id >= self.session.unlabelled:
                raise ConfigError(f"class_names: got id {class_id}, accepted: 0 to {self.session.unlabelled - 1}")


class Parameters:
    """All parameters of the node; ``settings`` always equals them.

    apply  called with (old settings, new settings) before a change is accepted; an exception refuses the change, and
           its message is the reason

    Raises ConfigError for an invalid start value.
    """

    def __init__(self, node: Node, apply: Callable[[Settings, Settings], None]) -> None:
        self._node = node
        self._apply = apply
        # Held from reading the settings until the changed ones are written. Reentrant, because adopt sets parameters.
        self._lock = threading.RLock()
        start = declare(node, StartConfig)
        preset = SessionConfig.preset(start.preset)
        defaults = Settings(start, NodeConfig(), LiveConfig(), HealthConfig(), preset, {})
        values: dict[str, Any] = {}
        for group, prefix in _PREFIXES.items():
            config = getattr(defaults, group)
            for entry, default in zip(options_of(type(config)), to_flat(config).values(), strict=True):
                values[prefix + entry.name] = self._declare(entry, default, prefix=prefix)
        values[CLASS_NAMES] = self._declare(CLASS_NAMES_OPTION, CLASS_NAMES_OPTION.default)
        self.settings = _with_values(defaults, values)
        node.add_on_set_parameters_callback(self._on_set)

    def with_session(self, session: SessionConfig) -> Settings:
        """Return the settings with another session configuration.

        Raises ConfigError if it contradicts other settings.
        """
        return dataclasses.replace(self.settings, session=session)

    def adopt(self, load: Callable[[], SessionConfig]) -> None:
        """Set the parameters to the configuration that ``load`` returns, without another change in between."""
        with self._lock:
            self.settings = self.with_session(load())
            values = to_flat(self.settings.session)
            self._node.set_parameters([Parameter(name, value=value) for name, value in values.items()])

    def _on_set(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        changes = {parameter.name: parameter.value for parameter in parameters}
        with self._lock:
            try:
                settings = _with_values(self.settings, changes)
                self._apply(self.settings, settings)
            except Exception as error:  # of any kind: it would end the node
                return SetParametersResult(successful=False, reason=error_text(error))
            self.settings = settings
        return SetParametersResult(successful=True)

    def _declare(self, entry: Option, default: Any, *, prefix: str = "") -> Any:
        return self._node.declare_parameter(prefix + entry.name, default, descriptor(entry)).value


def parse_class_names(entries: Sequence[str]) -> dict[int, str]:
    """Parse entries ``id:name`` or ``name`` to ``{id: name}``. Raises ConfigError naming the entry."""
    names: dict[int, str] = {}
    next_id = 1
    for entry in entries:
        head, colon, tail = entry.partition(":")
        text, name = (head, tail.strip()) if colon else (str(next_id), head.strip())
        digits = text.strip()
        # The largest id, 65534, has five digits.
        if not (digits.isascii() and digits.isdecimal() and len(digits) <= 5 and name):
            raise ConfigError(f"{CLASS_NAMES}: got {entry!r}, accepted: 'id:name' or 'name'")
        class_id = int(digits)
        if class_id in names or name in names.values():
            raise ConfigError(f"{CLASS_NAMES}: got {entry!r} twice, accepted: every id and every name once")
        names[class_id] = name
        next_id = class_id + 1
    return names


def names_of(classes: Iterable[int], class_names: Mapping[int, str]) -> str:
    """Join the names of classes with commas; the name of a class without a name is its id."""
    return ", ".join(class_names.get(class_id, str(class_id)) for class_id in classes)


def _with_values(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """Return settings with parameters replaced; ignore parameters of others. Raises ConfigError."""
    changes: dict[str, Any] = {}
    for group, prefix in _PREFIXES.items():
        config = getattr(settings, group)
        names = {prefix + name: name for name in to_flat(config)}
        changes[group] = from_flat(config, {names[name]: value for name, value in values.items() if name in names})
    if values.get(CLASS_NAMES) is not None:
        changes["class_names"] = parse_class_names(values[CLASS_NAMES])
    return dataclasses.replace(settings, **changes)
