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
# Every parameter of the segmenter, with its default and what it accepts. Load a copy of this file with
#   ros2 launch neural_seg_ros segmenter.launch.py params_file:=my.yaml
/**/segmenter:
  ros__parameters:
"""
_FIXED = "Fixed once the node runs."
_CHANGEABLE = "All from here on can be changed while the node runs."
_SESSION = (
    "The session. These values are those of the preset cpu; they are commented out because one that is set here goes "
    "before what the preset says."
)
_INDENT = "    "
_COLUMNS = 108


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
            yield _block(entry.named(prefix + entry.name), _described(entry), defaults[entry.name], mark)


def _block(entry: Option, text: str, default: Any, mark: str = "") -> str:
    return f"{_comment(text)}{_INDENT}{mark}{entry.name}: {yaml_value(default)}\n"


def _described(entry: Option) -> str:
    anything = entry.kind is str and not entry.choices
    return entry.description if anything else f"{entry.description} ({entry.accepted})"


def _comment(text: str) -> str:
    return textwrap.fill(text, _COLUMNS, initial_indent=f"{_INDENT}# ", subsequent_indent=f"{_INDENT}# ") + "\n"


def yaml_value(value: Any) -> str:
    """Format a parameter's value as YAML."""
    if isinstance(value, bool):
        return str(value).lower()
    # YAML takes 1e-06 for a text, and nothing for null.
    text = str(value) or '""'
    return text.replace("e", ".0e") if isinstance(value, float) and "e" in text and "." not in text else text


if __name__ == "__main__":
    print(parameters_file(), end="")
