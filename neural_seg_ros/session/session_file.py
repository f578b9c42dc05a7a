"""The session file: safetensors plus JSON, written whole or not at all, versioned, checked by a digest, no pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from neural_seg_ros.annotations import Mask
from neural_seg_ros.annotations.implied import FrameAnnotation
from neural_seg_ros.annotations.shapes import shape_from_json, shape_to_json
from neural_seg_ros.click_answer import Estimate
from neural_seg_ros.errors import SessionFileError, one_line
from neural_seg_ros.files import write_bytes
from neural_seg_ros.images.arrays import resize_image

VERSION = 2
_FORMAT = "neural_seg_ros session"


def write_session(path: str | Path, document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write ``document`` (JSON values) and ``tensors`` to one file, replacing an old one when all is on disk."""
    text = json.dumps(document, sort_keys=True)
    metadata = {"format": _FORMAT, "version": str(VERSION), "document": text, "digest": _digest(text, tensors)}
    try:
        write_bytes(path, safetensors.torch.save(dict(tensors), metadata))
    except OSError as error:
        raise SessionFileError(f"{path}: cannot be written: {error.strerror}") from None


def read_session(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the document and the tensors of a session file.

    Raises SessionFileError when the file is missing, damaged, of another kind or of another version.
    """
    if not Path(path).is_file():
        raise SessionFileError(f"{path}: no such file, accepted: a file written by save")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise SessionFileError(f"{path}: damaged, or not a session file: {one_line(error)}") from None
    if metadata.get("format") != _FORMAT or not metadata.get("version", "").isdecimal():
        raise SessionFileError(f"{path}: not a session file, accepted: a file written by save")
    version = int(metadata["version"])
    if version != VERSION:
        written = "a newer" if version > VERSION else "an older"
        accepted = f"accepted: {VERSION}; written by {written} neural_seg_ros"
        raise SessionFileError(f"{path}: version: got {version}, {accepted}")
    text = metadata.get("document", "")
    if metadata.get("digest") != _digest(text, tensors):
        raise SessionFileError(f"{path}: damaged: its content does not match its digest")
    document: dict[str, Any] = json.loads(text)
    return document, tensors


def annotations_to_json(annotations: Sequence[FrameAnnotation]) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Return annotations as JSON values, and the tensors of the dense masks that these name."""
    entries, masks = [], {}
    for number, each in enumerate(annotations):
        annotation = each.annotation
        if isinstance(annotation, Mask):
            name = f"mask.{number}"
            masks[name] = torch.from_numpy(annotation.labels.copy())
            values: dict[str, Any] = {"kind": "mask", "name": name}
        else:
            values = shape_to_json(annotation)
        where = {"stamp": each.stamp, "frame_size": each.frame_size, "frame_number": each.frame_number}
        entries.append({"annotation": values, **where})
    return entries, masks


def annotations_from_json(
    entries: Sequence[Mapping[str, Any]], masks: Mapping[str, Tensor], new_id: Callable[[], int]
) -> list[FrameAnnotation]:
    """Return the annotations that ``annotations_to_json`` described, with ids from ``new_id``.

    Raises KeyError, TypeError or AnnotationError for other values.
    """
    annotations = []
    for entry in entries:
        values = dict(entry["annotation"])
        dense = values["kind"] == "mask"
        annotation = Mask(masks[values["name"]].numpy()) if dense else shape_from_json(values)
        height, width = entry["frame_size"]
        stamp, number = float(entry["stamp"]), int(entry["frame_number"])
        annotations.append(FrameAnnotation(annotation, stamp, (int(height), int(width)), number, new_id()))
    return annotations


def estimate_to_tensors(name: str, estimate: Estimate | None) -> dict[str, Tensor]:
    """Return an estimate without its image as tensors whose names begin with ``name``; none for None."""
    if estimate is None:
        return {}
    # A copy, as tensors in a file may not share memory.
    probabilities = torch.from_numpy(estimate.probabilities.copy())
    return {
        f"{name}.probabilities": probabilities,
        f"{name}.doubt": torch.tensor(estimate.top_odds_divisor, dtype=torch.float64),
    }


def estimate_from_tensors(name: str, tensors: Mapping[str, Tensor], frame: NDArray[np.uint8]) -> Estimate | None:
    """Return the estimate that ``estimate_to_tensors`` described, of a frame (H, W, 3). Raises KeyError otherwise."""
    if f"{name}.probabilities" not in tensors:
        return None
    probabilities = tensors[f"{name}.probabilities"].numpy()
    return Estimate(resize_image(frame, *probabilities.shape[1:]), probabilities, float(tensors[f"{name}.doubt"]))


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.view(-1).numpy().tobytes() if tensor.ndim else tensor.numpy().tobytes())
    return digest.hexdigest()
