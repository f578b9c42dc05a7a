"""Names of classes, as the segmenter publishes them."""

from __future__ import annotations

import json
from typing import Any

from neural_seg_ros.errors import ConfigError

_MOST = 65534


def label_names(message: Any) -> dict[int, str]:
    """``{id: name}`` of a ``vision_msgs/LabelInfo``, or of a ``std_msgs/String`` of JSON with ids for keys.

    Raises ConfigError.
    """
    if hasattr(message, "class_map"):
        return {int(entry.class_id): str(entry.class_name) for entry in message.class_map}
    try:
        told = json.loads(message.data)
        names = {int(key): value for key, value in told.items()}
        accepted = all(isinstance(name, str) and 0 <= id_ <= _MOST for id_, name in names.items())
    except (ValueError, AttributeError, RecursionError):
        accepted = False
    if not accepted:
        raise ConfigError(f'labels: got {message.data[:60]!r}, accepted: JSON such as {{"1": "cup"}}, ids 0 to {_MOST}')
    return names
