"""YAML files that people write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from neural_seg_ros.errors import NeuralSegError


def read_mapping(path: str | Path, error: type[NeuralSegError], accepted: str) -> Mapping[str, Any]:
    """The mapping in a YAML file. Raises ``error`` naming the file when it is anything else; ``accepted`` in words."""
    try:
        tree = yaml.safe_load(Path(path).read_text())
    except (OSError, ValueError, yaml.YAMLError) as reason:
        raise error(f"{path}: cannot be read as YAML: {' '.join(str(reason).split())}") from None
    if not isinstance(tree, Mapping):
        raise error(f"{path}: got {type(tree).__name__}, accepted: {accepted}")
    return tree
