"""Which detectors take part, and how a worker process builds one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from neural_seg_ros.errors import ConfigError
from neural_seg_ros.evaluate.contestants import Contestant, names_among
from neural_seg_ros.evaluate.contours.peers import PEERS
from neural_seg_ros.evaluate.contours.play import Detector

# Our own, by name: what builds one, importing what it needs when it is called.
METHODS: Mapping[str, Callable[[], Detector]] = {}


def choose(peers: str, methods: str) -> tuple[Contestant[Detector], ...]:
    """Detectors from comma-separated names; each of ``peers`` and ``methods`` may be ``all`` or ``none``.

    Peers come first. Raises ConfigError for an unknown name or when nobody is left.
    """
    chosen: list[Contestant[Detector]] = []
    for option, text, accepted in (("--peers", peers, PEERS), ("--methods", methods, METHODS)):
        chosen += [Contestant(name, accepted[name]) for name in names_among(option, text, tuple(accepted))]
    if not chosen:
        raise ConfigError("--peers, --methods: got none for both, accepted: at least one name")
    return tuple(chosen)
