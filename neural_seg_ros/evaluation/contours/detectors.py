"""The detectors: chosen by name, built in a worker process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from neural_seg_ros.errors import ConfigError
from neural_seg_ros.evaluation.contestants import Contestant, names_among
from neural_seg_ros.evaluation.contours.detection import Detector
from neural_seg_ros.evaluation.contours.peers import PEERS


def _ours(method: str) -> Detector:
    # Peers alone need none of it.
    from neural_seg_ros.config import ContourConfig
    from neural_seg_ros.contours import find_contours

    return partial(find_contours, config=ContourConfig(method))


# Our own, by name.
METHODS: Mapping[str, Callable[[], Detector]] = {
    method: partial(_ours, method) for method in ("best", "fast", "thesis")
}


def choose(peers: str, methods: str) -> tuple[Contestant[Detector], ...]:
    """Choose detectors from comma-separated names; each of ``peers`` and ``methods`` may be ``all`` or ``none``.

    Peers come first. Raises ConfigError for an unknown name or when no detector is left.
    """
    chosen: list[Contestant[Detector]] = []
    for option, text, accepted in (("--peers", peers, PEERS), ("--methods", methods, METHODS)):
        chosen += [Contestant(name, accepted[name]) for name in names_among(option, text, tuple(accepted))]
    if not chosen:
        raise ConfigError("--peers, --methods: got none for both, accepted: at least one name")
    return tuple(chosen)
