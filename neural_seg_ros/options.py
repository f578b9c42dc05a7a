"""One definition of every option: default, range, description; for YAML, command line and ROS parameters."""

from __future__ import annotations

import dataclasses
import math
import numbers
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from neural_seg_ros.errors import ConfigError

_META = "option"
T = TypeVar("T")


@dataclass(frozen=True)
class Option:
    """The accepted values of one configuration field, with its description.

    name        dotted path inside its configuration, for example ``field.width``
    kind        ``bool``, ``int``, ``float`` or ``str``
    default     value when nothing is given
    description one sentence for ``--help`` and ``ros2 param describe``
    low, high   inclusive range of a number, or None
    choices     accepted strings, or an empty tuple for any
    fixed       not changeable while the component that it configures runs
    """

    name: str
    kind: type
    default: Any
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    fixed: bool = False

    @property
    def accepted(self) -> str:
        """The accepted values in words, for error messages and documentation."""
        if self.choices:
            return " | ".join(self.choices)
        if self.low is not None or self.high is not None:
            low = "-inf" if self.low is None else f"{self.low:g}"
            high = "inf" if self.high is None else f"{self.high:g}"
            return f"{self.kind.__name__} in [{low}, {high}]"
        return "true | false" if self.kind is bool else f"any {self.kind.__name__}"

    def named(self, name: str) -> Option:
        """Return the same option under another name."""
        return dataclasses.replace(self, name=name)

    def check(self, value: Any) -> Any:
        """Return ``value`` as this option's kind. Raises ConfigError, which names the field and the accepted values."""
        given = value
        if isinstance(value, numbers.Integral) and not isinstance(value, bool):
            value = float(value) if self.kind is float else int(value)
        wrong_kind = not isinstance(value, self.kind) or (self.kind is not bool and isinstance(value, bool))
        if wrong_kind or (isinstance(value, float) and not math.isfinite(value)):
            raise ConfigError(f"{self.name}: got {given!r}, accepted: {self.accepted}")
        below = self.low is not None and value < self.low
        above = self.high is not None and value > self.high
        if below or above or (self.choices and value not in self.choices):
            raise ConfigError(f"{self.name}: got {given!r}, accepted: {self.accepted}")
        return value


def option(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    fixed: bool = False,
) -> Any:
    """Return a dataclass field that carries its own range and description (see Option)."""
    meta = {"description": description, "low": low, "high": high, "choices": choices, "fixed": fixed}
    return dataclasses.field(default=default, metadata={_META: meta})


def options_of(config_class: type, prefix: str = "") -> Iterator[Option]:
    """List every option of a configuration class, nested classes included, with dotted names."""
    hints = typing.get_type_hints(config_class)
    for entry in dataclasses.fields(config_class):
        kind = hints[entry.name]
        name = prefix + entry.name
        if dataclasses.is_dataclass(kind):
            yield from options_of(typing.cast(type, kind), name + ".")
        else:
            yield Option(name=name, kind=kind, default=entry.default, **entry.metadata[_META])


def validate(config: Any) -> None:
    """Check every option of a frozen configuration in place; ints given for floats are converted.

    Called from ``__post_init__``. Raises ConfigError naming the field.
    """
    hints = typing.get_type_hints(type(config))
    for entry in dataclasses.fields(config):
        value = getattr(config, entry.name)
        kind = hints[entry.name]
        if dataclasses.is_dataclass(kind):
            if not isinstance(value, typing.cast(type, kind)):
                raise ConfigError(f"{entry.name}: got {value!r}, accepted: {typing.cast(type, kind).__name__}")
            continue
        checked = Option(entry.name, kind, entry.default, **entry.metadata[_META]).check(value)
        object.__setattr__(config, entry.name, checked)


def to_flat(config: Any) -> dict[str, Any]:
    """Return ``{dotted name: value}`` of a configuration."""
    flat: dict[str, Any] = {}
    for entry in dataclasses.fields(config):
        value = getattr(config, entry.name)
        if dataclasses.is_dataclass(value):
            flat.update({f"{entry.name}.{key}": inner for key, inner in to_flat(value).items()})
        else:
            flat[entry.name] = value
    return flat


def from_flat(base: T, changes: Mapping[str, Any]) -> T:
    """Return a copy of ``base`` with dotted names replaced.

    Raises ConfigError for an unknown name or an unaccepted value.
    """
    known = to_flat(base)
    unknown = sorted(set(changes) - set(known))
    if unknown:
        raise ConfigError(f"{unknown[0]}: unknown option, accepted: {', '.join(sorted(known))}")
    direct = {key: value for key, value in changes.items() if "." not in key}
    nested: dict[str, dict[str, Any]] = {}
    for key, value in changes.items():
        if "." in key:
            head, tail = key.split(".", 1)
            nested.setdefault(head, {})[tail] = value
    inner = {head: from_flat(getattr(base, head), values) for head, values in nested.items()}
    return typing.cast(T, dataclasses.replace(typing.cast(Any, base), **direct, **inner))


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings, as YAML gives them, to dotted names."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def parse(option_: Option, text: str) -> Any:
    """Parse the value of an option written as text, for example on the command line."""
    if option_.kind is bool:
        words: Mapping[str, bool] = types.MappingProxyType({"true": True, "false": False})
        return option_.check(words.get(text.lower(), text))
    try:
        return option_.check(option_.kind(text))
    except ConfigError:
        raise
    except ValueError:
        raise ConfigError(f"{option_.name}: got {text!r}, accepted: {option_.accepted}") from None
