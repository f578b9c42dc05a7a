"""The writer of config/segmenter.yaml: ``make generated``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from neural_seg_ros.config import SessionConfig
from neural_seg_ros.live import HealthConfig, LiveConfig
from neural_seg_ros.options import Option, options_of, to_flat
from neural_seg_ros.ros.segmenter.parameters import CLASS_NAMES_OPTION, HEALTH, LIVE, NodeConfig, StartConfig

_HEAD = """\
# All parameters of the segmenter, with their defaults and accepted values. Load a copy of this file with
#   ros2 launch neural_seg_ros segmenter.launch.py params_file:=my.yaml
/**/segmenter:
  ros__parameters:
"""
_FIXED = "These parameters cannot change while the node runs."
_CHANGEABLE = "All following parameters can change while the node runs."
_SESSION = (
    "Parameters of the session, with the values of the preset cpu. They are commented out, because a value in this "
    "file would override the preset's."
)
_INDENT = "    "
_COMMENT_COLUMNS = 108


def parameters_file() -> str:
    """Return the text of config/segmenter.yaml."""
    blocks = [
        _comment(_FIXED),
        *_blocks(StartConfig(), fixed=True),
        *_blocks(LiveConfig(), prefix=LIVE, fixed=True),
        _comment(_CHANGEABLE),
        *_blocks(NodeConfig()),
        _block(CLASS_NAMES_OPTION, CLASS_NAMES_OPTION.description, CLASS_NAMES_OPTION.default),
        *_blocks(LiveConfig(), prefix=LIVE),
        *_blocks(HealthConfig(), prefix=HEALTH),
        _comment(_SESSION),
        *_blocks(SessionConfig(), mark="# "),
    ]
    return _HEAD + "\n".join(blocks)


def _blocks(config: Any, prefix: str = "", mark: str = "", fixed: bool = False) -> Iterator[str]:
    defaults = to_flat(config)
    for entry in options_of(type(config)):
        if entry.fixed == fixed:
            yield _block(entry.named(prefix + entry.name), _description(entry), defaults[entry.name], mark)


def _block(entry: Option, text: str, default: Any, mark: str = "") -> str:
    return f"{_comment(text)}{_INDENT}{mark}{entry.name}: {yaml_value(default)}\n"


def _description(entry: Option) -> str:
    accepts_any = entry.kind is str and not entry.choices
    return entry.description if accepts_any else f"{entry.description} ({entry.accepted})"


def _comment(text: str) -> str:
    return textwrap.fill(text, _COMMENT_COLUMNS, initial_indent=f"{_INDENT}# ", subsequent_indent=f"{_INDENT}# ") + "\n"


def yaml_value(value: Any) -> str:
    """Format a parameter's value as YAML."""
    if isinstance(value, bool):
        return str(value).lower()
    # YAML reads 1e-06 as a string, and an empty value as null.
    text = str(value) or '""'
    return text.replace("e", ".0e") if isinstance(value, float) and "e" in text and "." not in text else text


if __name__ == "__main__":
    print(parameters_file(), end="")
