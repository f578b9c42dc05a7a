"""Configuration of a session: frozen, validated once, loadable from YAML, mirrored as ROS parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neural_seg_ros.errors import ConfigError
from neural_seg_ros.files import read_mapping
from neural_seg_ros.options import flatten, from_flat, option, to_flat, validate


@dataclass(frozen=True)
class FieldConfig:
    """The convolutional neural field and how it is fitted (thesis 2.3.4; symbols as there)."""

    size: int = option(160, "longer side of the fitted image in pixels", low=8, high=2048)
    code: str = option(
        "fourier",
        "network input: xy (pixel coordinates), fourier (their Fourier features) or noise (fixed random numbers)",
        choices=("xy", "fourier", "noise"),
    )
    octaves: int = option(6, "number of octaves of the fourier code", low=1, high=12)
    noise_channels: int = option(32, "number of channels of the noise code", low=1, high=256)
    width: int = option(64, "number of filters of each convolution", low=8, high=512)
    levels: int = option(4, "number of encoder levels, each of which halves the resolution", low=2, high=6)
    skips: bool = option(True, "connect each encoder level to its decoder level")
    extra_heads: str = option("", "extra heads, as name:channels separated by commas, such as contours:4")
    norm: str = option("batch", "normalization between convolutions", choices=("batch", "group", "none"))
    precision: str = option(
        "auto", "floating point precision; auto: bf16 where the device supports it", choices=("auto", "fp32", "bf16")
    )
    learning_rate: float = option(3e-3, "learning rate of AMSGrad", low=1e-6, high=1.0)
    class_rate: float = option(
        3.0, "learning rate of the class head, as a multiple of learning_rate", low=0.01, high=100.0
    )
    clip_norm: float = option(1.0, "largest norm of the gradients; larger ones are clipped", low=1e-6, high=1e6)
    class_loss: str = option(
        "ce",
        "loss of the class head: ce (cross entropy over all classes) or bce (binary cross entropy of each class)",
        choices=("ce", "bce"),
    )
    class_weight: float = option(1.0, "weight of the class loss relative to the RGB loss", low=0.0, high=1e6)
    consistency: float = option(
        1e-3, "weight (lambda) of the temporal consistency loss; 0 turns it off", low=0.0, high=1.0
    )

    def __post_init__(self) -> None:
        validate(self)
        if self.size < self.least_side:
            raise ConfigError(f"size: got {self.size}, accepted: at least {self.least_side} with {self.levels} levels")

        self.heads()

    def heads(self) -> dict[str, int]:
        """``{name: channels}`` of the extra heads. Raises ConfigError."""
        heads: dict[str, int] = {}
        for entry in filter(None, self.extra_heads.split(",")):
            name, _, channels = (part.strip() for part in entry.partition(":"))
            taken = name in heads or name in ("rgb", "classes")
            if not name.isidentifier() or taken or not channels.isdecimal() or not 1 <= int(channels) <= 4096:
                accepted = "name:channels with commas; new names, 1 to 4096 channels"
                raise ConfigError(f"extra_heads: got {entry.strip()!r}, accepted: {accepted}")
            heads[name] = int(channels)
        return heads

    @property
    def least_side(self) -> int:
        """Least pixels of a side of the fitted image: each level of the encoder halves it, and two must be left."""
        return int(2**self.levels + 1)


@dataclass(frozen=True)
class FitConfig:
    """The steps due for a new frame or annotation, which ``Session.fit()`` runs."""

    first_steps: int = option(
        100,
        "number of field steps due for the first frame; clicks are answered before and after them",
        low=1,
        high=100_000,
    )
    click_steps: int = option(20, "number of field steps due for an annotation", low=1, high=10_000)
    frame_steps: int = option(1, "number of field steps due for a new frame", low=1, high=10_000)

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True)
class TrackConfig:
    """The tracking of an answer from an annotated frame to later frames."""

    size: int = option(427, "longer side of the tracked image in pixels", low=32, high=2048)
    first_steps: int = option(
        1000, "number of tracker steps due for the first annotation of a class", low=1, high=100_000
    )
    correction_steps: int = option(
        60, "number of tracker steps due for a further annotation of known classes", low=1, high=10_000
    )
    frame_steps: int = option(2, "number of tracker steps due for a new frame", low=0, high=1_000)
    recent: int = option(8, "number of recent frames whose answers are training data", low=1, high=100)
    precision: str = option(
        "auto", "floating point precision; auto: bf16 where the device supports it", choices=("auto", "fp32", "bf16")
    )

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True)
class ContourConfig:
    """The search for contours in an image."""

    method: str = option(
        "best",
        "contour detector: best (most accurate), fast (for live use) or thesis (the method of the thesis)",
        choices=("best", "fast", "thesis"),
    )
    size: int = option(481, "longer side in pixels of the image in which contours are searched", low=32, high=1024)
    seed: int = option(0, "seed of the random numbers", low=0, high=2**31 - 1)

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True)
class SessionConfig:
    """The configuration of a session; ``SessionConfig.preset(name)`` returns one of PRESETS."""

    answer: str = option(
        "fused",
        "how annotations are answered: fused (region graph and tracker) or field (the fitted field alone)",
        choices=("fused", "field"),
    )
    label_bits: int = option(
        8,
        "bits of a label: 8 (classes 0-254, 255 is unlabeled) or 16 (classes 0-65534, 65535 is unlabeled)",
        low=8,
        high=16,
    )
    seed: int = option(0, "seed of the networks' weights and of the noise code", low=0, high=2**31 - 1)
    border_prior: bool = option(True, "assume background at the frame border when objects are annotated")
    rest: str = option(
        "background",
        "class of pixels on no annotated object: background, or none (the annotated classes share the whole frame)",
        choices=("background", "none"),
    )
    undo_megabytes: int = option(
        128, "memory in megabytes for the snapshots that make undo and redo exact", low=0, high=4096
    )
    field: FieldConfig = dataclasses.field(default_factory=FieldConfig)
    fit: FitConfig = dataclasses.field(default_factory=FitConfig)
    track: TrackConfig = dataclasses.field(default_factory=TrackConfig)

    def __post_init__(self) -> None:
        validate(self)
        if self.label_bits not in (8, 16):
            raise ConfigError(f"label_bits: got {self.label_bits}, accepted: 8 | 16")

    @staticmethod
    def preset(name: str, /, **changes: Any) -> SessionConfig:
        """Return a preset with dotted options replaced: ``preset("cpu", seed=1, **{"field.width": 32})``."""
        if name not in PRESETS:
            raise ConfigError(f"preset: got {name!r}, accepted: {' | '.join(PRESETS)}")
        return from_flat(PRESETS[name], changes)

    @staticmethod
    def from_dict(tree: Mapping[str, Any]) -> SessionConfig:
        """Build from nested or dotted mappings; ``preset`` names the base (default ``cpu``)."""
        flat = flatten(tree)
        name = flat.pop("preset", "cpu")
        return SessionConfig.preset(str(name), **flat)

    @staticmethod
    def from_yaml(path: str | Path) -> SessionConfig:
        """Read a YAML file of nested or dotted options. Raises ConfigError naming the file or the field."""
        return SessionConfig.from_dict(read_mapping(path, ConfigError, "a mapping of options"))

    def to_dict(self) -> dict[str, Any]:
        """Return ``{dotted option: value}``, which ``from_dict`` reads."""
        return to_flat(self)

    @property
    def answers_at_once(self) -> bool:
        """True if the region graph answers annotations before the fit (``answer: fused``)."""
        return self.answer == "fused"

    @property
    def unlabelled(self) -> int:
        """The label of a pixel without a class: 255, or 65535 with 16-bit labels."""
        return int(2**self.label_bits - 1)


PRESETS: dict[str, SessionConfig] = {
    "cpu": SessionConfig(),
    "gpu": SessionConfig(field=FieldConfig(size=256, width=128)),
    # As published, except the border prior: without it clicks of a single class would label the whole frame.
    "thesis": SessionConfig(
        answer="field",
        fit=FitConfig(frame_steps=3),
        field=FieldConfig(size=256, code="xy", width=128, skips=False, class_rate=1.0, class_loss="bce"),
    ),
}
